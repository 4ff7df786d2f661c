use crate::DeployError;
use crate::artifact::{self, ArtifactSeal, RestoreError};
use crate::engine::engine;
use crate::exports::Exports;
use crate::guest::{Guest, linker, served};
use crate::heap::{CallHeap, CallHeapBytes};
use crate::imports::{Served, check_imports};
use crate::inspect::{Inspection, inspect};
use crate::pool::{CodePool, POOL_BYTES, PoolFull, PoolStatistics};
use crate::program::{Parts, Program};
use crate::wit_text::wit_text;
use cloister_api::MAX_COMPONENT;
use sha2::{Digest, Sha256};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};
use wasmtime::Engine;
use wasmtime::component::{Component, Linker};

/// What one image allows a component to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of a `.wasm`.
    pub max_component: usize,
    /// Bytes of one core function's body.
    pub max_function: usize,
    /// Bytes of heap that compiling one component may be estimated to need.
    pub compile_heap: u64,
    /// Bytes of heap that all calls under way may hold together.
    pub call_heap: CallHeapBytes,
    /// Bytes of native code, all programs together. In the image [`POOL_BYTES`], whatever this says.
    pub code_pool: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_component: MAX_COMPONENT,
            max_function: 1 << 20,
            compile_heap: 2944 << 20,
            call_heap: CallHeapBytes { modest: 2560 << 20, large: 512 << 20 },
            code_pool: POOL_BYTES,
        }
    }
}

/// Compiles components, one at a time, into [`Program`]s.
///
/// Nothing that a component's bytes say ends the enclave: sizes are checked before anything is allocated for them, and a
/// panic in a decoder or the compiler ends only that deploy.
pub struct Runtime {
    engine: Engine,
    linker: Linker<Guest>,
    served: Served,
    heap: CallHeap,
    pool: CodePool,
    settings: Settings,
    /// Held while compiling: memory for one job at a time is what the heap is sized for.
    compiling: Mutex<()>,
    compiled: AtomicU64,
    refused: AtomicU64,
    restored: AtomicU64,
}

impl Runtime {
    /// # Errors
    ///
    /// The CPU lacks what the engine needs.
    pub fn new(settings: Settings) -> Result<Self, StartError> {
        let failed = |error: wasmtime::Error| StartError(format!("{error:#}"));
        let engine = engine().map_err(failed)?;
        let linker = linker(&engine).map_err(failed)?;
        let served = served().map_err(StartError)?;
        let pool = CodePool::new(settings.code_pool);
        let heap = CallHeap::new(settings.call_heap);
        Ok(Self {
            engine,
            linker,
            served,
            heap,
            pool,
            settings,
            compiling: Mutex::new(()),
            compiled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            restored: AtomicU64::new(0),
        })
    }

    /// Makes a callable program of the bytes of a component. Blocks for as long as compiling takes: seconds for each
    /// megabyte.
    ///
    /// What can be refused without compiling is refused before.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the component, or what it lacks here. Nothing was kept then.
    pub fn prepare(&self, wasm: &[u8], progress: &dyn Progress) -> Result<Program, DeployError> {
        let prepared = catch_unwind(AssertUnwindSafe(|| self.prepare_unguarded(wasm, progress)));
        let prepared = prepared.unwrap_or(Err(DeployError::Internal));
        let counter = if prepared.is_ok() { &self.compiled } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        prepared
    }

    /// Makes a program of a component's bytes and what [`Program::artifact`] once answered for it. Compiles nothing, and
    /// else checks what [`prepare`](Self::prepare) checks.
    ///
    /// # Errors
    ///
    /// Says why not. Nothing was kept then, and `prepare` can be tried with the same component.
    pub fn restore(
        &self,
        wasm: &[u8],
        artifact: &[u8],
        seal: &ArtifactSeal,
    ) -> Result<Program, RestoreError> {
        let restored = catch_unwind(AssertUnwindSafe(|| self.restore_unguarded(wasm, artifact, seal)));
        let restored = restored.unwrap_or(Err(DeployError::Internal.into()));
        if restored.is_ok() {
            self.restored.fetch_add(1, Ordering::Relaxed);
        }
        restored
    }

    /// What the runtime holds now, and what it did so far.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            pool: self.pool.statistics(),
            compiled: self.compiled.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            restored: self.restored.load(Ordering::Relaxed),
        }
    }

    fn prepare_unguarded(&self, wasm: &[u8], progress: &dyn Progress) -> Result<Program, DeployError> {
        let checked = self.check(wasm, |inspection| self.check_size(inspection))?;
        let turn = self.wait_for_turn(progress);
        // Other components were perhaps compiled meanwhile.
        self.check_size(&checked.inspection)?;
        progress.compiling(checked.inspection.functions);
        let start = Instant::now();
        let component = self.compile(wasm, &checked.inspection)?;
        let compile_time = start.elapsed();
        drop(turn);
        self.link(checked, &component, compile_time)
    }

    fn restore_unguarded(
        &self,
        wasm: &[u8],
        artifact: &[u8],
        seal: &ArtifactSeal,
    ) -> Result<Program, RestoreError> {
        let checked = self.check(wasm, |_| Ok(self.pool.has_room(artifact.len())?))?;
        let (component, header) = artifact::load(&self.engine, artifact, seal, &checked.code_hash)?;
        Ok(self.link(checked, &component, header.compile_time)?)
    }

    /// All that can be said of a component without compiling it. `fits` decides by its size.
    fn check(
        &self,
        wasm: &[u8],
        fits: impl FnOnce(&Inspection) -> Result<(), DeployError>,
    ) -> Result<Checked, DeployError> {
        if wasm.len() > self.settings.max_component {
            return Err(DeployError::TooLarge { size: wasm.len(), limit: self.settings.max_component });
        }
        let inspection = inspect(wasm)?;
        check_imports(&inspection.imports, &self.served)?;
        fits(&inspection)?;
        Ok(Checked {
            wit: wit_text(wasm)?,
            inspection,
            code_hash: Sha256::digest(wasm).into(),
            size: wasm.len(),
        })
    }

    fn link(
        &self,
        checked: Checked,
        component: &Component,
        compile_time: Duration,
    ) -> Result<Program, DeployError> {
        let code_bytes = native_bytes(component);
        let hold = self.pool.hold(code_bytes)?;
        let pre = self
            .linker
            .instantiate_pre(component)
            .map_err(|error| DeployError::ImportMismatch { message: format!("{error:#}") })?;
        Ok(Program::new(Parts {
            exports: Exports::of(component, &self.engine)?,
            pre,
            heap: self.heap.clone(),
            hold,
            code_hash: checked.code_hash,
            size: checked.size,
            code_bytes,
            compile_time,
            initial_memory: checked.inspection.initial_memory,
            imports: checked.inspection.imports.into_iter().map(|import| import.name).collect(),
            wit: checked.wit,
        }))
    }

    fn check_size(&self, inspection: &Inspection) -> Result<(), DeployError> {
        let Inspection { code_bytes, largest_function, .. } = *inspection;
        let limit = self.settings.max_function;
        if largest_function > limit {
            return Err(DeployError::FunctionTooLarge { size: largest_function, limit });
        }
        let needed = estimated_heap(inspection);
        if needed > self.settings.compile_heap {
            return Err(DeployError::HeapTooSmall { needed, limit: self.settings.compile_heap });
        }
        Ok(self.pool.has_room(code_bytes.saturating_mul(NATIVE_PER_CODE_BYTE))?)
    }

    fn wait_for_turn(&self, progress: &dyn Progress) -> MutexGuard<'_, ()> {
        match self.compiling.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::WouldBlock) => {
                progress.queued();
                self.compiling.lock().unwrap_or_else(PoisonError::into_inner)
            }
            // A compile job panicked; it left nothing behind that the next could trip over.
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        }
    }

    fn compile(&self, wasm: &[u8], inspection: &Inspection) -> Result<Component, DeployError> {
        Component::from_binary(&self.engine, wasm).map_err(|error| {
            let message = format!("{error:#}");
            if !message.contains(OUT_OF_POOL) {
                return DeployError::Compile { message };
            }
            let PoolStatistics { free, total, largest_free, .. } = self.pool.statistics();
            let wanted = inspection.code_bytes.saturating_mul(NATIVE_PER_CODE_BYTE).max(largest_free + 1);
            DeployError::CodePoolFull(PoolFull { wanted, free, largest: largest_free, total })
        })
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime")
            .field("settings", &self.settings)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

/// A component that was found good, as far as one can see before it is native code.
struct Checked {
    inspection: Inspection,
    wit: String,
    code_hash: [u8; 32],
    size: usize,
}

/// Hears how far a deploy is.
pub trait Progress {
    /// Another component is being compiled; this one is behind it.
    fn queued(&self) {}

    /// Compiling begins, of so many core functions.
    fn compiling(&self, functions: u64) {
        let _ = functions;
    }
}

/// Nobody listens.
impl Progress for () {}

/// What a runtime holds and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statistics {
    pub pool: PoolStatistics,
    /// Components made into programs.
    pub compiled: u64,
    /// Components refused, for whatever reason.
    pub refused: u64,
    /// Programs made of artifacts, without compiling.
    pub restored: u64,
}

/// The engine cannot run here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WebAssembly engine cannot start: {0}")]
pub struct StartError(String);

/// Bytes that the compiled component holds of the pool: code, traps, names.
fn native_bytes(component: &Component) -> usize {
    let range = component.image_range();
    range.end.addr().saturating_sub(range.start.addr())
}

/// Bytes of heap that compiling will take at its peak, from above: see the constants.
fn estimated_heap(inspection: &Inspection) -> u64 {
    let code = (inspection.code_bytes as u64).saturating_mul(HEAP_PER_CODE_BYTE);
    let segments = inspection.segments.saturating_mul(HEAP_PER_SEGMENT);
    code.saturating_add(segments).saturating_add(inspection.largest_tangle.saturating_mul(HEAP_PER_TANGLE))
}

/// Bytes of the pool for each byte of core code. Measured (`examples/compile_cost.rs`): 8.2 for 9.2 MB of StarlingMonkey,
/// 8.4 and 8.5 for 2 and 6 MB of Rust. Not rounded up: the pool itself has the last word.
const NATIVE_PER_CODE_BYTE: usize = 8;
/// Bytes of heap for each byte of core code. Measured on the same: 91, 112 and 92.
const HEAP_PER_CODE_BYTE: u64 = 120;
/// Bytes of heap for each unit of [`Inspection::largest_tangle`]. Measured on functions made to be bad: 76 to 151;
/// 2000 variables that live across 2000 loops are 38 KB of code, and 1.2 GB of heap.
const HEAP_PER_TANGLE: u64 = 160;
/// Bytes of heap for each data or element segment: all of a module's are set up by one function, which has a check of bounds
/// for each. Measured on 5,000 to 40,000 segments of a byte: 26 to 49 KB. A Go program has ten for each kilobyte of code.
const HEAP_PER_SEGMENT: u64 = 52 << 10;
/// What Wasmtime makes of the pool's refusal, ENOMEM.
const OUT_OF_POOL: &str = "os error 12";
