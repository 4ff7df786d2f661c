use std::sync::OnceLock;

use super::*;

/// One key for all tests: making one takes seconds without optimization.
pub(crate) fn test_key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate().unwrap())
}

#[test]
fn signature_verifies_and_names_the_signer() {
    let signed = test_key().sign([0x42; 32], &SigstructParameters::default()).unwrap();
    verify(&signed).unwrap();
    assert_eq!(mrsigner(&signed), test_key().mrsigner());
    assert_eq!(signed.enclavehash, [0x42; 32]);
    assert_eq!(signed.date, 0x2026_0101);
    let read = from_bytes(signed.as_ref()).unwrap();
    verify(&read).unwrap();
}

#[test]
fn any_changed_part_is_refused() {
    let signed = test_key().sign([0x42; 32], &SigstructParameters::default()).unwrap();
    // Header, date, reserved, modulus, exponent, signature, attributes, hash, SVN, Q1, Q2.
    for offset in [0, 20, 50, 130, 512, 520, 928, 960, 1026, 1045, 1430] {
        let mut bytes = signed.as_ref().to_vec();
        bytes[offset] ^= 1;
        let changed = from_bytes(&bytes).unwrap();
        assert!(matches!(verify(&changed), Err(Error::Sigstruct { .. })), "byte {offset}");
    }
    assert!(from_bytes(&[0; 1807]).is_err());
}

#[test]
fn a_key_survives_pem() {
    let pem = test_key().to_pem().unwrap();
    assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----"));
    let read = SigningKey::from_pem(&pem).unwrap();
    assert_eq!(read.mrsigner(), test_key().mrsigner());
    let (a, b) = (
        read.sign([1; 32], &SigstructParameters::default()).unwrap(),
        test_key().sign([1; 32], &SigstructParameters::default()).unwrap(),
    );
    assert_eq!(a.signature, b.signature);
}

#[test]
fn a_signature_made_elsewhere_makes_the_same_sigstruct() {
    let parameters = SigstructParameters { isvprodid: 7, isvsvn: 9, ..SigstructParameters::default() };
    let here = test_key().sign([0x42; 32], &parameters).unwrap();
    let unsigned =
        Unsigned::from_to_be_signed(&Unsigned::new([0x42; 32], &parameters).to_be_signed()).unwrap();
    assert_eq!(unsigned.measurement(), [0x42; 32]);
    let big_endian = |bytes: &[u8]| bytes.iter().rev().copied().collect::<Vec<_>>();
    let (modulus, signature) = (big_endian(&here.modulus), big_endian(&here.signature));
    let elsewhere = unsigned.clone().with_signature(&modulus, &signature).unwrap();
    assert_eq!(AsRef::<[u8]>::as_ref(&elsewhere), AsRef::<[u8]>::as_ref(&here));
    for (modulus, signature) in [
        (&modulus[1..], &signature[..]),
        (&modulus, &signature[1..]),
        (&modulus, &modulus),
        (&modulus, &[]),
        (&[], &signature),
        (&[&[1], &modulus[..]].concat(), &signature),
    ] {
        let refused = unsigned.clone().with_signature(modulus, signature);
        assert!(matches!(refused, Err(Error::SigningKey(_))));
    }
    let other = Unsigned::new([0x43; 32], &parameters);
    assert!(other.with_signature(&modulus, &signature).is_err());
}

#[test]
fn bytes_that_are_not_to_be_signed_are_refused() {
    let good = Unsigned::new([1; 32], &SigstructParameters::default()).to_be_signed();
    assert!(Unsigned::from_to_be_signed(&good[1..]).is_err());
    for offset in [0, 24] {
        let mut changed = good;
        changed[offset] ^= 1;
        assert!(Unsigned::from_to_be_signed(&changed).is_err(), "byte {offset}");
    }
}

#[test]
fn other_files_are_refused() {
    for text in ["", "hello", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n"] {
        assert!(matches!(SigningKey::from_pem(text), Err(Error::SigningKey(_))));
    }
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", test_key());
    assert_eq!(shown, format!("SigningKey {{ mrsigner: {:?}, .. }}", hex::encode(test_key().mrsigner())));
}
