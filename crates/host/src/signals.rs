use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::HostError;
use crate::launch::Stopper;

/// Ends the enclave in order at the first SIGINT or SIGTERM, and the process with code 130 at the second.
///
/// # Errors
/// Where the operating system refuses the handlers or their thread.
pub fn install_signal_handlers(stopper: Stopper) -> Result<(), HostError> {
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|source| HostError::System { action: "handle signals", source })?;
    let handle = move || {
        let mut received = 0;
        for _ in signals.forever() {
            received += 1;
            if received == 1 {
                stopper.log().host("stopping; once more stops at once");
                stopper.shutdown();
            } else {
                signal_hook::low_level::exit(INTERRUPTED);
            }
        }
    };
    let thread = thread::Builder::new().name("signals".into()).spawn(handle);
    thread.map(drop).map_err(|source| HostError::System { action: "start a thread", source })
}

/// What shells report for a process that SIGINT ended: 128 and the signal's number.
const INTERRUPTED: i32 = 130;
