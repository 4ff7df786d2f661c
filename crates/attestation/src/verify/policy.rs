mod app;

pub use app::{AppExpectation, ConfigurationDemand, Presence, UpgradeDemand};

use super::TcbStatus;
use crate::{AssetsClaim, HASH_LEN, ImageUpgradeClaim};
use cloister_api::{AppName, NetworkPolicy};
use std::collections::BTreeMap;
use std::time::Duration;

/// What a relying party accepts. Whatever a field leaves open is reported as "not asked", with what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Under which root quotes have to verify.
    pub anchor: TrustAnchor,
    pub mrenclave: Measurement,
    /// MRSIGNER: SHA-256 of the key that signed the image.
    pub mrsigner: Accepted<[u8; HASH_LEN]>,
    /// ISVPRODID: which of its signer's products it is.
    pub isv_prod_id: Accepted<u16>,
    /// The least ISVSVN, the image's security version.
    pub minimum_isv_svn: Option<u16>,
    /// Statuses of the platform's trusted computing base that are good enough. A revoked one is refused whatever this says.
    pub tcb: Vec<TcbStatus>,
    /// Intel's advisories that the platform may be subject to: every one that its TCB level, or that of its quoting enclave,
    /// names has to be among these.
    pub advisories: Accepted<String>,
    /// Family, model, stepping, platform type and custom SKU of the processor, as its PCK certificate says.
    pub fmspc: Accepted<[u8; 6]>,
    /// Which machine it is: the platform provisioning identifier in its PCK certificate, 16 bytes.
    pub ppid: Accepted<Vec<u8>>,
    /// How long ago the claims may have been made and quoted, as the host told the enclave the time. See
    /// `docs/design/evidence.md` for what that is worth.
    pub maximum_quote_age: Option<Duration>,
    /// How long ago Intel may have issued the TCB info and the quoting enclave's identity, whichever is older.
    pub maximum_collateral_age: Option<Duration>,
    /// Which single enclave it is: the fingerprint of its TLS key, SHA-256 of the SubjectPublicKeyInfo. The key is made at the
    /// volume's first start, is kept in it, and goes with it to another image: this tells one enclave from a twin of the same
    /// image, platform, configuration, owner and code, and not from a copy of its own volume.
    pub identity: Accepted<[u8; HASH_LEN]>,
    /// SHA-256 of the boot configuration.
    pub boot_configuration: Option<[u8; HASH_LEN]>,
    /// SHA-256 of the operator's SubjectPublicKeyInfo; `None` for an enclave without operator.
    pub operator: Accepted<Option<[u8; HASH_LEN]>>,
    /// The only ones who may be owners, named as claims name them. Where a token's subject is among them, pin
    /// [`issuers`](Self::issuers) too.
    pub owners: Option<Vec<[u8; HASH_LEN]>>,
    /// The only issuers whose tokens may name owners: [`IssuerClaim::hash`](crate::IssuerClaim::hash) of each.
    pub issuers: Option<Vec<[u8; HASH_LEN]>>,
    /// To which other images the volume may be handed: the claimed rule has to be within one of these.
    pub image_upgrade: Accepted<ImageUpgradeClaim>,
    /// MRENCLAVE of other images that may have held the volume's key before, beside those that [`mrenclave`](Self::mrenclave)
    /// accepts: each could have kept the key, and put anything into the volume.
    pub lineage: Accepted<[u8; HASH_LEN]>,
    /// The least number of starts that the volume has to have seen.
    pub minimum_boot_counter: Option<u64>,
    /// What is expected of each of these apps.
    pub apps: BTreeMap<AppName, AppExpectation>,
    /// Whether there may be other apps than these.
    pub other_apps: OtherApps,
    /// The oldest state of the volume that is acceptable: a number of commits, such as the one of the last call whose
    /// result must not be forgotten.
    pub minimum_epoch: Option<u64>,
    /// Root of the only acceptable state of the volume. It covers the epoch, so it pins both.
    pub volume_root: Option<[u8; HASH_LEN]>,
    pub freshness: FreshnessDemand,
}

impl Policy {
    /// A policy with the two decisions that nobody can make for a relying party: whose hardware, and which image.
    /// Of the rest it accepts an up-to-date platform alone, and expects no particular app and no particular volume. Where it
    /// expects an image, it accepts no volume that another one held.
    pub fn new(anchor: TrustAnchor, mrenclave: Measurement) -> Self {
        let lineage = match mrenclave {
            Measurement::Any => Accepted::Any,
            Measurement::Exactly(_) => Accepted::OneOf(Vec::new()),
        };
        Self {
            anchor,
            mrenclave,
            mrsigner: Accepted::Any,
            isv_prod_id: Accepted::Any,
            minimum_isv_svn: None,
            tcb: vec![TcbStatus::UpToDate],
            advisories: Accepted::Any,
            fmspc: Accepted::Any,
            ppid: Accepted::Any,
            maximum_quote_age: None,
            maximum_collateral_age: None,
            identity: Accepted::Any,
            boot_configuration: None,
            operator: Accepted::Any,
            owners: None,
            issuers: None,
            image_upgrade: Accepted::Any,
            lineage,
            minimum_boot_counter: None,
            apps: BTreeMap::new(),
            other_apps: OtherApps::Allowed,
            minimum_epoch: None,
            volume_root: None,
            freshness: FreshnessDemand::Any,
        }
    }

    /// The same policy that expects this code under this app's name.
    pub fn with_app(mut self, name: AppName, code_hash: [u8; HASH_LEN]) -> Self {
        self.app(name).code = Accepted::OneOf(vec![code_hash]);
        self
    }

    /// The same policy that accepts no network rule of this app beyond these.
    pub fn with_network(mut self, name: AppName, most: NetworkPolicy) -> Self {
        self.app(name).network = Some(most);
        self
    }

    /// The same policy that expects these assets of this app.
    pub fn with_assets(mut self, name: AppName, assets: AssetsClaim) -> Self {
        self.app(name).assets = Some(assets);
        self
    }

    /// The same policy that expects the value with this SHA-256 in this app's certificates, under this number.
    pub fn with_extension(mut self, name: AppName, suffix: u32, hash: [u8; HASH_LEN]) -> Self {
        self.app(name).extensions.insert(suffix, hash);
        self
    }

    /// The same policy that demands this of the app's configuration.
    pub fn with_configuration(mut self, name: AppName, demand: ConfigurationDemand) -> Self {
        self.app(name).configuration = demand;
        self
    }

    /// What is expected of this app, to be added to.
    pub fn app(&mut self, name: AppName) -> &mut AppExpectation {
        self.apps.entry(name).or_default()
    }

    /// The same policy that accepts this status of the platform too.
    pub fn with_tcb_status(mut self, status: TcbStatus) -> Self {
        self.tcb.push(status);
        self
    }

    /// The same policy that accepts no state of the volume before this epoch.
    pub fn with_minimum_epoch(mut self, epoch: u64) -> Self {
        self.minimum_epoch = Some(epoch);
        self
    }

    /// The same policy that accepts the state of the volume with this root alone.
    pub fn with_volume_root(mut self, root: [u8; HASH_LEN]) -> Self {
        self.volume_root = Some(root);
        self
    }

    /// The same policy that demands this of the volume's freshness anchor.
    pub fn with_freshness(mut self, demand: FreshnessDemand) -> Self {
        self.freshness = demand;
        self
    }
}

/// The root of trust of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustAnchor {
    /// Intel's SGX Root CA: real hardware.
    Intel,
    /// The root of one soft platform. Evidence under it proves nothing about hardware, and every report says so.
    Simulated {
        /// SHA-256 of the root certificate in DER.
        root_fingerprint: [u8; HASH_LEN],
    },
}

/// Which values are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Accepted<T> {
    /// Whatever it is. The report says that nobody asked.
    #[default]
    Any,
    /// One of these; where there are none, nothing is.
    OneOf(Vec<T>),
}

impl<T> Accepted<T> {
    /// Whether it says anything.
    pub fn is_asked(&self) -> bool {
        matches!(self, Self::OneOf(_))
    }
}

/// Exactly the value; without one, any.
impl<T> From<Option<T>> for Accepted<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Any, |value| Self::OneOf(vec![value]))
    }
}

/// Whether an enclave may have apps of which a policy says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherApps {
    /// It may, and they may be and do what they like.
    #[default]
    Allowed,
    /// It may not.
    Refused,
}

/// Which MRENCLAVE is accepted. There is no default: an empty list accepts none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// One of these.
    Exactly(Vec<[u8; HASH_LEN]>),
    /// Whatever it is. The report says that nobody asked.
    Any,
}

/// What has to keep the host from putting back an older state of the volume while the enclave is down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FreshnessDemand {
    /// Whatever it is, nothing included. The report says that nobody asked.
    #[default]
    Any,
    /// Nothing: the volume is expected to have no anchor.
    None,
    /// The counter of a TPM 2.0.
    Tpm {
        /// Which one. Where it is not given any will do, a TPM in software that the host can rewind included.
        identity: Option<[u8; HASH_LEN]>,
    },
}
