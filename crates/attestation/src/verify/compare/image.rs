//! Which image was quoted.

use super::{Compared, not_asked, passed};
use crate::verify::Measurement;
use dcap_qvl::quote::EnclaveReport;

pub(super) fn not_debuggable(quote: &EnclaveReport) -> Compared {
    let [flags, ..] = quote.attributes;
    if flags & ATTRIBUTES_DEBUG != 0 {
        return Err("the enclave runs in debug mode: its host can read and change all of it".to_owned());
    }
    passed("off")
}

pub(super) fn measurement(quote: &EnclaveReport, expected: &Measurement) -> Compared {
    let found = hex::encode(quote.mr_enclave);
    match expected {
        Measurement::Any => not_asked(format!("{found}; this policy accepts any")),
        Measurement::Exactly(list) if list.contains(&quote.mr_enclave) => passed(found),
        Measurement::Exactly(list) if list.is_empty() => Err(format!(
            "it is {found}, and no MRENCLAVE is expected: say which image you trust, or that any will do"
        )),
        Measurement::Exactly(list) => {
            let list = Vec::from_iter(list.iter().map(hex::encode)).join(" or ");
            Err(format!("it is {found}, and {list} is expected: another image runs there"))
        }
    }
}

pub(super) fn isv_svn(quote: &EnclaveReport, least: Option<u16>) -> Compared {
    let found = quote.isv_svn;
    match least {
        None => not_asked(format!("{found}; this policy accepts any")),
        Some(least) if found < least => Err(format!("it is {found}, and at least {least} is expected")),
        Some(least) => passed(format!("{found}, at least {least}")),
    }
}

/// ATTRIBUTES.DEBUG, bit 1 (Intel SDM volume 3D, table 38-3).
const ATTRIBUTES_DEBUG: u8 = 1 << 1;
