use super::TcbStatus;
use super::extract::VerifiedPlatform;
use crate::HASH_LEN;
use dcap_qvl::quote::EnclaveReport;

/// What a verified quote and verified collateral say, for whoever writes a policy from what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// SHA-256 of the key that signed the image.
    pub mrsigner: [u8; HASH_LEN],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    pub tcb_status: TcbStatus,
    /// Intel's advisories that this status stands for.
    pub advisories: Vec<String>,
    pub fmspc: [u8; 6],
    pub ppid: Vec<u8>,
}

impl Facts {
    pub(super) fn new(quote: &EnclaveReport, platform: VerifiedPlatform) -> Self {
        Self {
            mrsigner: quote.mr_signer,
            isv_prod_id: quote.isv_prod_id,
            isv_svn: quote.isv_svn,
            tcb_status: platform.status,
            advisories: platform.advisories,
            fmspc: platform.fmspc,
            ppid: platform.ppid,
        }
    }
}
