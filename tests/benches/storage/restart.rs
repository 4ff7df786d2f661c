//! What keeping compiled code saves when the machine starts again.

use crate::table::Table;
use crate::wasmtime::Wasmtime;
use crate::{Artifact, Sizes, component, limits, patient, seconds, stop};
use anyhow::{Result, ensure};
use cloister_api::DeploySettings;
use cloister_tests::{Enclave, example, for_everybody, name};
use serde_json::json;
use std::time::{Duration, Instant};

/// Prints the table, or why there is none.
pub(crate) async fn compare(enclave: Enclave, wasmtime: &Wasmtime, sizes: &Sizes) -> Result<Enclave> {
    let path = component("javascript");
    if sizes.artifact == Artifact::Skipped {
        println!("\nRestart with a large artifact: skipped, since only a quick look is wanted");
        return Ok(enclave);
    }
    if !path.exists() {
        println!("\nRestart with a large artifact: skipped, since {} is not built", path.display());
        return Ok(enclave);
    }
    let wasm = example("javascript");
    let app = name("artifact");
    let settings = DeploySettings { limits: limits(), ..for_everybody() };
    let began = Instant::now();
    let deployed = enclave.owner().await.deploy(&app, wasm, &settings, |_| {}).await?;
    let deploy = began.elapsed();
    let folder = tempfile::TempDir::new()?;
    let native = wasmtime.compile(&path, &folder.path().join("compiled"), &[])?;

    let setup = stop(enclave).await?;
    let began = Instant::now();
    let enclave = setup.start();
    let listening = began.elapsed();
    let session = patient(&enclave).await?;
    let mut calls = [Duration::ZERO; 2];
    for call in &mut calls {
        let began = Instant::now();
        let answer = session.call_json(&app, "canonicalize", &json!(["{\"b\": 1, \"a\": 2}"])).await?;
        *call = began.elapsed();
        ensure!(answer.result == json!({ "ok": "{\"a\":2,\"b\":1}" }), "{}", answer.result);
    }

    drop(session);
    enclave.owner().await.remove(&app).await?;
    let setup = stop(enclave).await?;
    let began = Instant::now();
    let enclave = setup.start();
    let without = began.elapsed();

    let title = format!(
        "Restart with the JavaScript example: {:.1} MiB of component, {:.1} MiB of compiled code",
        deployed.summary.size as f64 / f64::from(1 << 20),
        deployed.code_bytes as f64 / f64::from(1 << 20),
    );
    let mut table = Table::new(&title, ["", "time"]);
    for (what, time) in [
        ("upload and compile inside the image, on one thread", deploy),
        ("`wasmtime compile`, on all cores", native),
        ("restart until the image listens", listening),
        ("the first call afterwards", calls[0]),
        ("the second call", calls[1]),
        ("restart until the image listens, once the app is removed", without),
    ] {
        table.row([what.to_owned(), seconds(time)]);
    }
    table.print();
    Ok(enclave)
}
