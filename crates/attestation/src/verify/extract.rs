use super::crypto::Graviola;
use super::statements::Statements;
use super::{Collateral, Observed, Presented, TcbStatus, TrustAnchor, VerifiedQuotes};
use crate::{Claims, ClaimsError, HASH_LEN, MAX_QUOTE, key_fingerprint, sha256};
use dcap_qvl::QuotePolicy;
use dcap_qvl::quote::{EnclaveReport, Quote};
use dcap_qvl::verify::QuoteVerifier;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};
use x509_cert::der::{DateTime, Decode};

/// What the peer's bytes say, each part a value or the reason why there is none. Nothing here is compared yet, and
/// nothing but `signatures` is authenticated.
#[derive(Debug)]
pub(super) struct Extracted {
    pub(super) claims: Result<Claims, ClaimsError>,
    pub(super) quote: Result<EnclaveReport, String>,
    /// The root certificate that the policy's anchor names, where the chain has it; otherwise the root that the chain
    /// ends in, or why it has none.
    pub(super) root: Result<Vec<u8>, ForeignRoot>,
    /// What Intel says of the platform, once every signature from the accepted root down to the report was verified.
    pub(super) signatures: Result<VerifiedPlatform, Unverified>,
    /// Fingerprint of the certificate's key.
    pub(super) tls_key: Result<[u8; HASH_LEN], String>,
    /// What the certificate says beside its key.
    pub(super) statements: Result<Statements, String>,
}

impl Extracted {
    pub(super) fn new(
        presented: &Presented<'_>,
        observed: &Observed<'_>,
        collateral: Option<&Collateral>,
        anchor: &TrustAnchor,
        now: SystemTime,
        quotes: Option<&VerifiedQuotes>,
    ) -> Self {
        let verify = |root: &[u8]| match quotes {
            Some(quotes) => quotes.signatures(presented.quote, root, collateral, now),
            None => signatures(presented.quote, root, collateral, now),
        };
        let parsed = parse_quote(presented.quote);
        let root = match &parsed {
            Ok((quote, _)) => root(quote, collateral, anchor),
            Err(_) => Err(ForeignRoot::None),
        };
        Self {
            claims: Claims::decode(presented.claims),
            // Never under a root that the peer chose: the library is made for trusted ones, and panics at some others.
            signatures: match &root {
                Ok(root) => verify(root).map_err(Unverified::Failed),
                Err(_) => Err(Unverified::NoRoot),
            },
            root,
            quote: parsed.map(|(_, report)| report),
            tls_key: key_fingerprint(observed.certificate).map_err(|error| error.to_string()),
            statements: Statements::of(observed.certificate),
        }
    }
}

/// The chain does not end in the root that the policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ForeignRoot {
    /// There is no readable chain.
    None,
    /// SHA-256 of the certificate it ends in, and that certificate's subject.
    Other { fingerprint: [u8; HASH_LEN], subject: String },
}

/// Why nothing is known of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    /// There is no accepted root to verify signatures under.
    NoRoot,
    /// They do not verify.
    Failed(String),
}

/// What verified collateral, and a verified PCK certificate, say of the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct VerifiedPlatform {
    pub(super) status: TcbStatus,
    /// Intel's advisories that this status stands for.
    pub(super) advisories: Vec<String>,
    pub(super) fmspc: [u8; 6],
    pub(super) ppid: Vec<u8>,
    /// Seconds since 1970 when the older of TCB info and quoting enclave's identity was issued.
    pub(super) collateral_issued: Result<u64, String>,
    /// Seconds since 1970 when the first of all that was verified expires: certificates, revocation lists, TCB info and
    /// quoting enclave's identity. The same quote verifies with the same result until then.
    pub(super) expires: u64,
}

/// A quote of an SGX enclave or of a TDX virtual machine.
pub(super) fn any_quote(quote: &[u8]) -> Result<Quote, String> {
    if quote.len() > MAX_QUOTE {
        return Err(format!("it is {} bytes long, and the limit is {MAX_QUOTE}", quote.len()));
    }
    Quote::parse(quote).map_err(|error| format!("it is not a DCAP quote: {error:#}"))
}

fn parse_quote(quote: &[u8]) -> Result<(Quote, EnclaveReport), String> {
    let quote = any_quote(quote)?;
    match quote.report.as_sgx() {
        Some(report) => {
            let report = *report;
            Ok((quote, report))
        }
        None => Err("it is a quote of a TDX virtual machine, not of an SGX enclave".to_owned()),
    }
}

/// The root certificate in DER. It is only *found* in what the peer sent; it is *trusted* for its fingerprint.
pub(super) fn root(
    quote: &Quote,
    collateral: Option<&Collateral>,
    anchor: &TrustAnchor,
) -> Result<Vec<u8>, ForeignRoot> {
    let wanted = match anchor {
        TrustAnchor::Intel => INTEL_ROOT_FINGERPRINT,
        TrustAnchor::Simulated { root_fingerprint } => *root_fingerprint,
    };
    let from_collateral = collateral.and_then(|collateral| collateral.pck_certificate_chain.as_deref());
    let chain = from_collateral.map_or_else(|| quote.raw_cert_chain().unwrap_or_default(), str::as_bytes);
    let root = CertificateDer::pem_slice_iter(chain)
        .take(MAX_CHAIN)
        .last()
        .and_then(Result::ok)
        .ok_or(ForeignRoot::None)?;
    match sha256(&root) {
        fingerprint if fingerprint == wanted => Ok(root.to_vec()),
        fingerprint => Err(ForeignRoot::Other { fingerprint, subject: subject(&root) }),
    }
}

/// Verifies every signature from this root down to the report.
pub(super) fn signatures(
    quote: &[u8],
    root: &[u8],
    collateral: Option<&Collateral>,
    now: SystemTime,
) -> Result<VerifiedPlatform, String> {
    let collateral =
        collateral.ok_or("there is no collateral (certificates' revocation lists, TCB levels)")?;
    let now = now.duration_since(UNIX_EPOCH).map_err(|_| "the clock here says a time before 1970")?.as_secs();
    // Debug enclaves and bad TCB statuses are let through here: the comparison refuses them by checks of their own.
    let claims = QuoteVerifier::<Graviola>::new_with_config(root.to_vec())
        .allow_debug(true)
        .verify_with_policy(quote, collateral, now, &QuotePolicy::claims_only(now))
        .map_err(|error| format!("{error:#}"))?;
    Ok(VerifiedPlatform {
        status: claims.tcb.status,
        advisories: claims.tcb.advisory_ids,
        fmspc: claims.platform.pck.fmspc,
        ppid: claims.platform.pck.ppid,
        collateral_issued: collateral_issued(collateral),
        expires: claims.earliest_expiration_date,
    })
}

/// Of collateral whose signatures were verified.
fn collateral_issued(collateral: &Collateral) -> Result<u64, String> {
    let tcb_info = issued(&collateral.tcb_info).ok_or("the TCB info has no readable date of issue")?;
    let identity = issued(&collateral.qe_identity)
        .ok_or("the quoting enclave's identity has no readable date of issue")?;
    Ok(tcb_info.min(identity))
}

/// `issueDate` of a document in Intel's PCS API, version 4: RFC 3339 in UTC.
fn issued(document: &str) -> Option<u64> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Issued {
        issue_date: String,
    }
    let Issued { issue_date } = serde_json::from_str(document).ok()?;
    Some(DateTime::from_str(&issue_date).ok()?.unix_duration().as_secs())
}

fn subject(certificate: &[u8]) -> String {
    match x509_cert::Certificate::from_der(certificate) {
        Ok(certificate) => certificate.tbs_certificate().subject().to_string(),
        Err(_) => "a name that cannot be read".to_owned(),
    }
}

/// SHA-256 of Intel's SGX Root CA in DER, which is published at
/// <https://certificates.trustedservices.intel.com/IntelSGXRootCA.der>.
pub(super) const INTEL_ROOT_FINGERPRINT: [u8; HASH_LEN] = [
    0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35, 0x0e,
    0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3,
];
/// Certificates that are read of a chain; PCK chains have three.
const MAX_CHAIN: usize = 8;
