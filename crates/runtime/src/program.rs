use crate::exports::Exports;
use crate::guest::Guest;
use crate::heap::CallHeap;
use crate::pool::Hold;
use cloister_api::ExportDescription;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::InstancePre;

/// A compiled component, ready to be called. Clones share it; its native code is freed with the last, so calls under way
/// finish on the program that they began with.
#[derive(Clone)]
pub struct Program {
    pub(crate) parts: Arc<Parts>,
}

/// Dropped in this order: the native code goes before the account of it.
pub(crate) struct Parts {
    pub exports: Exports,
    pub pre: InstancePre<Guest>,
    pub heap: CallHeap,
    #[expect(dead_code, reason = "it is an account that ends when it is dropped")]
    pub hold: Hold,
    pub code_hash: [u8; 32],
    pub size: usize,
    pub code_bytes: usize,
    pub compile_time: Duration,
    /// Bytes of memories and tables as they begin.
    pub initial_memory: u64,
    pub imports: Vec<String>,
    pub wit: String,
}

impl Program {
    pub(crate) fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts) }
    }

    /// SHA-256 of the `.wasm`.
    pub fn code_hash(&self) -> [u8; 32] {
        self.parts.code_hash
    }

    /// Bytes of the `.wasm`.
    pub fn size(&self) -> usize {
        self.parts.size
    }

    /// Bytes of the executable pool that the native code holds.
    pub fn code_bytes(&self) -> usize {
        self.parts.code_bytes
    }

    /// How long compiling took, by the host's clock.
    pub fn compile_time(&self) -> Duration {
        self.parts.compile_time
    }

    /// Imports as the component spells them.
    pub fn imports(&self) -> &[String] {
        &self.parts.imports
    }

    /// The functions that can be called, and those that cannot with the reason.
    pub fn exports(&self) -> Vec<ExportDescription> {
        self.parts.exports.descriptions().cloned().collect()
    }

    /// The component's own WIT.
    pub fn wit(&self) -> &str {
        &self.parts.wit
    }

    /// The full name of the export that a caller's `name` means.
    ///
    /// # Errors
    ///
    /// Near names, where it means none or several.
    pub fn export_name(&self, name: &str) -> Result<&str, Vec<String>> {
        self.parts.exports.find(name).map(|export| export.description.name.as_str())
    }
}

/// What a guest cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Fuel units burnt, host calls included.
    pub fuel: u64,
    /// By the host's clock.
    pub wall: Duration,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("size", &self.parts.size)
            .field("code_bytes", &self.parts.code_bytes)
            .finish_non_exhaustive()
    }
}
