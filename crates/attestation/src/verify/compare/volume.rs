//! What is expected of the sealed volume.

use super::{Compared, Subject, not_asked, passed, result};
use crate::verify::{Check, CheckResult, FreshnessDemand, Policy};
use crate::{Claims, Freshness, HASH_LEN, Volume};

pub(super) fn compare(
    claims: &Subject<'_, Claims>,
    present: Option<Volume>,
    policy: &Policy,
) -> [CheckResult; 4] {
    [
        result(Check::Volume, claims.compare(|claims| volume(claims, present))),
        result(Check::MinimumEpoch, minimum_epoch(present, policy.minimum_epoch)),
        result(Check::VolumeRoot, volume_root(present, policy.volume_root)),
        result(Check::Freshness, claims.compare(|claims| freshness(claims, policy.freshness))),
    ]
}

/// The claims are as old as the quote, the present state is signed for this session: it cannot be the older one.
fn volume(claims: &Claims, present: Option<Volume>) -> Compared {
    match (claims.volume, present) {
        (None, None) => not_asked("the enclave keeps nothing across restarts"),
        (Some(_), None) => {
            Err("the claims name a volume, and its present state is not signed for this session".to_owned())
        }
        (None, Some(_)) => {
            Err("a state of a volume is signed for this session, and the claims name none".to_owned())
        }
        (Some(claimed), Some(present)) if claimed.epoch > present.epoch => Err(format!(
            "the claims were made at epoch {}, and the volume is said to be at epoch {} now: it cannot have become \
             older",
            claimed.epoch, present.epoch
        )),
        (Some(claimed), Some(present)) if claimed.epoch == present.epoch && claimed.root != present.root => {
            Err(format!("two roots are said to be that of epoch {}", present.epoch))
        }
        (Some(_), Some(present)) => {
            passed(format!("at epoch {}, root {}", present.epoch, hex::encode(present.root)))
        }
    }
}

fn minimum_epoch(present: Option<Volume>, demanded: Option<u64>) -> Compared {
    match (demanded, present) {
        (None, _) => not_asked("this policy accepts any epoch"),
        (Some(least), None) => Err(format!(
            "the enclave keeps nothing, and the policy demands a volume at epoch {least} or later"
        )),
        (Some(least), Some(present)) if present.epoch < least => Err(format!(
            "the volume is at epoch {}, and the policy demands at least {least}: the host may have put back an older \
             disk",
            present.epoch
        )),
        (Some(least), Some(present)) => passed(format!("at epoch {}, at least {least}", present.epoch)),
    }
}

fn volume_root(present: Option<Volume>, demanded: Option<[u8; HASH_LEN]>) -> Compared {
    match (demanded, present) {
        (None, _) => not_asked("this policy accepts any state"),
        (Some(root), Some(present)) if present.root == root => passed(hex::encode(root)),
        (Some(root), Some(present)) => Err(format!(
            "it is {} at epoch {}, and {} is expected: the volume holds another state",
            hex::encode(present.root),
            present.epoch,
            hex::encode(root)
        )),
        (Some(root), None) => {
            Err(format!("the enclave keeps nothing, and {} is expected", hex::encode(root)))
        }
    }
}

fn freshness(claims: &Claims, demanded: FreshnessDemand) -> Compared {
    match (claims.freshness, demanded) {
        (Freshness::None, FreshnessDemand::Any) if claims.volume.is_none() => {
            not_asked("the enclave keeps nothing across restarts")
        }
        (Freshness::None, FreshnessDemand::Any) => not_asked(
            "no anchor keeps the host from putting back an older disk at a restart; the epoch alone can be pinned",
        ),
        (Freshness::Tpm { identity }, FreshnessDemand::Any) => {
            not_asked(format!("a TPM's counter, {}; this policy accepts any", hex::encode(identity)))
        }
        (Freshness::None, FreshnessDemand::None) => passed("no anchor"),
        (Freshness::Tpm { identity }, FreshnessDemand::None) => {
            Err(format!("the volume is anchored in the TPM {}, and no anchor is expected", hex::encode(identity)))
        }
        (Freshness::None, FreshnessDemand::Tpm { .. }) => Err(
            "no anchor protects the volume, and the policy demands a TPM's counter: at a restart the host can put \
             back an older disk"
                .to_owned(),
        ),
        (Freshness::Tpm { identity }, FreshnessDemand::Tpm { identity: None }) => {
            passed(format!("a TPM's counter, {}; this policy accepts any TPM", hex::encode(identity)))
        }
        (Freshness::Tpm { identity }, FreshnessDemand::Tpm { identity: Some(expected) }) if identity == expected => {
            passed(format!("the TPM's counter {}", hex::encode(identity)))
        }
        (Freshness::Tpm { identity }, FreshnessDemand::Tpm { identity: Some(expected) }) => Err(format!(
            "the volume is anchored in the TPM {}, and {} is expected",
            hex::encode(identity),
            hex::encode(expected)
        )),
    }
}
