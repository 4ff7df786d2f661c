//! Keys of issuers: RFC 7517, and RFC 8037 for Ed25519.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use graviola::hashing::{Sha256, Sha384};
use graviola::signing::ecdsa::{P256, P384, VerifyingKey as Ecdsa};
use graviola::signing::eddsa::Ed25519VerifyingKey;
use graviola::signing::rsa::VerifyingKey as Rsa;
use serde_json::Value;
use std::fmt;

use crate::object::Object;
use crate::{KeysError, MAX_DOCUMENT, MAX_KEYS};

/// The keys of an issuer that can be used. There may be none: then nothing that it signs is accepted.
#[derive(Debug, Default)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// RFC 7517, section 5. Keys that are not understood, or not for signatures, are left out, as it says.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, KeysError> {
        if json.len() > MAX_DOCUMENT {
            return Err(KeysError::KeySet);
        }
        let set = Object::parse(json).ok_or(KeysError::KeySet)?;
        let Some(Value::Array(keys)) = set.member("keys") else { return Err(KeysError::KeySet) };
        if keys.len() > MAX_KEYS {
            return Err(KeysError::KeySet);
        }
        // Of a member that stands twice in a key the last one counts.
        let keys = keys.iter().filter_map(|key| Key::of(key.as_object()?));
        Ok(Self(keys.collect()))
    }

    /// The keys that a token may be signed with: those of this name, or the only one there is.
    pub(crate) fn find(&self, id: Option<&str>) -> Found<'_> {
        match (id, &*self.0) {
            (None, []) => Found::None,
            (None, [only]) => Found::These(vec![only]),
            (None, _) => Found::NameNeeded,
            (Some(id), keys) => {
                let named: Vec<_> = keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect();
                if named.is_empty() { Found::None } else { Found::These(named) }
            }
        }
    }
}

/// What a set has of a name.
#[derive(Debug)]
pub(crate) enum Found<'a> {
    None,
    NameNeeded,
    /// One, or where the issuer gives a name to several: all of them.
    These(Vec<&'a Key>),
}

/// A key and what it is for.
#[derive(Debug)]
pub(crate) struct Key {
    id: Option<String>,
    public: Public,
}

impl Key {
    /// The one algorithm that its signatures have, whatever a token says: RFC 8725, section 3.1.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match &self.public {
            Public::Pkcs1(_) => Algorithm::Rs256,
            Public::Pss(_) => Algorithm::Ps256,
            Public::P256(_) => Algorithm::Es256,
            Public::P384(_) => Algorithm::Es384,
            Public::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// Whether it made this signature. RFC 7518, sections 3.3 to 3.5, and RFC 8037, section 3.1.
    pub(crate) fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        let verified = match &self.public {
            Public::Pkcs1(key) => key.verify_pkcs1_sha256(signature, message),
            Public::Pss(key) => key.verify_pss_sha256(signature, message),
            Public::P256(key) => key.verify::<Sha256>(&[message], signature),
            Public::P384(key) => key.verify::<Sha384>(&[message], signature),
            Public::Ed25519(key) => key.verify(signature, message),
        };
        verified.is_ok()
    }

    fn of(jwk: &serde_json::Map<String, Value>) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Value::as_str);
        // A private key that is published is nobody's any more, and one of a shared secret never was.
        if ["d", "k"].iter().any(|private| jwk.contains_key(*private)) {
            return None;
        }
        if jwk.contains_key("use") && text("use") != Some("sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations.as_array()?.iter().any(|operation| operation == "verify")
        {
            return None;
        }
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(id.as_str()?.to_owned()),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::named(name.as_str()?)?),
        };
        let bytes = |name| text(name).and_then(|value| URL_SAFE_NO_PAD.decode(value).ok());
        let public = match (text("kty")?, text("crv")) {
            ("RSA", _) => {
                let key = rsa(&bytes("n")?, &bytes("e")?)?;
                if algorithm == Some(Algorithm::Ps256) { Public::Pss(key) } else { Public::Pkcs1(key) }
            }
            ("EC", Some("P-256")) => {
                let point = point::<32>(&bytes("x")?, &bytes("y")?)?;
                Public::P256(Ecdsa::from_x962_uncompressed(&point).ok()?)
            }
            ("EC", Some("P-384")) => {
                let point = point::<48>(&bytes("x")?, &bytes("y")?)?;
                Public::P384(Ecdsa::from_x962_uncompressed(&point).ok()?)
            }
            ("OKP", Some("Ed25519")) => Public::Ed25519(Ed25519VerifyingKey::from_bytes(&bytes("x")?).ok()?),
            _ => return None,
        };
        let key = Self { id, public };
        algorithm.is_none_or(|algorithm| algorithm == key.algorithm()).then_some(key)
    }
}

/// RFC 7518, section 3.1, RFC 8037, section 3.1, and RFC 9864, section 2.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Rs256,
    Ps256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "RS256" => Self::Rs256,
            "PS256" => Self::Ps256,
            "ES256" => Self::Es256,
            "ES384" => Self::Es384,
            // Ed25519 is the only curve of it that is accepted.
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

enum Public {
    Pkcs1(Rsa),
    Pss(Rsa),
    P256(Ecdsa<P256>),
    P384(Ecdsa<P384>),
    Ed25519(Ed25519VerifyingKey),
}

impl fmt::Debug for Public {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Public").finish_non_exhaustive()
    }
}

/// RFC 7518, section 6.2.1: both coordinates in full.
fn point<const LENGTH: usize>(x: &[u8], y: &[u8]) -> Option<Vec<u8>> {
    (x.len() == LENGTH && y.len() == LENGTH).then(|| [&[UNCOMPRESSED], x, y].concat())
}

/// A key whose modulus has 2048 to 8192 bits: RFC 7518, section 3.3, and what can be verified.
fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Rsa> {
    let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
    let bits = 8 * modulus.len() - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) || !(1..=4).contains(&exponent.len()) {
        return None;
    }
    Rsa::from_pkcs1_der(&sequence(&[integer(modulus), integer(exponent)].concat())).ok()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&byte| byte == 0).count();
    &number[zeros..]
}

/// `RSAPublicKey` of RFC 8017, section A.1.1 is a sequence of two integers, in DER.
fn sequence(contents: &[u8]) -> Vec<u8> {
    tagged(0x30, contents)
}

/// A number that is not zero, most significant byte first.
fn integer(number: &[u8]) -> Vec<u8> {
    // A first bit that is set would make it negative.
    let sign: &[u8] = if number.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    tagged(0x02, &[sign, number].concat())
}

fn tagged(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len().to_be_bytes();
    let length = without_zeros(&length);
    let head = match length {
        [] => vec![tag, 0],
        [short @ 0..=0x7f] => vec![tag, *short],
        long => [&[tag, 0x80 | long.len() as u8], long].concat(),
    };
    [&head, contents].concat()
}

/// Bits of an RSA modulus.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// SEC 1, section 2.3.3.
const UNCOMPRESSED: u8 = 4;
