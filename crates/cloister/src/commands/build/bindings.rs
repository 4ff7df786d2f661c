//! The files through which C and Go reach what their world imports, and export what it exports.

use super::component::write as write_file;
use super::{BuildError, Project};
use crate::arguments::Language;
use std::fs;
use std::path::{Path, PathBuf};
use wit_bindgen_core::Files;
use wit_parser::{Resolve, WorldId};

/// Writes the bindings that a project wants. They follow from its WIT alone; those that are there are replaced.
pub(in crate::commands) fn write(project: &Project) -> Result<(), BuildError> {
    let Some(folder) = project.bindings() else { return Ok(()) };
    match project.language() {
        Language::Go => write_go(project, &folder),
        _ => write_c(project, &folder),
    }
}

/// The WIT of a project, and the world that it implements.
pub(super) fn resolve(project: &Project) -> Result<(Resolve, WorldId), BuildError> {
    let path = project.wit();
    let mut resolve = Resolve::default();
    let found =
        resolve.push_dir(&path).and_then(|(package, _)| resolve.select_world(&[package], project.world()));
    match found {
        Ok(world) => Ok((resolve, world)),
        Err(error) => Err(wrong_wit(project, &error)),
    }
}

fn write_c(project: &Project, folder: &Path) -> Result<(), BuildError> {
    let (mut resolve, world) = resolve(project)?;
    let mut files = Files::default();
    let generated = wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files);
    generated.map_err(|error| wrong_wit(project, &error))?;
    files.iter().try_for_each(|(name, content)| write_file(&folder.join(name), content))
}

/// Go's bindings, and in `wit/` below them the two packages that they use: those from the net would need a module proxy.
fn write_go(project: &Project, folder: &Path) -> Result<(), BuildError> {
    let (mut resolve, world) = resolve(project)?;
    let module = go_module(project)?;
    let relative = folder.strip_prefix(project.directory()).unwrap_or(folder);
    let package = PathBuf::from(&module).join(relative).to_string_lossy().into_owned();
    let options = wit_bindgen_go::Opts {
        format: wit_bindgen_go::Format::False,
        pkg_name: Some(package.clone()),
        export_pkg_name: Some(module),
        ..wit_bindgen_go::Opts::default()
    };
    let mut files = Files::default();
    let generated = options.build().generate(&mut resolve, world, &mut files);
    generated.map_err(|error| wrong_wit(project, &error))?;
    let own = format!("\"{package}/wit/");
    for (name, content) in files.iter() {
        let content = String::from_utf8_lossy(content).replace(GO_PACKAGES, &own);
        write_file(&folder.join(name), content.as_bytes())?;
    }
    write_file(&folder.join("wit/runtime/runtime.go"), GO_RUNTIME.as_bytes())?;
    write_file(&folder.join("wit/types/types.go"), GO_TYPES.as_bytes())
}

/// What `go.mod` calls the module.
fn go_module(project: &Project) -> Result<String, BuildError> {
    let path = project.directory().join("go.mod");
    let text =
        fs::read_to_string(&path).map_err(|source| BuildError::Unreadable { path: path.clone(), source })?;
    let name = text.lines().find_map(|line| line.trim().strip_prefix("module "));
    name.map(|name| name.trim().to_owned()).ok_or(BuildError::NoGoModule(path))
}

fn wrong_wit(project: &Project, error: &anyhow::Error) -> BuildError {
    BuildError::Wit { path: project.wit(), reason: format!("{error:#}") }
}

/// How the generator's files begin to name the packages that they use.
const GO_PACKAGES: &str = "\"go.bytecodealliance.org/pkg/wit/";
const GO_RUNTIME: &str = include_str!("../../../templates/go-wit/runtime.go");
const GO_TYPES: &str = include_str!("../../../templates/go-wit/types.go");
