//! What an appraisal says of the claims in a certificate.

use super::*;

#[test]
fn a_code_hash_in_the_certificate_has_to_be_the_claimed_one_of_this_host() {
    let mut case = Case::new();
    case.show(|app| app.code_hash = [0xdd; 32]);
    case.fails_only(&[Check::CertificateCodeHash]);

    let mut case = Case::new();
    case.server_name = "other.localhost".to_owned();
    let refused = case.fails_only(&[Check::CertificateCodeHash, Check::CertificateClaims]);
    let expected = "the claims list no app for the host name \"other.localhost\"";
    assert_eq!(refused.to_string().matches(expected).count(), 2, "{refused}");

    let mut case = Case::new();
    case.certificate = case.certificate_with(None);
    let verified = case.verify().unwrap();
    assert!(matches!(verified.report().outcome(&Check::CertificateCodeHash), Some(Outcome::NotAsked { .. })));
    assert!(matches!(verified.report().outcome(&Check::CertificateClaims), Some(Outcome::Passed { .. })));
}

#[test]
fn what_an_app_shows_has_to_be_what_is_claimed() {
    type Change = fn(&mut AppExtensions);
    let changes: [(Change, &str); 5] = [
        (|app| app.configuration = [0xdd; 32], "another configuration root of hello"),
        (|app| app.values[0].1 = b"another key".to_vec(), "its extension 1 is not what the claims say"),
        (|app| app.values.push((8, b"more".to_vec())), "its extension 8 is not what the claims say"),
        (|app| app.values[1].0 = 9, "its extension 9 is not what the claims say"),
        (|app| drop(app.values.pop()), "it lacks the extension 7"),
    ];
    for (change, reason) in changes {
        let mut case = Case::new();
        case.show(change);
        let refused = case.fails_only(&[Check::CertificateClaims]);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

/// Whoever holds the TLS key can make a certificate that has these claims beside it and says other things.
#[test]
fn hashes_of_the_enclave_have_to_be_the_claimed_ones() {
    for (oid, reason) in [
        (&[1, 3, 6, 1, 4, 1, 65230, 1, 1][..], "another hash of the boot configuration"),
        (&[1, 3, 6, 1, 4, 1, 65230, 2, 5], "another hash of all apps"),
    ] {
        let mut case = Case::new();
        case.certificate = certificate_with(&[(oid, &[0xdd; 32])]);
        let refused = case.fails_only(&[Check::CertificateClaims]);
        assert!(refused.to_string().contains(reason), "{refused}");
        case.certificate = certificate_with(&[(oid, &[0xdd; 31])]);
        case.fails_only(&[Check::CertificateCodeHash, Check::CertificateClaims]);
        case.certificate = certificate_with(&[(oid, &[0xdd; 32]), (oid, &[0xdd; 32])]);
        case.fails_only(&[Check::CertificateCodeHash, Check::CertificateClaims]);
    }
}

/// Whatever else a certificate leaves out: what it says of an app has to be claimed.
#[test]
fn each_part_that_a_certificate_says_of_an_app_is_compared_by_itself() {
    let value = &[1, 3, 6, 1, 4, 1, 65230, 3, 5, 1][..];
    let configuration = &[1, 3, 6, 1, 4, 1, 65230, 3, 1][..];
    for (oid, contents, reason) in [
        (value, &b"another key"[..], "its extension 1 is not what the claims say"),
        (configuration, &[0xdd; 32], "another configuration root of hello"),
    ] {
        let mut case = Case::new();
        case.certificate = certificate_with(&[(oid, contents)]);
        let refused = case.fails_only(&[Check::CertificateClaims]);
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn a_certificate_that_says_nothing_is_asked_nothing() {
    let mut case = Case::new();
    case.certificate = certificate_with(&[]);
    let verified = case.verify().unwrap();
    assert!(matches!(verified.report().outcome(&Check::CertificateClaims), Some(Outcome::NotAsked { .. })));
}

/// The claims may change between the handshake and the evidence; the certificate is then of the earlier ones.
#[test]
fn a_certificate_of_earlier_claims_is_not_compared() {
    let mut case = Case::new();
    let mut later = claims();
    later.apps[0].extensions = vec![(1, [9; 32])];
    later.apps.push(AppClaims { name: "later".parse().unwrap(), ..later.apps[0].clone() });
    case.claims = later.encode().unwrap();
    case.quote_as(case.enclave());
    case.sign();
    let verified = case.verify().unwrap();
    let Some(Outcome::NotAsked { why }) = verified.report().outcome(&Check::CertificateClaims) else {
        panic!()
    };
    assert!(why.contains("changed after the handshake"), "{why}");
}

#[test]
fn the_values_of_a_certificate_can_be_read() {
    let case = Case::new();
    let expected: Vec<_> = VALUES.iter().map(|(suffix, value)| (*suffix, value.to_vec())).collect();
    assert_eq!(extension_values(&case.certificate), Ok(expected));
    assert_eq!(extension_values(&case.certificate_with(None)), Ok(Vec::new()));
    assert_eq!(extension_values(&CertificateDer::from(vec![0x30, 0])), Err(InvalidCertificate));
    let deeper = certificate_with(&[(&[1, 3, 6, 1, 4, 1, 65230, 3, 5, 1, 2], b"x")]);
    assert_eq!(extension_values(&deeper), Ok(Vec::new()));
}

#[test]
fn changed_certificates_are_read_or_refused() {
    let good = Case::new().certificate;
    for at in 0..good.len() {
        let mut changed = good.to_vec();
        changed[at] ^= 0x81;
        let _ = extension_values(&CertificateDer::from(changed));
        let _ = extension_values(&CertificateDer::from(good[..at].to_vec()));
    }
}

/// By the claimed key, with these extensions and no others.
fn certificate_with(extensions: &[(&[u64], &[u8])]) -> CertificateDer<'static> {
    let mut parameters = rcgen::CertificateParams::new(["hello.localhost".to_owned()]).unwrap();
    let custom =
        |(oid, contents): &(&[u64], &[u8])| rcgen::CustomExtension::from_oid_content(oid, contents.to_vec());
    parameters.serial_number = Some(rcgen::SerialNumber::from(1_u64));
    parameters.custom_extensions = extensions.iter().map(custom).collect();
    parameters.self_signed(&KEYS.0).unwrap().into()
}
