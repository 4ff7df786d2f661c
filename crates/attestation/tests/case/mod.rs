//! Evidence that is right in every respect, to be spoiled by tests.

use super::platform::{Enclave, Image, Levels, Processor, TestPlatform};
use cloister_api::{AppName, CallerPolicy, Limits, NetworkPolicy};
use cloister_attestation::verify::{
    Accepted, AppExpectation, Check, Collateral, FreshnessDemand, Measurement, Observed, OtherApps, Policy,
    Presence, Presented, Refused, TrustAnchor, UpgradeDemand, Verified, VerifiedQuotes, verify,
};
use cloister_attestation::*;
use rustls_pki_types::CertificateDer;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[derive(Clone)]
pub struct Case {
    pub claims: Vec<u8>,
    pub quote: Vec<u8>,
    pub signature: Vec<u8>,
    pub certificate: CertificateDer<'static>,
    pub volume: Option<Volume>,
    pub binding: SessionBinding,
    pub server_name: String,
    pub collateral: Option<Collateral>,
    pub policy: Policy,
    pub now: SystemTime,
}

impl Case {
    /// Evidence of an enclave that is right in every respect, and a policy that asks for little.
    pub fn new() -> Self {
        let policy = Policy::new(
            TrustAnchor::Simulated { root_fingerprint: PLATFORM.root_fingerprint() },
            Measurement::Exactly(vec![MRENCLAVE]),
        );
        let mut case = Self {
            quote: Vec::new(),
            claims: Vec::new(),
            signature: Vec::new(),
            certificate: CertificateDer::from(Vec::new()),
            volume: Some(PRESENT),
            binding: SessionBinding { exporter: [0xe1; 32], nonce: [0xe2; 32] },
            server_name: "hello.localhost".to_owned(),
            collateral: Some(PLATFORM.collateral_of(&LEVELS)),
            policy: policy.with_app(hello(), CODE_HASH),
            now: UNIX_EPOCH + Duration::from_secs(NOW),
        };
        case.claim(&claims());
        case
    }

    /// Evidence that is right in every respect, over these claims.
    pub fn claiming(claims: &Claims) -> Self {
        let mut case = Self::new();
        case.claim(claims);
        case
    }

    /// The same evidence, and a policy that asks for all that can be asked for.
    pub fn strict() -> Self {
        let mut case = Self::claiming(&strict_claims());
        case.policy = strict_policy();
        case
    }

    /// The claims are these, and quote, signature and certificate are about them.
    pub fn claim(&mut self, claims: &Claims) {
        self.claims = claims.encode().unwrap();
        self.quote_as(self.enclave());
        self.sign();
        self.certificate = self.certificate_with(Some(&self.shown()));
    }

    /// The claims become others in one respect, and quote, signature and certificate are about them.
    pub fn change_claims(&mut self, change: impl FnOnce(&mut Claims)) {
        let mut claims = Claims::decode(&self.claims).unwrap();
        change(&mut claims);
        self.claim(&claims);
    }

    /// What the claims say of the first app becomes something else.
    pub fn change_app(&mut self, change: impl FnOnce(&mut AppClaims)) {
        self.change_claims(|claims| change(&mut claims.apps[0]));
    }

    pub fn enclave(&self) -> Enclave {
        Enclave { mrenclave: MRENCLAVE, debug: false, report_data: report_data(&self.claims) }
    }

    pub fn quote_as(&mut self, enclave: Enclave) {
        self.quote = PLATFORM.quote(&enclave);
    }

    pub fn quote_of(&mut self, image: Image) {
        self.quote = PLATFORM.quote_of(&self.enclave(), image, Processor::default());
    }

    /// The quote is of this machine, and the collateral for it.
    pub fn quote_on(&mut self, processor: Processor) {
        self.quote = PLATFORM.quote_of(&self.enclave(), Image::default(), processor);
        self.collateral = Some(PLATFORM.collateral_of(&Levels { fmspc: processor.fmspc, ..LEVELS }));
    }

    pub fn sign(&mut self) {
        self.signature = KEYS.1.sign(&self.binding, &self.claims, self.volume).unwrap();
    }

    /// What an honest enclave's certificate says of the app.
    pub fn shown(&self) -> AppExtensions {
        let claims = Claims::decode(&self.claims).unwrap();
        let app = &claims.apps[0];
        let value = |suffix: u32| VALUES.iter().find(|(number, _)| *number == suffix).unwrap().1.to_vec();
        AppExtensions {
            code_hash: app.code_hash,
            configuration: app.hash().unwrap(),
            values: app.extensions.iter().map(|(suffix, _)| (*suffix, value(*suffix))).collect(),
        }
    }

    /// A certificate that says something else of the app.
    pub fn show(&mut self, change: impl FnOnce(&mut AppExtensions)) {
        let mut app = self.shown();
        change(&mut app);
        self.certificate = self.certificate_with(Some(&app));
    }

    pub fn certificate_with(&self, app: Option<&AppExtensions>) -> CertificateDer<'static> {
        self.certificate_by(&KEYS.0, app)
    }

    pub fn certificate_by(&self, key: &TlsKey, app: Option<&AppExtensions>) -> CertificateDer<'static> {
        let evidence = Evidence { claims: self.claims.clone(), quote: self.quote.clone() };
        leaf_certificate(key, &["hello.localhost".to_owned()], &evidence, app).unwrap()
    }

    /// Appraises it. What was verified before changes nothing: the result is the same anew, and twice with the memory that all
    /// cases share.
    pub fn verify(&self) -> Result<Verified, Refused> {
        static QUOTES: LazyLock<VerifiedQuotes> = LazyLock::new(VerifiedQuotes::default);
        let anew = self.verify_with(None);
        for _ in 0..2 {
            assert_eq!(format!("{:?}", self.verify_with(Some(&QUOTES))), format!("{anew:?}"));
        }
        anew
    }

    /// Appraises it with this memory, or anew.
    pub fn verify_with(&self, quotes: Option<&VerifiedQuotes>) -> Result<Verified, Refused> {
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
        let collateral = self.collateral.as_ref();
        match quotes {
            Some(quotes) => quotes.verify(&presented, &observed, collateral, &self.policy, self.now),
            None => verify(&presented, &observed, collateral, &self.policy, self.now),
        }
    }

    /// Evidence is refused for these checks and no other.
    pub fn fails_only(&self, checks: &[Check]) -> Refused {
        let refused = self.verify().expect_err("the evidence should be refused");
        let failed: Vec<_> = refused.report.failed().cloned().collect();
        assert_eq!(failed, checks, "\n{}", refused.report);
        refused
    }
}

pub fn claims() -> Claims {
    Claims {
        tls_key: KEYS.0.fingerprint(),
        session_key: KEYS.1.public(),
        boot: Boot { id: [1; 16], told_time: 1, counter: 3 },
        configuration: [2; 32],
        owners: vec![[3; 32]],
        volume: Some(CLAIMED),
        freshness: Freshness::None,
        apps: vec![app("hello")],
        operator: Some([4; 32]),
        image_upgrade: ImageUpgradeClaim::Never,
        made: NOW - 3_600,
        platform: PlatformClaim::Simulated,
        issuers: Vec::new(),
        lineage: Vec::new(),
    }
}

pub fn app(name: &str) -> AppClaims {
    AppClaims {
        name: name.parse().unwrap(),
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
        callers: CallerPolicy::default(),
        issuers: Vec::new(),
    }
}

/// Claims that have something of everything.
fn strict_claims() -> Claims {
    let hello = AppClaims {
        upgrade: UpgradePolicy::Endorsed { threshold: 2, keys: vec![[5; 32], [6; 32]] },
        network: network(&["https://a.com"]),
        assets: Some(assets()),
        quote_roots: Some([7; 32]),
        callers: callers(&["*=owner", "greet=token:corp/staff"]),
        issuers: vec![issuer("corp")],
        ..app("hello")
    };
    Claims {
        owners: vec![[3; 32], [8; 32]],
        freshness: Freshness::Tpm { identity: TPM },
        apps: vec![hello, app("second")],
        image_upgrade: ImageUpgradeClaim::Listed(vec![[0xe2; 32]]),
        issuers: vec![issuer("corp")],
        lineage: vec![[0x1d; 32]],
        ..claims()
    }
}

/// A policy that leaves nothing open.
fn strict_policy() -> Policy {
    let hello = AppExpectation {
        presence: Presence::Required,
        code: Accepted::OneOf(vec![CODE_HASH]),
        owner: Accepted::OneOf(vec![[3; 32]]),
        upgrade: Accepted::OneOf(vec![UpgradeDemand::Endorsed]),
        endorsers: Some(vec![[5; 32], [6; 32]]),
        minimum_endorsements: Some(2),
        callers: Some(callers(&["*=owner", "greet=token:corp/staff"])),
        issuers: Some(vec![issuer("corp").hash()]),
        network: Some(network(&["https://a.com"])),
        assets: Some(assets()),
        extensions: [(1, sha256(VALUES[0].1))].into(),
        quote_roots: Accepted::OneOf(vec![Some([7; 32])]),
        ..AppExpectation::default()
    };
    let second = AppExpectation { presence: Presence::Required, ..AppExpectation::default() };
    Policy {
        mrsigner: Accepted::OneOf(vec![Image::default().mrsigner]),
        isv_prod_id: Accepted::OneOf(vec![1]),
        minimum_isv_svn: Some(1),
        advisories: Accepted::OneOf(vec![ADVISORY.to_owned()]),
        fmspc: Accepted::OneOf(vec![Processor::default().fmspc]),
        ppid: Accepted::OneOf(vec![Processor::default().ppid.to_vec()]),
        maximum_quote_age: Some(DAY),
        maximum_collateral_age: Some(30 * DAY),
        identity: Accepted::OneOf(vec![KEYS.0.fingerprint()]),
        boot_configuration: Some([2; 32]),
        operator: Accepted::OneOf(vec![Some([4; 32])]),
        owners: Some(vec![[3; 32], [8; 32]]),
        issuers: Some(vec![issuer("corp").hash()]),
        image_upgrade: Accepted::OneOf(vec![ImageUpgradeClaim::Listed(vec![[0xe2; 32]])]),
        lineage: Accepted::OneOf(vec![[0x1d; 32]]),
        minimum_boot_counter: Some(3),
        apps: [(self::hello(), hello), ("second".parse().unwrap(), second)].into(),
        other_apps: OtherApps::Refused,
        minimum_epoch: Some(CLAIMED.epoch),
        volume_root: Some(PRESENT.root),
        freshness: FreshnessDemand::Tpm { identity: Some(TPM) },
        ..Case::new().policy
    }
}

pub fn issuer(name: &str) -> IssuerClaim {
    IssuerClaim {
        name: name.to_owned(),
        issuer: "https://id.example.com".to_owned(),
        audience: "cloister".to_owned(),
        roles_claim: "roles".to_owned(),
        jwks: None,
        roots: None,
    }
}

pub fn callers(rules: &[&str]) -> CallerPolicy {
    CallerPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
}

pub fn network(rules: &[&str]) -> NetworkPolicy {
    NetworkPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
}

pub fn assets() -> AssetsClaim {
    AssetsClaim { at: "/assets".to_owned(), hash: [0xa5; 32] }
}

pub fn hello() -> AppName {
    "hello".parse().unwrap()
}

pub const MRENCLAVE: [u8; 32] = [0xaa; 32];
pub const CODE_HASH: [u8; 32] = [0xc0; 32];
pub const TPM: [u8; 32] = [0x79; 32];
pub const ADVISORY: &str = "INTEL-SA-00615";
/// What the app shows.
pub const VALUES: [(u32, &[u8]); 2] = [(1, b"a key"), (7, b"a policy")];
/// When the claims were quoted, and when the session was bound.
pub const CLAIMED: Volume = Volume { epoch: 3, root: [0x41; 32] };
pub const PRESENT: Volume = Volume { epoch: 5, root: [0x42; 32] };
/// 2027-01-15T08:00:00Z.
pub const NOW: u64 = 1_800_000_000;
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Issued some days before.
pub const LEVELS: Levels<'_> = Levels {
    status: "UpToDate",
    advisories: &[ADVISORY],
    fmspc: [0x70; 6],
    issued: ["2027-01-10T08:00:00Z", "2027-01-12T08:00:00Z"],
};
pub static PLATFORM: LazyLock<TestPlatform> = LazyLock::new(TestPlatform::new);
pub static KEYS: LazyLock<(TlsKey, SessionKey)> =
    LazyLock::new(|| (TlsKey::generate().unwrap(), SessionKey::generate().unwrap()));
