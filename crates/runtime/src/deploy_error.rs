use crate::imports::UnsupportedImports;
use crate::pool::PoolFull;
use cloister_api::{Code, Problem};

/// Why a component was not prepared. Nothing was kept of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeployError {
    #[error("the upload is not WebAssembly: it does not begin with \"\\0asm\" and a version that is known")]
    NotWasm,
    #[error(
        "the upload is a core WebAssembly module, and apps are components. Make it one: `wasm-tools component new \
         module.wasm -o component.wasm`, with `--adapt wasi_snapshot_preview1=adapter.wasm` where it imports \
         wasi_snapshot_preview1, or build it for a component target, such as wasm32-wasip2"
    )]
    CoreModule,
    #[error("the component is {size} bytes, and this image takes {limit}")]
    TooLarge { size: usize, limit: usize },
    #[error(
        "one function of the component is {size} bytes of WebAssembly, and this image compiles functions of up to \
         {limit}: compile the guest with fewer generated or inlined functions"
    )]
    FunctionTooLarge { size: usize, limit: usize },
    #[error(
        "compiling the component would need about {needed} bytes of heap, and this image allows {limit}; code size counts, \
         and the function with the most variables and branches"
    )]
    HeapTooSmall { needed: u64, limit: u64 },
    #[error("the component is malformed at byte {offset}: {message}")]
    Invalid { message: String, offset: usize },
    #[error(
        "the component uses a WebAssembly feature that is off here, {feature} (at byte {offset}: {message})"
    )]
    FeatureOff { feature: String, message: String, offset: usize },
    #[error(transparent)]
    UnsupportedImports(#[from] UnsupportedImports),
    /// An interface is served, but not with this function or type.
    #[error("the component's imports do not match what this image serves: {message}")]
    ImportMismatch { message: String },
    #[error("the component does not fit: {0}. Remove an app, or start an image with a larger pool")]
    CodePoolFull(#[from] PoolFull),
    #[error("the component was refused by the compiler: {message}")]
    Compile { message: String },
    #[error("the component exports {count} functions, and this image takes {limit}")]
    TooManyExports { count: usize, limit: usize },
    #[error("the component's interface cannot be shown as WIT: {message}")]
    Wit { message: String },
    #[error("preparing the component failed inside the enclave; nothing was deployed")]
    Internal,
}

impl DeployError {
    /// The error as the protocol carries it.
    pub fn into_problem(self) -> Problem {
        let suggestions = match &self {
            Self::UnsupportedImports(imports) => {
                let nearest = imports.missing.iter().flat_map(|import| &import.nearest);
                nearest.take(MAX_SUGGESTIONS).cloned().collect()
            }
            _ => Vec::new(),
        };
        Problem::new(self.code(), self.to_string()).with_suggestions(suggestions)
    }

    fn code(&self) -> Code {
        match self {
            Self::NotWasm => Code::NotAComponent,
            Self::CoreModule => Code::CoreModule,
            Self::TooLarge { .. } | Self::FunctionTooLarge { .. } | Self::HeapTooSmall { .. } => {
                Code::ComponentTooLarge
            }
            Self::Invalid { .. }
            | Self::FeatureOff { .. }
            | Self::Compile { .. }
            | Self::TooManyExports { .. }
            | Self::Wit { .. } => Code::InvalidComponent,
            Self::UnsupportedImports(_) | Self::ImportMismatch { .. } => Code::UnsupportedImport,
            Self::CodePoolFull(_) => Code::CodePoolFull,
            Self::Internal => Code::Internal,
        }
    }
}

/// Near names, of all missing imports together.
const MAX_SUGGESTIONS: usize = 10;
