//! Compiling the examples.

use crate::table::{Table, times};
use crate::wasmtime::Wasmtime;
use crate::{Scope, component, seconds};
use anyhow::Result;
use cloister_tests::{Enclave, example, for_everybody, name};
use std::time::Instant;

/// Prints how long a deploy takes, and how long Wasmtime's own compiler does.
pub(crate) async fn compare(enclave: &Enclave, wasmtime: &Wasmtime, scope: Scope) -> Result<()> {
    let mut table = Table::new(
        "Upload and compile inside the image, on one thread; `wasmtime compile` on all cores",
        ["", "size", "image", "wasmtime", "image to wasmtime"],
    );
    let folder = tempfile::TempDir::new()?;
    let examples: &[&str] = match scope {
        Scope::Quick => &["c", "benchmark", "rust"],
        Scope::All => &["c", "benchmark", "rust", "javascript"],
    };
    let session = enclave.owner().await;
    for example_name in examples {
        let wasm = example(example_name);
        let size = format!("{} KiB", wasm.len() >> 10);
        let app = name("compiled");
        let began = Instant::now();
        session.deploy(&app, wasm, &for_everybody(), |_| {}).await?;
        let image = began.elapsed();
        session.remove(&app).await?;
        let native = wasmtime.compile(&component(example_name), &folder.path().join("compiled"), &[])?;
        table.row([
            (*example_name).to_owned(),
            size,
            seconds(image),
            seconds(native),
            times(image.as_secs_f64(), native.as_secs_f64()),
        ]);
    }
    table.print();
    Ok(())
}
