//! `wasi:*@0.2` for guests.
//!
//! Served: `wasi:cli`, `wasi:clocks`, `wasi:config`, `wasi:io`, `wasi:logging`, `wasi:random`, `wasi:filesystem` over
//! [`Preopen`]s, and `wasi:keyvalue` over the app's own [`Storage`].
//! Wasmtime's linker matches any `0.2.x` that a guest's tools stamped; of the proposals it matches only what is listed. What a guest asks of the host costs
//! fuel, see [`HostFuel`], and no single call makes the host allocate more than a named constant allows.
#![forbid(unsafe_code)]

mod bindings;
mod cli;
mod clocks;
mod config;
mod context;
mod error;
mod filesystem;
mod input;
mod io;
mod keyvalue;
mod log;
mod logging;
mod metering;
mod output;
mod random;
mod storage;

pub use cli::Exit;
pub use context::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
pub use error::Error;
pub use filesystem::{Access, Preopen};
pub use input::{Input, InputFailed, InputSource, LiveInput};
pub use io::{MAX_POLLABLES_PER_POLL, MAX_READ_BYTES};
pub use log::{BoundedLog, CapturedLog, LogSink, Stdio};
pub use metering::{BYTE_FUEL, CALL_FUEL, Debts, HostFuel, YIELD_FUEL, settle_host_fuel};
pub use output::{OutputReceiver, OutputSender, output_channel};
pub use random::MAX_RANDOM_BYTES;
pub use storage::{Durability, Storage, Unavailable};

use wasmtime::component::{HasData, Linker};

/// Lets components of `linker` import every one of [`supported_interfaces`].
///
/// The store must be called asynchronously, and needs [`settle_host_fuel`] in its call hook.
///
/// # Errors
/// When `linker` has one of the interfaces already.
pub fn add_to_linker<T: WasiView + Send + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    bindings::Guest::add_to_linker::<T, Wasi>(linker, T::wasi)
}

/// The interfaces that [`add_to_linker`] serves, with the newest version of each, sorted by name.
pub fn supported_interfaces() -> &'static [&'static str] {
    SUPPORTED_INTERFACES
}

/// Names [`WasiCtxView`] as what the generated traits are implemented for.
struct Wasi;

impl HasData for Wasi {
    type Data<'a> = WasiCtxView<'a>;
}

/// The imports of `wit/world.wit`.
const SUPPORTED_INTERFACES: &[&str] = &[
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:keyvalue/atomics@0.2.0-draft",
    "wasi:keyvalue/batch@0.2.0-draft",
    "wasi:keyvalue/store@0.2.0-draft",
    "wasi:logging/logging",
    "wasi:logging/logging@0.1.0-draft",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/random@0.2.12",
];
