use super::TcbStatus;
use crate::{AssetsClaim, HASH_LEN};
use cloister_api::{AppName, NetworkPolicy};
use std::collections::BTreeMap;

/// What a relying party accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Under which root quotes have to verify.
    pub anchor: TrustAnchor,
    pub mrenclave: Measurement,
    /// Statuses of the platform's trusted computing base that are good enough.
    pub tcb: Vec<TcbStatus>,
    /// What is expected of each of these apps. Others may be and do what they like.
    pub apps: BTreeMap<AppName, AppExpectation>,
    /// The oldest state of the volume that is acceptable: a number of commits, such as the one of the last call whose
    /// result must not be forgotten.
    pub minimum_epoch: Option<u64>,
    /// Root of the only acceptable state of the volume. It covers the epoch, so it pins both.
    pub volume_root: Option<[u8; HASH_LEN]>,
    pub freshness: FreshnessDemand,
}

impl Policy {
    /// A policy with the two decisions that nobody can make for a relying party: whose hardware, and which image.
    /// Of the rest it accepts an up-to-date platform alone, and expects no particular app and no particular volume.
    pub fn new(anchor: TrustAnchor, mrenclave: Measurement) -> Self {
        Self {
            anchor,
            mrenclave,
            tcb: vec![TcbStatus::UpToDate],
            apps: BTreeMap::new(),
            minimum_epoch: None,
            volume_root: None,
            freshness: FreshnessDemand::Any,
        }
    }

    /// The same policy that expects this code under this app's name.
    pub fn with_app(mut self, name: AppName, code_hash: [u8; HASH_LEN]) -> Self {
        self.app(name).code_hash = Some(code_hash);
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

/// What a relying party expects of one app. As long as nothing is said: whatever it is, but not one that its owner has
/// yet to configure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppExpectation {
    /// SHA-256 of the `.wasm` that has to answer under its name.
    pub code_hash: Option<[u8; HASH_LEN]>,
    /// The most that it may be allowed on the network: rules within these are accepted, also fewer or narrower ones.
    pub network: Option<NetworkPolicy>,
    /// The read-only files that it must have.
    pub assets: Option<AssetsClaim>,
    /// SHA-256 of what it must show in its certificates, by the number that ends the object identifier. It may show more.
    pub extensions: BTreeMap<u32, [u8; HASH_LEN]>,
    pub configuration: ConfigurationDemand,
}

/// Which states of an app's configuration are accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigurationDemand {
    /// All but the one in which the app awaits its configuration.
    #[default]
    Settled,
    /// Any: for whoever is about to configure it.
    Any,
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
