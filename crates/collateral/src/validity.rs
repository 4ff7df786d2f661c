use std::time::SystemTime;

use serde::Deserialize;
use x509_cert::crl::CertificateList;
use x509_cert::der::{DateTime, Decode};

use crate::Collateral;

/// When the first part of the collateral expires: a verifier refuses it from then on. `None` where a part does not say.
pub fn expiry(collateral: &Collateral) -> Option<SystemTime> {
    let signed = [&collateral.tcb_info, &collateral.qe_identity].map(|json| {
        let Dated { next_update } = serde_json::from_str(json).ok()?;
        next_update.parse::<DateTime>().ok().map(|date| date.to_system_time())
    });
    let revocations = [&collateral.pck_crl, &collateral.root_ca_crl].map(|der| {
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der).ok()?;
        Some(list.tbs_cert_list.next_update?.to_system_time())
    });
    let [a, b] = signed;
    let [c, d] = revocations;
    Some(a?.min(b?).min(c?).min(d?))
}

/// A moment as certificates and collateral write it: `2026-01-31T00:00:00Z`. `None` beyond the year 9999.
pub fn shown_date(time: SystemTime) -> Option<String> {
    DateTime::from_system_time(time).ok().map(|date| date.to_string())
}

#[derive(Deserialize)]
struct Dated {
    #[serde(rename = "nextUpdate")]
    next_update: String,
}
