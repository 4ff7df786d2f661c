use crate::imports::{Package, Served};
use crate::limits::Bounds;
use cloister_platform::{PlatformCtx, PlatformCtxView, PlatformView};
use cloister_wasi::{LogSink, Stdio, WasiCtx, WasiCtxView, WasiView, settle_host_fuel};
use cloister_wasi_http::{HttpCtx, HttpCtxView, HttpView};
use cloister_wasi_sockets::{SocketsCtx, SocketsCtxView, SocketsView};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmtime::component::{Linker, ResourceTable};
use wasmtime::{CallHook, Engine, StoreContextMut};

/// What the host keeps of one call: the data of its store.
pub(crate) struct Guest {
    pub wasi: WasiCtx,
    pub sockets: SocketsCtx,
    pub http: HttpCtx,
    pub platform: PlatformCtx,
    pub table: ResourceTable,
    pub bounds: Bounds,
}

impl WasiView for Guest {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl SocketsView for Guest {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView { ctx: &mut self.sockets, fuel: self.wasi.host_fuel(), table: &mut self.table }
    }
}

impl HttpView for Guest {
    fn http(&mut self) -> HttpCtxView<'_> {
        HttpCtxView { ctx: &mut self.http, fuel: self.wasi.host_fuel(), table: &mut self.table }
    }
}

impl PlatformView for Guest {
    fn platform(&mut self) -> PlatformCtxView<'_> {
        PlatformCtxView { ctx: &mut self.platform, fuel: self.wasi.host_fuel() }
    }
}

/// Everything that guests may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    cloister_wasi::add_to_linker(&mut linker)?;
    cloister_wasi_sockets::add_to_linker(&mut linker)?;
    cloister_wasi_http::add_to_linker(&mut linker)?;
    cloister_platform::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// The interfaces that [`linker`] serves, with the newest version of each, sorted by name.
pub fn supported_interfaces() -> Vec<&'static str> {
    let crates = [
        cloister_wasi::supported_interfaces(),
        cloister_wasi_sockets::supported_interfaces(),
        cloister_wasi_http::supported_interfaces(),
        cloister_platform::supported_interfaces(),
    ];
    let mut all = crates.concat();
    all.sort_unstable();
    all
}

/// The same in words: what each interface has.
pub(crate) fn served() -> Result<Served, String> {
    Served::new(supported_interfaces().into_iter(), WIT)
}

/// Runs at every crossing between guest and host: debits what host functions charged, and bounds the bytes that the host
/// may be made to hold, once for arguments of host calls and once for the result.
pub(crate) fn cross(mut store: StoreContextMut<'_, Guest>, event: CallHook) -> wasmtime::Result<()> {
    match event {
        CallHook::CallingHost => store.set_hostcall_fuel(HOST_CALL_BYTES),
        CallHook::ReturningFromWasm => {
            let bytes = store.data_mut().bounds.returned();
            store.set_hostcall_fuel(bytes);
        }
        CallHook::CallingWasm => store.data_mut().bounds.goes_on(),
        CallHook::ReturningFromHost => {}
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

/// Bytes that one host call may copy out of the guest: the 4 MiB that interfaces allow, and some for their own answer to
/// whoever passes more.
pub(crate) const HOST_CALL_BYTES: usize = (4 << 20) + (64 << 10);

/// Each package after those that it uses; of each package all files.
const WIT: &[Package] = &[
    &[("io.wit", include_str!("../../wasi/wit/deps/io.wit"))],
    &[("clocks.wit", include_str!("../../wasi/wit/deps/clocks.wit"))],
    &[("random.wit", include_str!("../../wasi/wit/deps/random.wit"))],
    &[("filesystem.wit", include_str!("../../wasi/wit/deps/filesystem.wit"))],
    &[("sockets.wit", include_str!("../../wasi/wit/deps/sockets.wit"))],
    &[("cli.wit", include_str!("../../wasi/wit/deps/cli.wit"))],
    &[("http.wit", include_str!("../../wasi-http/wit/deps/http.wit"))],
    &[("keyvalue.wit", include_str!("../../wasi/wit/deps/keyvalue.wit"))],
    &[("config.wit", include_str!("../../wasi/wit/deps/config.wit"))],
    &[("logging.wit", include_str!("../../wasi/wit/deps/logging.wit"))],
    &[("logging-unversioned.wit", include_str!("../../wasi/wit/deps/logging-unversioned.wit"))],
    &[
        ("attestation.wit", include_str!("../../../wit/attestation.wit")),
        ("auth.wit", include_str!("../../../wit/auth.wit")),
        ("crypto.wit", include_str!("../../../wit/crypto.wit")),
        ("https.wit", include_str!("../../../wit/https.wit")),
        ("keystore.wit", include_str!("../../../wit/keystore.wit")),
        ("sealing.wit", include_str!("../../../wit/sealing.wit")),
    ],
];

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
