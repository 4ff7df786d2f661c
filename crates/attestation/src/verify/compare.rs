mod apps;

use super::extract::{Extracted, ForeignRoot};
use super::{
    Check, CheckResult, FreshnessDemand, Measurement, Observed, Outcome, Platform, Policy, Presented,
    TcbStatus, TrustAnchor, VerificationReport, app_of_host,
};
use crate::claims::VERSION;
use crate::{Claims, Freshness, HASH_LEN, Volume, report_data, sha256};
use dcap_qvl::quote::EnclaveReport;

/// Makes every check of the policy. What a check needs and could not be extracted fails it.
pub(super) fn compare(
    extracted: &Extracted,
    presented: &Presented<'_>,
    observed: &Observed<'_>,
    policy: &Policy,
) -> VerificationReport {
    let claims = extracted.claims.as_ref().map_err(|_| "the claims cannot be read".to_owned());
    let quote = extracted.quote.as_ref().map_err(|_| "the quote cannot be read".to_owned());
    let mut checks = vec![
        result(Check::Claims, readable_claims(extracted)),
        result(Check::Quote, readable_quote(extracted)),
        result(Check::RootOfTrust, root_of_trust(extracted, &policy.anchor)),
        result(Check::Signatures, signatures(extracted)),
        result(Check::TcbStatus, tcb_status(extracted, &policy.tcb)),
        result(Check::Debug, quote.clone().and_then(not_debuggable)),
        result(Check::MrEnclave, quote.clone().and_then(|quote| measurement(quote, &policy.mrenclave))),
        result(Check::ClaimsQuoted, quote.and_then(|quote| claims_quoted(quote, presented))),
        result(Check::TlsKey, claims.clone().and_then(|claims| tls_key(claims, extracted))),
        result(Check::SessionBinding, claims.clone().and_then(|claims| binding(claims, presented, observed))),
        result(
            Check::CertificateCodeHash,
            claims.clone().and_then(|claims| certificate_code_hash(claims, extracted, observed)),
        ),
        result(
            Check::CertificateClaims,
            claims.clone().and_then(|claims| certificate_claims(claims, extracted, presented, observed)),
        ),
    ];
    checks.extend(apps::compare(claims.clone(), policy));
    checks.extend([
        result(Check::Volume, claims.clone().and_then(|claims| volume(claims, presented.volume))),
        result(Check::MinimumEpoch, minimum_epoch(presented.volume, policy.minimum_epoch)),
        result(Check::VolumeRoot, volume_root(presented.volume, policy.volume_root)),
        result(Check::Freshness, claims.and_then(|claims| freshness(claims, policy.freshness))),
    ]);
    VerificationReport { platform: platform(extracted, &policy.anchor), checks }
}

/// `Err` is the reason of a failure.
type Compared = Result<Outcome, String>;

fn result(check: Check, outcome: Compared) -> CheckResult {
    CheckResult { check, outcome: outcome.unwrap_or_else(|reason| Outcome::Failed { reason }) }
}

fn platform(extracted: &Extracted, anchor: &TrustAnchor) -> Platform {
    match (&extracted.root, anchor) {
        (Err(_), _) => Platform::Unknown,
        (Ok(_), TrustAnchor::Intel) => Platform::Hardware,
        (Ok(_), TrustAnchor::Simulated { root_fingerprint }) => {
            Platform::Simulated { root: *root_fingerprint }
        }
    }
}

fn readable_claims(extracted: &Extracted) -> Compared {
    match &extracted.claims {
        Ok(_) => passed(format!("canonical, version {VERSION}")),
        Err(error) => Err(error.to_string()),
    }
}

fn readable_quote(extracted: &Extracted) -> Compared {
    extracted.quote.as_ref().map_err(Clone::clone)?;
    passed("an SGX DCAP quote")
}

fn root_of_trust(extracted: &Extracted, anchor: &TrustAnchor) -> Compared {
    match (&extracted.root, anchor) {
        (Ok(_), TrustAnchor::Intel) => passed("Intel SGX Root CA"),
        (Ok(_), TrustAnchor::Simulated { root_fingerprint }) => {
            passed(format!("SIMULATED, the pinned root {}", hex::encode(root_fingerprint)))
        }
        (Err(ForeignRoot::None), _) => Err("the quote has no readable certificate chain".to_owned()),
        (Err(ForeignRoot::Other { fingerprint, subject }), TrustAnchor::Intel) => Err(format!(
            "the quote is rooted in \"{subject}\", not in Intel's root: no SGX hardware is proven. If this is a soft \
             platform that you mean to use, accept its root {}",
            hex::encode(fingerprint)
        )),
        (Err(ForeignRoot::Other { fingerprint, subject }), TrustAnchor::Simulated { root_fingerprint }) => {
            Err(format!(
                "the quote is rooted in \"{subject}\" with the fingerprint {}, and the soft platform {} is expected",
                hex::encode(fingerprint),
                hex::encode(root_fingerprint)
            ))
        }
    }
}

fn signatures(extracted: &Extracted) -> Compared {
    extracted.signatures.as_ref().map_err(Clone::clone)?;
    passed("from the root down to the enclave's report, against collateral that is valid now")
}

fn tcb_status(extracted: &Extracted, accepted: &[TcbStatus]) -> Compared {
    match &extracted.signatures {
        Err(_) => Err("the platform's status is not known, since the signatures do not verify".to_owned()),
        Ok(status) if accepted.contains(status) && *status != TcbStatus::Revoked => {
            passed(format!("{status}"))
        }
        Ok(status) => Err(format!("the platform is {status}, which this policy does not accept")),
    }
}

fn not_debuggable(quote: &EnclaveReport) -> Compared {
    let [flags, ..] = quote.attributes;
    if flags & ATTRIBUTES_DEBUG != 0 {
        return Err("the enclave runs in debug mode: its host can read and change all of it".to_owned());
    }
    passed("off")
}

fn measurement(quote: &EnclaveReport, expected: &Measurement) -> Compared {
    let found = hex::encode(quote.mr_enclave);
    match expected {
        Measurement::Any => not_asked(format!("{found}; this policy accepts any")),
        Measurement::Exactly(list) if list.contains(&quote.mr_enclave) => passed(found),
        Measurement::Exactly(list) if list.is_empty() => Err(format!(
            "it is {found}, and no MRENCLAVE is expected: say which image you trust, or that any will do"
        )),
        Measurement::Exactly(list) => {
            let list = Vec::from_iter(list.iter().map(hex::encode)).join(" or ");
            Err(format!("it is {found}, and {list} is expected: another image runs there"))
        }
    }
}

fn claims_quoted(quote: &EnclaveReport, presented: &Presented<'_>) -> Compared {
    if quote.report_data != report_data(presented.claims) {
        return Err("the quote is over other data than the hash of these claims".to_owned());
    }
    passed("the quote is over the hash of the claims")
}

fn tls_key(claims: &Claims, extracted: &Extracted) -> Compared {
    match &extracted.tls_key {
        Err(reason) => Err(reason.clone()),
        Ok(key) if *key == claims.tls_key => {
            passed("the key of this session's certificate is the claimed one")
        }
        Ok(_) => Err("the key of this session's certificate is not the claimed one".to_owned()),
    }
}

fn binding(claims: &Claims, presented: &Presented<'_>, observed: &Observed<'_>) -> Compared {
    let Presented { claims: encoded, volume, signature, .. } = *presented;
    observed.binding.verify(encoded, volume, &claims.session_key, signature).map_err(|error| {
        format!("{error}. The evidence may be of another session, relayed by whoever answers here")
    })?;
    passed("signed for this session and nonce")
}

fn certificate_code_hash(claims: &Claims, extracted: &Extracted, observed: &Observed<'_>) -> Compared {
    let Some(found) = extracted.statements.as_ref().map_err(Clone::clone)?.code_hash else {
        return not_asked("the certificate carries none");
    };
    let app = app_of_host(observed.server_name).and_then(|name| claims.app(&name));
    match app {
        Some(app) if app.code_hash == found => {
            passed(format!("{}, as claimed for {}", hex::encode(found), app.name))
        }
        Some(app) => Err(format!(
            "it is {}, and the claims say {} of {}",
            hex::encode(found),
            hex::encode(app.code_hash),
            app.name
        )),
        None => Err(no_app(observed)),
    }
}

/// The certificate is as old as the handshake: where the claims have changed since, it rightly says other things.
fn certificate_claims(
    claims: &Claims,
    extracted: &Extracted,
    presented: &Presented<'_>,
    observed: &Observed<'_>,
) -> Compared {
    let said = extracted.statements.as_ref().map_err(Clone::clone)?;
    if said.is_empty() {
        return not_asked("the certificate carries none");
    }
    if said.evidence.is_some_and(|hash| hash != sha256(presented.claims)) {
        return not_asked(
            "the certificate is of other claims of this enclave: they changed after the handshake",
        );
    }
    if said.boot_configuration.is_some_and(|hash| hash != claims.configuration) {
        return Err("it has another hash of the boot configuration than the claims".to_owned());
    }
    if said.apps.is_some_and(|hash| hash != claims.apps_hash()) {
        return Err("it has another hash of all apps than the claims".to_owned());
    }
    if said.app_configuration.is_none() && said.values.is_empty() {
        return passed("of the boot configuration and of all apps, as claimed");
    }
    let app = app_of_host(observed.server_name).and_then(|name| claims.app(&name));
    let app = app.ok_or_else(|| no_app(observed))?;
    let claimed = app.hash().map_err(|error| error.to_string())?;
    if said.app_configuration.is_some_and(|hash| hash != claimed) {
        return Err(format!("it has another configuration root of {} than the claims", app.name));
    }
    let other = said.values.iter().find(|(suffix, value)| !app.vouches_for(*suffix, value));
    if let Some((suffix, _)) = other {
        return Err(format!("its extension {suffix} is not what the claims say of {}", app.name));
    }
    let shown = |suffix| said.values.iter().any(|(number, _)| *number == suffix);
    if let Some((suffix, _)) = app.extensions.iter().find(|(suffix, _)| !shown(*suffix)) {
        return Err(format!("it lacks the extension {suffix} that the claims say of {}", app.name));
    }
    passed(format!(
        "of the boot configuration, of all apps, and of {} with what it shows, as claimed",
        app.name
    ))
}

fn no_app(observed: &Observed<'_>) -> String {
    format!("the claims list no app for the host name {:?}", observed.server_name)
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

fn passed(detail: impl Into<String>) -> Compared {
    Ok(Outcome::Passed { detail: detail.into() })
}

fn not_asked(why: impl Into<String>) -> Compared {
    Ok(Outcome::NotAsked { why: why.into() })
}

/// ATTRIBUTES.DEBUG, bit 1 (Intel SDM volume 3D, table 38-3).
const ATTRIBUTES_DEBUG: u8 = 1 << 1;
