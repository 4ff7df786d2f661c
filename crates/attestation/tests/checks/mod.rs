//! For every check of the verifier, evidence that fails it and no other. The good evidence passes all of them under a policy that
//! leaves nothing open, so that whoever takes a check out of the verifier makes it accept the evidence of its test here.

use super::*;
use crate::platform::{Image, Levels, Processor};
use std::collections::BTreeSet;

/// One test for each check, with its name, and the list of all.
macro_rules! checks {
    ($($name:ident: $check:expr, $spoil:expr;)*) => {
        $(
            #[test]
            fn $name() {
                fails_alone(&$check, $spoil);
            }
        )*

        fn checks() -> Vec<(&'static str, Check)> {
            vec![$((stringify!($name), $check)),*]
        }
    };
}

checks! {
    claims: Check::Claims, |case| {
        case.claims.push(0);
        case.quote_as(case.enclave());
    };
    quote: Check::Quote, |case| case.quote = vec![3; 4000];
    root_of_trust: Check::RootOfTrust, |case| {
        let other = TestPlatform::new();
        case.quote = other.quote(&case.enclave());
        case.collateral = Some(other.collateral_of(&LEVELS));
    };
    signatures: Check::Signatures, |case| case.quote[436] ^= 1;
    tcb_status: Check::TcbStatus, |case| case.levels(&Levels { status: "OutOfDate", ..LEVELS });
    advisories: Check::Advisories, |case| {
        case.levels(&Levels { advisories: &[ADVISORY, "INTEL-SA-00001"], ..LEVELS });
    };
    collateral_age: Check::CollateralAge, |case| {
        case.levels(&Levels { issued: ["2026-12-01T00:00:00Z", LEVELS.issued[1]], ..LEVELS });
    };
    fmspc: Check::Fmspc, |case| case.quote_on(Processor { fmspc: [0x71; 6], ..Processor::default() });
    ppid: Check::Ppid, |case| case.quote_on(Processor { ppid: [0x78; 16], ..Processor::default() });
    debug: Check::Debug, |case| case.quote_as(Enclave { debug: true, ..case.enclave() });
    mrenclave: Check::MrEnclave, |case| case.quote_as(Enclave { mrenclave: [0xbb; 32], ..case.enclave() });
    mrsigner: Check::MrSigner, |case| case.quote_of(Image { mrsigner: [0xde; 32], ..Image::default() });
    isv_prod_id: Check::IsvProdId, |case| case.quote_of(Image { isv_prod_id: 2, ..Image::default() });
    isv_svn: Check::IsvSvn, |case| case.quote_of(Image { isv_svn: 0, ..Image::default() });
    claims_quoted: Check::ClaimsQuoted, |case| {
        case.quote_as(Enclave { report_data: report_data(b"other claims"), ..case.enclave() });
    };
    quote_age: Check::QuoteAge, |case| case.change_claims(|claims| claims.made = NOW - 2 * DAY.as_secs());
    platform_claim: Check::PlatformClaim, |case| {
        case.change_claims(|claims| claims.platform = PlatformClaim::Hardware);
    };
    tls_key: Check::TlsKey, |case| {
        case.certificate = case.certificate_by(&TlsKey::generate().unwrap(), Some(&case.shown()));
    };
    session_binding: Check::SessionBinding, |case| case.binding.exporter = [0xe0; 32];
    certificate_code_hash: Check::CertificateCodeHash, |case| case.show(|app| app.code_hash = [0xdd; 32]);
    certificate_claims: Check::CertificateClaims, |case| case.show(|app| app.configuration = [0xdd; 32]);
    identity: Check::Identity, |case| {
        let twin = TlsKey::generate().unwrap();
        case.change_claims(|claims| claims.tls_key = twin.fingerprint());
        case.certificate = case.certificate_by(&twin, Some(&case.shown()));
    };
    boot_configuration: Check::BootConfiguration, |case| {
        case.change_claims(|claims| claims.configuration = [0xdd; 32]);
    };
    boot_counter: Check::BootCounter, |case| case.change_claims(|claims| claims.boot.counter = 2);
    operator: Check::Operator, |case| case.change_claims(|claims| claims.operator = None);
    owners: Check::Owners, |case| case.change_claims(|claims| claims.owners.push([9; 32]));
    owner_issuers: Check::OwnerIssuers, |case| case.change_claims(|claims| claims.issuers.push(issuer("other")));
    image_upgrade: Check::ImageUpgrade, |case| {
        case.change_claims(|claims| claims.image_upgrade = ImageUpgradeClaim::Operator);
    };
    lineage: Check::Lineage, |case| case.change_claims(|claims| claims.lineage.push([0x1e; 32]));
    other_apps: Check::OtherApps, |case| case.change_claims(|claims| claims.apps.push(case::app("third")));
    app: Check::App { app: "second".parse().unwrap() }, |case| case.change_claims(|claims| drop(claims.apps.pop()));
    code_hash: Check::CodeHash { app: hello() }, |case| case.change_app(|app| app.code_hash = [0xdd; 32]);
    owner: Check::Owner { app: hello() }, |case| case.change_app(|app| app.owner = [8; 32]);
    upgrade: Check::Upgrade { app: hello() }, |case| case.change_app(|app| app.upgrade = UpgradePolicy::Owner);
    callers: Check::Callers { app: hello() }, |case| case.change_app(|app| app.callers = CallerPolicy::public());
    caller_issuers: Check::CallerIssuers { app: hello() }, |case| {
        case.change_app(|app| app.issuers[0].audience = "another".to_owned());
    };
    network_rules: Check::NetworkRules { app: hello() }, |case| {
        case.change_app(|app| app.network = network(&["https://b.com"]));
    };
    quote_roots: Check::QuoteRoots { app: hello() }, |case| case.change_app(|app| app.quote_roots = None);
    assets: Check::Assets { app: hello() }, |case| case.change_app(|app| app.assets = None);
    configuration: Check::Configuration { app: hello() }, |case| {
        case.change_app(|app| app.configuration = ConfigurationClaim::Awaited);
    };
    extension: Check::Extension { app: hello(), suffix: 1 }, |case| {
        case.change_app(|app| app.extensions.retain(|(suffix, _)| *suffix != 1));
    };
    volume: Check::Volume, |case| case.present(Volume { epoch: CLAIMED.epoch, ..PRESENT });
    minimum_epoch: Check::MinimumEpoch, |case| {
        case.change_claims(|claims| claims.volume = Some(Volume { epoch: 1, ..CLAIMED }));
        case.present(Volume { epoch: 2, ..PRESENT });
    };
    volume_root: Check::VolumeRoot, |case| case.present(Volume { root: [0x43; 32], ..PRESENT });
    freshness: Check::Freshness, |case| case.change_claims(|claims| claims.freshness = Freshness::None);
}

#[test]
fn the_good_evidence_passes_every_check() {
    let verified = Case::strict().verify().unwrap();
    let second: AppName = "second".parse().unwrap();
    let open = |check: &Check| check.app() == Some(&second) && *check != Check::App { app: second.clone() };
    for CheckResult { check, outcome } in
        verified.report().checks.iter().filter(|result| !open(&result.check))
    {
        assert!(matches!(outcome, Outcome::Passed { .. }), "{check}: {outcome:?}");
    }
}

/// Every variant of [`Check`] has its test here, which has the check's name.
#[test]
fn every_check_has_its_evidence() {
    let checks = checks();
    let numbers = BTreeSet::from_iter(checks.iter().map(|(_, check)| number(check)));
    assert_eq!(numbers, BTreeSet::from_iter(0..COUNT));
    assert_eq!(checks.len(), COUNT, "one for each");
    for (test, check) in &checks {
        let name = serde_json::to_value(check).unwrap()["check"].as_str().unwrap().replace('-', "_");
        assert_eq!(*test, name);
    }
    // What a report has is what was enumerated.
    for result in &Case::strict().verify().unwrap().report().checks {
        assert!(numbers.contains(&number(&result.check)));
    }
}

/// The table of `docs/design/evidence.md` lists the checks in the order of the report.
#[test]
fn the_checks_are_the_documented_ones() {
    let page = include_str!("../../../../docs/design/evidence.md");
    let (_, section) = page.split_once("\n## Appraisal\n").unwrap();
    let rows = section.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let number: usize = cells.next()?.parse().ok()?;
        Some((number, cells.next()?.trim_matches('`').replace('-', "_")))
    });
    let names = checks().into_iter().map(|(name, _)| name.to_owned());
    assert_eq!(Vec::from_iter(rows), Vec::from_iter((1..).zip(names)));

    let second: AppName = "second".parse().unwrap();
    let report = Case::strict().verify().unwrap().report().clone();
    let found = report.checks.iter().map(|result| &result.check).filter(|check| check.app() != Some(&second));
    let listed = Vec::from_iter(checks().iter().map(|(_, check)| number(check)));
    assert_eq!(Vec::from_iter(found.map(number)), listed);
}

/// The evidence is refused for this check alone, and what the verifier says of the others is no failure.
fn fails_alone(check: &Check, spoil: impl FnOnce(&mut Case)) {
    let mut case = Case::strict();
    spoil(&mut case);
    let refused = case.fails_only(std::slice::from_ref(check));
    let Some(Outcome::Failed { reason }) = refused.report.outcome(check) else { panic!("{check} failed") };
    assert!(!reason.is_empty());
}

/// Each variant has a number. A new one does not compile until it has, and then needs its evidence.
fn number(check: &Check) -> usize {
    match check {
        Check::Claims => 0,
        Check::Quote => 1,
        Check::RootOfTrust => 2,
        Check::Signatures => 3,
        Check::TcbStatus => 4,
        Check::Advisories => 5,
        Check::CollateralAge => 6,
        Check::Fmspc => 7,
        Check::Ppid => 8,
        Check::Debug => 9,
        Check::MrEnclave => 10,
        Check::MrSigner => 11,
        Check::IsvProdId => 12,
        Check::IsvSvn => 13,
        Check::ClaimsQuoted => 14,
        Check::QuoteAge => 15,
        Check::PlatformClaim => 16,
        Check::TlsKey => 17,
        Check::SessionBinding => 18,
        Check::CertificateCodeHash => 19,
        Check::CertificateClaims => 20,
        Check::Identity => 21,
        Check::BootConfiguration => 22,
        Check::BootCounter => 23,
        Check::Operator => 24,
        Check::Owners => 25,
        Check::OwnerIssuers => 26,
        Check::ImageUpgrade => 27,
        Check::Lineage => 28,
        Check::OtherApps => 29,
        Check::App { .. } => 30,
        Check::CodeHash { .. } => 31,
        Check::Owner { .. } => 32,
        Check::Upgrade { .. } => 33,
        Check::Callers { .. } => 34,
        Check::CallerIssuers { .. } => 35,
        Check::NetworkRules { .. } => 36,
        Check::QuoteRoots { .. } => 37,
        Check::Assets { .. } => 38,
        Check::Configuration { .. } => 39,
        Check::Extension { .. } => 40,
        Check::Volume => 41,
        Check::MinimumEpoch => 42,
        Check::VolumeRoot => 43,
        Check::Freshness => 44,
    }
}

const COUNT: usize = 45;

impl Case {
    fn levels(&mut self, levels: &Levels<'_>) {
        self.collateral = Some(PLATFORM.collateral_of(levels));
    }

    /// The session is bound to this state of the volume.
    fn present(&mut self, volume: Volume) {
        self.volume = Some(volume);
        self.sign();
    }
}
