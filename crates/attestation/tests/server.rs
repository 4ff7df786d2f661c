//! Appraisal of servers that apps fetch from: what passes, and for each thing that can be wrong a server that has it wrong.

mod platform;

use cloister_api::{CallerPolicy, Limits, NetworkPolicy};
use cloister_attestation::verify::{
    Attests, Check, Collateral, ExpectedExtension, ExpectedTee, InvalidExpectation, PckAuthority, Platform,
    Presented, QuoteOrigin, ServerCertificate, ServerEvidence, ServerPolicy, ServerRefused, SessionEvidence,
    Tee, VerifiedServer, verify_server,
};
use cloister_attestation::*;
use platform::{Enclave, Machine, TestPlatform};
use proptest::prelude::*;
use rustls_pki_types::CertificateDer;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[test]
fn an_enclave_of_ours_is_verified_for_its_session() {
    let ours = Ours::new();
    assert_eq!(ServerCertificate::read(&ours.certificate).unwrap().attests(), Attests::Session);
    let verified = ours.verify().unwrap();
    let platform = Platform::Simulated { root: PLATFORM.root_fingerprint() };
    assert_eq!(verified, VerifiedServer { tee: Tee::Sgx, platform, attests: Attests::Session });
}

#[test]
fn either_measurement_is_enough_and_each_is_compared() {
    for (enclave, signer, register) in [
        (Some(MRENCLAVE), None, None),
        (None, Some(MRSIGNER), None),
        (Some([1; 32]), Some(MRSIGNER), Some("MRENCLAVE")),
        (Some(MRENCLAVE), Some([1; 32]), Some("MRSIGNER")),
        (None, Some([1; 32]), Some("MRSIGNER")),
    ] {
        let mut ours = Ours::new();
        ours.policy.tee = ExpectedTee::sgx(enclave, signer).unwrap();
        let found = match ours.verify() {
            Ok(_) => None,
            Err(ServerRefused::Measurement { register, .. }) => Some(register),
            Err(other) => panic!("{other}"),
        };
        assert_eq!(found, register);
    }
}

#[test]
fn a_policy_without_any_measurement_cannot_be_made() {
    assert_eq!(ExpectedTee::sgx(None, None), Err(InvalidExpectation::Nothing));
}

#[test]
fn an_enclave_in_debug_mode_is_refused() {
    let mut ours = Ours::new();
    ours.quote = PLATFORM.quote(&Enclave { debug: true, ..ours.enclave() });
    assert_eq!(ours.verify(), Err(ServerRefused::Debug));
}

#[test]
fn a_root_that_the_app_does_not_accept_is_refused() {
    let mut ours = Ours::new();
    ours.policy.roots = vec![[7; 32]];
    let fingerprint = hex::encode(PLATFORM.root_fingerprint());
    assert_eq!(ours.verify(), Err(ServerRefused::Root { fingerprint }));
}

#[test]
fn a_root_that_is_accepted_and_did_not_sign_is_refused() {
    let other = TestPlatform::new();
    let mut ours = Ours::new();
    ours.quote = other.quote(&ours.enclave());
    assert!(matches!(ours.verify(), Err(ServerRefused::Root { .. })));

    // The accepted root at the end of the other platform's chain.
    let quote = dcap_qvl::quote::Quote::parse(&ours.quote).unwrap();
    let chain = String::from_utf8(quote.raw_cert_chain().unwrap().to_vec()).unwrap();
    let accepted = pem::encode(&pem::Pem::new("CERTIFICATE", PLATFORM.root_der.clone()));
    for collateral in [other.collateral("UpToDate"), PLATFORM.collateral("UpToDate")] {
        let pck_certificate_chain = Some(chain.clone() + &accepted);
        ours.collateral = Some(Collateral { pck_certificate_chain, ..collateral });
        assert_eq!(failed(ours.verify()), Check::Signatures);
    }
}

#[test]
fn a_changed_signature_is_refused() {
    let mut ours = Ours::new();
    ours.quote[436] ^= 1;
    assert_eq!(failed(ours.verify()), Check::Signatures);
}

#[test]
fn relayed_evidence_is_refused() {
    let mut ours = Ours::new();
    ours.binding.exporter = [9; 32];
    assert_eq!(ours.verify(), Err(ServerRefused::Relayed));
}

#[test]
fn evidence_for_another_nonce_is_refused() {
    let mut ours = Ours::new();
    ours.binding.nonce = [9; 32];
    assert_eq!(ours.verify(), Err(ServerRefused::Relayed));

    let mut ours = Ours::new();
    ours.policy.challenge = Some([9; 32]);
    assert_eq!(ours.verify(), Err(ServerRefused::Unchallenged));
    ours.policy.challenge = Some(ours.binding.nonce);
    assert!(ours.verify().is_ok());
}

#[test]
fn evidence_about_another_key_is_refused() {
    let mut ours = Ours::new();
    let evidence = Evidence { claims: ours.claims.clone(), quote: ours.quote.clone() };
    let key = TlsKey::generate().unwrap();
    ours.certificate = leaf_certificate(&key, &[HOST.to_owned()], &evidence, None).unwrap();
    assert_eq!(ours.verify(), Err(ServerRefused::OtherKey));
}

#[test]
fn claims_that_the_quote_does_not_cover_are_refused() {
    let mut ours = Ours::new();
    let mut claims = Claims::decode(&ours.claims).unwrap();
    claims.configuration = [8; 32];
    ours.claims = claims.encode().unwrap();
    ours.sign();
    assert_eq!(failed(ours.verify()), Check::ClaimsQuoted);
}

#[test]
fn a_code_hash_in_the_certificate_is_the_claimed_one() {
    let mut ours = Ours::new();
    ours.certify(Some(AppExtensions { code_hash: [9; 32], ..ours.shown() }));
    assert_eq!(failed(ours.verify()), Check::CertificateCodeHash);
}

#[test]
fn expected_extensions_are_there_with_exactly_their_bytes() {
    let expecting = |oid: &str, value: &[u8]| {
        let mut ours = Ours::new();
        ours.policy.extensions = vec![ExpectedExtension::new(oid, value.to_vec()).unwrap()];
        ours.verify()
    };
    assert!(expecting(CODE_HASH_OID, &CODE_HASH).is_ok());
    assert!(expecting(&extension_oid(7), b"shown").is_ok());
    let other = |oid: &str| Err(ServerRefused::OtherExtension(oid.to_owned()));
    assert_eq!(expecting(CODE_HASH_OID, &[1; 32]), other(CODE_HASH_OID));
    assert_eq!(expecting(&extension_oid(7), b"shown "), other(&extension_oid(7)));
    assert_eq!(expecting(&extension_oid(7), b""), other(&extension_oid(7)));
    assert_eq!(expecting(&extension_oid(8), b"shown"), Err(ServerRefused::NoExtension(extension_oid(8))));
}

/// The certificate is of other claims than the evidence: its extensions are not those that the quote vouches for.
#[test]
fn extensions_count_only_in_a_certificate_of_the_very_claims() {
    let mut ours = Ours::new();
    let mut claims = Claims::decode(&ours.claims).unwrap();
    claims.boot.told_time += 1;
    ours.claims = claims.encode().unwrap();
    ours.quote = PLATFORM.quote(&ours.enclave());
    ours.sign();
    assert!(ours.verify().is_ok());
    ours.policy.extensions = vec![ExpectedExtension::new(CODE_HASH_OID, CODE_HASH.to_vec()).unwrap()];
    assert_eq!(ours.verify(), Err(ServerRefused::Changed));
}

#[test]
fn what_is_no_object_identifier_is_refused() {
    for oid in ["", "1", "1.2.x", "1..2", "9.9.9", "1.2.840.", &"1.2".repeat(99)] {
        assert_eq!(ExpectedExtension::new(oid, Vec::new()), Err(InvalidExpectation::Identifier), "{oid}");
    }
}

#[test]
fn collateral_is_needed_and_has_to_be_valid() {
    let mut ours = Ours::new();
    ours.collateral = None;
    assert_eq!(ours.verify(), Err(ServerRefused::NoCollateral));
    for years in [40, 130] {
        let mut ours = Ours::new();
        ours.now = UNIX_EPOCH + years * YEAR;
        assert_eq!(failed(ours.verify()), Check::Signatures);
    }
}

#[test]
fn platforms_that_are_not_up_to_date_are_refused_by_name() {
    let with = |status| Ours { collateral: Some(PLATFORM.collateral(status)), ..Ours::new() };
    assert!(with("SWHardeningNeeded").verify().is_ok());
    for status in ["OutOfDate", "ConfigurationNeeded", "ConfigurationAndSWHardeningNeeded"] {
        let refused = with(status).verify();
        assert!(refused.as_ref().unwrap_err().to_string().contains(status), "{refused:?}");
        assert_eq!(failed(refused), Check::TcbStatus);
        let refused = Other::sgx().with_collateral(PLATFORM.collateral(status)).verify();
        assert!(refused.as_ref().unwrap_err().to_string().contains(status), "{refused:?}");
        assert_eq!(failed(refused), Check::TcbStatus);
    }
    assert_eq!(failed(with("Revoked").verify()), Check::Signatures);
}

#[test]
fn another_ratls_server_is_verified_for_its_key() {
    let verified = Other::sgx().verify().unwrap();
    assert_eq!((verified.tee, verified.attests), (Tee::Sgx, Attests::Key));
    let verified = Other::tdx().verify().unwrap();
    assert_eq!((verified.tee, verified.attests), (Tee::Tdx, Attests::Key));
}

/// The tagged evidence of others has claims of other kinds: it does not promise sessions of ours.
#[test]
fn evidence_with_claims_of_others_is_none_of_ours() {
    let mut unknown_version = Ours::new().claims;
    // A map whose first entry is the version: `0 => 5`.
    assert_eq!(unknown_version[1..3], [0, 5]);
    unknown_version[2] = 6;
    let with = |claims: &[u8], quote: &[u8]| {
        let evidence = Evidence { claims: claims.to_vec(), quote: quote.to_vec() }.encode();
        let extensions = vec![
            rcgen::CustomExtension::from_oid_content(&DICE_EVIDENCE, evidence),
            rcgen::CustomExtension::from_oid_content(&SGX_QUOTE, quote.to_vec()),
        ];
        ServerCertificate::read(&self_signed(extensions)).unwrap().attests()
    };
    let quote = Other::sgx().quote;
    assert_eq!(with(&Ours::new().claims, &quote), Attests::Session);
    assert_eq!(with(&unknown_version, &quote), Attests::Session);
    assert_eq!(with(&[0xa1, 0x01, 0x02], &quote), Attests::Key);
}

#[test]
fn a_quote_over_another_key_is_refused() {
    let mut data = key_data(&KEYS.0);
    data[32] = 1;
    for data in [[0; 64], key_data(&TlsKey::generate().unwrap()), data] {
        let quote = PLATFORM.quote(&Enclave { mrenclave: MRENCLAVE, debug: false, report_data: data });
        assert_eq!(Other::sgx().with_quote(quote).verify(), Err(ServerRefused::OtherKey));
    }
}

/// The quote of an enclave of ours is over claims: in a certificate without them it proves nothing of a key.
#[test]
fn a_quote_of_ours_cannot_be_passed_off_as_another_servers() {
    let refused = Other::sgx().with_quote(Ours::new().quote).verify();
    assert_eq!(refused, Err(ServerRefused::OtherKey));
}

#[test]
fn no_nonce_can_be_asked_of_a_server_that_only_has_its_certificate() {
    let mut other = Other::sgx();
    other.policy.challenge = Some([1; 32]);
    assert_eq!(other.verify(), Err(ServerRefused::Unchallenged));
}

#[test]
fn kinds_and_debug_mode_of_other_servers_are_compared() {
    let mut other = Other::sgx();
    other.policy.tee = ExpectedTee::tdx(MRTD);
    assert_eq!(other.verify(), Err(ServerRefused::Tee { expected: Tee::Tdx, found: Tee::Sgx }));
    let mut other = Other::tdx();
    other.policy.tee = ExpectedTee::sgx(Some(MRENCLAVE), None).unwrap();
    assert_eq!(other.verify(), Err(ServerRefused::Tee { expected: Tee::Sgx, found: Tee::Tdx }));

    let report_data = key_data(&KEYS.0);
    let quote = PLATFORM.machine_quote(&Machine { mrtd: MRTD, debug: true, report_data });
    assert_eq!(Other::tdx().with_quote(quote).verify(), Err(ServerRefused::Debug));
    let quote = PLATFORM.quote(&Enclave { mrenclave: MRENCLAVE, debug: true, report_data });
    assert_eq!(Other::sgx().with_quote(quote).verify(), Err(ServerRefused::Debug));
    let quote = PLATFORM.machine_quote(&Machine { mrtd: [1; 48], debug: false, report_data });
    let refused = Other::tdx().with_quote(quote).verify();
    assert!(matches!(refused, Err(ServerRefused::Measurement { register: "MRTD", .. })));
}

#[test]
fn collateral_of_the_other_kind_does_not_verify() {
    assert_eq!(
        failed(Other::tdx().with_collateral(PLATFORM.collateral("UpToDate")).verify()),
        Check::Signatures
    );
    let collateral = PLATFORM.machine_collateral("UpToDate");
    assert_eq!(failed(Other::sgx().with_collateral(collateral).verify()), Check::Signatures);
}

#[test]
fn every_changed_part_of_a_quote_is_refused() {
    // Header, attributes, report data, signature, attestation key.
    for at in [30, 48 + 120 + 5, 48 + 520 + 40, 636, 636 + 64] {
        let mut quote = Other::tdx().quote;
        quote[at] ^= 0x10;
        assert!(Other::tdx().with_quote(quote).verify().is_err(), "byte {at}");
    }
}

#[test]
fn what_has_no_evidence_or_cannot_be_read_is_refused() {
    let client = client_certificate(&KEYS.0).unwrap();
    assert_eq!(ServerCertificate::read(&client).err(), Some(ServerRefused::NoEvidence));
    let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert_eq!(ServerCertificate::read(&garbage).err(), Some(ServerRefused::Certificate));
    for quote in [Vec::new(), vec![3; 4000], vec![0; MAX_QUOTE + 1]] {
        assert_eq!(Other::sgx().with_quote(quote.clone()).verify(), Err(ServerRefused::Quote));
        assert_eq!(QuoteOrigin::read(&quote), Err(ServerRefused::Quote));
    }
}

/// Quotes of real hardware, of which nobody here has the key: all but that verifies, at a time when their collateral was valid.
#[test]
fn real_quotes_verify_under_intels_root_up_to_their_key() {
    let machine = Other {
        quote: include_bytes!("vectors/tdx_quote.bin").to_vec(),
        collateral: serde_json::from_str(include_str!("vectors/tdx_quote_collateral.json")).unwrap(),
        now: *RECORDED,
        policy: policy(ExpectedTee::tdx(recorded_mrtd())),
    };
    assert_eq!(machine.verify(), Err(ServerRefused::OtherKey));
    let late = Other { now: *RECORDED + YEAR, ..machine };
    assert_eq!(failed(late.verify()), Check::Signatures);

    let quote = include_bytes!("vectors/sgx_quote.bin").to_vec();
    let mrenclave = quote[48 + 64..48 + 96].try_into().unwrap();
    let enclave = Other {
        quote,
        collateral: serde_json::from_str(include_str!("vectors/sgx_quote_collateral.json")).unwrap(),
        now: *RECORDED,
        policy: policy(ExpectedTee::sgx(Some(mrenclave), None).unwrap()),
    };
    let refused = enclave.verify().unwrap_err();
    assert!(refused.to_string().contains("ConfigurationAndSWHardeningNeeded"), "{refused}");
}

#[test]
fn a_quote_says_where_its_collateral_is() {
    let real = QuoteOrigin::read(include_bytes!("vectors/tdx_quote.bin")).unwrap();
    assert_eq!((real.tee, hex::encode_upper(real.fmspc)), (Tee::Tdx, "B0C06F000000".to_owned()));
    assert_eq!(real.authority, PckAuthority::Platform);
    let ours = QuoteOrigin::read(&Ours::new().quote).unwrap();
    assert_eq!((ours.tee, ours.fmspc), (Tee::Sgx, [0x70; 6]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Changed in any byte, a server is refused or is still the same: never a panic.
    #[test]
    fn changed_certificates_and_quotes_are_refused_or_harmless(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut ours = Ours::new();
        let mut certificate = ours.certificate.to_vec();
        *at.get_mut(&mut certificate) = byte;
        ours.certificate = certificate.into();
        let _ = ours.verify();

        let quote = Other::sgx().quote;
        let mut changed = quote.clone();
        *at.get_mut(&mut changed) = byte;
        let _ = QuoteOrigin::read(&changed);
        if Other::sgx().with_quote(changed.clone()).verify().is_ok() {
            prop_assert_eq!(&changed[..432], &quote[..432], "the header and the report are signed");
        }
    }
}

/// An enclave of ours, and a session with it.
#[derive(Clone)]
struct Ours {
    claims: Vec<u8>,
    quote: Vec<u8>,
    signature: Vec<u8>,
    certificate: CertificateDer<'static>,
    binding: SessionBinding,
    collateral: Option<Collateral>,
    policy: ServerPolicy,
    now: SystemTime,
}

impl Ours {
    /// Right in every respect.
    fn new() -> Self {
        let mut ours = Self {
            claims: claims().encode().unwrap(),
            quote: Vec::new(),
            signature: Vec::new(),
            certificate: CertificateDer::from(Vec::new()),
            binding: SessionBinding { exporter: [0xe1; 32], nonce: [0xe2; 32] },
            collateral: Some(PLATFORM.collateral("UpToDate")),
            policy: policy(ExpectedTee::sgx(Some(MRENCLAVE), Some(MRSIGNER)).unwrap()),
            now: SystemTime::now(),
        };
        ours.quote = PLATFORM.quote(&ours.enclave());
        ours.sign();
        ours.certify(Some(ours.shown()));
        ours
    }

    fn enclave(&self) -> Enclave {
        Enclave { mrenclave: MRENCLAVE, debug: false, report_data: report_data(&self.claims) }
    }

    fn sign(&mut self) {
        self.signature = KEYS.1.sign(&self.binding, &self.claims, None).unwrap();
    }

    fn shown(&self) -> AppExtensions {
        let claims = Claims::decode(&self.claims).unwrap();
        AppExtensions {
            code_hash: CODE_HASH,
            configuration: claims.apps[0].hash().unwrap(),
            values: vec![(7, b"shown".to_vec())],
        }
    }

    fn certify(&mut self, app: Option<AppExtensions>) {
        let evidence = Evidence { claims: self.claims.clone(), quote: self.quote.clone() };
        self.certificate = leaf_certificate(&KEYS.0, &[HOST.to_owned()], &evidence, app.as_ref()).unwrap();
    }

    fn verify(&self) -> Result<VerifiedServer, ServerRefused> {
        let certificate = ServerCertificate::read(&self.certificate)?;
        let presented =
            Presented { claims: &self.claims, quote: &self.quote, volume: None, signature: &self.signature };
        let session = Some(SessionEvidence { presented, binding: &self.binding });
        let evidence = ServerEvidence { certificate: &certificate, server_name: HOST, session };
        verify_server(&evidence, &self.policy, self.collateral.as_ref(), self.now)
    }
}

/// A server whose certificate has a quote over its key, and that is all.
struct Other {
    quote: Vec<u8>,
    collateral: Collateral,
    policy: ServerPolicy,
    now: SystemTime,
}

impl Other {
    fn sgx() -> Self {
        let report_data = key_data(&KEYS.0);
        Self {
            quote: PLATFORM.quote(&Enclave { mrenclave: MRENCLAVE, debug: false, report_data }),
            collateral: PLATFORM.collateral("UpToDate"),
            policy: policy(ExpectedTee::sgx(Some(MRENCLAVE), None).unwrap()),
            now: SystemTime::now(),
        }
    }

    fn tdx() -> Self {
        let report_data = key_data(&KEYS.0);
        Self {
            quote: PLATFORM.machine_quote(&Machine { mrtd: MRTD, debug: false, report_data }),
            collateral: PLATFORM.machine_collateral("UpToDate"),
            policy: policy(ExpectedTee::tdx(MRTD)),
            now: SystemTime::now(),
        }
    }

    fn with_quote(self, quote: Vec<u8>) -> Self {
        Self { quote, ..self }
    }

    fn with_collateral(self, collateral: Collateral) -> Self {
        Self { collateral, ..self }
    }

    fn verify(&self) -> Result<VerifiedServer, ServerRefused> {
        let extension = rcgen::CustomExtension::from_oid_content(&SGX_QUOTE, self.quote.clone());
        let certificate = ServerCertificate::read(&self_signed(vec![extension]))?;
        assert_eq!((certificate.attests(), certificate.quote()), (Attests::Key, Some(self.quote.as_slice())));
        let evidence = ServerEvidence { certificate: &certificate, server_name: HOST, session: None };
        verify_server(&evidence, &self.policy, Some(&self.collateral), self.now)
    }
}

fn self_signed(extensions: Vec<rcgen::CustomExtension>) -> CertificateDer<'static> {
    let mut parameters = rcgen::CertificateParams::default();
    parameters.custom_extensions = extensions;
    parameters.serial_number = Some(rcgen::SerialNumber::from(1_u64));
    parameters.self_signed(&KEYS.0).unwrap().der().clone()
}

fn policy(tee: ExpectedTee) -> ServerPolicy {
    ServerPolicy { tee, extensions: Vec::new(), challenge: None, roots: vec![PLATFORM.root_fingerprint()] }
}

fn failed(result: Result<VerifiedServer, ServerRefused>) -> Check {
    match result {
        Err(ServerRefused::Appraisal { check, .. }) => check,
        other => panic!("{other:?}"),
    }
}

fn key_data(key: &TlsKey) -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&key.fingerprint());
    data
}

fn recorded_mrtd() -> [u8; 48] {
    include_bytes!("vectors/tdx_quote.bin")[48 + 136..48 + 184].try_into().unwrap()
}

fn claims() -> Claims {
    Claims {
        tls_key: KEYS.0.fingerprint(),
        session_key: KEYS.1.public(),
        boot: Boot { id: [1; 16], told_time: 1, counter: 3 },
        configuration: [2; 32],
        owners: vec![[3; 32]],
        volume: None,
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
            extensions: vec![(7, sha256(b"shown"))],
            configuration: ConfigurationClaim::default(),
            quote_roots: None,
            callers: CallerPolicy::default(),
            issuers: Vec::new(),
        }],
        operator: Some([4; 32]),
        image_upgrade: ImageUpgradeClaim::Never,
        made: 1,
        platform: PlatformClaim::Simulated,
        issuers: Vec::new(),
        lineage: Vec::new(),
    }
}

const HOST: &str = "hello.localhost";
const MRENCLAVE: [u8; 32] = [0xaa; 32];
const MRSIGNER: [u8; 32] = [0xdd; 32];
const MRTD: [u8; 48] = [0xab; 48];
const CODE_HASH: [u8; 32] = [0xc0; 32];
const CODE_HASH_OID: &str = "1.3.6.1.4.1.65230.3.2";
/// Tagged evidence of TCG DICE, and the extension that the first RA-TLS tools know.
const DICE_EVIDENCE: [u64; 6] = [2, 23, 133, 5, 4, 9];
const SGX_QUOTE: [u64; 8] = [1, 2, 840, 113741, 1, 13, 1, 0];
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// 2025-06-25T00:00:00Z, inside the validity of the recorded collateral.
static RECORDED: LazyLock<SystemTime> = LazyLock::new(|| UNIX_EPOCH + Duration::from_secs(1_750_809_600));
static PLATFORM: LazyLock<TestPlatform> = LazyLock::new(TestPlatform::new);
static KEYS: LazyLock<(TlsKey, SessionKey)> =
    LazyLock::new(|| (TlsKey::generate().unwrap(), SessionKey::generate().unwrap()));
