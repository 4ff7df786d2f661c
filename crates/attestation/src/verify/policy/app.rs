//! What is expected of one app.

use super::Accepted;
use crate::{AssetsClaim, HASH_LEN};
use cloister_api::{CallerPolicy, NetworkPolicy};
use std::collections::BTreeMap;

/// What a relying party expects of one app. As long as nothing is said: whatever it is, but not one that its owner has
/// yet to configure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppExpectation {
    /// Whether it has to be there. What is expected of it fails without it in any case.
    pub presence: Presence,
    /// SHA-256 of the `.wasm` that has to answer under its name.
    pub code: Accepted<[u8; HASH_LEN]>,
    /// Whose it is, named as claims name owners.
    pub owner: Accepted<[u8; HASH_LEN]>,
    /// What may take its place.
    pub upgrade: Accepted<UpgradeDemand>,
    /// The only keys that may be among those that endorse its upgrades. Says nothing of upgrades that take no endorsement.
    pub endorsers: Option<Vec<[u8; HASH_LEN]>>,
    /// How many of them have to endorse an upgrade at least. Says nothing of upgrades that take no endorsement.
    pub minimum_endorsements: Option<u8>,
    /// The most that it may admit: each of its rules has to be one of these, or narrower. An app without rules admits nobody.
    /// Rules name issuers of tokens by names that the owner gave them: where a rule about tokens is accepted, pin
    /// [`issuers`](Self::issuers) too.
    pub callers: Option<CallerPolicy>,
    /// The only issuers whose tokens its callers may show: [`IssuerClaim::hash`](crate::IssuerClaim::hash) of each.
    pub issuers: Option<Vec<[u8; HASH_LEN]>>,
    /// The most that it may be allowed on the network: rules within these are accepted, also fewer or narrower ones.
    pub network: Option<NetworkPolicy>,
    /// The read-only files that it must have.
    pub assets: Option<AssetsClaim>,
    /// SHA-256 of what it must show in its certificates, by the number that ends the object identifier. It may show more.
    pub extensions: BTreeMap<u32, [u8; HASH_LEN]>,
    pub configuration: ConfigurationDemand,
    /// Under which roots it accepts quotes of other enclaves beside Intel's: [`roots_hash`](crate::roots_hash) of them, or
    /// `None` for no others.
    pub quote_roots: Accepted<Option<[u8; HASH_LEN]>>,
}

/// Whether an app has to be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// It may be absent, where nothing else is expected of it.
    #[default]
    Optional,
    /// It has to be there.
    Required,
}

/// Kinds of rules about what may take an app's place while its data stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeDemand {
    /// Nothing may.
    Frozen,
    /// What its owner puts there.
    Owner,
    /// What its owner puts there and others endorsed.
    Endorsed,
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
