use std::sync::Arc;

use cloister_api::NetworkPolicy;
use cloister_wasi::{BYTE_FUEL, Debts, HostFuel};
use wasmtime::component::ResourceTable;

use crate::usage::Usage;

/// What one call of a guest sees of the network.
#[derive(Debug)]
pub struct SocketsCtx {
    pub(crate) policy: Arc<NetworkPolicy>,
    pub(crate) usage: Usage,
}

impl SocketsCtx {
    /// A context for one store, in which the guest may do what `policy` allows.
    pub fn new(policy: Arc<NetworkPolicy>) -> Self {
        Self { policy, usage: Usage::default() }
    }
}

/// Access to the state of `wasi:sockets` in a store's data.
pub trait SocketsView: Send {
    /// All parts at once, so that they can be borrowed together.
    fn sockets(&mut self) -> SocketsCtxView<'_>;
}

/// The state of `wasi:sockets` in a store.
#[derive(Debug)]
pub struct SocketsCtxView<'a> {
    /// This call's sockets.
    pub ctx: &'a mut SocketsCtx,
    /// The meter of the store's host functions.
    pub fuel: &'a mut HostFuel,
    /// What the guest holds; the one of `wasi:io`.
    pub table: &'a mut ResourceTable,
}

impl SocketsCtxView<'_> {
    /// Charges a host function that moves `bytes` and stays inside the enclave.
    pub(crate) async fn charge(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.fuel.charge_call(bytes).await
    }

    /// Charges a host function that asks the host.
    pub(crate) async fn charge_exit(&mut self) -> wasmtime::Result<()> {
        self.charge(EXIT_PRICE).await
    }

    /// For the streams and pollables of a new socket.
    pub(crate) fn exits(&self) -> Exits {
        Exits(self.fuel.debts())
    }

    /// Charges bytes of which the number is known only after they moved.
    pub(crate) async fn charge_moved(&mut self, bytes: u64) -> wasmtime::Result<()> {
        self.fuel.charge_bytes(bytes).await
    }
}

/// What streams and pollables ask of the host for the guest.
#[derive(Clone, Debug)]
pub(crate) struct Exits(Debts);

impl Exits {
    /// One more question to the host.
    pub(crate) fn add(&self) {
        self.0.add(EXIT_PRICE * BYTE_FUEL);
    }
}

/// Asking the host leaves the enclave: as dear as this many bytes.
const EXIT_PRICE: u64 = 1_500;
