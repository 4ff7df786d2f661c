//! A real quote with its collateral, at a time when it is valid, and claims that are not in it, in a session that nobody
//! vouches for.
#![allow(dead_code, reason = "not every target uses all of it")]

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use cloister_attestation::SessionBinding;
use cloister_attestation::verify::{Collateral, Observed};
use rustls_pki_types::CertificateDer;

pub struct Session {
    pub binding: SessionBinding,
    pub certificate: CertificateDer<'static>,
}

impl Session {
    pub fn new() -> Self {
        let binding = SessionBinding { exporter: [1; 32], nonce: [2; 32] };
        Self { binding, certificate: CertificateDer::from(&b"none"[..]) }
    }

    pub fn observed(&self) -> Observed<'_> {
        Observed { binding: &self.binding, certificate: &self.certificate, server_name: "hello.localhost" }
    }
}

/// See `crates/attestation/tests/vectors`.
pub const QUOTE: &[u8] = include_bytes!("../crates/attestation/tests/vectors/sgx_quote.bin");
/// The head of a quote and its report, which are signed: Intel's DCAP quote format, version 3.
pub const SIGNED_LEN: usize = 48 + 384;

pub static COLLATERAL: LazyLock<Collateral> = LazyLock::new(|| {
    let json = include_bytes!("../crates/attestation/tests/vectors/sgx_quote_collateral.json");
    serde_json::from_slice(json).expect("it is collateral")
});

/// The annotated example of `docs/design/evidence.md`.
pub static CLAIMS: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let page = include_str!("../docs/design/evidence.md");
    let (_, example) = page.split_once("```cbor-hex\n").expect("the page has an example");
    let (example, _) = example.split_once("```").expect("which ends");
    let digits = example.lines().flat_map(|line| line.split('#').next().unwrap_or_default().chars());
    let digits: String = digits.filter(|it| !it.is_whitespace()).collect();
    hex::decode(digits).expect("it is hexadecimal")
});

/// The first of July 2025.
pub static TIME: LazyLock<SystemTime> =
    LazyLock::new(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1_751_328_000));
