//! TCB info, QE identity and revocation lists of a soft platform.

use dcap_qvl::QuoteCollateralV3;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, SerialNumber};
use serde_json::json;
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    Error,
    leaves::{CPUSVN, Identity},
    pki::{Authority, Certificates, FMSPC, Key, Keys, PCE_ID, PCE_SVN},
};

/// Collateral for quotes of the platform that owns `keys`, as JSON.
pub(crate) fn make(keys: &Keys, certificates: &Certificates, qe: &Identity) -> Result<Vec<u8>, Error> {
    let now = OffsetDateTime::now_utc().replace_nanosecond(0).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let period = Period { from: now - CLOCK_SLACK, until: now + LIFETIME };
    let tcb_info = tcb_info(period)?;
    let qe_identity = qe_identity(period, qe)?;
    let signing_chain = pem_chain(&[&certificates.tcb_signing, &certificates.root]);
    Ok(serde_json::to_vec(&QuoteCollateralV3 {
        pck_crl_issuer_chain: pem_chain(&[&certificates.pck_ca, &certificates.root]),
        root_ca_crl: revocation_list(Authority::Root, &keys.root, period)?,
        pck_crl: revocation_list(Authority::PckPlatform, &keys.pck_ca, period)?,
        tcb_info_issuer_chain: signing_chain.clone(),
        tcb_info_signature: keys.tcb_signing.sign_raw(tcb_info.as_bytes()).to_vec(),
        tcb_info,
        qe_identity_issuer_chain: signing_chain,
        qe_identity_signature: keys.tcb_signing.sign_raw(qe_identity.as_bytes()).to_vec(),
        qe_identity,
        pck_certificate_chain: None,
    })?)
}

/// Certificates in PEM, leaf first.
pub(crate) fn pem_chain(certificates: &[&[u8]]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let blocks: Vec<_> = certificates.iter().map(|der| pem::Pem::new("CERTIFICATE", der.to_vec())).collect();
    pem::encode_many_config(&blocks, config)
}

#[derive(Clone, Copy)]
struct Period {
    from: OffsetDateTime,
    until: OffsetDateTime,
}

impl Period {
    fn dates(self) -> Result<(String, String), Error> {
        let format = |date: OffsetDateTime| {
            date.format(&Rfc3339).map_err(|_| Error::Machine("its clock shows a year beyond 9999"))
        };
        Ok((format(self.from)?, format(self.until)?))
    }
}

/// TCB info, version 3: the platform's own level is the only one.
fn tcb_info(period: Period) -> Result<String, Error> {
    let (issue_date, next_update) = period.dates()?;
    let components: Vec<_> = CPUSVN.iter().map(|svn| json!({ "svn": svn })).collect();
    Ok(serde_json::to_string(&json!({
        "id": "SGX",
        "version": 3,
        "issueDate": issue_date,
        "nextUpdate": next_update,
        "fmspc": hex::encode_upper(FMSPC),
        "pceId": hex::encode_upper(PCE_ID),
        "tcbType": 0,
        "tcbEvaluationDataNumber": EVALUATION_NUMBER,
        "tcbLevels": [{
            "tcb": { "sgxtcbcomponents": components, "pcesvn": PCE_SVN },
            "tcbDate": TCB_DATE,
            "tcbStatus": "UpToDate",
        }],
    }))?)
}

/// QE identity, version 2.
fn qe_identity(period: Period, qe: &Identity) -> Result<String, Error> {
    let (issue_date, next_update) = period.dates()?;
    Ok(serde_json::to_string(&json!({
        "id": "QE",
        "version": 2,
        "issueDate": issue_date,
        "nextUpdate": next_update,
        "tcbEvaluationDataNumber": EVALUATION_NUMBER,
        "miscselect": hex::encode_upper(qe.miscselect.to_le_bytes()),
        "miscselectMask": "FFFFFFFF",
        "attributes": hex::encode_upper(qe.attributes),
        "attributesMask": hex::encode_upper([0xff; 16]),
        "mrsigner": hex::encode_upper(qe.mrsigner),
        "isvprodid": qe.isvprodid,
        "tcbLevels": [{
            "tcb": { "isvsvn": qe.isvsvn },
            "tcbDate": TCB_DATE,
            "tcbStatus": "UpToDate",
        }],
    }))?)
}

/// A list that revokes nothing (DER).
fn revocation_list(authority: Authority, key: &Key, period: Period) -> Result<Vec<u8>, Error> {
    let issuer = authority.issuer(key);
    let list = CertificateRevocationListParams {
        this_update: period.from,
        next_update: period.until,
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::PreSpecified(key.identifier()),
    };
    Ok(list.signed_by(&issuer)?.der().to_vec())
}

const CLOCK_SLACK: Duration = Duration::hours(1);
const LIFETIME: Duration = Duration::days(30);
const EVALUATION_NUMBER: u32 = 1;
const TCB_DATE: &str = "2026-01-01T00:00:00Z";
