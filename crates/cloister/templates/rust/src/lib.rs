//! Stamps documents: what was shown to this app, and when.
//!
//! `wit/service.wit` says what the app exports. `generate!` makes a trait of it, which `Service` implements, and functions of what
//! it imports. The clock is Rust's own: `std` asks WASI.

mod text;

use privasys::enclave_os::crypto::{self, DigestAlgorithm};
use std::time::{SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({ path: "wit", world: "service", generate_all });

struct Service;

export!(Service);

impl Guest for Service {
    fn stamp_document(document: String) -> Result<Stamp, String> {
        let digest = digest(&document)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Stamp { digest, seen: now.as_secs() })
    }

    fn check(document: String, stamp: Stamp) -> Result<bool, String> {
        Ok(digest(&document)? == stamp.digest.to_lowercase())
    }
}

/// SHA-256 in hex digits, computed by the enclave.
fn digest(document: &str) -> Result<String, String> {
    let text = text::normal(document);
    if text.is_empty() {
        return Err("there is nothing in the document".to_owned());
    }
    let digest = crypto::digest(DigestAlgorithm::Sha256, text.as_bytes())?;
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}
