//! Every check of an appraisal: evidence that passes all of them, and for each check a vector that fails it alone.

mod apps;
mod certificate;
mod platform;
mod volume;

use cloister_api::{AppName, Limits, NetworkPolicy};
use cloister_attestation::verify::{
    Check, Collateral, ConfigurationDemand, FreshnessDemand, Measurement, Observed, Outcome, Platform,
    Policy, Presented, Refused, TcbStatus, TrustAnchor, Verified, extension_values, verify,
};
use cloister_attestation::*;
use platform::{Enclave, TestPlatform};
use rustls_pki_types::CertificateDer;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn good_evidence_passes_every_check() {
    let verified = Case::new().verify().unwrap();
    let report = verified.report();
    assert!(report.accepted());
    assert_eq!(verified.mrenclave(), &MRENCLAVE);
    assert_eq!(verified.claims().apps[0].code_hash, CODE_HASH);
    let app: AppName = "hello".parse().unwrap();
    let not_asked = [
        Check::NetworkRules { app: app.clone() },
        Check::Assets { app },
        Check::MinimumEpoch,
        Check::VolumeRoot,
        Check::Freshness,
    ];
    for result in &report.checks {
        let passed = matches!(result.outcome, Outcome::Passed { .. });
        assert_eq!(passed, !not_asked.contains(&result.check), "{result:?}");
    }
}

#[test]
fn simulated_evidence_says_so() {
    let verified = Case::new().verify().unwrap();
    assert_eq!(verified.report().platform, Platform::Simulated { root: PLATFORM.root_fingerprint() });
    assert!(verified.report().to_string().starts_with("SIMULATED"));
    let json = serde_json::to_value(verified.report()).unwrap();
    assert_eq!(json["platform"]["kind"], "simulated");
    assert_eq!(json["checks"][0]["check"], "claims");
    assert_eq!(json["checks"][0]["outcome"], "passed");
}

#[test]
fn the_report_lists_the_checks_in_their_documented_order() {
    let report = Case::new().verify().unwrap().report().clone();
    let found = Vec::from_iter(report.checks.into_iter().map(|result| result.check));
    let app: AppName = "hello".parse().unwrap();
    assert_eq!(
        found,
        [
            Check::Claims,
            Check::Quote,
            Check::RootOfTrust,
            Check::Signatures,
            Check::TcbStatus,
            Check::Debug,
            Check::MrEnclave,
            Check::ClaimsQuoted,
            Check::TlsKey,
            Check::SessionBinding,
            Check::CertificateCodeHash,
            Check::CertificateClaims,
            Check::CodeHash { app: app.clone() },
            Check::NetworkRules { app: app.clone() },
            Check::Assets { app: app.clone() },
            Check::Configuration { app },
            Check::Volume,
            Check::MinimumEpoch,
            Check::VolumeRoot,
            Check::Freshness,
        ]
    );
}

#[test]
fn another_mrenclave_is_refused() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(vec![[0xbb; 32], [0xcc; 32]]);
    case.fails_only(&[Check::MrEnclave]);
}

#[test]
fn expecting_no_mrenclave_accepts_none() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(Vec::new());
    case.fails_only(&[Check::MrEnclave]);
}

#[test]
fn one_of_several_mrenclaves_is_enough() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Exactly(vec![[0xbb; 32], MRENCLAVE]);
    assert!(case.verify().is_ok());
}

#[test]
fn any_mrenclave_is_reported_as_not_asked() {
    let mut case = Case::new();
    case.policy.mrenclave = Measurement::Any;
    let verified = case.verify().unwrap();
    assert!(matches!(verified.report().outcome(&Check::MrEnclave), Some(Outcome::NotAsked { .. })));
}

#[test]
fn a_debug_enclave_is_refused() {
    let mut case = Case::new();
    case.quote_as(Enclave { debug: true, ..case.enclave() });
    case.fails_only(&[Check::Debug]);
}

#[test]
fn simulated_evidence_is_refused_where_hardware_is_expected() {
    let mut case = Case::new();
    case.policy.anchor = TrustAnchor::Intel;
    // Without an accepted root there is nothing to verify signatures and status under.
    let refused = case.fails_only(&[Check::RootOfTrust, Check::Signatures, Check::TcbStatus]);
    assert_eq!(refused.report.platform, Platform::Unknown);
    assert!(refused.to_string().contains(&hex::encode(PLATFORM.root_fingerprint())), "{refused}");
}

#[test]
fn another_platforms_root_is_refused() {
    let mut case = Case::new();
    case.policy.anchor = TrustAnchor::Simulated { root_fingerprint: [1; 32] };
    case.fails_only(&[Check::RootOfTrust, Check::Signatures, Check::TcbStatus]);
}

/// The pinned root at the end of the chain, and another platform's signatures under it.
#[test]
fn a_pinned_root_that_did_not_sign_is_refused() {
    let other = TestPlatform::new();
    let mut case = Case::new();
    case.quote = other.quote(&case.enclave());
    let chain = pem::encode(&pem::Pem::new("CERTIFICATE", PLATFORM.root_der.clone()));
    let mut collateral = other.collateral("UpToDate");
    let parsed = dcap_qvl::quote::Quote::parse(&case.quote).unwrap();
    let own_chain = String::from_utf8(parsed.raw_cert_chain().unwrap().to_vec()).unwrap();
    collateral.pck_certificate_chain = Some(own_chain + &chain);
    case.collateral = Some(collateral);
    case.fails_only(&[Check::Signatures, Check::TcbStatus]);
}

#[test]
fn missing_collateral_is_refused() {
    let mut case = Case::new();
    case.collateral = None;
    case.fails_only(&[Check::Signatures, Check::TcbStatus]);
}

#[test]
fn expired_and_future_collateral_are_refused() {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    for now in [UNIX_EPOCH + 40 * year, UNIX_EPOCH + 130 * year, UNIX_EPOCH - year] {
        let mut case = Case::new();
        case.now = now;
        case.fails_only(&[Check::Signatures, Check::TcbStatus]);
    }
}

#[test]
fn a_bad_tcb_status_is_refused_until_the_policy_names_it() {
    let mut case = Case::new();
    case.collateral = Some(PLATFORM.collateral("OutOfDate"));
    case.fails_only(&[Check::TcbStatus]);
    case.policy = case.policy.with_tcb_status(TcbStatus::OutOfDate);
    assert!(case.verify().is_ok());
}

#[test]
fn a_revoked_platform_is_refused_whatever_the_policy_names() {
    let mut case = Case::new();
    case.collateral = Some(PLATFORM.collateral("Revoked"));
    case.policy = case.policy.with_tcb_status(TcbStatus::Revoked);
    let refused = case.verify().unwrap_err();
    assert!(refused.report.failed().any(|check| *check == Check::TcbStatus));
}

/// Other claims than those that were quoted, in every other respect right.
#[test]
fn claims_that_were_not_quoted_are_refused() {
    let mut case = Case::new();
    let mut claims = Claims::decode(&case.claims).unwrap();
    claims.configuration = [0xff; 32];
    case.claims = claims.encode().unwrap();
    case.sign();
    case.fails_only(&[Check::ClaimsQuoted]);
}

#[test]
fn a_quote_over_other_data_is_refused() {
    let mut case = Case::new();
    case.quote_as(Enclave { report_data: report_data(b"other claims"), ..case.enclave() });
    case.fails_only(&[Check::ClaimsQuoted]);

    // The hash stands in the first half; the second has to be zero.
    let mut data = report_data(&case.claims);
    data[63] = 1;
    case.quote_as(Enclave { report_data: data, ..case.enclave() });
    case.fails_only(&[Check::ClaimsQuoted]);
}

#[test]
fn claims_that_are_not_canonical_are_refused() {
    let mut case = Case::new();
    case.claims.push(0);
    let refused = case.verify().unwrap_err();
    assert!(matches!(refused.report.outcome(&Check::Claims), Some(Outcome::Failed { .. })));
    assert!(matches!(refused.report.outcome(&Check::SessionBinding), Some(Outcome::Failed { .. })));
}

#[test]
fn what_is_not_a_quote_is_refused() {
    for quote in [Vec::new(), vec![3; 4000], vec![0; MAX_QUOTE + 1]] {
        let mut case = Case::new();
        case.quote = quote;
        let refused = case.verify().unwrap_err();
        assert!(matches!(refused.report.outcome(&Check::Quote), Some(Outcome::Failed { .. })));
        assert_eq!(refused.report.platform, Platform::Unknown);
    }
}

#[test]
fn every_changed_part_of_the_quote_is_refused() {
    let good = Case::new();
    // Header, attributes, MRENCLAVE, report data, signature, attestation key, QE report, its signature.
    for at in [30, 48 + 48, 48 + 64, 48 + 320, 436, 436 + 64, 436 + 128, 436 + 512] {
        let mut case = good.clone();
        case.quote[at] ^= 0x10;
        let refused = case.verify().unwrap_err();
        assert!(refused.report.failed().any(|check| *check == Check::Signatures), "byte {at}");
    }
}

#[test]
fn evidence_of_another_session_is_refused() {
    let mut case = Case::new();
    case.binding.exporter = [0xe0; 32];
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_stale_nonce_is_refused() {
    let mut case = Case::new();
    case.binding.nonce = [0xe0; 32];
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let mut case = Case::new();
    case.signature = SessionKey::generate().unwrap().sign(&case.binding, &case.claims, case.volume).unwrap();
    case.fails_only(&[Check::SessionBinding]);
}

#[test]
fn a_certificate_of_another_key_is_refused() {
    let mut case = Case::new();
    case.certificate = case.certificate_by(&TlsKey::generate().unwrap(), Some(&case.shown()));
    case.fails_only(&[Check::TlsKey]);
}

#[test]
fn a_certificate_that_cannot_be_read_is_refused() {
    let mut case = Case::new();
    case.certificate = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    case.fails_only(&[Check::TlsKey, Check::CertificateCodeHash, Check::CertificateClaims]);
}

/// A quote of real hardware with Intel's collateral: everything that concerns the hardware passes at a time inside
/// the collateral's validity, and the status is the platform's true one.
#[test]
fn a_real_quote_verifies_under_intels_root() {
    let mut case = real_hardware();
    case.fails_only(&[Check::TcbStatus, Check::MrEnclave, Check::ClaimsQuoted]);
    case.policy = case.policy.with_tcb_status(TcbStatus::ConfigurationAndSWHardeningNeeded);
    case.policy.mrenclave = Measurement::Any;
    let refused = case.fails_only(&[Check::ClaimsQuoted]);
    assert_eq!(refused.report.platform, Platform::Hardware);
}

#[test]
fn a_real_quote_is_refused_outside_its_collaterals_validity() {
    let day = Duration::from_secs(24 * 60 * 60);
    for now in [*RECORDED - 20 * day, *RECORDED + 40 * day] {
        let mut case = real_hardware();
        case.policy.mrenclave = Measurement::Any;
        case.now = now;
        let refused = case.fails_only(&[Check::Signatures, Check::TcbStatus, Check::ClaimsQuoted]);
        let Some(Outcome::Failed { reason }) = refused.report.outcome(&Check::Signatures) else { panic!() };
        assert!(!reason.is_empty());
    }
}

#[test]
fn a_real_quote_is_refused_where_a_simulation_is_pinned() {
    let mut case = real_hardware();
    case.policy = Policy::new(
        TrustAnchor::Simulated { root_fingerprint: PLATFORM.root_fingerprint() },
        Measurement::Any,
    );
    case.fails_only(&[Check::RootOfTrust, Check::Signatures, Check::TcbStatus, Check::ClaimsQuoted]);
}

#[derive(Clone)]
struct Case {
    claims: Vec<u8>,
    quote: Vec<u8>,
    signature: Vec<u8>,
    certificate: CertificateDer<'static>,
    volume: Option<Volume>,
    binding: SessionBinding,
    server_name: String,
    collateral: Option<Collateral>,
    policy: Policy,
    now: SystemTime,
}

impl Case {
    /// Evidence of an enclave that is right in every respect, and the policy that expects it.
    fn new() -> Self {
        let claims = claims().encode().unwrap();
        let enclave = Enclave { mrenclave: MRENCLAVE, debug: false, report_data: report_data(&claims) };
        let mut case = Self {
            quote: PLATFORM.quote(&enclave),
            claims,
            signature: Vec::new(),
            certificate: CertificateDer::from(Vec::new()),
            volume: Some(PRESENT),
            binding: SessionBinding { exporter: [0xe1; 32], nonce: [0xe2; 32] },
            server_name: "hello.localhost".to_owned(),
            collateral: Some(PLATFORM.collateral("UpToDate")),
            policy: Policy::new(
                TrustAnchor::Simulated { root_fingerprint: PLATFORM.root_fingerprint() },
                Measurement::Exactly(vec![MRENCLAVE]),
            )
            .with_app("hello".parse().unwrap(), CODE_HASH),
            now: SystemTime::now(),
        };
        case.sign();
        case.certificate = case.certificate_with(Some(&case.shown()));
        case
    }

    /// Evidence that is right in every respect, over these claims.
    fn claiming(claims: Claims) -> Self {
        let mut case = Self::new();
        case.claims = claims.encode().unwrap();
        case.quote_as(case.enclave());
        case.sign();
        case.certificate = case.certificate_with(Some(&case.shown()));
        case
    }

    fn enclave(&self) -> Enclave {
        Enclave { mrenclave: MRENCLAVE, debug: false, report_data: report_data(&self.claims) }
    }

    fn quote_as(&mut self, enclave: Enclave) {
        self.quote = PLATFORM.quote(&enclave);
    }

    fn sign(&mut self) {
        self.signature = KEYS.1.sign(&self.binding, &self.claims, self.volume).unwrap();
    }

    /// What an honest enclave's certificate says of the app.
    fn shown(&self) -> AppExtensions {
        let claims = Claims::decode(&self.claims).unwrap();
        let app = &claims.apps[0];
        let value = |suffix: u32| VALUES.iter().find(|(number, _)| *number == suffix).unwrap().1.to_vec();
        AppExtensions {
            code_hash: app.code_hash,
            configuration: app.hash().unwrap(),
            values: app.extensions.iter().map(|(suffix, _)| (*suffix, value(*suffix))).collect(),
        }
    }

    fn certificate_with(&self, app: Option<&AppExtensions>) -> CertificateDer<'static> {
        self.certificate_by(&KEYS.0, app)
    }

    fn certificate_by(&self, key: &TlsKey, app: Option<&AppExtensions>) -> CertificateDer<'static> {
        let evidence = Evidence { claims: self.claims.clone(), quote: self.quote.clone() };
        leaf_certificate(key, &["hello.localhost".to_owned()], &evidence, app).unwrap()
    }

    fn verify(&self) -> Result<Verified, Refused> {
        let presented = Presented {
            claims: &self.claims,
            quote: &self.quote,
            volume: self.volume,
            signature: &self.signature,
        };
        let observed = Observed {
            binding: &self.binding,
            certificate: &self.certificate,
            server_name: &self.server_name,
        };
        verify(&presented, &observed, self.collateral.as_ref(), &self.policy, self.now)
    }

    /// Evidence is refused for these checks and no other.
    fn fails_only(&self, checks: &[Check]) -> Refused {
        let refused = self.verify().expect_err("the evidence should be refused");
        let failed: Vec<_> = refused.report.failed().cloned().collect();
        assert_eq!(failed, checks, "\n{}", refused.report);
        refused
    }
}

/// The recorded quote beside claims of which it knows nothing.
fn real_hardware() -> Case {
    let collateral = serde_json::from_str(include_str!("vectors/sgx_quote_collateral.json")).unwrap();
    Case {
        quote: include_bytes!("vectors/sgx_quote.bin").to_vec(),
        collateral: Some(collateral),
        now: *RECORDED,
        policy: Policy::new(TrustAnchor::Intel, Measurement::Exactly(vec![MRENCLAVE])),
        ..Case::new()
    }
}

fn claims() -> Claims {
    Claims {
        tls_key: KEYS.0.fingerprint(),
        session_key: KEYS.1.public(),
        boot: Boot { id: [1; 16], told_time: 1 },
        configuration: [2; 32],
        owners: vec![[3; 32]],
        volume: Some(CLAIMED),
        freshness: Freshness::None,
        apps: vec![AppClaims {
            name: "hello".parse().unwrap(),
            code_hash: CODE_HASH,
            owner: [3; 32],
            limits: Limits::default(),
            environment: environment_hash([]),
            upgrade: UpgradePolicy::Owner,
            network: NetworkPolicy::default(),
            roots: None,
            assets: None,
            config: environment_hash([]),
            extensions: VALUES.iter().map(|(suffix, value)| (*suffix, sha256(value))).collect(),
            configuration: ConfigurationClaim::NotNeeded,
            quote_roots: None,
        }],
    }
}

const MRENCLAVE: [u8; 32] = [0xaa; 32];
const CODE_HASH: [u8; 32] = [0xc0; 32];
/// What the app shows.
const VALUES: [(u32, &[u8]); 2] = [(1, b"a key"), (7, b"a policy")];
/// When the claims were quoted, and when the session was bound.
const CLAIMED: Volume = Volume { epoch: 3, root: [0x41; 32] };
const PRESENT: Volume = Volume { epoch: 5, root: [0x42; 32] };
/// 2025-06-25T00:00:00Z, inside the validity of the recorded collateral.
static RECORDED: LazyLock<SystemTime> = LazyLock::new(|| UNIX_EPOCH + Duration::from_secs(1_750_809_600));
static PLATFORM: LazyLock<TestPlatform> = LazyLock::new(TestPlatform::new);
static KEYS: LazyLock<(TlsKey, SessionKey)> =
    LazyLock::new(|| (TlsKey::generate().unwrap(), SessionKey::generate().unwrap()));
