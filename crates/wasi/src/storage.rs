use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_filesystem::Filesystem;
use cloister_volume::kv::Namespace;

/// What a guest keeps between calls, and how it is made durable.
#[derive(Clone)]
pub struct Storage {
    /// Where no [`Preopen`](crate::Preopen)s are given, its root is the one preopened directory, `/`.
    pub filesystem: Filesystem,
    /// What `wasi:keyvalue` opens; without it no bucket can be opened.
    pub keys: Option<Namespace>,
    /// Makes durable what was written.
    pub durability: Arc<dyn Durability>,
    /// Becomes true at the guest's first operation on this filesystem or on keys, or when it changes any file, and nothing
    /// here makes it false again.
    pub used: Arc<AtomicBool>,
}

impl Storage {
    /// Notes that the guest used what it keeps: what was written has to be durable before the call is answered.
    pub fn mark_used(&self) {
        self.used.store(true, Ordering::Release);
    }
}

impl fmt::Debug for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("used", &self.used).finish_non_exhaustive()
    }
}

/// Makes writes durable. It is where the enclave lets concurrent calls share one commit of the volume.
pub trait Durability: Send + Sync {
    /// Resolves once everything that was written before this call is durable.
    ///
    /// # Errors
    /// When the volume could not be written. Nothing is lost then as long as the enclave runs: a later commit writes
    /// it again.
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>>;
}

/// What was written is not durable, because the volume could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the volume could not be written, so what the app wrote is not durable")]
pub struct Unavailable;
