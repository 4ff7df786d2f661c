//! Collateral from a stand-in for a caching service: that of Intel's recorded quotes, and that of a soft platform.

mod pccs;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cloister_collateral::{
    Collateral, CollateralCache, CollateralError, CollateralServer, Part, ServerTrust, expiry, shown_date,
};
use cloister_test_authority::{Identity, Versions};
use dcap_qvl::quote::Quote;
use dcap_qvl::verify::QuoteVerifier;
use pccs::{Page, Pccs, chain, pages};

const SGX_QUOTE: &[u8] = include_bytes!("../../attestation/tests/vectors/sgx_quote.bin");
const TDX_QUOTE: &[u8] = include_bytes!("../../attestation/tests/vectors/tdx_quote.bin");
/// 2025-07-01: inside the validity of the recorded collateral.
const RECORDED: u64 = 1_751_328_000;

fn sgx() -> Collateral {
    serde_json::from_str(include_str!("../../attestation/tests/vectors/sgx_quote_collateral.json")).unwrap()
}

fn tdx() -> Collateral {
    serde_json::from_str(include_str!("../../attestation/tests/vectors/tdx_quote_collateral.json")).unwrap()
}

fn server(pccs: &Pccs) -> CollateralServer {
    CollateralServer::new(&pccs.url()).unwrap()
}

#[test]
fn intels_recorded_sgx_quote_verifies_with_what_was_fetched() {
    let pccs = Pccs::start(pages(&sgx(), "sgx"));
    let fetched = server(&pccs).fetch(SGX_QUOTE).unwrap();
    let verified = QuoteVerifier::new_prod().verify(SGX_QUOTE, &fetched, RECORDED).unwrap();
    assert_eq!(verified.status, "ConfigurationAndSWHardeningNeeded");
    let recorded = sgx();
    assert_eq!((&fetched.tcb_info, &fetched.qe_identity), (&recorded.tcb_info, &recorded.qe_identity));
    assert_eq!((&fetched.pck_crl, &fetched.root_ca_crl), (&recorded.pck_crl, &recorded.root_ca_crl));
    let asked = pccs.received();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let levels = asked.iter().find(|target| target.contains("/tcb?")).unwrap();
    let quote = Quote::parse(SGX_QUOTE).unwrap();
    let fmspc = hex::encode_upper(dcap_qvl::intel::quote_fmspc(&quote).unwrap());
    assert!(levels.ends_with(&format!("fmspc={fmspc}")), "{levels}");
}

#[test]
fn intels_recorded_tdx_quote_verifies_too() {
    let pccs = Pccs::start(pages(&tdx(), "tdx"));
    let fetched = server(&pccs).fetch(TDX_QUOTE).unwrap();
    let verified = QuoteVerifier::new_prod().verify(TDX_QUOTE, &fetched, RECORDED).unwrap();
    assert_eq!(verified.status, "UpToDate");
}

#[test]
fn a_quote_without_a_certificate_gets_its_platforms() {
    let (quote, leaf, issuers) = without_certificate();
    let mut has = pages(&sgx(), "sgx");
    let headers = vec![("sgx-pck-certificate-issuer-chain", chain(&issuers))];
    has.insert(
        "/sgx/certification/v4/pckcert".to_owned(),
        Page { status: 200, headers, body: leaf.into_bytes() },
    );
    let pccs = Pccs::start(has);
    let fetched = server(&pccs).fetch(&quote).unwrap();
    assert!(fetched.pck_certificate_chain.as_ref().is_some_and(|chain| chain.matches("BEGIN").count() == 3));
    QuoteVerifier::new_prod().verify(&quote, &fetched, RECORDED).unwrap();
    let asked = pccs.received().remove(0);
    let ppid = "AB".repeat(384);
    assert!(asked.contains(&format!("encrypted_ppid={ppid}&cpusvn=")), "{asked}");
    assert!(asked.contains("pcesvn=0D00&pceid=0000"), "{asked}");
}

#[test]
fn each_part_that_is_missing_or_damaged_is_named() {
    let quote = SGX_QUOTE;
    for (path, part) in [
        ("/sgx/certification/v4/pckcrl", Part::PckRevocations),
        ("/sgx/certification/v4/tcb", Part::TcbInfo),
        ("/sgx/certification/v4/qe/identity", Part::QeIdentity),
    ] {
        let with = |change: &dyn Fn(&mut Page)| {
            let mut has = pages(&sgx(), "sgx");
            change(has.get_mut(path).unwrap());
            server(&Pccs::start(has)).fetch(quote).unwrap_err()
        };
        for status in [404, 500, 302] {
            match with(&|page| page.status = status) {
                CollateralError::Status { part: found, status: code, .. } => {
                    assert_eq!((found, code), (part, status))
                }
                other => panic!("{other}"),
            }
        }
        match with(&|page| page.headers.clear()) {
            CollateralError::Malformed { part: found, .. } => assert_eq!(found, part),
            other => panic!("{other}"),
        }
        match with(&|page| page.body = vec![b' '; (1 << 20) + 1]) {
            CollateralError::TooLong { part: found, .. } => assert_eq!(found, part),
            other => panic!("{other}"),
        }
        if part != Part::PckRevocations {
            for body in [&b""[..], b"{}", b"<html>", br#"{"tcbInfo":{},"signature":"00"}"#] {
                let error = with(&|page| page.body = body.to_vec());
                assert!(
                    matches!(error, CollateralError::Malformed { part: found, .. } if found == part),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn levels_of_another_family_of_platforms_are_not_taken() {
    let mut has = pages(&sgx(), "sgx");
    let page = has.get_mut("/sgx/certification/v4/tcb").unwrap();
    let body = String::from_utf8(page.body.clone()).unwrap();
    let at = body.find("\"fmspc\":\"").unwrap() + 9;
    page.body = format!("{}00AABB{}", &body[..at], &body[at + 6..]).into_bytes();
    let error = server(&Pccs::start(has)).fetch(SGX_QUOTE).unwrap_err();
    assert!(error.to_string().contains("another family"), "{error}");
}

#[test]
fn what_is_no_quote_asks_nobody() {
    let pccs = Pccs::start(pages(&sgx(), "sgx"));
    let mut no_chain = SGX_QUOTE.to_vec();
    no_chain.truncate(600);
    for quote in [&b""[..], b"no quote", &no_chain] {
        assert!(matches!(server(&pccs).fetch(quote), Err(CollateralError::Quote(_))));
    }
    assert!(pccs.received().is_empty());
}

#[test]
fn a_service_that_is_not_there_or_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let silent = CollateralServer::new(&format!("http://{address}")).unwrap();
    let began = Instant::now();
    let error = silent.clone().with_patience(Duration::from_millis(300)).fetch(SGX_QUOTE).unwrap_err();
    assert!(matches!(error, CollateralError::TimedOut { part: Part::PckRevocations, .. }), "{error}");
    assert!(began.elapsed() < Duration::from_secs(10));
    drop(listener);
    assert!(matches!(silent.fetch(SGX_QUOTE), Err(CollateralError::Unreachable { .. })));
}

#[test]
fn one_that_breaks_off_or_speaks_something_else_is_an_error() {
    for said in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort", b"\x15\x03\x03\x00\x02"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let talk = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(said);
        });
        let error = CollateralServer::new(&url).unwrap().fetch(SGX_QUOTE).unwrap_err();
        assert!(matches!(error, CollateralError::BrokenOff { .. }), "{error}");
        talk.join().unwrap();
    }
}

#[test]
fn a_service_is_recognized_by_its_certificate_unless_told_otherwise() {
    let right = Identity::self_signed("localhost");
    let tls = Arc::new(right.server_config(&[], Versions::All));
    let pccs = Pccs::start_over(pages(&sgx(), "sgx"), move |stream| {
        let connection = rustls::ServerConnection::new(tls.clone()).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    });
    let server = CollateralServer::new(&format!("https://localhost:{}", pccs.address.port())).unwrap();
    let with = |trust| server.clone().with_trust(trust).fetch(SGX_QUOTE);
    let pem = pem::encode(&pem::Pem::new("CERTIFICATE", right.der()));
    assert!(with(ServerTrust::from_pem(pem.as_bytes()).unwrap()).is_ok());
    assert!(with(ServerTrust::Unverified).is_ok());
    let asked = pccs.received().len();
    for refused in [ServerTrust::Mozilla, ServerTrust::Certificates(vec![of_someone_else()])] {
        assert!(matches!(with(refused), Err(CollateralError::Unreachable { .. })));
    }
    assert_eq!(pccs.received().len(), asked, "nothing is asked of a service that is not recognized");
    assert!(matches!(ServerTrust::from_pem(b"no certificate"), Err(CollateralError::Certificates)));
}

#[test]
fn a_soft_platforms_collateral_comes_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let platform = cloister_soft_sgx::SoftPlatform::open(folder.path()).unwrap();
    let collateral: Collateral = serde_json::from_slice(&platform.collateral().unwrap()).unwrap();
    let pccs = Pccs::start(pages(&collateral, "sgx"));
    server(&pccs).reach().unwrap();
    let expires = expiry(&collateral).unwrap().duration_since(SystemTime::now()).unwrap();
    assert!(
        expires > Duration::from_hours(24 * 29) && expires < Duration::from_hours(24 * 31),
        "{expires:?}"
    );
}

#[test]
fn expiry_is_that_of_the_part_that_expires_first() {
    let expires = expiry(&sgx()).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!((RECORDED..RECORDED + 40 * 86_400).contains(&expires), "{expires}");
    let verifies = |at| QuoteVerifier::new_prod().verify(SGX_QUOTE, &sgx(), at).is_ok();
    assert!(verifies(expires - 1) && !verifies(expires + 1));
    let mut undated = sgx();
    undated.tcb_info = "{}".to_owned();
    assert_eq!(expiry(&undated), None);
    let at = |seconds| shown_date(UNIX_EPOCH + Duration::from_secs(seconds));
    assert_eq!(at(RECORDED).as_deref(), Some("2025-07-01T00:00:00Z"));
    assert_eq!(at(300_000_000_000), None);
}

#[test]
fn the_cache_asks_once_a_day_and_keeps_what_is_valid() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let pccs = Pccs::start(pages(&sgx(), "sgx"));
    let cache = CollateralCache::new(server(&pccs));
    let ask = |now| {
        let mut told = false;
        let collateral = cache.collateral(SGX_QUOTE, at(now), |_| told = true);
        (collateral.is_ok(), told, pccs.received().len())
    };
    assert_eq!(ask(RECORDED), (true, false, 4));
    assert_eq!(ask(RECORDED + 86_399), (true, false, 4));
    assert_eq!(ask(RECORDED + 86_400), (true, false, 8));
    // A clock that is put back asks anew, too.
    assert_eq!(ask(RECORDED), (true, false, 12));
    pccs.change(|pages| pages.clear());
    assert_eq!(ask(RECORDED + 86_400), (true, true, 13));
    assert_eq!(ask(RECORDED + 86_400 + 599), (true, false, 13), "not at once again");
    assert_eq!(ask(RECORDED + 86_400 + 600), (true, true, 14));
    let expired = expiry(&sgx()).unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert_eq!(ask(expired), (false, false, 15), "what has expired is not given");
}

/// Intel's recorded quote with what to ask for its certificate with, in place of the certificate; and the certificates.
fn without_certificate() -> (Vec<u8>, String, String) {
    let parsed = Quote::parse(SGX_QUOTE).unwrap();
    let pem = String::from_utf8(parsed.raw_cert_chain().unwrap().to_vec()).unwrap();
    let pem = pem.trim_end_matches('\0');
    let split = pem.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    let (leaf, issuers) = pem.split_at(split);
    let wanted = [&[0xab; 384][..], &[3; 16], &[0x0d, 0], &[0, 0]].concat();
    // Header (48), report body (384), length of the rest (4), signature (64), key (64), report of the quoting enclave (384), its
    // signature (64), length of its own data (2).
    let own = 436 + 64 + 64 + 384 + 64;
    let start = own + 2 + usize::from(u16::from_le_bytes([SGX_QUOTE[own], SGX_QUOTE[own + 1]]));
    let mut quote = SGX_QUOTE[..start].to_vec();
    quote.extend(3_u16.to_le_bytes());
    quote.extend(u32::try_from(wanted.len()).unwrap().to_le_bytes());
    quote.extend(wanted);
    let rest = u32::try_from(quote.len() - 436).unwrap();
    quote[432..436].copy_from_slice(&rest.to_le_bytes());
    (quote, leaf.to_owned(), issuers.trim_start().to_owned())
}

/// A certificate of someone else.
fn of_someone_else() -> rustls::pki_types::CertificateDer<'static> {
    let chain = sgx().tcb_info_issuer_chain;
    pem::parse_many(chain).unwrap().remove(0).into_contents().into()
}
