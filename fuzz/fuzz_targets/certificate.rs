//! A certificate as a TLS peer shows it.
#![no_main]

use cloister_attestation::verify::{
    Measurement, Policy, Presented, ServerCertificate, TrustAnchor, extension_values, verify,
};
use cloister_attestation::{Evidence, key_fingerprint};
use rustls_pki_types::CertificateDer;

use appraisal::{CLAIMS, Session, TIME};

#[path = "../appraisal.rs"]
mod appraisal;

libfuzzer_sys::fuzz_target!(|certificate: &[u8]| {
    if let Ok(evidence) = Evidence::decode(certificate) {
        assert_eq!(evidence.encode(), certificate);
    }
    let der = CertificateDer::from(certificate.to_vec());
    let _ = key_fingerprint(&der);
    let _ = extension_values(&der);
    if let Ok(server) = ServerCertificate::read(&der) {
        let _ = (server.attests(), server.quote().map(<[u8]>::len));
    }
    let session = Session { certificate: der, ..Session::new() };
    let policy = Policy::new(TrustAnchor::Intel, Measurement::Any);
    let presented = Presented { claims: &CLAIMS, quote: b"none", volume: None, signature: b"none" };
    assert!(verify(&presented, &session.observed(), None, &policy, *TIME).is_err());
});
