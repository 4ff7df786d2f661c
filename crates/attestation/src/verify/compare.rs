mod age;
mod apps;
mod certificate;
mod enclave;
mod image;
mod platform;
mod volume;

use super::extract::Extracted;
use super::{Accepted, Check, CheckResult, Observed, Outcome, Policy, Presented, VerificationReport};
use crate::claims::VERSION;
use crate::{Claims, report_data};
use dcap_qvl::quote::EnclaveReport;
use std::time::SystemTime;

/// Makes every check of the policy.
///
/// A check whose subject could not be read or verified is "not asked": it is another check that has failed then, and the
/// evidence with it.
pub(super) fn compare(
    extracted: &Extracted,
    presented: &Presented<'_>,
    observed: &Observed<'_>,
    policy: &Policy,
    now: SystemTime,
) -> VerificationReport {
    let claims = Subject { found: extracted.claims.as_ref().ok(), missing: "the claims cannot be read" };
    let quote = Subject { found: extracted.quote.as_ref().ok(), missing: "the quote cannot be read" };
    let platform = Subject {
        found: extracted.signatures.as_ref().ok(),
        missing: "nothing is known of the platform, since no signatures are verified",
    };
    let mut checks = vec![
        result(Check::Claims, readable_claims(extracted)),
        result(Check::Quote, readable_quote(extracted)),
        result(Check::RootOfTrust, quote.compare(|_| platform::root_of_trust(extracted, &policy.anchor))),
        result(Check::Signatures, quote.compare(|_| platform::signatures(extracted))),
        result(Check::TcbStatus, platform.compare(|found| platform::tcb_status(found, &policy.tcb))),
        result(Check::Advisories, platform.compare(|found| platform::advisories(found, &policy.advisories))),
        result(
            Check::CollateralAge,
            platform.compare(|found| age::collateral(found, policy.maximum_collateral_age, now)),
        ),
        result(Check::Fmspc, platform.compare(|found| accepted(&found.fmspc, &policy.fmspc, in_hex))),
        result(Check::Ppid, platform.compare(|found| accepted(&found.ppid, &policy.ppid, in_hex))),
        result(Check::Debug, quote.compare(image::not_debuggable)),
        result(Check::MrEnclave, quote.compare(|quote| image::measurement(quote, &policy.mrenclave))),
        result(Check::MrSigner, quote.compare(|quote| accepted(&quote.mr_signer, &policy.mrsigner, in_hex))),
        result(
            Check::IsvProdId,
            quote.compare(|quote| accepted(&quote.isv_prod_id, &policy.isv_prod_id, u16::to_string)),
        ),
        result(Check::IsvSvn, quote.compare(|quote| image::isv_svn(quote, policy.minimum_isv_svn))),
        result(Check::ClaimsQuoted, quote.compare(|quote| claims_quoted(quote, presented))),
        result(Check::QuoteAge, claims.compare(|claims| age::quote(claims, policy.maximum_quote_age, now))),
        result(
            Check::PlatformClaim,
            claims.compare(|claims| platform::claim(claims, extracted, &policy.anchor)),
        ),
        result(Check::TlsKey, claims.compare(|claims| tls_key(claims, extracted))),
        result(Check::SessionBinding, claims.compare(|claims| binding(claims, presented, observed))),
        result(
            Check::CertificateCodeHash,
            claims.compare(|claims| certificate::code_hash(claims, extracted, observed)),
        ),
        result(
            Check::CertificateClaims,
            claims.compare(|claims| certificate::claims(claims, extracted, presented, observed)),
        ),
    ];
    checks.extend(enclave::compare(&claims, policy));
    checks.extend(apps::compare(&claims, policy));
    checks.extend(volume::compare(&claims, presented.volume, policy));
    VerificationReport { platform: platform::platform(extracted, &policy.anchor), checks }
}

/// What a check is about, or why there is nothing to compare.
struct Subject<'a, T> {
    found: Option<&'a T>,
    missing: &'static str,
}

impl<'a, T> Subject<'a, T> {
    fn compare(&self, compare: impl FnOnce(&'a T) -> Compared) -> Compared {
        match self.found {
            Some(found) => compare(found),
            None => not_asked(self.missing),
        }
    }
}

/// `Err` is the reason of a failure.
type Compared = Result<Outcome, String>;

fn result(check: Check, outcome: Compared) -> CheckResult {
    CheckResult { check, outcome: outcome.unwrap_or_else(|reason| Outcome::Failed { reason }) }
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

/// A value that is one of those that are accepted, or not.
fn accepted<T: PartialEq>(found: &T, expected: &Accepted<T>, show: impl Fn(&T) -> String) -> Compared {
    let shown = show(found);
    match expected {
        Accepted::Any => not_asked(format!("{shown}; this policy accepts any")),
        Accepted::OneOf(list) if list.contains(found) => passed(shown),
        Accepted::OneOf(list) if list.is_empty() => Err(format!("it is {shown}, and none is accepted")),
        Accepted::OneOf(list) => {
            let list = Vec::from_iter(list.iter().map(show)).join(" or ");
            Err(format!("it is {shown}, and {list} is expected"))
        }
    }
}

/// What is found and not among what is accepted, as a text for a reason; nothing where all is.
fn others<T: PartialEq>(found: &[T], accepted: &[T], show: impl Fn(&T) -> String) -> Option<String> {
    let others = Vec::from_iter(found.iter().filter(|one| !accepted.contains(one)).map(show));
    (!others.is_empty()).then(|| others.join(", "))
}

/// A list as a text for a detail.
fn listed<T>(found: &[T], show: impl Fn(&T) -> String) -> String {
    if found.is_empty() { "none".to_owned() } else { Vec::from_iter(found.iter().map(show)).join(", ") }
}

fn in_hex(bytes: &impl AsRef<[u8]>) -> String {
    hex::encode(bytes)
}

fn passed(detail: impl Into<String>) -> Compared {
    Ok(Outcome::Passed { detail: detail.into() })
}

fn not_asked(why: impl Into<String>) -> Compared {
    Ok(Outcome::NotAsked { why: why.into() })
}
