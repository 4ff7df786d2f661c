//! What the operator fixed at the volume's first start, for its whole life.

use super::{Storage, StorageError};
use cloister_api::{Configuration, ImageUpgrade, KeyFingerprint};
use serde::{Deserialize, Serialize};

/// The operator, and which images may follow. Both are in the claims, so neither can change under somebody who relies on them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Founding {
    pub(crate) operator: Option<KeyFingerprint>,
    pub(crate) image_upgrade: ImageUpgrade,
}

impl Founding {
    /// What this configuration says.
    pub(crate) fn of(configuration: &Configuration) -> Self {
        Self { operator: configuration.operator, image_upgrade: configuration.image_upgrade.clone() }
    }

    /// As options of `cloister serve` say it.
    pub(super) fn options(&self) -> String {
        let operator =
            self.operator.map_or_else(|| "no --operator".to_owned(), |key| format!("--operator {key}"));
        format!("{operator} --image-upgrade {}", self.image_upgrade)
    }
}

impl Storage {
    /// Writes what the configuration says into a volume that has nothing yet; compares it with what is there otherwise.
    ///
    /// # Errors
    /// [`StorageError::Founded`] where they differ. What is damaged is never written anew: the host could choose then.
    pub(super) fn settle_founding(&self, asked: &Founding) -> Result<(), StorageError> {
        match self.files.read(FOUNDING, MAX_FOUNDING) {
            Ok(text) => {
                let founded: Founding = serde_json::from_slice(&text)?;
                if founded == *asked {
                    return Ok(());
                }
                Err(StorageError::Founded { founded: founded.options(), asked: asked.options() })
            }
            Err(error) if error.is_absence() => {
                if self.has_identity()? {
                    cloister_boundary::log(
                        "the volume is from before operators were fixed in it: the present one is from now on",
                    );
                }
                self.files.replace(FOUNDING, &[&serde_json::to_vec(asked)?])?;
                self.commit_now().map(drop)
            }
            Err(error) => Err(error),
        }
    }
}

const FOUNDING: &str = "founding";
/// Bytes: a key, and at most 16 images.
const MAX_FOUNDING: u64 = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::sealing;
    use cloister_volume::{Disk, MemoryDisk, Options};
    use std::sync::Arc;

    fn mount(disk: &MemoryDisk) -> Storage {
        Storage::mount(Arc::new(disk.clone()), &sealing::Key, Options::default()).unwrap()
    }

    fn founding(key: u8, image_upgrade: ImageUpgrade) -> Founding {
        Founding { operator: Some(KeyFingerprint::from_hash([key; 32])), image_upgrade }
    }

    #[tokio::test]
    async fn what_was_fixed_at_the_first_start_stays() {
        let disk = MemoryDisk::new(1 << 14);
        let first = founding(1, ImageUpgrade::Operator);
        mount(&disk).settle_founding(&first).unwrap();
        for other in [
            Founding::default(),
            founding(2, ImageUpgrade::Operator),
            founding(1, ImageUpgrade::Never),
            Founding { operator: None, ..first.clone() },
        ] {
            let refused = mount(&disk).settle_founding(&other).unwrap_err();
            let text = refused.for_host();
            assert!(matches!(refused, StorageError::Founded { .. }), "{refused}");
            assert!(text.contains(&"01".repeat(32)) && text.contains("--image-upgrade operator"), "{text}");
        }
        mount(&disk).settle_founding(&first).unwrap();
    }

    #[tokio::test]
    async fn a_damaged_founding_is_not_written_anew() {
        let disk = MemoryDisk::new(1 << 14);
        mount(&disk).settle_founding(&founding(1, ImageUpgrade::Operator)).unwrap();
        let mut damaged = 0;
        for block in 2..disk.blocks().unwrap() {
            let disk = disk.fork();
            disk.modify(block, |bytes| bytes[9] ^= 1);
            let Ok(storage) = Storage::mount(Arc::new(disk), &sealing::Key, Options::default()) else {
                continue;
            };
            match storage.settle_founding(&founding(2, ImageUpgrade::Operator)) {
                Err(StorageError::Founded { .. }) => {}
                Err(error) if error.is_damage() => damaged += 1,
                other => panic!("block {block}: {other:?}"),
            }
        }
        assert!(damaged > 0);
    }
}
