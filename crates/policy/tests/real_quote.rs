//! A recorded quote of real SGX hardware, with Intel's collateral for it, appraised offline by a policy file.
//!
//! The quote is of another enclave, so its claims, its key and its session are none of ours: those checks fail in every case
//! here. The checks of the platform and of the image are what this is about, one by one.

use cloister_attestation::SessionBinding;
use cloister_attestation::verify::{Collateral, Observed, Presented, VerificationReport, verify};
use cloister_policy::PolicyFile;
use rustls_pki_types::CertificateDer;
use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn it_verifies_by_the_policy_inside_its_validity() {
    let recorded = Recorded::new();
    for now in [JUST_VALID, DURING, DURING + 8 * DAY] {
        let report = Recorded { now, ..recorded.clone() }.report();
        assert_eq!(failed(&report), [""; 0], "at {now}\n{report}");
        for check in PLATFORM_CHECKS {
            assert_eq!(outcome(&report, check).0, "passed", "{check} at {now}\n{report}");
        }
    }
    let (_, details) = outcome(&recorded.report(), "tcb-status");
    assert!(details.contains("ConfigurationAndSWHardeningNeeded"), "{details}");
}

#[test]
fn it_fails_outside_its_validity() {
    for now in [JUST_VALID - DAY, 0, JUST_VALID + 31 * DAY, JUST_VALID + 100 * 365 * DAY] {
        let report = Recorded { now, ..Recorded::new() }.report();
        assert!(failed(&report).contains(&"signatures".to_owned()), "at {now}\n{report}");
        assert_eq!(outcome(&report, "root-of-trust").0, "passed", "the root has no date");
        let (_, reason) = outcome(&report, "signatures");
        let words = ["expired", "Expired", "issue", "NotValidYet", "not valid", "validity"];
        assert!(words.iter().any(|word| reason.contains(word)), "at {now}: {reason}");
    }
}

#[test]
fn each_demand_of_the_policy_fails_alone() {
    let zeros = "00".repeat(32);
    let quoted = format!("\"{zeros}\"");
    for (key, value, check) in [
        ("tcb-statuses", "[\"UpToDate\", \"SWHardeningNeeded\", \"OutOfDate\"]", "tcb-status"),
        ("advisories", "[\"INTEL-SA-00615\"]", "advisories"),
        ("advisories", "[]", "advisories"),
        ("fmspc", "\"00a067110001\"", "fmspc"),
        ("ppid", "\"d04ec06d4e6d92dc90d0ad3cf5ee2dde\"", "ppid"),
        ("maximum-collateral-age", "\"2h\"", "collateral-age"),
        ("mrenclave", quoted.as_str(), "mrenclave"),
        ("mrsigner", quoted.as_str(), "mrsigner"),
        ("isv-prod-id", "1", "isv-prod-id"),
        ("minimum-isv-svn", "1", "isv-svn"),
    ] {
        let report = Recorded { policy: with(key, value), ..Recorded::new() }.report();
        assert_eq!(failed(&report), [check], "{key} = {value}\n{report}");
    }
}

#[test]
fn what_the_policy_leaves_open_is_not_asked() {
    for (key, check) in [
        ("advisories", "advisories"),
        ("fmspc", "fmspc"),
        ("ppid", "ppid"),
        ("maximum-collateral-age", "collateral-age"),
        ("mrenclave", "mrenclave"),
        ("mrsigner", "mrsigner"),
        ("isv-prod-id", "isv-prod-id"),
        ("minimum-isv-svn", "isv-svn"),
    ] {
        let report = Recorded { policy: with(key, "\"any\""), ..Recorded::new() }.report();
        assert_eq!(failed(&report), [""; 0], "{report}");
        assert_eq!(outcome(&report, check).0, "not-asked", "{key}\n{report}");
    }
}

#[test]
fn another_root_is_refused() {
    let root = format!("{{ simulated = \"{}\" }}", "12".repeat(32));
    let report = Recorded { policy: with("root", &root), ..Recorded::new() }.report();
    assert_eq!(failed(&report), ["root-of-trust"], "{report}");
}

#[test]
fn a_changed_quote_fails_with_its_reason() {
    for (region, bytes, reasons) in [
        ("header", 0..48, &["quote", "report signature", "header", "version", "TEE", "vendor"][..]),
        ("report", 48..432, &["report signature", "quote", "Isv", "ISV"]),
        ("signature", 436..500, &["report signature", "signature", "Isv", "ISV"]),
        ("attestation key", 500..564, &["hash", "QE", "key"]),
        ("report of the quoting enclave", 564..948, &["QE", "qe"]),
        ("signature of that report", 948..1012, &["QE", "qe", "signature"]),
        ("authentication data", 1014..1046, &["QE", "qe", "hash"]),
    ] {
        for at in spread(&bytes) {
            let mut recorded = Recorded::new();
            recorded.quote[at] ^= 0x01;
            refused_for(&recorded.report(), &format!("byte {at}, the {region}"), reasons);
        }
    }
}

#[test]
fn a_changed_chain_fails_with_its_reason() {
    let recorded = Recorded::new();
    let chain = CHAIN..recorded.quote.len();
    let begin = b"-----BEGIN CERTIFICATE-----\n".len();
    let starts =
        recorded.quote.windows(begin).enumerate().filter(|(_, window)| window.starts_with(b"-----BEGIN"));
    let certificates: Vec<usize> = starts.map(|(at, _)| at + begin).collect();
    assert_eq!(certificates.len(), 3, "the platform's, its authority's and Intel's");
    assert!(certificates.iter().all(|at| chain.contains(at)));
    for (which, at) in ["the platform's", "its authority's", "the root"].iter().zip(certificates) {
        // Inside the base64: past the names, and in the signature at the end.
        for at in [at + 120, at + 700] {
            let mut changed = recorded.clone();
            changed.quote[at] = if changed.quote[at] == b'A' { b'B' } else { b'A' };
            let report = changed.report();
            let failed = failed(&report);
            let expected = ["signatures", "root-of-trust"];
            assert!(
                expected.iter().any(|check| failed.contains(&(*check).to_owned())),
                "{which}, byte {at}\n{report}"
            );
        }
    }
}

#[test]
fn changed_collateral_fails_with_its_reason() {
    type Change = fn(&mut Collateral);
    let changes: [(&str, Change, &[&str]); 11] = [
        (
            "TCB info",
            |collateral| {
                collateral.tcb_info = collateral.tcb_info.replacen("SWHardeningNeeded", "UpToDate", 1)
            },
            &["TCB", "tcb"],
        ),
        ("TCB info's signature", |collateral| collateral.tcb_info_signature[40] ^= 1, &["TCB", "tcb"]),
        (
            "QE identity",
            |collateral| {
                collateral.qe_identity =
                    collateral.qe_identity.replacen("\"isvprodid\":1", "\"isvprodid\":2", 1)
            },
            &["QE", "qe"],
        ),
        ("QE identity's signature", |collateral| collateral.qe_identity_signature[3] ^= 1, &["QE", "qe"]),
        (
            "root's revocation list",
            |collateral| middle(&mut collateral.root_ca_crl),
            &["CRL", "crl", "Crl", "signature"],
        ),
        (
            "platforms' revocation list",
            |collateral| middle(&mut collateral.pck_crl),
            &["CRL", "crl", "Crl", "signature"],
        ),
        ("no root's revocation list", |collateral| collateral.root_ca_crl.clear(), &["CRL", "crl", "Crl"]),
        ("no platforms' revocation list", |collateral| collateral.pck_crl.clear(), &["CRL", "crl", "Crl"]),
        (
            "TCB info's chain",
            |collateral| swap_letter(&mut collateral.tcb_info_issuer_chain),
            &["certificate", "signature", "TCB", "chain", "PEM", "Cert"],
        ),
        (
            "QE identity's chain",
            |collateral| swap_letter(&mut collateral.qe_identity_issuer_chain),
            &["certificate", "signature", "QE", "chain", "PEM", "Cert"],
        ),
        (
            "TCB info of another version",
            |collateral| {
                collateral.tcb_info = collateral.tcb_info.replacen("\"version\":3", "\"version\":2", 1)
            },
            &["TCB", "tcb"],
        ),
    ];
    for (what, change, reasons) in changes {
        let mut recorded = Recorded::new();
        let before = recorded.collateral.clone();
        change(recorded.collateral.as_mut().unwrap());
        assert_ne!(recorded.collateral, before, "{what}");
        refused_for(&recorded.report(), what, reasons);
    }
    let report = Recorded { collateral: None, ..Recorded::new() }.report();
    refused_for(&report, "no collateral", &["collateral"]);
}

/// The recorded quote and what it is appraised by.
#[derive(Clone)]
struct Recorded {
    quote: Vec<u8>,
    collateral: Option<Collateral>,
    policy: PolicyFile,
    now: u64,
}

impl Recorded {
    fn new() -> Self {
        Self {
            quote: include_bytes!("../../attestation/tests/vectors/sgx_quote.bin").to_vec(),
            collateral: Some(
                serde_json::from_str(include_str!(
                    "../../attestation/tests/vectors/sgx_quote_collateral.json"
                ))
                .unwrap(),
            ),
            policy: PolicyFile::parse(POLICY).unwrap(),
            now: DURING,
        }
    }

    fn report(&self) -> VerificationReport {
        let presented = Presented { claims: b"", quote: &self.quote, volume: None, signature: b"" };
        let observed = Observed {
            binding: &SessionBinding { exporter: [1; 32], nonce: [2; 32] },
            certificate: &CertificateDer::from(Vec::new()),
            server_name: "localhost",
        };
        let now: SystemTime = UNIX_EPOCH + Duration::from_secs(self.now);
        let refused = verify(&presented, &observed, self.collateral.as_ref(), &self.policy.policy, now);
        *refused.expect_err("the claims are none of ours").report
    }
}

/// What became of a check, by its name in JSON: the outcome, and what is said of it.
fn outcome(report: &VerificationReport, check: &str) -> (String, String) {
    let json = serde_json::to_value(report).unwrap();
    let found = json["checks"].as_array().unwrap().iter().find(|result| result["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no check {check} in\n{report}"));
    let text = ["detail", "reason", "why"].iter().find_map(|key| found[key].as_str());
    (found["outcome"].as_str().unwrap().to_owned(), text.unwrap().to_owned())
}

/// The checks of platform and image that failed.
fn failed(report: &VerificationReport) -> Vec<String> {
    let checks = PLATFORM_CHECKS.iter().filter(|check| outcome(report, check).0 == "failed");
    checks.map(|check| (*check).to_owned()).collect()
}

/// The signatures do not verify, or there is no quote at all, for one of these reasons; and nothing that hangs on the
/// signatures passed.
fn refused_for(report: &VerificationReport, what: &str, reasons: &[&str]) {
    let (quote, unreadable) = outcome(report, "quote");
    let (signatures, unverified) = outcome(report, "signatures");
    let reason = if quote == "failed" { unreadable } else { unverified };
    assert!(quote == "failed" || signatures == "failed", "{what}\n{report}");
    assert_ne!(signatures, "passed", "{what}\n{report}");
    assert!(reasons.iter().any(|word| reason.contains(word)), "{what}: {reason}");
    for check in ["tcb-status", "advisories", "fmspc", "ppid", "collateral-age"] {
        assert_ne!(outcome(report, check).0, "passed", "{what}, {check}\n{report}");
    }
}

/// A few places of a region, its ends among them.
fn spread(region: &Range<usize>) -> impl Iterator<Item = usize> {
    let (start, last) = (region.start, region.end - 1);
    (0..=5).map(move |n| start + (last - start) * n / 5)
}

fn middle(bytes: &mut [u8]) {
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
}

fn swap_letter(chain: &mut String) {
    let at = chain.len() / 4;
    let letter = if chain.as_bytes()[at] == b'A' { "B" } else { "A" };
    chain.replace_range(at..=at, letter);
}

fn with(key: &str, value: &str) -> PolicyFile {
    let line = POLICY.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
    PolicyFile::parse(&POLICY.replacen(line, &format!("{key} = {value}"), 1)).unwrap()
}

const POLICY: &str = include_str!("good/recorded.toml");
/// Checks that are about platform and image alone.
const PLATFORM_CHECKS: [&str; 13] = [
    "quote",
    "root-of-trust",
    "signatures",
    "tcb-status",
    "advisories",
    "fmspc",
    "ppid",
    "collateral-age",
    "debug",
    "mrenclave",
    "mrsigner",
    "isv-prod-id",
    "isv-svn",
];
/// Where the certificate chain begins in the quote: after header, report, signature data and the quoting enclave's.
const CHAIN: usize = 1052;
const DAY: u64 = 86_400;
/// 2025-06-19T10:56:11Z: the TCB info is issued then, and is the last of the collateral to be.
const JUST_VALID: u64 = 1_750_330_571;
/// 2025-06-20T10:56:11Z.
const DURING: u64 = JUST_VALID + DAY;
