//! What is expected of the enclave as a whole: which one it is, how it was started, who rules it, who may follow it.

use super::{Compared, Subject, accepted, in_hex, listed, not_asked, others, passed, result};
use crate::verify::{Accepted, Check, CheckResult, Measurement, OtherApps, Policy};
use crate::{Claims, HASH_LEN, IssuerClaim};
use cloister_api::ImageUpgrade;

pub(super) fn compare(claims: &Subject<'_, Claims>, policy: &Policy) -> [CheckResult; 9] {
    let check = |check, compare: fn(&Claims, &Policy) -> Compared| {
        result(check, claims.compare(|claims| compare(claims, policy)))
    };
    [
        check(Check::Identity, identity),
        check(Check::BootConfiguration, boot_configuration),
        check(Check::BootCounter, boot_counter),
        check(Check::Operator, operator),
        check(Check::Owners, owners),
        check(Check::OwnerIssuers, |claims, policy| issuers(&claims.issuers, policy.issuers.as_deref())),
        check(Check::ImageUpgrade, image_upgrade),
        check(Check::Lineage, lineage),
        check(Check::OtherApps, other_apps),
    ]
}

/// Those whose tokens are accepted, against those that may be.
pub(super) fn issuers(found: &[IssuerClaim], most: Option<&[[u8; HASH_LEN]]>) -> Compared {
    let show = |issuer: &IssuerClaim| {
        let IssuerClaim { name, issuer: url, .. } = issuer;
        format!("{name} ({url}, {})", hex::encode(issuer.hash()))
    };
    let shown = listed(found, show);
    let Some(most) = most else { return not_asked(format!("{shown}; this policy accepts any")) };
    let others = Vec::from_iter(found.iter().filter(|issuer| !most.contains(&issuer.hash())));
    if others.is_empty() {
        return passed(shown);
    }
    Err(format!("the policy does not accept {}", listed(&others, |issuer| show(issuer))))
}

/// By the claimed key, which the check of the TLS key compares with that of the session.
fn identity(claims: &Claims, policy: &Policy) -> Compared {
    accepted(&claims.tls_key, &policy.identity, in_hex)
        .map_err(|reason| format!("{reason}: another enclave answers, or this one with another volume"))
}

fn boot_configuration(claims: &Claims, policy: &Policy) -> Compared {
    accepted(&claims.configuration, &Accepted::from(policy.boot_configuration), in_hex)
}

fn boot_counter(claims: &Claims, policy: &Policy) -> Compared {
    let found = claims.boot.counter;
    match policy.minimum_boot_counter {
        None => not_asked(format!("{found}; this policy accepts any")),
        Some(least) if found < least => Err(format!(
            "this is start {found} of the volume, and the policy demands at least {least}: the host may have put back an \
             older disk"
        )),
        Some(least) => passed(format!("{found}, at least {least}")),
    }
}

fn operator(claims: &Claims, policy: &Policy) -> Compared {
    accepted(&claims.operator, &policy.operator, |operator| match operator {
        Some(key) => hex::encode(key),
        None => "none".to_owned(),
    })
}

fn owners(claims: &Claims, policy: &Policy) -> Compared {
    let shown = listed(&claims.owners, in_hex);
    let Some(most) = &policy.owners else { return not_asked(format!("{shown}; this policy accepts any")) };
    match others(&claims.owners, most, in_hex) {
        Some(others) => Err(format!("the policy does not accept {others}")),
        None => passed(shown),
    }
}

fn image_upgrade(claims: &Claims, policy: &Policy) -> Compared {
    let shown = ImageUpgrade::from(&claims.image_upgrade).to_string();
    match &policy.image_upgrade {
        Accepted::Any => not_asked(format!("{shown}; this policy accepts any")),
        Accepted::OneOf(list) if list.iter().any(|most| claims.image_upgrade.is_within(most)) => {
            passed(shown)
        }
        Accepted::OneOf(list) => {
            let list = listed(list, |claim| ImageUpgrade::from(claim).to_string());
            Err(format!(
                "the volume may be handed to other images by {shown}, and by no more than {list} is accepted"
            ))
        }
    }
}

/// What held the volume's key before.
fn lineage(claims: &Claims, policy: &Policy) -> Compared {
    let shown = listed(&claims.lineage, in_hex);
    let Accepted::OneOf(former) = &policy.lineage else {
        return not_asked(format!("{shown}; this policy accepts any"));
    };
    let images = match &policy.mrenclave {
        Measurement::Exactly(images) => [&images[..], former].concat(),
        Measurement::Any => former.clone(),
    };
    match others(&claims.lineage, &images, in_hex) {
        Some(others) => Err(format!(
            "the image {others} held the volume's key before, and could have kept it and put anything into the volume; \
             this policy does not accept it"
        )),
        None => passed(shown),
    }
}

fn other_apps(claims: &Claims, policy: &Policy) -> Compared {
    let others = claims.apps.iter().filter(|app| !policy.apps.contains_key(&app.name));
    let others = Vec::from_iter(others.map(|app| app.name.to_string()));
    let shown = listed(&others, Clone::clone);
    match policy.other_apps {
        OtherApps::Allowed => not_asked(format!("{shown}; this policy accepts any")),
        OtherApps::Refused if others.is_empty() => passed("none"),
        OtherApps::Refused => {
            Err(format!("there is {shown}, and this policy accepts no app that it does not name"))
        }
    }
}
