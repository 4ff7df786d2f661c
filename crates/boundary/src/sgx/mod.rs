mod net;
mod reactor;
mod service;
mod sockets;
#[allow(unsafe_code, reason = "usercalls hand raw addresses of host memory to the host")]
mod usercalls;

pub use net::{Listener, Stream};
pub use service::{Disk, Quotes, Tpm, configuration};
pub(crate) use sockets::{Socket, look_up};

use crate::HostError;

/// Opens the readiness stream and starts the thread that waits at it.
///
/// # Errors
/// [`HostError::Io`] where the host refuses the stream or a thread.
pub fn start() -> Result<(), HostError> {
    Ok(reactor::start()?)
}

/// Ends when the host asks the enclave to finish its work and exit.
pub async fn shutdown_requested() {
    reactor::shutdown_requested().await;
}

/// Writes a line to the host's log. The host reads it: nothing of a guest, a client or a key may stand in it.
pub fn log(line: &str) {
    eprintln!("{line}");
}
