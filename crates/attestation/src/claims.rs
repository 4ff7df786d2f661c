mod app;
mod image;
mod issuer;
mod upgrade;

pub use app::{
    AppClaims, AssetsClaim, ConfigurationClaim, MAX_EXTENSION_VALUE, MAX_EXTENSION_VALUES, MAX_EXTENSIONS,
};
pub use image::{ImageUpgradeClaim, PlatformClaim};
pub use issuer::IssuerClaim;
pub use upgrade::UpgradePolicy;

use crate::codec::{ClaimsError, MAX_CLAIMS, Reader, Writer};
use crate::keys::POINT_LEN;
use crate::{HASH_LEN, sha256};
use cloister_api::AppName;

/// What an enclave says of itself. The SHA-256 of the canonical encoding is the report data of its quote, so the
/// hardware vouches that this enclave said it, and the enclave's code for the truth of it.
///
/// The measurement is not in here: it is in the quote itself. Whether the hardware is simulated, an enclave cannot know; what
/// its host says of that is claimed, and the root of trust under which the quote verifies decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// SHA-256 of the SubjectPublicKeyInfo of the key in the TLS certificate.
    pub tls_key: [u8; HASH_LEN],
    /// The public key of session bindings, an uncompressed P-256 point.
    pub session_key: [u8; POINT_LEN],
    pub boot: Boot,
    /// SHA-256 of the boot configuration, byte for byte as the enclave read it.
    pub configuration: [u8; HASH_LEN],
    /// Who may deploy apps: SHA-256 of a key's SubjectPublicKeyInfo, or the [`token_principal`](cloister_api::token_principal)
    /// of a token's subject;
    /// ascending, none twice.
    pub owners: Vec<[u8; HASH_LEN]>,
    /// The sealed volume; `None` where the enclave keeps nothing.
    pub volume: Option<Volume>,
    pub freshness: Freshness,
    /// By name, ascending, none twice.
    pub apps: Vec<AppClaims>,
    /// SHA-256 of the operator's SubjectPublicKeyInfo; `None`: there is no operator.
    pub operator: Option<[u8; HASH_LEN]>,
    /// Which other images the volume may be handed to.
    pub image_upgrade: ImageUpgradeClaim,
    /// MRENCLAVE of every other image that held the volume's key before this one, in the order in which they first handed it
    /// on, none twice, at most [`MAX_LINEAGE`]. Each could keep that key and put anything into the volume, so whoever trusts
    /// this enclave's data trusts them all: a verifier accepts them as it accepts the measurement itself.
    pub lineage: Vec<[u8; HASH_LEN]>,
    /// Seconds since 1970 when these claims were made, as the host told. The enclave cannot check it.
    pub made: u64,
    pub platform: PlatformClaim,
    /// Whose tokens may name owners. By name, ascending, none twice, at most
    /// [`MAX_ISSUERS`](cloister_api::MAX_ISSUERS).
    pub issuers: Vec<IssuerClaim>,
}

/// One start of the enclave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// Random, chosen by the enclave at its start: equal for all evidence of one run, and for no other.
    pub id: [u8; 16],
    /// Seconds since 1970, as the host told. The enclave cannot check it.
    pub told_time: u64,
    /// Starts of this volume, this one included. As good as the volume's freshness: an older disk counts on from its own.
    pub counter: u64,
}

/// A state of the sealed volume. In claims it is the one when they were made, in a session binding the present one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Commits counted, over the volume's whole life: a larger one is a later state.
    pub epoch: u64,
    /// Root of the volume's Merkle tree after that commit. It covers the epoch.
    pub root: [u8; HASH_LEN],
}

/// What protects the volume from being replaced by an older state of itself across restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Nothing does. A verifier can pin epoch and root.
    None,
    /// A counter in the non-volatile memory of a TPM 2.0.
    Tpm {
        /// SHA-256 of the TPM's endorsement key and the counter's name; which bytes of them, `docs/design/volume.md` says.
        identity: [u8; HASH_LEN],
    },
}

impl Claims {
    /// The canonical encoding: RFC 8949, section 4.2.1.
    ///
    /// # Errors
    /// [`ClaimsError`] where lists are out of order or too long, an app has too many extensions or the encoding would be longer
    /// than [`MAX_CLAIMS`].
    pub fn encode(&self) -> Result<Vec<u8>, ClaimsError> {
        ascending(&self.owners, |owner| owner, "owners")?;
        ascending(&self.apps, |app| &app.name, "apps")?;
        let mut writer = Writer::default();
        writer.map(ENTRIES);
        writer.key(0).uint(VERSION);
        writer.key(1).bytes(&self.tls_key);
        writer.key(2).bytes(&self.session_key);
        writer.key(3).map(3);
        writer.key(0).bytes(&self.boot.id);
        writer.key(1).uint(self.boot.told_time);
        writer.key(2).uint(self.boot.counter);
        writer.key(4).bytes(&self.configuration);
        writer.key(5).array(self.owners.len());
        self.owners.iter().for_each(|owner| writer.bytes(owner));
        match &self.volume {
            None => writer.key(6).null(),
            Some(volume) => {
                writer.key(6).map(2);
                writer.key(0).uint(volume.epoch);
                writer.key(1).bytes(&volume.root);
            }
        }
        self.freshness.encode(writer.key(7));
        writer.key(8).array(self.apps.len());
        self.apps.iter().try_for_each(|app| app.write(&mut writer))?;
        writer.key(9).optional_bytes(self.operator.as_ref());
        self.image_upgrade.write(writer.key(10))?;
        writer.key(11).uint(self.made);
        self.platform.write(writer.key(12));
        issuer::write(&self.issuers, writer.key(13))?;
        check_lineage(&self.lineage)?;
        writer.key(14).array(self.lineage.len());
        self.lineage.iter().for_each(|image| writer.bytes(image));
        let encoded = writer.finish();
        if encoded.len() > MAX_CLAIMS { Err(ClaimsError::TooLong(encoded.len())) } else { Ok(encoded) }
    }

    /// The claims in a canonical encoding. For every input, either this is an error, or encoding the result gives
    /// the same bytes again.
    ///
    /// # Errors
    /// [`ClaimsError`], also for whatever is not known to this version: a claim that a verifier does not understand
    /// is not one that it may ignore.
    pub fn decode(encoded: &[u8]) -> Result<Self, ClaimsError> {
        if encoded.len() > MAX_CLAIMS {
            return Err(ClaimsError::TooLong(encoded.len()));
        }
        let mut reader = Reader::new(encoded);
        let entries = reader.map()?;
        reader.key(0)?;
        match reader.uint()? {
            VERSION => {}
            other => return Err(ClaimsError::Version(other)),
        }
        if entries != ENTRIES {
            return Err(ClaimsError::Shape { expected: "fifteen claims" });
        }
        let claims = Self {
            tls_key: reader.key(1)?.bytes()?,
            session_key: reader.key(2)?.bytes()?,
            boot: Boot::decode(reader.key(3)?)?,
            configuration: reader.key(4)?.bytes()?,
            owners: reader.key(5)?.list(|reader| reader.bytes())?,
            volume: Volume::decode(reader.key(6)?)?,
            freshness: Freshness::decode(reader.key(7)?)?,
            apps: reader.key(8)?.list(AppClaims::decode)?,
            operator: reader.key(9)?.optional_bytes()?,
            image_upgrade: ImageUpgradeClaim::decode(reader.key(10)?)?,
            made: reader.key(11)?.uint()?,
            platform: PlatformClaim::decode(reader.key(12)?)?,
            issuers: issuer::decode(reader.key(13)?)?,
            lineage: reader.key(14)?.list(|reader| reader.bytes())?,
        };
        reader.end()?;
        ascending(&claims.owners, |owner| owner, "owners")?;
        ascending(&claims.apps, |app| &app.name, "apps")?;
        check_lineage(&claims.lineage)?;
        Ok(claims)
    }

    /// The app of this name.
    pub fn app(&self, name: &AppName) -> Option<&AppClaims> {
        self.apps.iter().find(|app| app.name == *name)
    }

    /// What certificates show of all apps together: SHA-256 over name, a zero byte and code hash of each, in the claims'
    /// order.
    pub fn apps_hash(&self) -> [u8; HASH_LEN] {
        let parts = |app: &AppClaims| [app.name.as_str().as_bytes(), &[0], &app.code_hash].concat();
        sha256(&self.apps.iter().flat_map(parts).collect::<Vec<u8>>())
    }
}

impl Boot {
    fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        reader.map_of(3)?;
        Ok(Self {
            id: reader.key(0)?.bytes()?,
            told_time: reader.key(1)?.uint()?,
            counter: reader.key(2)?.uint()?,
        })
    }
}

impl Volume {
    fn decode(reader: &mut Reader<'_>) -> Result<Option<Self>, ClaimsError> {
        if reader.null() {
            return Ok(None);
        }
        reader.map_of(2)?;
        Ok(Some(Self { epoch: reader.key(0)?.uint()?, root: reader.key(1)?.bytes()? }))
    }
}

impl Freshness {
    fn encode(self, writer: &mut Writer) {
        match self {
            Self::None => writer.uint(0),
            Self::Tpm { identity } => {
                writer.array(2);
                writer.uint(1);
                writer.bytes(&identity);
            }
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        let unknown = ClaimsError::Shape { expected: "a known freshness anchor" };
        if !reader.is_array() {
            return if reader.uint()? == 0 { Ok(Self::None) } else { Err(unknown) };
        }
        match (reader.array()?, reader.uint()?) {
            (2, 1) => Ok(Self::Tpm { identity: reader.bytes()? }),
            _ => Err(unknown),
        }
    }
}

/// REPORTDATA of a quote over these encoded claims: their SHA-256, then 32 zero bytes.
pub fn report_data(claims: &[u8]) -> [u8; 64] {
    let mut data = [0; 64];
    data[..HASH_LEN].copy_from_slice(&sha256(claims));
    data
}

/// SHA-256 of the canonical encoding of the sorted array of names. Also that of the keys of a configuration.
pub fn environment_hash<'a>(names: impl IntoIterator<Item = &'a str>) -> [u8; HASH_LEN] {
    let mut names = Vec::from_iter(names);
    names.sort_unstable();
    let mut writer = Writer::default();
    writer.array(names.len());
    names.into_iter().for_each(|name| writer.text(name));
    sha256(&writer.finish())
}

/// SHA-256 of the canonical encoding of the array of these certificates, each DER in a byte string, ascending, none
/// twice.
pub fn roots_hash<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> [u8; HASH_LEN] {
    let mut certificates = Vec::from_iter(certificates);
    certificates.sort_unstable();
    certificates.dedup();
    let mut writer = Writer::default();
    writer.array(certificates.len());
    certificates.into_iter().for_each(|certificate| writer.bytes(certificate));
    sha256(&writer.finish())
}

fn check_lineage(images: &[[u8; HASH_LEN]]) -> Result<(), ClaimsError> {
    let is_twice = |(at, image): (usize, &[u8; HASH_LEN])| images[..at].contains(image);
    if images.len() > MAX_LINEAGE || images.iter().enumerate().any(is_twice) {
        return Err(ClaimsError::Shape {
            expected: "at most 64 images that held the volume's key, each once",
        });
    }
    Ok(())
}

fn ascending<T, K: Ord + ?Sized>(
    list: &[T],
    key: impl Fn(&T) -> &K,
    what: &'static str,
) -> Result<(), ClaimsError> {
    if list.is_sorted_by(|a, b| key(a) < key(b)) { Ok(()) } else { Err(ClaimsError::Order(what)) }
}

/// The version of the claims that this crate writes and reads.
pub(crate) const VERSION: u64 = 5;
/// Entries of the map.
const ENTRIES: u64 = 15;
/// Images that [`Claims::lineage`] names at most: as many as a volume can.
pub const MAX_LINEAGE: usize = 64;

#[cfg(test)]
mod tests;
