use super::ascending;
use crate::HASH_LEN;
use crate::codec::{ClaimsError, Reader, Writer};
use cloister_api::{KeyFingerprint, MAX_ENDORSERS, Upgrade};

/// What may take an app's place while its data stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpgradePolicy {
    /// Nothing.
    Frozen,
    /// What its owner says.
    Owner,
    /// What its owner says, and these keys signed.
    Endorsed {
        /// How many of the keys have to sign; at least 1.
        threshold: u8,
        /// SHA-256 of each key's SubjectPublicKeyInfo, ascending, none twice, at most [`MAX_ENDORSERS`].
        keys: Vec<[u8; HASH_LEN]>,
    },
}

impl UpgradePolicy {
    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), ClaimsError> {
        match self {
            Self::Frozen => writer.uint(0),
            Self::Owner => writer.uint(1),
            Self::Endorsed { threshold, keys } => {
                check((*threshold).into(), keys)?;
                writer.array(3);
                writer.uint(2);
                writer.uint((*threshold).into());
                writer.array(keys.len());
                keys.iter().for_each(|key| writer.bytes(key));
            }
        }
        Ok(())
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        let unknown = ClaimsError::Shape { expected: "a known upgrade policy" };
        if !reader.is_array() {
            return match reader.uint()? {
                0 => Ok(Self::Frozen),
                1 => Ok(Self::Owner),
                _ => Err(unknown),
            };
        }
        let (3, 2) = (reader.array()?, reader.uint()?) else { return Err(unknown) };
        let threshold = reader.narrow("a number of endorsements")?;
        let keys = reader.list(|reader| reader.bytes())?;
        check(u64::from(threshold), &keys)?;
        Ok(Self::Endorsed { threshold, keys })
    }
}

impl From<&Upgrade> for UpgradePolicy {
    fn from(upgrade: &Upgrade) -> Self {
        match upgrade {
            Upgrade::Frozen => Self::Frozen,
            Upgrade::Owner => Self::Owner,
            Upgrade::Endorsed { threshold, keys } => {
                let mut keys = Vec::from_iter(keys.iter().map(|key| *key.as_bytes()));
                keys.sort_unstable();
                keys.dedup();
                Self::Endorsed { threshold: *threshold, keys }
            }
        }
    }
}

impl From<&UpgradePolicy> for Upgrade {
    fn from(policy: &UpgradePolicy) -> Self {
        match policy {
            UpgradePolicy::Frozen => Self::Frozen,
            UpgradePolicy::Owner => Self::Owner,
            UpgradePolicy::Endorsed { threshold, keys } => Self::Endorsed {
                threshold: *threshold,
                keys: keys.iter().map(|key| KeyFingerprint::from_hash(*key)).collect(),
            },
        }
    }
}

fn check(threshold: u64, keys: &[[u8; HASH_LEN]]) -> Result<(), ClaimsError> {
    let count = keys.len();
    if threshold == 0 || threshold > count as u64 || count > MAX_ENDORSERS {
        return Err(ClaimsError::Threshold { threshold, keys: count });
    }
    ascending(keys, |key| key, "keys that endorse an app")
}
