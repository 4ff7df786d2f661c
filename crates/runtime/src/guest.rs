use crate::limits::Bounds;
use cloister_wasi::{LogSink, Stdio, WasiCtx, WasiCtxView, WasiView, settle_host_fuel};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{CallHook, Engine, StoreContextMut};

/// What the host keeps of one call: the data of its store.
pub(crate) struct Guest {
    pub wasi: WasiCtx,
    pub table: ResourceTable,
    pub bounds: Bounds,
    /// Bytes that lifting the result may take on the host's side.
    pub result_bytes: usize,
}

impl WasiView for Guest {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

/// Everything that guests may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    cloister_wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Runs at every crossing between guest and host: debits what host functions charged, and bounds the bytes that the host
/// may be made to hold, once for arguments of host calls and once for the result.
pub(crate) fn cross(mut store: StoreContextMut<'_, Guest>, event: CallHook) -> wasmtime::Result<()> {
    match event {
        CallHook::CallingHost => store.set_hostcall_fuel(HOST_CALL_BYTES),
        CallHook::ReturningFromWasm => {
            let bytes = store.data().result_bytes;
            store.set_hostcall_fuel(bytes);
        }
        CallHook::CallingWasm | CallHook::ReturningFromHost => {}
    }
    settle_host_fuel(store, event)
}

/// Passes on the first bytes of a call's output and drops the rest.
pub(crate) struct LimitedLog {
    sink: Arc<dyn LogSink>,
    left: AtomicU64,
}

impl LimitedLog {
    pub(crate) fn new(sink: Arc<dyn LogSink>, bytes: u64) -> Self {
        Self { sink, left: AtomicU64::new(bytes) }
    }
}

impl LogSink for LimitedLog {
    fn write(&self, stream: Stdio, bytes: &[u8]) {
        let wanted = bytes.len() as u64;
        let take = |left: u64| Some(left.saturating_sub(wanted));
        let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
        let kept = usize::try_from(left).map_or(bytes, |left| &bytes[..left.min(bytes.len())]);
        if !kept.is_empty() {
            self.sink.write(stream, kept);
        }
    }
}

/// Bytes that one host call may copy out of the guest.
pub(crate) const HOST_CALL_BYTES: usize = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_wasi::BoundedLog;

    #[test]
    fn a_log_ends_at_its_limit() {
        let sink = Arc::new(BoundedLog::new(100));
        let log = LimitedLog::new(Arc::clone(&sink) as Arc<dyn LogSink>, 5);
        log.write(Stdio::Stdout, b"abc");
        log.write(Stdio::Stderr, b"def");
        log.write(Stdio::Stdout, b"ghi");
        let log = sink.take();
        assert_eq!((log.of(Stdio::Stdout), log.of(Stdio::Stderr)), (b"abc".to_vec(), b"de".to_vec()));
    }
}
