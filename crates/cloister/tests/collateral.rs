//! Collateral fetched from a stand-in for a PCCS, for a recorded quote of Intel's.

#[path = "../../collateral/tests/pccs/mod.rs"]
mod pccs;

use dcap_qvl::QuoteCollateralV3;
use dcap_qvl::verify::QuoteVerifier;
use pccs::{Pccs, pages};
use std::path::Path;
use std::process::{Command, Output};

const QUOTE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../attestation/tests/vectors/sgx_quote.bin");
/// 2025-07-01: inside the validity of the recorded collateral.
const RECORDED: u64 = 1_751_328_000;

fn recorded() -> QuoteCollateralV3 {
    serde_json::from_str(include_str!("../../attestation/tests/vectors/sgx_quote_collateral.json")).unwrap()
}

fn fetch(folder: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cloister"))
        .args(["collateral", "fetch", "--out", "collateral.json"])
        .args(options)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .output()
        .unwrap()
}

#[test]
fn a_quotes_collateral_is_kept_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let service = Pccs::start(pages(&recorded(), "sgx"));
    let done = fetch(folder.path(), &[QUOTE, "--pccs", &service.url(), "--format", "json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert!(said["expires"].as_str().unwrap().starts_with("2025-07-"), "{said}");
    let kept = std::fs::read(folder.path().join("collateral.json")).unwrap();
    let kept: QuoteCollateralV3 = serde_json::from_slice(&kept).unwrap();
    let quote = std::fs::read(QUOTE).unwrap();
    let verify = |at| QuoteVerifier::new_prod().verify(&quote, &kept, at);
    assert_eq!(verify(RECORDED).unwrap().status, "ConfigurationAndSWHardeningNeeded");
    assert!(verify(RECORDED + 365 * 86_400).is_err(), "it expires");
}

#[test]
fn what_goes_wrong_has_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let empty = Pccs::start(Default::default());
    let (url, not_a_quote) = (empty.url(), env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml");
    for (options, code) in [
        (&[QUOTE][..], 2),
        (&[QUOTE, "--pccs", "http://pccs.example"], 2),
        (&[&not_a_quote, "--pccs", &url], 2),
        (&["/no/such/quote", "--pccs", &url], 2),
        (&[QUOTE, "--pccs", "http://127.0.0.1:1"], 3),
        (&["--host", "127.0.0.1:1", "--pccs", &url], 3),
        (&[QUOTE, "--pccs", &url], 7),
    ] {
        let done = fetch(folder.path(), options);
        assert_eq!(done.status.code(), Some(code), "{options:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
    assert!(!folder.path().join("collateral.json").exists());
}
