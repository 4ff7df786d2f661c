//! What outlives a restart: apps, their data, the enclave's identity. All of it is in one sealed volume.
//!
//! The system's own dataset is a filesystem:
//!
//! | path | holds |
//! |---|---|
//! | `/founding` | the operator and which images may follow, JSON; fixed at the first start |
//! | `/identity` | the TLS key, PKCS #8 |
//! | `/starts` | how often this volume was started, a number (u64, little-endian) |
//! | `/apps/<name>/record` | what was deployed, JSON; whoever has no record is no app |
//! | `/apps/<name>/counters` | what its calls did, JSON |
//! | `/apps/<name>/<generation>.wasm`, `.artifact` | the component, and what compiling made of it |
//!
//! A dataset `app:<name>` has the app's files, a dataset `assets:<generation>` the read-only files that came with the
//! component, and a dataset for all apps their keys and values: under `app:<name>` what a guest keeps over wasi:keyvalue, under
//! `keystore:<name>` its vault, with the keys and roles that the enclave keeps for it. A record is replaced by a rename, after everything that
//! it names was written, so an app is there wholly or not at all.

mod anchor;
mod app;
mod assets;
mod committer;
mod error;
mod files;
mod founding;
mod install;
mod load;
mod record;
mod starts;
mod upload;

#[cfg(test)]
mod tests;

pub(crate) use app::{AppStorage, app_of_dataset};
pub(crate) use error::StorageError;
pub(crate) use founding::Founding;
pub(crate) use install::Staged;
pub(crate) use load::{Affected, Loaded, LoadedApp};
pub(crate) use record::{AppSettings, Incarnations, KeptCounters, KeyUses, Record};
pub(crate) use upload::{Destination, Upload};

use cloister_api::Configuration;
use cloister_attestation::{Freshness, TlsKey, Volume as VolumeClaim};
use cloister_filesystem::Filesystem;
use cloister_runtime::{ArtifactSeal, Durability, Unavailable};
use cloister_volume::kv::KeyValue;
use cloister_volume::{
    Adoption, Backup, CheckReport, Dataset, Disk, MemoryDisk, MountError, NotAnAdoption, Options, Quota,
    SealingKey, State, Statistics, Volume, VolumeKey,
};
use committer::Committer;
use files::Files;
use std::pin::Pin;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The mounted volume, and what the enclave keeps in it. Clones share it.
///
/// Methods that are not `async` block while the host's disk works.
#[derive(Clone)]
pub(crate) struct Storage {
    volume: Volume,
    files: Files,
    keys: KeyValue,
    seal: Arc<ArtifactSeal>,
    committer: Committer,
    founding: Arc<Founding>,
    keeps: Keeps,
}

/// What becomes of a volume when the enclave ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    /// It is on the host's disk.
    Disk,
    /// It was in memory, and is gone.
    Nothing,
}

impl Storage {
    /// Opens the host's disk, and the volume on it; makes one where the disk is blank. Needs a tokio runtime.
    ///
    /// An enclave that is to receive a volume's key has none of its own: what it needs one for ends with it.
    ///
    /// # Errors
    /// [`StorageError`], for the operator: why nothing is served.
    pub(crate) fn open(configuration: &Configuration) -> Result<Self, StorageError> {
        let (disk, options, keeps): (Arc<dyn Disk>, _, _) = if configuration.receive {
            (Arc::new(MemoryDisk::new(RECEIVER_BLOCKS)), Options::default(), Keeps::Nothing)
        } else {
            let options = Options {
                anchor: anchor::provider(configuration.freshness)?,
                accept_epoch: configuration.accept_epoch,
                adopt: configuration.adopt.as_deref().map(adoption).transpose()?,
                ..Options::default()
            };
            (Arc::new(cloister_boundary::Disk::open()?), options, Keeps::Disk)
        };
        let founding = Founding::of(configuration);
        let storage = Self { keeps, ..Self::mount(disk, &sealing::Key, options)? };
        storage.settle_founding(&founding)?;
        Ok(Self { founding: Arc::new(founding), ..storage })
    }

    /// As [`open`](Self::open), of this disk.
    pub(crate) fn mount(
        disk: Arc<dyn Disk>,
        sealing: &dyn SealingKey,
        options: Options,
    ) -> Result<Self, StorageError> {
        let volume = match Volume::mount(Arc::clone(&disk), sealing, options.clone()) {
            Err(MountError::Blank) => match (options.accept_epoch, &options.adopt) {
                (Some(epoch), _) => return Err(StorageError::NothingToAccept { epoch }),
                (None, Some(_)) => return Err(StorageError::NothingToAdopt),
                (None, None) => Volume::create(disk, sealing, options)?,
            },
            mounted => mounted?,
        };
        let system = dataset(&volume, SYSTEM)?;
        let key = system.derive_key("artifacts");
        let files = Files::new(Filesystem::open(system)?);
        let keys = KeyValue::open(&dataset(&volume, KEYS)?)?;
        if !keys.is_open() {
            cloister_boundary::log(
                "the key-value database on the disk is damaged; no app's keys can be used",
            );
        }
        // A native build has no measurement.
        let image = cloister_tee::identity().map_or([0; 32], |identity| identity.mrenclave);
        let committer = Committer::start(volume.clone());
        let seal = Arc::new(ArtifactSeal::new(image, key));
        let (founding, keeps) = (Arc::default(), Keeps::Disk);
        Ok(Self { volume, files, keys, seal, committer, founding, keeps })
    }

    /// Who operates the enclave and which images may follow, as the volume has had it since its first start.
    pub(crate) fn founding(&self) -> &Founding {
        &self.founding
    }

    /// MRENCLAVE of every other image that held the volume's key before.
    pub(crate) fn lineage(&self) -> Vec<[u8; 32]> {
        self.volume.lineage()
    }

    /// The volume's key, for another image. All that was written before is durable then.
    ///
    /// # Errors
    /// [`StorageError`] where the disk takes nothing, or the CPU gives no sealing key.
    pub(crate) fn volume_key(&self) -> Result<VolumeKey, StorageError> {
        self.commit_now()?;
        Ok(self.volume.key(&sealing::Key)?)
    }

    /// Seals another volume's key, which the image of this MRENCLAVE handed over, for this image's first mount of that volume.
    ///
    /// # Errors
    /// [`StorageError`] where the CPU gives no sealing key.
    pub(crate) fn adoption(key: &VolumeKey, from: [u8; 32]) -> Result<Adoption, StorageError> {
        Ok(key.adoption(from, &sealing::Key)?)
    }

    /// The enclave's TLS key: the one of its first start, or of the first after the host damaged it.
    ///
    /// # Errors
    /// [`StorageError`] where it can neither be read nor be made.
    pub(crate) fn identity(&self) -> Result<TlsKey, StorageError> {
        match self.files.read(IDENTITY, MAX_IDENTITY) {
            Ok(document) => Ok(TlsKey::from_pkcs8_der(&Zeroizing::new(document))?),
            Err(error) if error.is_absence() => self.new_identity(),
            Err(error) if error.is_damage() => {
                cloister_boundary::log(
                    "the enclave's TLS key on the disk is damaged; it has a new one from now on",
                );
                self.new_identity()
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the enclave has a TLS key already.
    fn has_identity(&self) -> Result<bool, StorageError> {
        match self.files.read(IDENTITY, MAX_IDENTITY) {
            Ok(document) => Ok(!Zeroizing::new(document).is_empty()),
            Err(error) if error.is_absence() => Ok(false),
            Err(error) if error.is_damage() => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn new_identity(&self) -> Result<TlsKey, StorageError> {
        let key = TlsKey::generate()?;
        self.files.replace(IDENTITY, &[&key.to_pkcs8_der()?])?;
        self.commit_now()?;
        Ok(key)
    }

    /// Makes durable what was written before. Callers share commits.
    ///
    /// # Errors
    /// [`Unavailable`]: the disk does not take it now. Nothing is lost while the enclave runs.
    pub(crate) async fn commit(&self) -> Result<State, Unavailable> {
        self.committer.commit().await
    }

    /// As [`commit`](Self::commit), blocking, with the reason of a failure.
    pub(crate) fn commit_now(&self) -> Result<State, StorageError> {
        Ok(self.volume.commit()?)
    }

    /// Whether a commit would write anything.
    pub(crate) fn has_uncommitted(&self) -> bool {
        self.volume.has_uncommitted()
    }

    /// The last durable commit, as claims say it.
    pub(crate) fn state(&self) -> VolumeClaim {
        let State { epoch, root } = self.volume.state();
        VolumeClaim { epoch, root }
    }

    /// The same, where the enclave keeps anything.
    pub(crate) fn claimed_state(&self) -> Option<VolumeClaim> {
        (self.keeps == Keeps::Disk).then(|| self.state())
    }

    /// What keeps the host from putting back an older disk while the enclave is down.
    pub(crate) fn freshness(&self) -> Freshness {
        match self.volume.anchor() {
            None => Freshness::None,
            Some(identity) => Freshness::Tpm { identity },
        }
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.volume.statistics()
    }

    /// Reads and verifies every block of the last commit.
    ///
    /// # Errors
    /// [`StorageError`] where the disk fails; damage is in the report.
    pub(crate) fn check(&self, progress: &mut dyn FnMut(u64, u64)) -> Result<CheckReport, StorageError> {
        Ok(self.volume.check(progress)?)
    }

    /// Begins a sealed copy of the last commit.
    ///
    /// # Errors
    /// [`StorageError`] where the volume cannot be read.
    pub(crate) fn backup(&self) -> Result<Backup, StorageError> {
        Ok(self.volume.backup()?)
    }
}

impl Durability for Storage {
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>> {
        Box::pin(async { self.committer.commit().await.map(|_| ()) })
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Storage").finish_non_exhaustive()
    }
}

/// What another image handed over, as the configuration has it.
fn adoption(text: &str) -> Result<Adoption, StorageError> {
    use base64::Engine;
    let bytes = base64::engine::general_purpose::STANDARD.decode(text).map_err(|_| NotAnAdoption)?;
    Ok(Adoption::parse(&bytes)?)
}

/// The dataset of this name, made where it is not there. It may grow as large as the disk.
fn dataset(volume: &Volume, name: &str) -> Result<Dataset, StorageError> {
    if let Some(dataset) = volume.dataset(name)? {
        return Ok(dataset);
    }
    let operation = volume.begin();
    Ok(volume.create_dataset(&operation, name, Quota { bytes: u64::MAX, objects: u64::MAX })?)
}

mod sealing {
    use cloister_volume::{SealingError, SealingKey};
    use zeroize::Zeroizing;

    /// EGETKEY's, in the enclave.
    pub(super) struct Key;

    impl SealingKey for Key {
        #[cfg(target_env = "sgx")]
        fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
            cloister_tee::sealing_key(key_id)
        }

        /// A native build has no CPU to ask, and nobody gives it secrets: it has no evidence to show.
        #[cfg(not(target_env = "sgx"))]
        fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
            let mut key = Zeroizing::new([0; 16]);
            key.copy_from_slice(&key_id[..16]);
            Ok(key)
        }
    }
}

/// Of a volume in memory: 64 MiB, of which a few are used.
const RECEIVER_BLOCKS: u64 = 1 << 14;
/// The enclave's own dataset.
const SYSTEM: &str = "cloister";
/// The dataset of all apps' keys and values.
const KEYS: &str = "keys";
const IDENTITY: &str = "identity";
/// Bytes; a P-256 key in PKCS #8 has 138.
const MAX_IDENTITY: u64 = 1 << 10;
