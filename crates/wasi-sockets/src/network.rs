//! `wasi:sockets/network` and `instance-network`.

use cloister_boundary::net::SocketError;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::Error as IoError;

use crate::SocketsCtxView;
use crate::bindings::wasi::sockets::instance_network;
use crate::bindings::wasi::sockets::network::{self, ErrorCode};
use crate::failure::{self, Failure};

/// The capability to use the network. What it reaches is the same for all: the app's policy.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Network(());

impl instance_network::Host for SocketsCtxView<'_> {
    async fn instance_network(&mut self) -> wasmtime::Result<Resource<Network>> {
        self.charge(0).await?;
        Ok(self.table.push(Network(()))?)
    }
}

impl network::Host for SocketsCtxView<'_> {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Code(code) => Ok(code),
            Failure::Trap(error) => Err(error),
        }
    }

    async fn network_error_code(&mut self, error: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(0).await?;
        let error = self.table.get(&error)?;
        Ok(error.downcast_ref::<SocketError>().copied().map(failure::code))
    }
}

impl network::HostNetwork for SocketsCtxView<'_> {
    async fn drop(&mut self, network: Resource<Network>) -> wasmtime::Result<()> {
        self.table.delete(network)?;
        Ok(())
    }
}

impl SocketsCtxView<'_> {
    /// Whoever binds, connects or looks up a name has to hold the capability.
    pub(crate) fn check_network(&self, network: &Resource<Network>) -> Result<(), Failure> {
        self.table.get(network)?;
        Ok(())
    }
}
