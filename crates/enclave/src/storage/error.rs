use cloister_api::{Code, Problem};
use cloister_attestation::KeyError;
use cloister_boundary::HostError;
use cloister_filesystem::FsError;
use cloister_runtime::ArtifactError;
use cloister_volume::kv::KvError;
use cloister_volume::{MountError, NotAnAdoption, VolumeError};

/// The volume does not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StorageError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error("the sealed volume cannot be opened: {0}")]
    Mount(#[from] MountError),
    #[error("the configuration accepts the volume's epoch {epoch}, and the disk holds no volume")]
    NothingToAccept { epoch: u64 },
    #[error("the configuration's `adopt`: {0}")]
    Adoption(#[from] NotAnAdoption),
    #[error(
        "the configuration takes over another image's volume, and the disk holds none: --volume or --state names another"
    )]
    NothingToAdopt,
    /// The configuration names another operator, or other images that may follow.
    #[error(
        "the volume was first started with {founded}, which is fixed for its whole life, and is started with {asked} now"
    )]
    Founded { founded: String, asked: String },
    #[error(transparent)]
    Volume(#[from] VolumeError),
    #[error(transparent)]
    Files(#[from] FsError),
    #[error("the key-value store: {0}")]
    Keys(#[from] KvError),
    #[error("the enclave's identity: {0}")]
    Identity(#[from] KeyError),
    #[error(transparent)]
    Random(#[from] cloister_tee::RandomError),
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A file of the enclave's own is not what it writes.
    #[error("a record in the volume cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    #[error("a record in the volume has format {found}, which this image does not read")]
    RecordVersion { found: u32 },
    #[error("a file in the volume is {size} bytes, and at most {most} were ever written")]
    FileTooLarge { size: u64, most: u64 },
    #[error("the component in the volume is not the one that was deployed")]
    OtherComponent,
    #[error("a file of the upload has other bytes than it announced")]
    IncompleteFile,
    #[error(transparent)]
    Assets(#[from] cloister_attestation::AssetsOutOfOrder),
    #[error("the app's part of the volume is not there")]
    NoDataset,
    #[error("the app's component was deployed once and is refused now: {0}")]
    Refused(#[from] cloister_runtime::DeployError),
}

impl StorageError {
    /// The error as the host may read it: an app's name is not for the host.
    pub(crate) fn for_host(&self) -> String {
        let volume = match self {
            Self::Host(_)
            | Self::Mount(_)
            | Self::NothingToAccept { .. }
            | Self::Adoption(_)
            | Self::NothingToAdopt
            | Self::Founded { .. } => None,
            Self::Volume(error) | Self::Files(FsError::Io(error)) | Self::Keys(KvError::Volume(error)) => {
                Some(error)
            }
            _ => return "the enclave's own records in the volume cannot be used".to_owned(),
        };
        match volume {
            None => self.to_string(),
            Some(VolumeError::Damaged(damage)) => {
                format!(
                    "the enclave's own records in the volume are damaged, in block {} of the disk",
                    damage.block
                )
            }
            Some(error @ (VolumeError::Disk { .. } | VolumeError::Full | VolumeError::Anchor(_))) => {
                error.to_string()
            }
            Some(_) => "the enclave's own records in the volume cannot be used".to_owned(),
        }
    }

    /// What was looked for is not there.
    pub(crate) fn is_absence(&self) -> bool {
        matches!(self, Self::Files(FsError::NoEntry))
    }

    /// What was looked for was there, and the disk does not give it back.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Volume(VolumeError::Damaged(_))
                | Self::Files(FsError::Io(VolumeError::Damaged(_)) | FsError::Malformed { .. })
        ) || matches!(self, Self::Keys(error) if error.is_damage())
    }

    /// The error as the protocol carries it, for the owner of the app that it is about.
    pub(crate) fn into_problem(self) -> Problem {
        let code = match &self {
            Self::Volume(
                VolumeError::Full | VolumeError::QuotaExceeded(_) | VolumeError::TooManyDatasets,
            )
            | Self::Files(FsError::Full | FsError::Quota) => Code::StorageFull,
            _ => Code::StorageUnavailable,
        };
        Problem::new(code, self.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_volume::{Damage, Part};

    #[test]
    fn the_host_reads_no_names() {
        let damage = Damage {
            dataset: "app:ledger".to_owned(),
            object: Some(7),
            part: Part::Data,
            offset: 0,
            bytes: 4096,
            block: 99,
        };
        let damaged = VolumeError::from(damage);
        for error in [
            StorageError::Volume(damaged.clone()),
            StorageError::Files(FsError::Io(damaged.clone())),
            StorageError::Keys(KvError::Volume(damaged)),
            StorageError::Volume(VolumeError::Exists("app:ledger".to_owned())),
            StorageError::Keys(KvError::NamespaceName { name: "app:ledger".to_owned() }),
        ] {
            let line = error.for_host();
            assert!(!line.contains("ledger") && line.contains("own records"), "{line}");
        }
        let full = StorageError::Volume(VolumeError::Full);
        assert_eq!(full.for_host(), full.to_string());
    }
}
