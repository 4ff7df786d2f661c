//! What may take the place of an app's code, and of the image.

use crate::KeyFingerprint;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What may take an app's place and keep its data. `Display` and `FromStr` have the text of the command line: `owner`, `frozen`
/// or `endorsed:THRESHOLD:KEY,KEY`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "UncheckedUpgrade")]
pub enum Upgrade {
    /// What its owner puts there.
    #[default]
    Owner,
    /// Nothing.
    Frozen,
    /// What its owner puts there and at least `threshold` of these keys signed. The keys are ascending, none twice,
    /// at most [`MAX_ENDORSERS`].
    Endorsed { threshold: u8, keys: Vec<KeyFingerprint> },
}

/// What may take the place of the image and get the key of its volume. `Display` and `FromStr` have the text of the command
/// line: `never`, `operator`, `listed:HEX,HEX` or `signer:HEX,PRODUCT,SVN`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", try_from = "UncheckedImageUpgrade")]
pub enum ImageUpgrade {
    /// Nothing.
    #[default]
    Never,
    /// What the operator names.
    Operator,
    /// What the operator names among these.
    Listed {
        /// Ascending, none twice, at most [`MAX_LISTED_IMAGES`].
        mrenclave: Vec<ImageDigest>,
    },
    /// What the operator names, signed by this key.
    Signer {
        mrsigner: ImageDigest,
        /// ISVPRODID.
        product: u16,
        /// The least ISVSVN.
        minimum_svn: u16,
    },
}

/// MRENCLAVE or MRSIGNER: 64 lower-case hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageDigest([u8; 32]);

/// The signature of one key under what an app becomes: over the statement of its claims, which
/// `docs/design/evidence.md` lays out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Endorsement {
    /// SubjectPublicKeyInfo in DER, base64: of P-256 or Ed25519.
    pub key: String,
    /// Base64: ECDSA with SHA-256, in DER, or Ed25519.
    pub signature: String,
}

impl Upgrade {
    /// Needs the signatures of `threshold` of these keys, which may come in any order.
    ///
    /// # Errors
    /// [`InvalidUpgrade`] where there are no keys or too many, one of them comes twice, or there are fewer than the threshold.
    pub fn endorsed(threshold: u8, mut keys: Vec<KeyFingerprint>) -> Result<Self, InvalidUpgrade> {
        keys.sort_unstable();
        if keys.is_empty() || keys.len() > MAX_ENDORSERS {
            return Err(InvalidUpgrade::Keys(keys.len()));
        }
        if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidUpgrade::Twice(pair[0]));
        }
        if threshold == 0 || usize::from(threshold) > keys.len() {
            return Err(InvalidUpgrade::Threshold { threshold, keys: keys.len() });
        }
        Ok(Self::Endorsed { threshold, keys })
    }

    /// Whether the owner's word is enough.
    pub fn is_owner(&self) -> bool {
        *self == Self::Owner
    }
}

impl FromStr for Upgrade {
    type Err = InvalidUpgrade;

    fn from_str(text: &str) -> Result<Self, InvalidUpgrade> {
        match text {
            "owner" => return Ok(Self::Owner),
            "frozen" => return Ok(Self::Frozen),
            _ => {}
        }
        let rest = text.strip_prefix("endorsed:").ok_or(InvalidUpgrade::Form)?;
        let (threshold, keys) = rest.split_once(':').ok_or(InvalidUpgrade::Form)?;
        let threshold = decimal(threshold).ok_or(InvalidUpgrade::Form)?;
        let keys = keys.split(',').take(MAX_ENDORSERS + 1).map(str::parse);
        let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|_| InvalidUpgrade::Key)?;
        Self::endorsed(threshold, keys)
    }
}

impl fmt::Display for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner => f.write_str("owner"),
            Self::Frozen => f.write_str("frozen"),
            Self::Endorsed { threshold, keys } => {
                write!(f, "endorsed:{threshold}:")?;
                write_list(f, keys)
            }
        }
    }
}

impl ImageUpgrade {
    /// One of these images, which may come in any order.
    ///
    /// # Errors
    /// [`InvalidImageUpgrade`] where there are none or too many, or one comes twice.
    pub fn listed(mut mrenclave: Vec<ImageDigest>) -> Result<Self, InvalidImageUpgrade> {
        mrenclave.sort_unstable();
        if mrenclave.is_empty() || mrenclave.len() > MAX_LISTED_IMAGES {
            return Err(InvalidImageUpgrade::Images(mrenclave.len()));
        }
        match mrenclave.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(InvalidImageUpgrade::Twice(pair[0])),
            None => Ok(Self::Listed { mrenclave }),
        }
    }

    /// Whether nothing may.
    pub fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

impl FromStr for ImageUpgrade {
    type Err = InvalidImageUpgrade;

    fn from_str(text: &str) -> Result<Self, InvalidImageUpgrade> {
        match text {
            "never" => return Ok(Self::Never),
            "operator" => return Ok(Self::Operator),
            _ => {}
        }
        let digest = |text: &str| text.parse().map_err(|InvalidImageDigest| InvalidImageUpgrade::Digest);
        if let Some(list) = text.strip_prefix("listed:") {
            let list = list.split(',').take(MAX_LISTED_IMAGES + 1).map(digest);
            return Self::listed(list.collect::<Result<_, _>>()?);
        }
        let signer = text.strip_prefix("signer:").ok_or(InvalidImageUpgrade::Form)?;
        let mut parts = signer.splitn(3, ',');
        let (Some(mrsigner), Some(product), Some(svn)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(InvalidImageUpgrade::Form);
        };
        Ok(Self::Signer {
            mrsigner: digest(mrsigner)?,
            product: decimal(product).ok_or(InvalidImageUpgrade::Number)?,
            minimum_svn: decimal(svn).ok_or(InvalidImageUpgrade::Number)?,
        })
    }
}

impl fmt::Display for ImageUpgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Operator => f.write_str("operator"),
            Self::Listed { mrenclave } => {
                f.write_str("listed:")?;
                write_list(f, mrenclave)
            }
            Self::Signer { mrsigner, product, minimum_svn } => {
                write!(f, "signer:{mrsigner},{product},{minimum_svn}")
            }
        }
    }
}

impl ImageDigest {
    /// Of these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for ImageDigest {
    type Err = InvalidImageDigest;

    fn from_str(text: &str) -> Result<Self, InvalidImageDigest> {
        let bytes: KeyFingerprint = text.parse().map_err(|_| InvalidImageDigest)?;
        Ok(Self(*bytes.as_bytes()))
    }
}

impl TryFrom<String> for ImageDigest {
    type Error = InvalidImageDigest;

    fn try_from(text: String) -> Result<Self, InvalidImageDigest> {
        text.parse()
    }
}

impl From<ImageDigest> for String {
    fn from(digest: ImageDigest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ImageDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageDigest({self})")
    }
}

/// The value says nothing about upgrades of an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpgrade {
    #[error("upgrades of an app are owner, frozen or endorsed:THRESHOLD:KEY,KEY")]
    Form,
    #[error("a key is named by its fingerprint: 64 hex digits, as `cloister keygen` prints it")]
    Key,
    #[error("endorsed upgrades name 1 to {MAX_ENDORSERS} keys, and here are {0}")]
    Keys(usize),
    #[error("endorsed upgrades name each key once, and {0} comes twice")]
    Twice(KeyFingerprint),
    #[error("of {keys} keys, 1 to {keys} have to endorse an upgrade, not {threshold}")]
    Threshold { threshold: u8, keys: usize },
}

/// The value says nothing about upgrades of the image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidImageUpgrade {
    #[error("upgrades of the image are never, operator, listed:HEX,HEX or signer:HEX,PRODUCT,SVN")]
    Form,
    #[error("{InvalidImageDigest}")]
    Digest,
    #[error("product and security version are numbers up to 65535")]
    Number,
    #[error("1 to {MAX_LISTED_IMAGES} images are listed, and here are {0}")]
    Images(usize),
    #[error("each image is listed once, and {0} comes twice")]
    Twice(ImageDigest),
}

/// The text is neither MRENCLAVE nor MRSIGNER.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("MRENCLAVE and MRSIGNER are 64 hex digits")]
pub struct InvalidImageDigest;

/// Most keys that endorse an app's upgrades.
pub const MAX_ENDORSERS: usize = 16;
/// Most images that may follow one, where they are listed.
pub const MAX_LISTED_IMAGES: usize = 16;
/// Header of a replace request: a JSON array of at most [`MAX_ENDORSEMENTS`] [`Endorsement`]s.
pub const ENDORSEMENTS_HEADER: &str = "cloister-endorsements";
/// Most endorsements of one request.
pub const MAX_ENDORSEMENTS: usize = 16;
/// Longest value of [`ENDORSEMENTS_HEADER`], in bytes.
pub const MAX_ENDORSEMENTS_TEXT: usize = 8 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum UncheckedUpgrade {
    Owner,
    Frozen,
    Endorsed { threshold: u8, keys: Vec<KeyFingerprint> },
}

impl TryFrom<UncheckedUpgrade> for Upgrade {
    type Error = InvalidUpgrade;

    fn try_from(unchecked: UncheckedUpgrade) -> Result<Self, InvalidUpgrade> {
        match unchecked {
            UncheckedUpgrade::Owner => Ok(Self::Owner),
            UncheckedUpgrade::Frozen => Ok(Self::Frozen),
            UncheckedUpgrade::Endorsed { threshold, keys } => Self::endorsed(threshold, keys),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum UncheckedImageUpgrade {
    Never,
    Operator,
    Listed { mrenclave: Vec<ImageDigest> },
    Signer { mrsigner: ImageDigest, product: u16, minimum_svn: u16 },
}

impl TryFrom<UncheckedImageUpgrade> for ImageUpgrade {
    type Error = InvalidImageUpgrade;

    fn try_from(unchecked: UncheckedImageUpgrade) -> Result<Self, InvalidImageUpgrade> {
        match unchecked {
            UncheckedImageUpgrade::Never => Ok(Self::Never),
            UncheckedImageUpgrade::Operator => Ok(Self::Operator),
            UncheckedImageUpgrade::Listed { mrenclave } => Self::listed(mrenclave),
            UncheckedImageUpgrade::Signer { mrsigner, product, minimum_svn } => {
                Ok(Self::Signer { mrsigner, product, minimum_svn })
            }
        }
    }
}

/// A number of digits alone.
fn decimal<T: FromStr>(text: &str) -> Option<T> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn write_list(f: &mut fmt::Formatter<'_>, list: &[impl fmt::Display]) -> fmt::Result {
    list.iter()
        .enumerate()
        .try_for_each(|(i, one)| if i == 0 { write!(f, "{one}") } else { write!(f, ",{one}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> KeyFingerprint {
        KeyFingerprint::from_hash([byte; 32])
    }

    #[test]
    fn upgrades_have_one_json_and_one_text() {
        let (a, b) = (key(1), key(2));
        for (upgrade, json, text) in [
            (Upgrade::Owner, r#""owner""#.to_owned(), "owner".to_owned()),
            (Upgrade::Frozen, r#""frozen""#.to_owned(), "frozen".to_owned()),
            (
                Upgrade::endorsed(2, vec![b, a]).unwrap(),
                format!(r#"{{"endorsed":{{"threshold":2,"keys":["{a}","{b}"]}}}}"#),
                format!("endorsed:2:{a},{b}"),
            ),
        ] {
            assert_eq!(serde_json::to_string(&upgrade).unwrap(), json);
            assert_eq!(serde_json::from_str::<Upgrade>(&json).unwrap(), upgrade);
            assert_eq!(upgrade.to_string(), text);
            assert_eq!(text.parse::<Upgrade>(), Ok(upgrade));
        }
        let unsorted = format!(r#"{{"endorsed":{{"threshold":1,"keys":["{b}","{a}"]}}}}"#);
        let expected = Upgrade::Endorsed { threshold: 1, keys: vec![a, b] };
        assert_eq!(serde_json::from_str::<Upgrade>(&unsorted).unwrap(), expected);
    }

    #[test]
    fn a_threshold_is_met_by_distinct_keys() {
        assert_eq!(Upgrade::endorsed(1, vec![]), Err(InvalidUpgrade::Keys(0)));
        let seventeen = (0..17).map(key).collect::<Vec<_>>();
        assert!(Upgrade::endorsed(16, seventeen[1..].to_vec()).is_ok());
        assert_eq!(Upgrade::endorsed(1, seventeen), Err(InvalidUpgrade::Keys(17)));
        assert_eq!(Upgrade::endorsed(2, vec![key(1), key(1)]), Err(InvalidUpgrade::Twice(key(1))));
        for threshold in [0, 2] {
            let expected = Err(InvalidUpgrade::Threshold { threshold, keys: 1 });
            assert_eq!(Upgrade::endorsed(threshold, vec![key(1)]), expected);
        }
        let json = format!(r#"{{"endorsed":{{"threshold":3,"keys":["{}"]}}}}"#, key(1));
        assert!(serde_json::from_str::<Upgrade>(&json).is_err());
        for bad in
            ["", "Owner", "endorsed", "endorsed:1", "endorsed:+1:00", "endorsed:1:00", "endorsed:300:00"]
        {
            assert!(bad.parse::<Upgrade>().is_err(), "{bad}");
        }
    }

    #[test]
    fn upgrades_of_the_image_have_one_json_and_one_text() {
        let (a, b) = (ImageDigest::from_bytes([1; 32]), ImageDigest::from_bytes([2; 32]));
        for (upgrade, json, text) in [
            (ImageUpgrade::Never, r#""never""#.to_owned(), "never".to_owned()),
            (ImageUpgrade::Operator, r#""operator""#.to_owned(), "operator".to_owned()),
            (
                ImageUpgrade::listed(vec![b, a]).unwrap(),
                format!(r#"{{"listed":{{"mrenclave":["{a}","{b}"]}}}}"#),
                format!("listed:{a},{b}"),
            ),
            (
                ImageUpgrade::Signer { mrsigner: a, product: 7, minimum_svn: 3 },
                format!(r#"{{"signer":{{"mrsigner":"{a}","product":7,"minimum_svn":3}}}}"#),
                format!("signer:{a},7,3"),
            ),
        ] {
            assert_eq!(serde_json::to_string(&upgrade).unwrap(), json);
            assert_eq!(serde_json::from_str::<ImageUpgrade>(&json).unwrap(), upgrade);
            assert_eq!(upgrade.to_string(), text);
            assert_eq!(text.parse::<ImageUpgrade>(), Ok(upgrade));
        }
    }

    #[test]
    fn other_upgrades_of_the_image_are_refused() {
        let a = ImageDigest::from_bytes([1; 32]);
        assert_eq!(ImageUpgrade::listed(vec![]), Err(InvalidImageUpgrade::Images(0)));
        assert_eq!(ImageUpgrade::listed(vec![a, a]), Err(InvalidImageUpgrade::Twice(a)));
        let seventeen = (0..17).map(|byte| ImageDigest::from_bytes([byte; 32])).collect();
        assert_eq!(ImageUpgrade::listed(seventeen), Err(InvalidImageUpgrade::Images(17)));
        for (bad, expected) in [
            ("always".to_owned(), InvalidImageUpgrade::Form),
            ("listed:".to_owned(), InvalidImageUpgrade::Digest),
            (format!("signer:{a},1"), InvalidImageUpgrade::Form),
            (format!("signer:{a},1,65536"), InvalidImageUpgrade::Number),
            (format!("signer:{a},1,2,3"), InvalidImageUpgrade::Number),
        ] {
            assert_eq!(bad.parse::<ImageUpgrade>(), Err(expected), "{bad}");
        }
        let more = format!(r#"{{"listed":{{"mrenclave":["{a}"],"x":1}}}}"#);
        assert!(serde_json::from_str::<ImageUpgrade>(&more).is_err());
        assert!(serde_json::from_str::<ImageUpgrade>(&more.replace(r#","x":1"#, "")).is_ok());
    }

    #[test]
    fn an_endorsement_has_a_key_and_a_signature() {
        let text = r#"{"key":"MFkw","signature":"MEUC"}"#;
        let endorsement: Endorsement = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&endorsement).unwrap(), text);
        assert!(serde_json::from_str::<Endorsement>(r#"{"key":"","signature":"","threshold":0}"#).is_err());
    }
}
