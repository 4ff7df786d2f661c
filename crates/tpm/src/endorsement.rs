//! The TPM's endorsement key: what a session's salt is encrypted to.

use crate::kdf::{DIGEST, kdfe};
use crate::wire::{self, ALG_SHA256, RH_ENDORSEMENT, RS_PASSWORD, Reader, Tag, Writer};
use crate::{Operation, TpmError, Transport};
use graviola::key_agreement::p256::{PublicKey, StaticPrivateKey};
use zeroize::Zeroizing;

/// An endorsement key that the TPM holds, under a number until it is forgotten.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) handle: u32,
    pub(crate) key: EndorsementKey,
}

/// Derives the endorsement key of the default template for ECC P-256 in the TPM: the same one each time.
pub(crate) fn load(transport: &dyn Transport) -> Result<Loaded, TpmError> {
    let operation = Operation::LoadKey;
    let password = Writer::default().u32(RS_PASSWORD).sized(&[]).u8(0).sized(&[]).finish();
    let unique = Writer::default().sized(&[0; COORDINATE]).sized(&[0; COORDINATE]).finish();
    let body = Writer::default()
        .u32(RH_ENDORSEMENT)
        .u32(password.len() as u32)
        .bytes(&password)
        // No authorization value and no data of ours.
        .sized(&[0; 4])
        .sized(&[template().as_slice(), &unique].concat())
        // No outside information, and no PCRs.
        .sized(&[])
        .u32(0)
        .finish();
    let response = wire::send(transport, operation, Tag::Sessions, &body)?;
    let mut reader = Reader::new(operation, &response);
    let handle = reader.u32()?;
    let _parameters = reader.u32()?;
    let key = EndorsementKey::parse(reader.sized()?)?;
    Ok(Loaded { handle, key })
}

/// The public part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EndorsementKey {
    /// `TPMT_PUBLIC`.
    public: Vec<u8>,
    x: [u8; COORDINATE],
    y: [u8; COORDINATE],
}

impl EndorsementKey {
    /// Takes a public area that differs from the template in the point alone.
    fn parse(public: &[u8]) -> Result<Self, TpmError> {
        let malformed = TpmError::Malformed(Operation::LoadKey);
        let unique = public.strip_prefix(template().as_slice()).ok_or(malformed)?;
        let mut reader = Reader::new(Operation::LoadKey, unique);
        let (x, y) = (coordinate(reader.sized()?)?, coordinate(reader.sized()?)?);
        reader.end()?;
        let key = Self { public: public.to_vec(), x, y };
        key.point()?;
        Ok(key)
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// A secret that only the TPM can compute from what is sent to it: the secret, and the `TPMS_ECC_POINT` to send
    /// (part 1, annex C.6.1).
    pub(crate) fn secret(
        &self,
        ephemeral: &StaticPrivateKey,
    ) -> Result<(Zeroizing<Vec<u8>>, Vec<u8>), TpmError> {
        let malformed = TpmError::Malformed(Operation::LoadKey);
        let shared = ephemeral.diffie_hellman(&self.point()?).map_err(|_| malformed)?;
        let ours = ephemeral.public_key_uncompressed();
        let (x, y) = ours[1..].split_at(COORDINATE);
        let secret = kdfe(&shared.0, "SECRET", x, &self.x, DIGEST);
        Ok((secret, Writer::default().sized(x).sized(y).finish()))
    }

    /// The point, which is checked to be on the curve.
    fn point(&self) -> Result<PublicKey, TpmError> {
        let encoded = [&[UNCOMPRESSED], self.x.as_slice(), &self.y].concat();
        PublicKey::from_x962_uncompressed(&encoded).map_err(|_| TpmError::Malformed(Operation::LoadKey))
    }
}

/// A number that a TPM may write without its leading zeros.
fn coordinate(bytes: &[u8]) -> Result<[u8; COORDINATE], TpmError> {
    let start = COORDINATE.checked_sub(bytes.len()).ok_or(TpmError::Malformed(Operation::LoadKey))?;
    let mut coordinate = [0; COORDINATE];
    coordinate[start..].copy_from_slice(bytes);
    Ok(coordinate)
}

/// The public area up to the point: template L-2 of the TCG EK Credential Profile 2.0 (annex B.3.4).
fn template() -> Vec<u8> {
    Writer::default()
        .u16(ALG_ECC)
        .u16(ALG_SHA256)
        // fixedTPM, fixedParent, sensitiveDataOrigin, adminWithPolicy, restricted, decrypt.
        .u32(0x0003_00b2)
        .sized(&POLICY)
        // AES-128 in CFB mode for what it wraps; no scheme; P-256; no key derivation.
        .u16(0x0006)
        .u16(128)
        .u16(0x0043)
        .u16(ALG_NULL)
        .u16(0x0003)
        .u16(ALG_NULL)
        .finish()
}

/// PolicyA of the profile: PolicySecret of the endorsement hierarchy (annex B.2.1).
const POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

const ALG_ECC: u16 = 0x0023;
const ALG_NULL: u16 = 0x0010;
/// Bytes of a coordinate of P-256.
const COORDINATE: usize = 32;
/// First byte of a point with both coordinates (SEC 1, section 2.3.3).
const UNCOMPRESSED: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        hex::decode(text).unwrap()
    }

    fn with_point(x: &[u8], y: &[u8]) -> Vec<u8> {
        [template(), Writer::default().sized(x).sized(y).finish()].concat()
    }

    /// Vector 06 of `ecc_labeled_encaps.json` in the tpm-test-vectors project, validated with TPM2_StartAuthSession. Its
    /// key has another policy than an endorsement key, which the secret does not depend on.
    #[test]
    fn a_secret_is_that_of_a_published_vector() {
        let x = bytes("7d1f639091f4f93753e5ca964f537491e2ee50058bdf8d93c2f6f165d02a6f2c");
        let y = bytes("5b4e618a7dad9e0cbc7d974ff78ac75ac3ca7be3c54a2b064e0f42f3b43de892");
        let key = EndorsementKey::parse(&with_point(&x, &y)).unwrap();
        let ephemeral = bytes("897989c19f950c5f32f3a2156832bb49b39b0562f372e6e180be309c2bbc07c0");
        let (secret, sent) = key.secret(&StaticPrivateKey::from_bytes(&ephemeral).unwrap()).unwrap();
        assert_eq!(hex::encode(&*secret), "428bee6074a8d9c43979617363ca78cedc7b56673d43750678c965d0fddeb4be");
        assert_eq!(
            hex::encode(sent),
            "00208588b3516e0cc43073b2577362ff1b712373213043bcb0c7364c74bfc6f626e2\
             00203534ac662cd4462172cdd0dbe3f0d0e28edb9e08484a3a34b8e8e00d9cb5b4c1"
        );
    }

    #[test]
    fn what_is_not_the_templates_key_is_refused() {
        let ours = StaticPrivateKey::from_bytes(&[7; 32]).unwrap().public_key_uncompressed();
        let (x, y) = ours[1..].split_at(32);
        let good = with_point(x, y);
        assert_eq!(EndorsementKey::parse(&good).unwrap().public(), good);
        let malformed = Err(TpmError::Malformed(Operation::LoadKey));
        assert_eq!(EndorsementKey::parse(&with_point(x, x)), malformed, "not on the curve");
        assert_eq!(EndorsementKey::parse(&with_point(&[], &[])), malformed);
        assert_eq!(EndorsementKey::parse(&with_point(&[1; 33], y)), malformed);
        assert_eq!(EndorsementKey::parse(&[good.as_slice(), &[0]].concat()), malformed);
        for at in 0..template().len() {
            let mut changed = good.clone();
            changed[at] ^= 1;
            assert_eq!(EndorsementKey::parse(&changed), malformed, "{at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_key_or_an_error(rest in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = EndorsementKey::parse(&rest);
            let _ = EndorsementKey::parse(&[template(), rest].concat());
        }
    }
}
