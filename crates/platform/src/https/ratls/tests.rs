#[path = "../../../../attestation/tests/platform/mod.rs"]
mod platform;

use std::collections::BTreeMap;
use std::future::ready;
use std::pin::Pin;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use cloister_api::{CallerPolicy, EvidenceResponse, Limits, NetworkPolicy};
use cloister_attestation::{
    AppClaims, AppExtensions, Boot, Claims, ConfigurationClaim, Evidence, Freshness, ImageUpgradeClaim,
    PlatformClaim, SessionKey, TlsKey, UpgradePolicy, client_certificate, environment_hash, leaf_certificate,
    report_data,
};
use cloister_egress::EgressError;
use http::Response;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustls_pki_types::CertificateDer;

use super::*;
use crate::bindings::privasys::enclave_os::https::ExpectedOid;
use crate::https::FetchError;
use platform::{Enclave, Machine, TestPlatform};

#[tokio::test]
async fn an_enclave_of_ours_is_verified_over_its_own_session() {
    let mut session = Ours::default();
    let verified = verify(record(), &mut session, &Nothing).await.unwrap();
    assert_eq!(verified.attests, Attests::Session);
    assert_eq!(session.asked, 1);
}

#[tokio::test]
async fn a_measurement_that_is_not_the_servers_is_refused() {
    let policy = Record { mr_enclave: Some(vec![1; 32]), ..record() };
    let refused = verify(policy, &mut Ours::default(), &Nothing).await.unwrap_err();
    assert!(matches!(refused, RatlsRefused::Server(ServerRefused::Measurement { .. })));
    let policy = Record { mr_signer: Some(vec![1; 32]), ..record() };
    let refused = verify(policy, &mut Ours::default(), &Nothing).await.unwrap_err();
    assert!(refused.to_string().contains("MRSIGNER"), "{refused}");
}

#[tokio::test]
async fn a_server_in_the_middle_cannot_relay_the_evidence() {
    // The enclave signs the exporter of its own session, which is with someone else.
    let mut session = Ours { signed_exporter: [9; 32], ..Ours::default() };
    let refused = verify(record(), &mut session, &Nothing).await.unwrap_err();
    assert_eq!(refused, ServerRefused::Relayed.into());
}

#[tokio::test]
async fn the_nonce_of_the_policy_is_what_the_server_has_to_sign() {
    let policy = || Record { challenge_nonce: Some(vec![5; 32]), ..record() };
    assert!(verify(policy(), &mut Ours::default(), &Nothing).await.is_ok());
    let mut session = Ours { signed_nonce: Some([6; 32]), ..Ours::default() };
    assert_eq!(verify(policy(), &mut session, &Nothing).await, Err(ServerRefused::Relayed.into()));
    let refused = verify(policy(), &mut Other::sgx(), &Nothing).await.unwrap_err();
    assert_eq!(refused, ServerRefused::Unchallenged.into());
}

#[tokio::test]
async fn nonces_are_new_for_each_session() {
    let (mut one, mut two) = (Ours::default(), Ours::default());
    verify(record(), &mut one, &Nothing).await.unwrap();
    verify(record(), &mut two, &Nothing).await.unwrap();
    assert_ne!(one.nonce, two.nonce);
}

#[tokio::test]
async fn a_server_that_answers_nothing_useful_is_refused() {
    for (status, body) in [(404, "{}"), (500, ""), (307, "{}")] {
        let mut session = Ours { instead: Some((status, body)), ..Ours::default() };
        assert_eq!(verify(record(), &mut session, &Nothing).await, Err(RatlsRefused::Session));
    }
    let mut session = Ours { instead: Some((200, "{}")), ..Ours::default() };
    assert_eq!(verify(record(), &mut session, &Nothing).await, Err(UnreadableEvidence("response").into()));
}

#[tokio::test]
async fn an_expected_extension_is_compared_byte_for_byte() {
    let expecting =
        |value: &[u8]| Record { expected_oids: vec![oid("1.3.6.1.4.1.65230.3.2", value)], ..record() };
    assert!(verify(expecting(&[0xc0; 32]), &mut Ours::default(), &Nothing).await.is_ok());
    let refused = verify(expecting(&[1; 32]), &mut Ours::default(), &Nothing).await.unwrap_err();
    assert!(matches!(refused, RatlsRefused::Server(ServerRefused::OtherExtension(_))));
}

#[tokio::test]
async fn a_server_without_evidence_is_refused_before_anything_is_sent() {
    let mut session = Ours { certificate: client_certificate(&KEYS.0).unwrap(), ..Ours::default() };
    assert_eq!(verify(record(), &mut session, &Nothing).await, Err(ServerRefused::NoEvidence.into()));
    assert_eq!(session.asked, 0);
}

#[tokio::test]
async fn another_ratls_server_needs_an_attestation_server() {
    let refused = verify(record(), &mut Other::sgx(), &Nothing).await.unwrap_err();
    assert_eq!(refused, ServerRefused::NoCollateral.into());
    assert!(refused.to_string().contains("name an attestation server"));
}

#[tokio::test]
async fn collateral_comes_from_the_attestation_server() {
    let service = Service::of(&PLATFORM.collateral("UpToDate"), "sgx");
    let verified = verify(asking(record(), &[BASE]), &mut Other::sgx(), &service).await.unwrap();
    assert_eq!(verified.attests, Attests::Key);
    let asked = service.asked.lock().unwrap().clone();
    let fmspc = "70".repeat(6);
    assert_eq!(
        asked,
        [
            format!("{BASE}/sgx/certification/v4/pckcrl?ca=platform&encoding=der"),
            format!("{BASE}/sgx/certification/v4/tcb?fmspc={fmspc}"),
            format!("{BASE}/sgx/certification/v4/qe/identity"),
            format!("{BASE}/sgx/certification/v4/rootcacrl"),
        ]
    );

    let service = Service::of(&PLATFORM.machine_collateral("UpToDate"), "tdx");
    let verified = verify(asking(machine_record(), &[BASE]), &mut Other::tdx(), &service).await;
    assert!(verified.is_ok(), "{verified:?}");
}

#[tokio::test]
async fn what_the_policys_servers_say_counts_and_not_what_the_enclave_offers() {
    let service = Service::of(&PLATFORM.collateral("OutOfDate"), "sgx");
    let refused = verify(asking(record(), &[BASE]), &mut Ours::default(), &service).await.unwrap_err();
    assert!(refused.to_string().contains("OutOfDate"), "{refused}");
}

#[tokio::test]
async fn attestation_servers_are_asked_in_order_until_one_has_all() {
    let mut service = Service::of(&PLATFORM.collateral("UpToDate"), "sgx");
    let policy = || asking(record(), &["https://broken.example", BASE]);
    assert!(verify(policy(), &mut Other::sgx(), &service).await.is_ok());
    assert!(service.asked.lock().unwrap()[0].starts_with("https://broken.example/"));

    service.answers.retain(|url, _| !url.contains("/tcb"));
    let refused = verify(policy(), &mut Other::sgx(), &service).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("the attestation server {BASE} gave no TCB levels for the server's quote")
    );
}

#[tokio::test]
async fn intels_own_revocations_of_the_root_are_where_its_certificate_says() {
    let mut service = Service::of(&PLATFORM.collateral("UpToDate"), "sgx");
    let list = service.answers.remove(&format!("{BASE}/sgx/certification/v4/rootcacrl")).unwrap();
    let elsewhere = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
    service.answers.insert(elsewhere.to_owned(), list);
    assert!(verify(asking(record(), &[BASE]), &mut Other::sgx(), &service).await.is_ok());
}

#[tokio::test]
async fn collateral_that_is_out_of_date_is_refused() {
    let policy = RatlsPolicy::parse(record(), &roots()).unwrap();
    let later = SystemTime::now() + Duration::from_secs(100 * 365 * 24 * 60 * 60);
    let refused = policy.verify_at(later, HOST, &mut Ours::default(), &Nothing).await.unwrap_err();
    assert!(matches!(refused, RatlsRefused::Server(ServerRefused::Appraisal { .. })));
}

#[tokio::test]
async fn a_root_that_the_app_was_not_deployed_with_is_refused() {
    let policy = RatlsPolicy::parse(record(), &[]).unwrap();
    let refused = policy.verify(HOST, &mut Ours::default(), &Nothing).await.unwrap_err();
    assert!(matches!(refused, RatlsRefused::Server(ServerRefused::Root { .. })));
}

#[test]
fn policies_that_verify_nothing_or_contradict_themselves_are_refused() {
    let nothing = Record { mr_enclave: None, mr_signer: None, ..record() };
    let machine = Record { mr_td: None, ..machine_record() };
    for policy in [nothing, machine] {
        assert_eq!(parse(policy), Err(InvalidExpectation::Nothing.into()));
    }
    let url = |url: &str| Record { attestation_servers: vec![url.to_owned()], ..record() };
    for policy in [
        Record { mr_enclave: Some(vec![0xaa; 31]), ..record() },
        Record { mr_signer: Some(vec![0xaa; 48]), ..record() },
        Record { mr_td: Some(vec![0xab; 32]), ..machine_record() },
        Record { mr_td: Some(vec![0xab; 48]), ..record() },
        Record { mr_enclave: Some(vec![0xaa; 32]), ..machine_record() },
        Record { challenge_nonce: Some(vec![1; 16]), ..record() },
        Record { expected_oids: vec![oid("1.2.3", b""); 33], ..record() },
        Record { expected_oids: vec![oid("1.2.3", &[0; (64 << 10) + 1])], ..record() },
        Record { attestation_servers: vec![BASE.to_owned(); 9], ..record() },
        url("http://pccs.example"),
        url("https://user@pccs.example"),
        url("pccs.example"),
    ] {
        let refused = parse(policy).unwrap_err();
        assert!(matches!(refused, RatlsRefused::Policy(_)), "{refused}");
        assert!(!refused.to_string().ends_with('.'));
    }
    let wrong = Record { expected_oids: vec![oid("1.2.x", b"")], ..record() };
    assert_eq!(parse(wrong), Err(InvalidExpectation::Identifier.into()));
}

#[test]
fn every_part_of_a_policy_is_in_its_hash() {
    let full = || Record {
        challenge_nonce: Some(vec![5; 32]),
        expected_oids: vec![oid("1.2.3", b"a"), oid("1.2.4", b"")],
        attestation_servers: vec![BASE.to_owned()],
        ..record()
    };
    let hash = |record: Record| RatlsPolicy::parse(record, &roots()).unwrap().hash();
    let all = [
        hash(full()),
        hash(record()),
        hash(machine_record()),
        hash(Record { mr_enclave: None, ..full() }),
        hash(Record { mr_signer: None, ..full() }),
        hash(Record { mr_enclave: full().mr_signer, mr_signer: full().mr_enclave, ..full() }),
        hash(Record { challenge_nonce: None, ..full() }),
        hash(Record { challenge_nonce: Some(vec![6; 32]), ..full() }),
        hash(Record { expected_oids: vec![oid("1.2.3", b"a")], ..full() }),
        hash(Record { expected_oids: vec![oid("1.2.3", b""), oid("1.2.4", b"a")], ..full() }),
        hash(Record { attestation_servers: Vec::new(), ..full() }),
        hash(Record { attestation_servers: vec!["https://other.example".to_owned()], ..full() }),
        RatlsPolicy::parse(full(), &[]).unwrap().hash(),
    ];
    let different: std::collections::BTreeSet<_> = all.into_iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(hash(full()), hash(full()));
}

async fn verify(
    record: Record,
    session: &mut dyn Session,
    servers: &dyn Servers,
) -> Result<VerifiedServer, RatlsRefused> {
    RatlsPolicy::parse(record, &roots()).unwrap().verify(HOST, session, servers).await
}

fn parse(record: Record) -> Result<(), RatlsRefused> {
    RatlsPolicy::parse(record, &roots()).map(drop)
}

fn record() -> Record {
    Record {
        tee: TeeType::Sgx,
        mr_enclave: Some(vec![0xaa; 32]),
        mr_signer: Some(vec![0xdd; 32]),
        mr_td: None,
        challenge_nonce: None,
        expected_oids: Vec::new(),
        attestation_servers: Vec::new(),
    }
}

fn machine_record() -> Record {
    let mr_td = Some(vec![0xab; 48]);
    Record { tee: TeeType::Tdx, mr_enclave: None, mr_signer: None, mr_td, ..record() }
}

fn asking(record: Record, servers: &[&str]) -> Record {
    Record { attestation_servers: servers.iter().map(ToString::to_string).collect(), ..record }
}

fn oid(oid: &str, value: &[u8]) -> ExpectedOid {
    ExpectedOid { oid: oid.to_owned(), value: value.to_vec() }
}

fn roots() -> Vec<Vec<u8>> {
    vec![PLATFORM.root_der.clone()]
}

/// A session with an enclave of ours.
struct Ours {
    certificate: CertificateDer<'static>,
    claims: Vec<u8>,
    quote: Vec<u8>,
    /// What it signs in place of the session's own.
    signed_exporter: [u8; 32],
    signed_nonce: Option<[u8; 32]>,
    /// What it answers in place of evidence.
    instead: Option<(u16, &'static str)>,
    nonce: [u8; 32],
    asked: usize,
}

impl Default for Ours {
    fn default() -> Self {
        let claims = claims();
        let configuration = claims.apps[0].hash().unwrap();
        let claims = claims.encode().unwrap();
        let report_data = report_data(&claims);
        let quote = PLATFORM.quote(&Enclave { mrenclave: [0xaa; 32], debug: false, report_data });
        let evidence = Evidence { claims: claims.clone(), quote: quote.clone() };
        let app = AppExtensions { code_hash: [0xc0; 32], configuration, values: Vec::new() };
        let certificate = leaf_certificate(&KEYS.0, &[HOST.to_owned()], &evidence, Some(&app)).unwrap();
        Self {
            certificate,
            claims,
            quote,
            signed_exporter: EXPORTER,
            signed_nonce: None,
            instead: None,
            nonce: [0; 32],
            asked: 0,
        }
    }
}

impl Session for Ours {
    fn export(&self, label: &[u8], context: &[u8]) -> Result<[u8; 32], EgressError> {
        assert_eq!((label, context.len(), self.asked), (EXPORTER_LABEL, 32, 0));
        Ok(EXPORTER)
    }

    fn certificates(&self) -> &[CertificateDer<'static>] {
        std::slice::from_ref(&self.certificate)
    }

    fn send<'a>(
        &'a mut self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, EgressError>> + Send + 'a>> {
        use base64::prelude::*;
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, EVIDENCE));
        self.asked += 1;
        if let Some((status, body)) = self.instead {
            return Box::pin(ready(Ok(Response::builder().status(status).body(body.into()).unwrap())));
        }
        let request: EvidenceRequest = serde_json::from_slice(request.body()).unwrap();
        hex::decode_to_slice(request.nonce, &mut self.nonce).unwrap();
        let binding =
            SessionBinding { exporter: self.signed_exporter, nonce: self.signed_nonce.unwrap_or(self.nonce) };
        let signature = KEYS.1.sign(&binding, &self.claims, None).unwrap();
        let response = EvidenceResponse {
            claims: BASE64_STANDARD.encode(&self.claims),
            quote: BASE64_STANDARD.encode(&self.quote),
            signature: BASE64_STANDARD.encode(signature),
            volume: None,
            collateral: Some(serde_json::to_value(PLATFORM.collateral("UpToDate")).unwrap()),
        };
        Box::pin(ready(Ok(Response::new(serde_json::to_vec(&response).unwrap().into()))))
    }
}

/// A session with another RA-TLS server: nothing can be asked of it.
struct Other(CertificateDer<'static>);

impl Other {
    fn sgx() -> Self {
        let report_data = key_data();
        Self::with(PLATFORM.quote(&Enclave { mrenclave: [0xaa; 32], debug: false, report_data }))
    }

    fn tdx() -> Self {
        let report_data = key_data();
        Self::with(PLATFORM.machine_quote(&Machine { mrtd: [0xab; 48], debug: false, report_data }))
    }

    fn with(quote: Vec<u8>) -> Self {
        let mut parameters = rcgen::CertificateParams::default();
        let extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 840, 113741, 1, 13, 1, 0], quote);
        parameters.custom_extensions = vec![extension];
        parameters.serial_number = Some(rcgen::SerialNumber::from(1_u64));
        Self(parameters.self_signed(&KEYS.0).unwrap().into())
    }
}

impl Session for Other {
    fn export(&self, _: &[u8], _: &[u8]) -> Result<[u8; 32], EgressError> {
        panic!("nothing is bound to this session")
    }

    fn certificates(&self) -> &[CertificateDer<'static>] {
        std::slice::from_ref(&self.0)
    }

    fn send<'a>(
        &'a mut self,
        _: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, EgressError>> + Send + 'a>> {
        panic!("nothing is asked of this server")
    }
}

/// No attestation server may be asked.
struct Nothing;

impl Servers for Nothing {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'a>> {
        panic!("{url}")
    }
}

/// A service with the interface of Intel's.
struct Service {
    answers: BTreeMap<String, Response<Bytes>>,
    asked: Mutex<Vec<String>>,
}

impl Service {
    fn of(collateral: &Collateral, tee: &str) -> Self {
        let answer = |header: &str, chain: &str, body: Vec<u8>| {
            let chain = utf8_percent_encode(chain, NON_ALPHANUMERIC).to_string();
            Response::builder().header(header, chain).body(Bytes::from(body)).unwrap()
        };
        let signed = |name: &str, signed: &str, signature: &[u8]| {
            format!(r#"{{"{name}":{signed},"signature":"{}"}}"#, hex::encode(signature)).into_bytes()
        };
        let tcb = signed("tcbInfo", &collateral.tcb_info, &collateral.tcb_info_signature);
        let identity = signed("enclaveIdentity", &collateral.qe_identity, &collateral.qe_identity_signature);
        let fmspc = "70".repeat(6);
        let crls = &collateral.pck_crl_issuer_chain;
        let answers = [
            (
                "sgx/certification/v4/pckcrl?ca=platform&encoding=der".to_owned(),
                answer("SGX-PCK-CRL-Issuer-Chain", crls, collateral.pck_crl.clone()),
            ),
            (
                format!("{tee}/certification/v4/tcb?fmspc={fmspc}"),
                answer("TCB-Info-Issuer-Chain", &collateral.tcb_info_issuer_chain, tcb),
            ),
            (
                format!("{tee}/certification/v4/qe/identity"),
                answer("SGX-Enclave-Identity-Issuer-Chain", &collateral.qe_identity_issuer_chain, identity),
            ),
            (
                "sgx/certification/v4/rootcacrl".to_owned(),
                Response::new(Bytes::from(hex::encode(&collateral.root_ca_crl))),
            ),
        ];
        let answers = answers.into_iter().map(|(path, answer)| (format!("{BASE}/{path}"), answer)).collect();
        Self { answers, asked: Mutex::default() }
    }
}

impl Servers for Service {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, FetchError>> + Send + 'a>> {
        self.asked.lock().unwrap().push(url.to_owned());
        let missing = || Response::builder().status(404).body(Bytes::new()).unwrap();
        Box::pin(ready(Ok(self.answers.get(url).cloned().unwrap_or_else(missing))))
    }
}

fn key_data() -> [u8; 64] {
    let mut data = [0; 64];
    data[..32].copy_from_slice(&KEYS.0.fingerprint());
    data
}

fn claims() -> Claims {
    Claims {
        tls_key: KEYS.0.fingerprint(),
        session_key: KEYS.1.public(),
        boot: Boot { id: [1; 16], told_time: 1, counter: 1 },
        configuration: [2; 32],
        owners: Vec::new(),
        volume: None,
        freshness: Freshness::None,
        apps: vec![AppClaims {
            name: "hello".parse().unwrap(),
            code_hash: [0xc0; 32],
            owner: [3; 32],
            limits: Limits::default(),
            environment: environment_hash([]),
            upgrade: UpgradePolicy::Owner,
            network: NetworkPolicy::default(),
            roots: None,
            assets: None,
            config: environment_hash([]),
            extensions: Vec::new(),
            configuration: ConfigurationClaim::default(),
            quote_roots: None,
            callers: CallerPolicy::default(),
            issuers: Vec::new(),
        }],
        operator: None,
        image_upgrade: ImageUpgradeClaim::Never,
        made: 1,
        platform: PlatformClaim::Simulated,
        issuers: Vec::new(),
        lineage: Vec::new(),
    }
}

const HOST: &str = "hello.example";
const BASE: &str = "https://pccs.example:8081";
const EXPORTER: [u8; 32] = [0xe1; 32];
static PLATFORM: LazyLock<TestPlatform> = LazyLock::new(TestPlatform::new);
static KEYS: LazyLock<(TlsKey, SessionKey)> =
    LazyLock::new(|| (TlsKey::generate().unwrap(), SessionKey::generate().unwrap()));
