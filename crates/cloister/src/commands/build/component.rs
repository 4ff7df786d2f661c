//! From what a project's steps make to its component.

use super::{BuildError, Project, bindings, read};
use crate::arguments::Language;
use std::path::Path;
use std::{fs, io};
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
    WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// Puts the component where the project wants it: a core module of the steps becomes one, with an adapter that makes WASI 0.2 of
/// the WASI 0.1 that compilers of C and Go know; what is a component already is taken as it is.
pub(super) fn finish(project: &Project) -> Result<(), BuildError> {
    let Some(path) = project.module() else { return Ok(()) };
    let mut wasm = read(&path)?;
    if Parser::is_core_wasm(&wasm) {
        let failed =
            |error: anyhow::Error| BuildError::Component { path: path.clone(), reason: format!("{error:#}") };
        if project.language() == Language::Go {
            // Go's linker cannot put it in.
            let (resolve, world) = bindings::resolve(project)?;
            embed_component_metadata(&mut wasm, &resolve, world, StringEncoding::UTF8).map_err(failed)?;
        }
        wasm = encode(&wasm).map_err(failed)?;
    }
    write(&project.output(), &wasm)
}

/// Makes the folders that the steps write to: not all compilers do.
pub(super) fn make_folders(project: &Project) -> Result<(), BuildError> {
    for file in project.module().into_iter().chain([project.output()]) {
        make_folder_of(&file).map_err(|source| BuildError::Write { path: file, source })?;
    }
    Ok(())
}

/// Writes a file, and its folder where that is missing.
pub(super) fn write(path: &Path, content: &[u8]) -> Result<(), BuildError> {
    make_folder_of(path)
        .and_then(|()| fs::write(path, content))
        .map_err(|source| BuildError::Write { path: path.to_owned(), source })
}

fn make_folder_of(file: &Path) -> io::Result<()> {
    file.parent().map_or(Ok(()), fs::create_dir_all)
}

fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let adapter = if has_main(module) {
        WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER
    } else {
        WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER
    };
    ComponentEncoder::default()
        .validate(true)
        .module(module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)?
        .encode()
}

/// Whether a core module is a program: what libraries export is called and not run.
fn has_main(module: &[u8]) -> bool {
    Parser::new(0).parse_all(module).any(|payload| match payload {
        Ok(Payload::ExportSection(section)) => {
            section.into_iter().any(|export| export.is_ok_and(|export| export.name == "_start"))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_told_from_libraries() {
        let module = |text: &str| wat::parse_str(text).unwrap();
        assert!(has_main(&module("(module (func (export \"_start\")))")));
        assert!(!has_main(&module("(module (func (export \"_initialize\")))")));
        assert!(!has_main(b"nothing"));
    }
}
