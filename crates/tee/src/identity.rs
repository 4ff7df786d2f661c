/// Who this enclave is, from a report on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the measured image.
    pub mrenclave: [u8; 32],
    /// SHA-256 of the image signer's RSA modulus.
    pub mrsigner: [u8; 32],
    pub isv_prod_id: u16,
    pub isv_svn: u16,
    /// The host may read and write the enclave's memory: no secret is safe.
    pub debug: bool,
}
