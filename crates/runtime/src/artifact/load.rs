//! The one place where bytes become native code without a compiler.
//!
//! Needed: compiling anew takes seconds for each megabyte, and every restart would pay it.
#![allow(unsafe_code)]

use super::{ArtifactSeal, Header, RestoreError};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The component of an artifact that was made for this image, component and engine.
pub(crate) fn load(
    engine: &Engine,
    artifact: &[u8],
    seal: &ArtifactSeal,
    code_hash: &[u8; 32],
) -> Result<(Component, Header), RestoreError> {
    let (header, code) = Header::open(artifact, seal)?;
    header.check(seal, code_hash, &super::engine_hash(engine))?;
    // SAFETY: Wasmtime does not verify what native code does, so `code` must be what `Component::serialize` answered.
    // It is: only this image has the seal's key, which it draws itself and keeps in its sealed volume, and the only
    // bytes that it authenticates with the key are those of `Program::artifact`. The header says that they are of the
    // same image and of an engine with the same settings.
    let loaded = unsafe { Component::deserialize(engine, code) };
    let component = loaded.map_err(|error| RestoreError::Refused(format!("{error:#}")))?;
    Ok((component, header))
}
