//! `cloister.toml`: what a project is, and how it is built.

use super::BuildError;
use crate::arguments::Language;
use cloister_api::AppName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A folder with an app's source and its `cloister.toml`.
#[derive(Debug)]
pub(crate) struct Project {
    directory: PathBuf,
    manifest: Manifest,
}

/// One command of a build.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// The program and its arguments. A program with a `/` is one of the project's folder.
    pub(crate) run: Vec<String>,
    /// Environment variables beside the caller's own.
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
}

impl Project {
    /// The project in `directory`.
    pub(crate) fn load(directory: &Path) -> Result<Self, BuildError> {
        let path = directory.join(MANIFEST);
        let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => BuildError::NoProject(directory.to_owned()),
            _ => BuildError::Unreadable { path: path.clone(), source },
        })?;
        let manifest = Manifest::parse(&text).map_err(|reason| BuildError::Manifest { path, reason })?;
        Ok(Self { directory: directory.to_owned(), manifest })
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn name(&self) -> &AppName {
        &self.manifest.name
    }

    pub(crate) fn language(&self) -> Language {
        self.manifest.language
    }

    /// The folder with the world and its dependencies.
    pub(crate) fn wit(&self) -> PathBuf {
        self.directory.join(&self.manifest.wit)
    }

    /// The world's name, where the WIT has several.
    pub(crate) fn world(&self) -> Option<&str> {
        self.manifest.world.as_deref()
    }

    /// The folder of generated bindings, where the project wants some.
    pub(crate) fn bindings(&self) -> Option<PathBuf> {
        self.manifest.bindings.as_ref().map(|bindings| self.directory.join(bindings))
    }

    /// The WebAssembly that the steps make, where that is not yet the output.
    pub(crate) fn module(&self) -> Option<PathBuf> {
        self.manifest.module.as_ref().map(|module| self.directory.join(module))
    }

    /// The component.
    pub(crate) fn output(&self) -> PathBuf {
        self.directory.join(&self.manifest.output)
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.manifest.build
    }

    pub(crate) fn tests(&self) -> &[Step] {
        &self.manifest.test
    }
}

/// The file, as it is written. All paths are relative to its folder.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    name: AppName,
    language: Language,
    #[serde(default = "default_wit")]
    wit: PathBuf,
    world: Option<String>,
    bindings: Option<PathBuf>,
    module: Option<PathBuf>,
    output: PathBuf,
    build: Vec<Step>,
    #[serde(default)]
    test: Vec<Step>,
}

impl Manifest {
    fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self =
            toml_edit::de::from_str(text).map_err(|error| error.to_string().trim_end().to_owned())?;
        if manifest.build.iter().chain(&manifest.test).any(|step| step.run.is_empty()) {
            return Err("a step has an empty `run`".to_owned());
        }
        if manifest.bindings.is_some() && !matches!(manifest.language, Language::C | Language::Go) {
            return Err(format!("`bindings` is for C and Go, and the language is {}", manifest.language));
        }
        Ok(manifest)
    }
}

fn default_wit() -> PathBuf {
    "wit".into()
}

/// The name of the file that makes a folder a project.
const MANIFEST: &str = "cloister.toml";

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
        name = "notary"
        language = "go"
        world = "service"
        bindings = "."
        module = "build/module.wasm"
        output = "build/notary.wasm"

        [[build]]
        run = ["go", "build"]
        environment = { GOOS = "wasip1" }

        [[test]]
        run = ["go", "test", "./text"]
    "#;

    #[test]
    fn all_fields_are_understood() {
        let manifest = Manifest::parse(WHOLE).unwrap();
        assert_eq!((manifest.name.as_str(), manifest.language), ("notary", Language::Go));
        assert_eq!(manifest.wit, Path::new("wit"));
        assert_eq!(manifest.build[0].environment["GOOS"], "wasip1");
        assert_eq!(manifest.test[0].run, ["go", "test", "./text"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (from, to, word) in [
            ("\"notary\"", "\"Not a name\"", "63"),
            ("\"go\"\n", "\"cobol\"\n", "cobol"),
            ("\"go\"\n", "\"rust\"\n", "bindings"),
            ("module =", "modul =", "modul"),
            ("[\"go\", \"build\"]", "[]", "empty"),
            ("output =", "#", "output"),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            let error = Manifest::parse(&text).unwrap_err();
            assert!(error.contains(word), "{to}: {error}");
        }
    }

    #[test]
    fn a_folder_without_the_file_is_no_project() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Project::load(folder.path()), Err(BuildError::NoProject(_))));
    }
}
