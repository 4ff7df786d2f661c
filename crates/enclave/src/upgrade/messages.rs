//! The messages as bytes, from JSON and to it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_api::{
    Code, HAND_OVER_VERSION, HandOver, HandOverOffer, HandOverRequest, Problem, VolumeAdoption,
};
use cloister_tee::{REPORT_LEN, TARGET_INFO_LEN, TargetInfo};
use cloister_volume::Adoption;

/// X25519's, RFC 7748, section 5.
pub(super) type PublicKey = [u8; 32];
/// The volume's key, encrypted, and its tag.
pub(super) type Sealed = [u8; 48];

/// [`HandOverOffer`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Offer {
    /// The old image.
    pub(super) target: TargetInfo,
    pub(super) key: PublicKey,
}

/// [`HandOverRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The new image's, for the old one.
    pub(super) report: Box<[u8; REPORT_LEN]>,
    pub(super) key: PublicKey,
}

/// [`HandOver`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    /// The old image's, for the new one.
    pub(super) report: Box<[u8; REPORT_LEN]>,
    pub(super) volume: [u8; 16],
    pub(super) sealed: Sealed,
}

impl TryFrom<HandOverOffer> for Offer {
    type Error = Malformed;

    fn try_from(HandOverOffer { version, target_info, key }: HandOverOffer) -> Result<Self, Malformed> {
        check_version(version)?;
        let target: [u8; TARGET_INFO_LEN] = base64("target_info", &target_info)?;
        let target = TargetInfo::parse(&target).map_err(|_| Malformed::Field("target_info"))?;
        Ok(Self { target, key: hexadecimal("key", &key)? })
    }
}

impl From<&Offer> for HandOverOffer {
    fn from(offer: &Offer) -> Self {
        Self {
            version: HAND_OVER_VERSION,
            target_info: STANDARD.encode(offer.target.encode()),
            key: hex::encode(offer.key),
        }
    }
}

impl TryFrom<HandOverRequest> for Request {
    type Error = Malformed;

    fn try_from(HandOverRequest { version, report, key }: HandOverRequest) -> Result<Self, Malformed> {
        check_version(version)?;
        Ok(Self { report: Box::new(base64("report", &report)?), key: hexadecimal("key", &key)? })
    }
}

impl From<&Request> for HandOverRequest {
    fn from(request: &Request) -> Self {
        Self {
            version: HAND_OVER_VERSION,
            report: STANDARD.encode(*request.report),
            key: hex::encode(request.key),
        }
    }
}

impl TryFrom<HandOver> for Given {
    type Error = Malformed;

    fn try_from(HandOver { version, report, volume, sealed }: HandOver) -> Result<Self, Malformed> {
        check_version(version)?;
        Ok(Self {
            report: Box::new(base64("report", &report)?),
            volume: hexadecimal("volume", &volume)?,
            sealed: base64("sealed", &sealed)?,
        })
    }
}

impl From<&Given> for HandOver {
    fn from(given: &Given) -> Self {
        Self {
            version: HAND_OVER_VERSION,
            report: STANDARD.encode(*given.report),
            volume: hex::encode(given.volume),
            sealed: STANDARD.encode(given.sealed),
        }
    }
}

/// What the image `to` keeps for its first mount.
pub(super) fn adoption(adoption: &Adoption, to: [u8; 32]) -> VolumeAdoption {
    VolumeAdoption {
        version: HAND_OVER_VERSION,
        volume: hex::encode(adoption.volume()),
        from: hex::encode(adoption.from()),
        to: hex::encode(to),
        adoption: STANDARD.encode(adoption.bytes()),
    }
}

fn check_version(version: u32) -> Result<(), Malformed> {
    if version == HAND_OVER_VERSION { Ok(()) } else { Err(Malformed::Version(version)) }
}

fn base64<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], Malformed> {
    let bytes = STANDARD.decode(text).map_err(|_| Malformed::Field(field))?;
    bytes.try_into().map_err(|_| Malformed::Field(field))
}

/// Lower-case, so that there is one text for each value.
fn hexadecimal<const N: usize>(field: &'static str, text: &str) -> Result<[u8; N], Malformed> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| Malformed::Field(field))?;
    if hex::encode(bytes) == text { Ok(bytes) } else { Err(Malformed::Field(field)) }
}

/// A message is not one of the protocol's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error(
        "the message has version {0}, and this image speaks version {HAND_OVER_VERSION}: use its own `cloister`"
    )]
    Version(u32),
    #[error("the message's field '{0}' is not what the protocol has there")]
    Field(&'static str),
}

impl From<Malformed> for Problem {
    fn from(malformed: Malformed) -> Self {
        Problem::new(Code::BadRequest, malformed.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer() -> Offer {
        let target = TargetInfo { mrenclave: [1; 32], attributes: [2; 16], miscselect: 3 };
        Offer { target, key: [0xab; 32] }
    }

    #[test]
    fn every_message_survives_its_text() {
        let request = Request { report: Box::new([4; REPORT_LEN]), key: [5; 32] };
        let given = Given { report: Box::new([6; REPORT_LEN]), volume: [7; 16], sealed: [8; 48] };
        assert_eq!(Offer::try_from(HandOverOffer::from(&offer())), Ok(offer()));
        assert_eq!(Request::try_from(HandOverRequest::from(&request)), Ok(request));
        assert_eq!(Given::try_from(HandOver::from(&given)), Ok(given.clone()));
        let longest = serde_json::to_vec(&HandOver::from(&given)).unwrap();
        assert!(longest.len() < cloister_api::MAX_HAND_OVER, "{}", longest.len());
    }

    #[test]
    fn whatever_else_is_refused_by_its_field() {
        let text = HandOverOffer::from(&offer());
        let mut reserved = offer().target.encode();
        reserved[511] = 1;
        for (other, refused) in [
            (HandOverOffer { version: 2, ..text.clone() }, Malformed::Version(2)),
            (HandOverOffer { key: text.key.to_uppercase(), ..text.clone() }, Malformed::Field("key")),
            (HandOverOffer { key: text.key[1..].into(), ..text.clone() }, Malformed::Field("key")),
            (HandOverOffer { target_info: String::new(), ..text.clone() }, Malformed::Field("target_info")),
            (
                HandOverOffer { target_info: STANDARD.encode(reserved), ..text.clone() },
                Malformed::Field("target_info"),
            ),
            (
                HandOverOffer { target_info: text.target_info.replace('=', ""), ..text.clone() },
                Malformed::Field("target_info"),
            ),
        ] {
            assert_eq!(Offer::try_from(other), Err(refused));
        }
    }
}
