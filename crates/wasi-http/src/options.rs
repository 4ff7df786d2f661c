//! `request-options` of `wasi:http/types`.

use std::time::Duration;

use wasmtime::component::Resource;

use crate::HttpCtxView;
use crate::bindings::wasi::http::types::HostRequestOptions;

/// How long a guest wants to wait, in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct RequestOptions {
    connect: Option<u64>,
    first_byte: Option<u64>,
    between_bytes: Option<u64>,
}

/// How long a request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Timeouts {
    pub(crate) connect: Duration,
    pub(crate) first_byte: Duration,
    pub(crate) between_bytes: Duration,
}

impl From<RequestOptions> for Timeouts {
    fn from(options: RequestOptions) -> Self {
        let within = |asked: Option<u64>, default| {
            asked.map_or(default, |nanoseconds| Duration::from_nanos(nanoseconds).min(MAX_TIMEOUT))
        };
        Self {
            connect: within(options.connect, CONNECT_TIMEOUT),
            first_byte: within(options.first_byte, FIRST_BYTE_TIMEOUT),
            between_bytes: within(options.between_bytes, BETWEEN_BYTES_TIMEOUT),
        }
    }
}

type Timeout = Option<u64>;

impl HostRequestOptions for HttpCtxView<'_> {
    async fn new(&mut self) -> wasmtime::Result<Resource<RequestOptions>> {
        self.charge(0).await?;
        Ok(self.table.push(RequestOptions::default())?)
    }

    async fn connect_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.connect)
    }

    async fn set_connect_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.connect = timeout;
        Ok(Ok(()))
    }

    async fn first_byte_timeout(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.first_byte)
    }

    async fn set_first_byte_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.first_byte = timeout;
        Ok(Ok(()))
    }

    async fn between_bytes_timeout(
        &mut self,
        options: Resource<RequestOptions>,
    ) -> wasmtime::Result<Timeout> {
        self.charge(0).await?;
        Ok(self.table.get(&options)?.between_bytes)
    }

    async fn set_between_bytes_timeout(
        &mut self,
        options: Resource<RequestOptions>,
        timeout: Timeout,
    ) -> wasmtime::Result<Result<(), ()>> {
        self.charge(0).await?;
        self.table.get_mut(&options)?.between_bytes = timeout;
        Ok(Ok(()))
    }

    async fn drop(&mut self, options: Resource<RequestOptions>) -> wasmtime::Result<()> {
        self.table.delete(options)?;
        Ok(())
    }
}

/// Until a connection is there, its name looked up and TLS agreed on, where the guest says nothing.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// From a request that is sent to the head of its response, where the guest says nothing.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two pieces of a response's body, where the guest says nothing.
pub const BETWEEN_BYTES_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest of each that a request waits, whatever the guest says.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);
