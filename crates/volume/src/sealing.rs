//! Where the key that wraps a volume's key comes from.

use zeroize::Zeroizing;

pub use cloister_tee::SealingError;

/// A source of sealing keys: `EGETKEY` in the enclave, a fixed key in tests.
pub trait SealingKey: Send + Sync {
    /// The 128-bit key for `key_id`; the same enclave image on the same CPU gets the same key for the same identifier,
    /// and nobody else gets it at all.
    fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError>;
}

/// The CPU's sealing key under the MRENCLAVE policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuSealingKey;

impl SealingKey for CpuSealingKey {
    fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        cloister_tee::sealing_key(key_id)
    }
}
