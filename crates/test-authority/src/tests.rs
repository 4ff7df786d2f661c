//! What rustls says of the certificates.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore};

use crate::{Authority, Certificate, Identity};

/// Why a client that trusts this authority alone refuses a server.
fn refusal(root: &Authority, server: &Identity, name: &str) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    roots.add(root.certificate()).unwrap();
    let provider = Arc::new(rustls_graviola::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let name = ServerName::try_from(name).unwrap();
    let verified = verifier.verify_server_cert(&server.certificate(), &[], &name, &[], UnixTime::now());
    match verified {
        Ok(_) => None,
        Err(rustls::Error::InvalidCertificate(error)) => Some(error),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn good_servers_are_believed() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(refusal(&authority, &authority.good(), name), None, "{name}");
        assert_eq!(refusal(&authority, &authority.issue(name), name), None, "{name}");
    }
}

#[test]
fn each_fault_is_the_only_one() {
    let authority = Authority::new();
    let of = |certificate| refusal(&authority, &authority.issue(certificate), "localhost");
    let certificate = Certificate::from("localhost");
    let extension = [(&[1, 3, 6, 1, 4, 1, 65230, 99][..], vec![5, 0])];
    assert_eq!(of(certificate.clone().with_extensions(&extension)), None);
    let expired = of(certificate.clone().expired());
    assert!(matches!(expired, Some(CertificateError::ExpiredContext { .. })), "{expired:?}");
    let early = of(certificate.clone().not_yet_valid());
    assert!(matches!(early, Some(CertificateError::NotValidYetContext { .. })), "{early:?}");
    let misnamed = of("other.example".into());
    assert!(matches!(misnamed, Some(CertificateError::NotValidForNameContext { .. })), "{misnamed:?}");
    let of_an_authority = of(certificate.of_an_authority());
    assert!(matches!(of_an_authority, Some(CertificateError::Other(_))), "{of_an_authority:?}");
}

#[test]
fn strangers_are_not_believed() {
    let authority = Authority::new();
    for server in [Authority::new().good(), Identity::self_signed("localhost")] {
        assert_eq!(refusal(&authority, &server, "localhost"), Some(CertificateError::UnknownIssuer));
    }
    let forged = refusal(&authority, &authority.namesake().good(), "localhost");
    assert_eq!(forged, Some(CertificateError::BadSignature));
}
