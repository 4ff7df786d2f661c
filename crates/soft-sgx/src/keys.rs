//! What the fuses and the key hierarchy of the CPU are to real SGX.

use aes::Aes128;
use cmac::Cmac;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The root of every report and sealing key of one soft platform.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub(crate) struct PlatformSecret([u8; 32]);

impl PlatformSecret {
    pub(crate) fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The key that `dependencies` select: the first 16 bytes of
    /// HMAC-SHA256(platform secret, `DOMAIN` ‖ encoded dependencies).
    ///
    /// Stands for the SDM's `derivekey` (Vol. 3D, EGETKEY), whose AES-CMAC under a fused key is
    /// not architectural: software can only see that equal dependencies give equal keys.
    pub(crate) fn derive(&self, dependencies: &KeyDependencies) -> Zeroizing<[u8; 16]> {
        let mut mac = keyed_hmac(&self.0);
        mac.update(DOMAIN);
        dependencies.encode(|field| mac.update(field));
        let mut full: [u8; 32] = mac.finalize().into_bytes().into();
        let mut key = Zeroizing::new([0; 16]);
        key.copy_from_slice(&full[..16]);
        full.zeroize();
        key
    }
}

impl std::fmt::Debug for PlatformSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PlatformSecret(..)")
    }
}

/// The key dependencies of SDM Vol. 3D, table "Key Derivation", as far as enclaves without KSS and
/// CET have them. A field that a key does not depend on is zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KeyDependencies {
    pub(crate) keyname: u16,
    pub(crate) keypolicy: u16,
    pub(crate) isvprodid: u16,
    pub(crate) isvsvn: u16,
    pub(crate) attributes: [u8; 16],
    pub(crate) attributemask: [u8; 16],
    pub(crate) miscselect: u32,
    pub(crate) miscmask: u32,
    pub(crate) mrenclave: [u8; 32],
    pub(crate) mrsigner: [u8; 32],
    pub(crate) keyid: [u8; 32],
    pub(crate) cpusvn: [u8; 16],
    pub(crate) configsvn: u16,
    pub(crate) configid: Option<[u8; 64]>,
}

impl KeyDependencies {
    /// Feeds every field, each of fixed length, in declaration order.
    fn encode(&self, mut sink: impl FnMut(&[u8])) {
        sink(&self.keyname.to_le_bytes());
        sink(&self.keypolicy.to_le_bytes());
        sink(&self.isvprodid.to_le_bytes());
        sink(&self.isvsvn.to_le_bytes());
        sink(&self.attributes);
        sink(&self.attributemask);
        sink(&self.miscselect.to_le_bytes());
        sink(&self.miscmask.to_le_bytes());
        sink(&self.mrenclave);
        sink(&self.mrsigner);
        sink(&self.keyid);
        sink(&self.cpusvn);
        sink(&self.configsvn.to_le_bytes());
        sink(self.configid.as_ref().unwrap_or(&[0; 64]));
    }
}

/// AES-128-CMAC (NIST SP 800-38B), the MAC of a REPORT.
pub(crate) fn report_mac(key: &[u8; 16], message: &[u8]) -> [u8; 16] {
    let mut mac = <Cmac<Aes128> as KeyInit>::new(key.into());
    mac.update(message);
    mac.finalize().into_bytes().into()
}

/// Whether `mac` is the REPORT's MAC, in constant time.
pub(crate) fn verify_report_mac(key: &[u8; 16], message: &[u8], mac: &[u8; 16]) -> bool {
    let mut computed = <Cmac<Aes128> as KeyInit>::new(key.into());
    computed.update(message);
    computed.verify(mac.into()).is_ok()
}

fn keyed_hmac(key: &[u8; 32]) -> Hmac<Sha256> {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    }
}

const DOMAIN: &[u8] = b"cloister soft-sgx key v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cmac_matches_nist_sp_800_38b_example_2() {
        let key = hex::decode("2b7e151628aed2a6abf7158809cf4f3c").unwrap();
        let message = hex::decode("6bc1bee22e409f96e93d7e117393172a").unwrap();
        let mac = report_mac(&key.clone().try_into().unwrap(), &message);
        assert_eq!(hex::encode(mac), "070a16b46b4d4144f79bdd9dd04a287c");
        assert!(verify_report_mac(&key.try_into().unwrap(), &message, &mac));
    }

    #[test]
    fn every_dependency_changes_the_key() {
        let secret = PlatformSecret::new([7; 32]);
        let base = KeyDependencies { keyname: 4, ..Default::default() };
        let changed = [
            KeyDependencies { keyname: 3, ..base.clone() },
            KeyDependencies { keypolicy: 1, ..base.clone() },
            KeyDependencies { isvprodid: 1, ..base.clone() },
            KeyDependencies { isvsvn: 1, ..base.clone() },
            KeyDependencies { attributes: [1; 16], ..base.clone() },
            KeyDependencies { attributemask: [1; 16], ..base.clone() },
            KeyDependencies { miscselect: 1, ..base.clone() },
            KeyDependencies { miscmask: 1, ..base.clone() },
            KeyDependencies { mrenclave: [1; 32], ..base.clone() },
            KeyDependencies { mrsigner: [1; 32], ..base.clone() },
            KeyDependencies { keyid: [1; 32], ..base.clone() },
            KeyDependencies { cpusvn: [1; 16], ..base.clone() },
            KeyDependencies { configsvn: 1, ..base.clone() },
            KeyDependencies { configid: Some([1; 64]), ..base.clone() },
        ];
        let key = secret.derive(&base);
        assert_eq!(key, secret.derive(&base.clone()));
        for other in changed {
            assert_ne!(key, secret.derive(&other), "{other:?}");
        }
        assert_ne!(key, PlatformSecret::new([8; 32]).derive(&base));
    }

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", PlatformSecret::new([0xab; 32])), "PlatformSecret(..)");
    }
}
