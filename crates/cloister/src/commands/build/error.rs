use std::io;
use std::path::PathBuf;

/// Why a project's app cannot be built, or would not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error("{} is no project: it has no cloister.toml", .0.display())]
    NoProject(PathBuf),
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not understood: {reason}", path.display())]
    Manifest { path: PathBuf, reason: String },
    #[error("{} names no module in its first lines, so packages cannot name each other", .0.display())]
    NoGoModule(PathBuf),
    #[error("{} is not valid WIT: {reason}", path.display())]
    Wit { path: PathBuf, reason: String },
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the build needs `{program}`, which is not in PATH")]
    NoProgram { program: String, help: Option<String> },
    #[error("the build needs packages that are not installed: {} does not exist", path.display())]
    NoPackages { path: PathBuf, help: String },
    #[error("cannot run `{command}`: {source}")]
    NotStarted { command: String, source: io::Error },
    #[error("`{command}` failed with {status}")]
    Failed { command: String, status: String, help: Option<String> },
    #[error("the build ran, and made no {}: {source}", path.display())]
    Output { path: PathBuf, source: io::Error },
    #[error("no component can be made of {}: {reason}", path.display())]
    Component { path: PathBuf, reason: String },
    #[error("{} is {size} bytes, and the image takes {limit}", path.display())]
    TooLarge { path: PathBuf, size: usize, limit: usize },
    #[error("{} is not WebAssembly", .0.display())]
    NotWasm(PathBuf),
    #[error("{} is a core WebAssembly module, and apps are components", .0.display())]
    CoreModule(PathBuf),
    #[error("{} is not a component that the image takes: {reason}", path.display())]
    Invalid { path: PathBuf, reason: String },
    #[error("{} imports what the image does not serve: {}", path.display(), missing.join("; "))]
    Imports { path: PathBuf, missing: Vec<String>, nearest: Vec<String> },
    #[error("{} exports nothing that can be called", .0.display())]
    NoExports(PathBuf),
}

impl BuildError {
    /// What to do.
    pub(crate) fn help(&self) -> Option<&str> {
        match self {
            Self::NoProject(_) => Some("`cloister new --lang LANGUAGE NAME` makes one"),
            Self::Manifest { .. } => Some("docs/sdk.md lists what cloister.toml may say"),
            Self::NoProgram { help, .. } | Self::Failed { help, .. } => help.as_deref(),
            Self::NoPackages { help, .. } => Some(help),
            Self::Output { .. } => {
                Some("`output` and `module` in cloister.toml name the files that the steps make")
            }
            Self::TooLarge { .. } => Some("build it for size, without debug information"),
            Self::CoreModule(_) => {
                Some("name it as `module` in cloister.toml, and `cloister build` makes the component of it")
            }
            Self::Imports { .. } => Some("docs/sdk.md lists what the image serves"),
            Self::NoExports(_) => {
                Some("export a function in the world of wit/, `wasi:cli/run` or `wasi:http/incoming-handler`")
            }
            _ => None,
        }
    }

    /// Names that were perhaps meant.
    pub(crate) fn suggestions(&self) -> &[String] {
        match self {
            Self::Imports { nearest, .. } => nearest,
            _ => &[],
        }
    }
}
