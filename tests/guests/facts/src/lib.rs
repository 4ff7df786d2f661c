//! A component as the field builds it: against a WIT of its own that says what the interface facts say, in another order and without
//! a word of documentation. It links only where the types are the same.

use privasys::enclave_os::crypto::{DigestAlgorithm, HmacAlgorithm, SignAlgorithm};
use privasys::enclave_os::https::{ExpectedOid, Method, RatlsPolicy, Request, TeeType};
use privasys::enclave_os::{attestation, auth, crypto, https, keystore, sealing};

wit_bindgen::generate!({ path: "wit", world: "field:component/component", generate_all });

struct Component;

export!(Component);

impl Guest for Component {
    fn exercise(url: String, ca_root: Vec<u8>) -> Vec<Outcome> {
        let mut outcomes = Outcomes::default();
        cryptography(&mut outcomes);
        users(&mut outcomes);
        evidence(&mut outcomes);
        requests(&mut outcomes, &url, &ca_root);
        outcomes.0
    }
}

#[derive(Default)]
struct Outcomes(Vec<Outcome>);

impl Outcomes {
    /// Notes what a function answered, as text, and gives the answer.
    fn note<T, E: std::fmt::Display>(
        &mut self,
        function: &str,
        answer: Result<T, E>,
        text: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let noted = answer.as_ref().map(text).map_err(ToString::to_string);
        self.0.push(Outcome { function: function.to_owned(), answer: noted });
        answer.ok()
    }

    fn bytes(&mut self, function: &str, answer: Result<Vec<u8>, String>) -> Vec<u8> {
        self.note(function, answer, |bytes| bytes.len().to_string()).unwrap_or_default()
    }

    fn done(&mut self, function: &str, answer: Result<(), String>) {
        self.note(function, answer, |()| String::new());
    }

    fn truth(&mut self, function: &str, answer: Result<bool, String>) {
        self.note(function, answer, bool::to_string);
    }
}

fn cryptography(outcomes: &mut Outcomes) {
    for (algorithm, name) in [
        (DigestAlgorithm::Sha256, "crypto.digest sha256"),
        (DigestAlgorithm::Sha384, "crypto.digest sha384"),
        (DigestAlgorithm::Sha512, "crypto.digest sha512"),
    ] {
        outcomes.bytes(name, crypto::digest(algorithm, b"abc"));
    }
    outcomes.bytes("crypto.get-random-bytes", crypto::get_random_bytes(24));

    outcomes.done("keystore.generate-symmetric-key", keystore::generate_symmetric_key("sealed"));
    let iv = [7; 12];
    let sealed = outcomes.bytes("crypto.encrypt", crypto::encrypt("sealed", &iv, b"about", b"plaintext"));
    outcomes.bytes("crypto.decrypt", crypto::decrypt("sealed", &iv, b"about", &sealed));
    outcomes.done("keystore.import-symmetric-key", keystore::import_symmetric_key("brought", &[1; 32]));

    for (algorithm, name) in [
        (SignAlgorithm::EcdsaP256Sha256, "ecdsa-p256-sha256"),
        (SignAlgorithm::EcdsaP384Sha384, "ecdsa-p384-sha384"),
    ] {
        let generated = keystore::generate_signing_key(name, algorithm);
        outcomes.done(&format!("keystore.generate-signing-key {name}"), generated);
        let signature = crypto::sign(name, algorithm, b"data");
        let signature = outcomes.note(&format!("crypto.sign {name}"), signature, |_| String::new());
        let verified = crypto::verify(name, algorithm, b"data", &signature.unwrap_or_default());
        outcomes.truth(&format!("crypto.verify {name}"), verified);
        let public = keystore::export_public_key(name);
        outcomes.bytes(&format!("keystore.export-public-key {name}"), public);
    }
    for (algorithm, name) in [
        (HmacAlgorithm::HmacSha256, "hmac-sha256"),
        (HmacAlgorithm::HmacSha384, "hmac-sha384"),
        (HmacAlgorithm::HmacSha512, "hmac-sha512"),
    ] {
        let generated = keystore::generate_hmac_key(name, algorithm);
        outcomes.done(&format!("keystore.generate-hmac-key {name}"), generated);
        let tag =
            outcomes.bytes(&format!("crypto.hmac-sign {name}"), crypto::hmac_sign(name, algorithm, b"data"));
        let verified = crypto::hmac_verify(name, algorithm, b"data", &tag);
        outcomes.truth(&format!("crypto.hmac-verify {name}"), verified);
    }

    outcomes.done("keystore.persist-key", keystore::persist_key("brought"));
    outcomes.truth("keystore.key-exists", keystore::key_exists("brought"));
    outcomes.done("keystore.delete-key", keystore::delete_key("sealed"));
    // It is in memory, so this is refused.
    outcomes.done("keystore.load-key", keystore::load_key("brought"));
}

fn users(outcomes: &mut Outcomes) {
    let list = |roles: &Vec<String>| roles.join(" ");
    outcomes.note("auth.get-caller-id", auth::get_caller_id(), String::clone);
    outcomes.note("auth.get-my-roles", auth::get_my_roles(), list);
    outcomes.note(
        "auth.set-user-roles",
        auth::set_user_roles(SOMEBODY, &["nurse".to_owned()]),
        String::clone,
    );
    outcomes.note("auth.get-user-roles", auth::get_user_roles(SOMEBODY), list);
    outcomes.note("auth.list-users", auth::list_users(), |users| {
        users.iter().map(|(user, roles)| format!("{user}={}", roles.join(" "))).collect::<Vec<_>>().join(";")
    });
    outcomes.note("auth.remove-user-roles", auth::remove_user_roles(SOMEBODY), String::clone);
}

fn evidence(outcomes: &mut Outcomes) {
    let extension = attestation::set_attestation_extension(42, b"of the field");
    outcomes.done("attestation.set-attestation-extension", extension);
    outcomes.done("attestation.set-config-complete", attestation::set_config_complete());
    outcomes.note("sealing.get-seal-key", sealing::get_seal_key(), |(key, hash)| {
        format!("{} {}", key.len(), hash.len())
    });
}

fn requests(outcomes: &mut Outcomes, url: &str, ca_root: &[u8]) {
    for (method, name) in [
        (Method::Get, "GET"),
        (Method::Post, "POST"),
        (Method::Put, "PUT"),
        (Method::Delete, "DELETE"),
        (Method::Patch, "PATCH"),
        (Method::Head, "HEAD"),
        (Method::Options, "OPTIONS"),
    ] {
        let request = Request {
            method,
            url: url.to_owned(),
            headers: vec![("x-of".to_owned(), "the field".to_owned())],
            body: matches!(method, Method::Post | Method::Put | Method::Patch).then(|| b"body".to_vec()),
            ratls: None,
            ca_roots_der: Some(vec![ca_root.to_vec()]),
        };
        outcomes.note(&format!("https.fetch {name}"), https::fetch(&request), |response| {
            let method = response.headers.iter().find(|(name, _)| name == "x-method");
            format!("{} {}", response.status, method.map_or("", |(_, method)| method.as_str()))
        });
    }
    for (tee, name) in [(TeeType::Sgx, "sgx"), (TeeType::Tdx, "tdx")] {
        let policy = RatlsPolicy {
            tee,
            mr_enclave: Some(vec![1; 32]),
            mr_signer: None,
            mr_td: None,
            challenge_nonce: None,
            expected_oids: vec![ExpectedOid { oid: "1.3.6.1.4.1.65230.3.2".to_owned(), value: vec![2; 32] }],
            attestation_servers: Vec::new(),
        };
        let request = Request {
            method: Method::Get,
            url: url.to_owned(),
            headers: Vec::new(),
            body: None,
            ratls: Some(policy),
            ca_roots_der: None,
        };
        outcomes.note(&format!("https.fetch ratls {name}"), https::fetch(&request), |_| String::new());
    }
}

const SOMEBODY: &str = "key:5555555555555555555555555555555555555555555555555555555555555555";
