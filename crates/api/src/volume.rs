use crate::{AppName, FreshnessSetting, Problem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A state of the volume: what a client can pin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeState {
    /// Commits counted.
    pub epoch: u64,
    /// Root of the volume's Merkle tree after that commit, 64 lower-case hex digits.
    pub root: String,
}

/// What an app keeps in the volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageUsage {
    /// Bytes of the volume that hold its files.
    pub bytes: u64,
    /// Files, directories and symbolic links.
    pub files: u64,
    /// Entries of its key-value store.
    pub keys: u64,
    /// Bytes of those entries, names and values together.
    pub key_bytes: u64,
}

/// The sealed volume in numbers. Sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeStatistics {
    /// Commits counted, over the volume's whole life.
    pub epoch: u64,
    /// Root of the volume's Merkle tree after the last commit, 64 lower-case hex digits.
    pub root: String,
    pub freshness: FreshnessSetting,
    /// Present size of what the host lends.
    pub disk_bytes: u64,
    pub used_bytes: u64,
    pub free_bytes: u64,
    /// Written and not yet on disk.
    pub dirty_bytes: u64,
    /// Commits since the enclave started.
    pub commits: u64,
    /// Blocks that were read from memory, since the enclave started.
    pub cache_hits: u64,
    /// Blocks that were read from the disk, since the enclave started.
    pub cache_misses: u64,
    /// The apps of the owner who asks.
    pub apps: BTreeMap<AppName, StorageUsage>,
}

/// Progress of a check of the whole volume, one line each; the last is [`Done`](Self::Done) or [`Failed`](Self::Failed).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum CheckEvent {
    /// Blocks read so far, and blocks to read.
    Progress { done: u64, total: u64 },
    /// Something does not verify. The rest stays readable.
    Damaged {
        /// Whose it is; absent where it is the enclave's own, or another owner's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<AppName>,
        /// Number of the object in the app's part of the volume.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        object: Option<u64>,
        /// Bytes from the start of the object.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        offset: Option<u64>,
        /// What is damaged, for people.
        what: String,
    },
    /// Every block of the commit with this epoch was read. `damaged` counts the [`Damaged`](Self::Damaged) lines.
    Done { blocks: u64, damaged: u64, epoch: u64 },
    /// The check could not go on.
    Failed { problem: Problem },
}

/// Bytes of a block in a backup.
pub const BACKUP_BLOCK: usize = 4096;
/// Block number that ends a backup.
pub const BACKUP_END: u64 = u64::MAX;
/// Header of a backup: the epoch of the commit that it is a copy of, in decimal.
pub const BACKUP_EPOCH_HEADER: &str = "cloister-epoch";
/// Most blocks that a volume has: 1 TiB.
pub const MAX_VOLUME_BLOCKS: u64 = 1 << 28;
/// Most blocks in one chunk of a backup: 1 MiB.
pub const MAX_BACKUP_CHUNK: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    #[test]
    fn check_events_are_tagged_lines() {
        let damaged = CheckEvent::Damaged {
            app: Some("ledger".parse().unwrap()),
            object: Some(7),
            offset: None,
            what: "a block does not verify".to_owned(),
        };
        let text = serde_json::to_string(&damaged).unwrap();
        assert_eq!(text, r#"{"event":"damaged","app":"ledger","object":7,"what":"a block does not verify"}"#);
        for event in [
            damaged,
            CheckEvent::Progress { done: 1, total: 2 },
            CheckEvent::Done { blocks: 2, damaged: 1, epoch: 9 },
            CheckEvent::Failed { problem: Problem::new(Code::StorageUnavailable, "the disk is gone") },
        ] {
            let text = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<CheckEvent>(&text).unwrap(), event, "{text}");
        }
    }

    #[test]
    fn statistics_name_apps() {
        let usage = StorageUsage { bytes: 4096, files: 1, keys: 2, key_bytes: 30 };
        let statistics = VolumeStatistics {
            epoch: 5,
            root: "ab".repeat(32),
            freshness: FreshnessSetting::Tpm,
            disk_bytes: 1 << 20,
            used_bytes: 8192,
            free_bytes: (1 << 20) - 8192,
            dirty_bytes: 0,
            commits: 3,
            cache_hits: 10,
            cache_misses: 1,
            apps: BTreeMap::from([("ledger".parse().unwrap(), usage)]),
        };
        let json = serde_json::to_value(&statistics).unwrap();
        assert_eq!(json["freshness"], "tpm");
        assert_eq!(json["apps"]["ledger"]["key_bytes"], 30);
        assert_eq!(serde_json::from_value::<VolumeStatistics>(json).unwrap(), statistics);
    }
}
