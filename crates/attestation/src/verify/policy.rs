use super::TcbStatus;
use crate::HASH_LEN;
use cloister_api::AppName;
use std::collections::BTreeMap;

/// What a relying party accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Under which root quotes have to verify.
    pub anchor: TrustAnchor,
    pub mrenclave: Measurement,
    /// Statuses of the platform's trusted computing base that are good enough.
    pub tcb: Vec<TcbStatus>,
    /// SHA-256 of the `.wasm` that has to answer under each of these names.
    pub apps: BTreeMap<AppName, [u8; HASH_LEN]>,
}

impl Policy {
    /// A policy with the two decisions that nobody can make for a relying party: whose hardware, and which image.
    /// Of the rest it accepts an up-to-date platform alone, and expects no particular app.
    pub fn new(anchor: TrustAnchor, mrenclave: Measurement) -> Self {
        Self { anchor, mrenclave, tcb: vec![TcbStatus::UpToDate], apps: BTreeMap::new() }
    }

    /// The same policy that expects this code under this app's name.
    pub fn with_app(mut self, name: AppName, code_hash: [u8; HASH_LEN]) -> Self {
        self.apps.insert(name, code_hash);
        self
    }

    /// The same policy that accepts this status of the platform too.
    pub fn with_tcb_status(mut self, status: TcbStatus) -> Self {
        self.tcb.push(status);
        self
    }
}

/// The root of trust of quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustAnchor {
    /// Intel's SGX Root CA: real hardware.
    Intel,
    /// The root of one soft platform. Evidence under it proves nothing about hardware, and every report says so.
    Simulated {
        /// SHA-256 of the root certificate in DER.
        root_fingerprint: [u8; HASH_LEN],
    },
}

/// Which MRENCLAVE is accepted. There is no default: an empty list accepts none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measurement {
    /// One of these.
    Exactly(Vec<[u8; HASH_LEN]>),
    /// Whatever it is. The report says that nobody asked.
    Any,
}
