//! Operations of `privasys:enclave-os` in loops, for `tests/benches/platform`.

use privasys::enclave_os::crypto::{self, DigestAlgorithm, HmacAlgorithm, SignAlgorithm};
use privasys::enclave_os::https::{self, Method, Request};
use privasys::enclave_os::keystore;

wit_bindgen::generate!({
    path: ["../../../wit", "wit"],
    world: "cloister:platform-bench/bench",
    generate_all,
});

struct Bench;

export!(Bench);

impl Guest for Bench {
    fn digest(length: u32, times: u32) -> Result<(), String> {
        let data = vec![1; length as usize];
        (0..times).try_for_each(|_| crypto::digest(DigestAlgorithm::Sha256, &data).map(drop))
    }

    fn encrypt(length: u32, times: u32) -> Result<(), String> {
        forget();
        keystore::generate_symmetric_key(KEY)?;
        let data = vec![1; length as usize];
        (0..times).try_for_each(|count| {
            let mut iv = [0; 12];
            iv[8..].copy_from_slice(&count.to_be_bytes());
            crypto::encrypt(KEY, &iv, &[], &data).map(drop)
        })
    }

    fn sign(length: u32, times: u32) -> Result<(), String> {
        forget();
        let algorithm = SignAlgorithm::EcdsaP256Sha256;
        keystore::generate_signing_key(KEY, algorithm)?;
        let data = vec![1; length as usize];
        (0..times).try_for_each(|_| crypto::sign(KEY, algorithm, &data).map(drop))
    }

    fn hmac(length: u32, times: u32) -> Result<(), String> {
        forget();
        let algorithm = HmacAlgorithm::HmacSha256;
        keystore::generate_hmac_key(KEY, algorithm)?;
        let data = vec![1; length as usize];
        (0..times).try_for_each(|_| crypto::hmac_sign(KEY, algorithm, &data).map(drop))
    }

    fn fetch(url: String, ca_root: Vec<u8>, length: u32, times: u32) -> Result<(), String> {
        let request = Request {
            method: Method::Get,
            url,
            headers: Vec::new(),
            body: None,
            ratls: None,
            ca_roots_der: Some(vec![ca_root]),
        };
        (0..times).try_for_each(|_| {
            let response = https::fetch(&request)?;
            match (response.status, response.body.len()) {
                (200, got) if got == length as usize => Ok(()),
                (status, got) => Err(format!("status {status} with {got} bytes")),
            }
        })
    }
}

/// The key of the call before, where there is one.
fn forget() {
    // There is none before the first call.
    let _ = keystore::delete_key(KEY);
}

const KEY: &str = "bench";
