use crate::{CollateralSource, Issuers, PolicyFile};
use cloister_attestation::verify::{
    Accepted, AppExpectation, ConfigurationDemand, FreshnessDemand, Measurement, OtherApps, Platform, Policy,
    Presence, TrustAnchor, UpgradeDemand, Verified,
};
use cloister_attestation::{AppClaims, ConfigurationClaim, Freshness, UpgradePolicy};
use std::time::Duration;

impl PolicyFile {
    /// The policy that accepts an enclave as it was found and nothing else: for a person to read, decide and relax. `None`
    /// where the evidence is rooted in nothing that a policy can name.
    pub fn of_found(verified: &Verified) -> Option<Self> {
        let (claims, facts) = (verified.claims(), verified.facts());
        let anchor = match verified.report().platform {
            Platform::Hardware => TrustAnchor::Intel,
            Platform::Simulated { root } => TrustAnchor::Simulated { root_fingerprint: root },
            Platform::Unknown => return None,
        };
        let issuers = claims.issuers.iter().chain(claims.apps.iter().flat_map(|app| &app.issuers));
        let issuers: Issuers = issuers.map(|issuer| (issuer.hash(), issuer.clone())).collect();
        let policy = Policy {
            anchor,
            mrenclave: Measurement::Exactly(vec![*verified.mrenclave()]),
            mrsigner: one(facts.mrsigner),
            isv_prod_id: one(facts.isv_prod_id),
            minimum_isv_svn: Some(facts.isv_svn),
            tcb: vec![facts.tcb_status],
            advisories: Accepted::OneOf(facts.advisories.clone()),
            fmspc: one(facts.fmspc),
            ppid: one(facts.ppid.clone()),
            maximum_quote_age: Some(QUOTE_AGE),
            maximum_collateral_age: Some(COLLATERAL_AGE),
            identity: one(claims.tls_key),
            boot_configuration: Some(claims.configuration),
            operator: one(claims.operator),
            owners: Some(claims.owners.clone()),
            issuers: Some(claims.issuers.iter().map(|issuer| issuer.hash()).collect()),
            image_upgrade: one(claims.image_upgrade.clone()),
            lineage: Accepted::OneOf(claims.lineage.clone()),
            minimum_boot_counter: Some(claims.boot.counter),
            apps: claims.apps.iter().map(|app| (app.name.clone(), expectation(app))).collect(),
            other_apps: OtherApps::Refused,
            minimum_epoch: verified.volume().map(|volume| volume.epoch),
            // Every write makes another one.
            volume_root: None,
            freshness: match claims.freshness {
                Freshness::None => FreshnessDemand::Any,
                Freshness::Tpm { identity } => FreshnessDemand::Tpm { identity: Some(identity) },
            },
        };
        Some(Self { policy, collateral: CollateralSource::Enclave, issuers })
    }
}

fn expectation(app: &AppClaims) -> AppExpectation {
    let (upgrade, endorsers, minimum_endorsements) = match &app.upgrade {
        UpgradePolicy::Frozen => (UpgradeDemand::Frozen, None, None),
        UpgradePolicy::Owner => (UpgradeDemand::Owner, None, None),
        UpgradePolicy::Endorsed { threshold, keys } => {
            (UpgradeDemand::Endorsed, Some(keys.clone()), Some(*threshold))
        }
    };
    AppExpectation {
        presence: Presence::Required,
        code: one(app.code_hash),
        owner: one(app.owner),
        upgrade: one(upgrade),
        endorsers,
        minimum_endorsements,
        callers: Some(app.callers.clone()),
        issuers: Some(app.issuers.iter().map(|issuer| issuer.hash()).collect()),
        network: Some(app.network.clone()),
        assets: app.assets.clone(),
        extensions: app.extensions.iter().copied().collect(),
        configuration: match app.configuration {
            ConfigurationClaim::NotNeeded | ConfigurationClaim::Complete => ConfigurationDemand::Settled,
            ConfigurationClaim::Awaited => ConfigurationDemand::Any,
        },
        quote_roots: one(app.quote_roots),
    }
}

fn one<T>(found: T) -> Accepted<T> {
    Accepted::OneOf(vec![found])
}

/// Enclaves make their claims anew when they are a day old; an hour is for the quote and for clocks.
const QUOTE_AGE: Duration = Duration::from_secs(25 * 3600);
/// Intel's lists are valid for 30 days.
const COLLATERAL_AGE: Duration = Duration::from_secs(30 * 86_400);
