//! The arguments of `new` and `build`.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct NewArguments {
    /// The language of the app
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Language,
    /// The app's name: 1 to 63 of a-z, 0-9 and '-', with a letter first
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// The project's folder, which must be new or empty [default: NAME, here]
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArguments {
    /// The project's folder, in which cloister.toml is
    #[arg(value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub(crate) directory: PathBuf,
    /// Run the project's own tests too, before the build
    #[arg(long)]
    pub(crate) test: bool,
}

/// A language in which `cloister new` writes a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Language {
    Rust,
    #[value(name = "js", alias = "javascript")]
    #[serde(rename = "js")]
    JavaScript,
    Python,
    C,
    Go,
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
            Self::C => "C",
            Self::Go => "Go",
        })
    }
}
