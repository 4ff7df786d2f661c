use std::sync::Arc;

use cloister_egress::{Budget, HttpSettings, Total};
use cloister_wasi::HostFuel;
use tokio::sync::Semaphore;
use wasmtime::component::ResourceTable;

use crate::fields::MAX_HELD_FIELDS_BYTES;
use crate::handler::{MAX_REQUESTS_UNDER_WAY, MAX_REQUESTS_WAITING};

/// What one call of a guest does over HTTP.
///
/// Requests and bodies are resources of the call's [`ResourceTable`]: all that they started ends when it is dropped.
#[derive(Debug)]
pub struct HttpCtx {
    pub(crate) settings: HttpSettings,
    /// Bytes of all fields that the guest holds.
    pub(crate) fields: Budget,
    /// Outgoing bodies.
    pub(crate) bodies: Budget,
    /// Requests, those under way and those that wait for one of `lanes`.
    pub(crate) requests: Budget,
    pub(crate) lanes: Arc<Semaphore>,
}

impl HttpCtx {
    /// A context for one store.
    pub fn new(settings: HttpSettings) -> Self {
        Self {
            settings,
            fields: Budget::new(MAX_HELD_FIELDS_BYTES, &ALL_FIELDS),
            bodies: Budget::new(MAX_OPEN_BODIES, &ALL_BODIES),
            requests: Budget::new(MAX_REQUESTS_UNDER_WAY + MAX_REQUESTS_WAITING, &ALL_REQUESTS),
            lanes: Arc::new(Semaphore::new(MAX_REQUESTS_UNDER_WAY)),
        }
    }
}

/// Access to the HTTP state in a store's data.
pub trait HttpView: Send {
    /// All parts at once, so that they can be borrowed together.
    fn http(&mut self) -> HttpCtxView<'_>;
}

/// The HTTP state of a store.
#[derive(Debug)]
pub struct HttpCtxView<'a> {
    pub ctx: &'a mut HttpCtx,
    /// The meter of host functions: the one of the store's `WasiCtx`.
    pub fuel: &'a mut HostFuel,
    /// The table that `wasi:io` uses too. Give it a maximal capacity.
    pub table: &'a mut ResourceTable,
}

impl HttpCtxView<'_> {
    /// Charges a host function that moves `bytes` in or out.
    pub(crate) async fn charge(&mut self, bytes: usize) -> wasmtime::Result<()> {
        self.fuel.charge_call(bytes as u64).await
    }
}

/// Outgoing bodies that a call has open at once: taken from a request or response, and neither finished nor dropped. Each
/// holds at most [`BODY_BUFFER_BYTES`](crate::BODY_BUFFER_BYTES).
pub const MAX_OPEN_BODIES: usize = 64;

/// Of the calls of all apps together. Beyond it a call gets what it gets beyond its own bound.
static ALL_FIELDS: Total = Total::new(64 << 20);
/// Of at most 256 KiB each: one for each call that the enclave takes by default, and 512 more.
static ALL_BODIES: Total = Total::new(1_536);
static ALL_REQUESTS: Total = Total::new(4_096);
