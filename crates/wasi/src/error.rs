use cloister_filesystem::FsError;
use cloister_tee::RandomError;

use crate::{MAX_POLLABLES_PER_POLL, MAX_RANDOM_BYTES};

/// Why a host function ended the guest's call.
///
/// A guest that cannot pay for a host function gets [`wasmtime::Trap::OutOfFuel`], and one that exits
/// [`Exit`](crate::Exit).
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// One request for more random bytes than fit a call.
    #[error(
        "the guest asked for {asked} random bytes at once, and the limit is {limit}: ask several times",
        limit = MAX_RANDOM_BYTES
    )]
    RandomTooLong { asked: u64 },
    /// One `poll` of more pollables than allowed.
    #[error("the guest polled {asked} pollables at once, and the limit is {limit}", limit = MAX_POLLABLES_PER_POLL)]
    TooManyPollables { asked: usize },
    /// `wasi:io/poll.poll`: "This function traps if … the list is empty".
    #[error("the guest polled an empty list of pollables")]
    EmptyPoll,
    /// A directory that the app's settings promise the guest. In a read-only one nothing is made.
    #[error("the directory that the guest is to see as `{guest_path}` cannot be opened: {source}")]
    Preopen { guest_path: String, source: FsError },
    /// The CPU gave no random number.
    #[error(transparent)]
    Random(#[from] RandomError),
}
