//! The key that follows from image, CPU, code, name and owner of an app.

use cloister_api::AppName;
use cloister_tee::{SealingError, sealing_key};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// HKDF-SHA256 (RFC 5869) over two keys of EGETKEY, which this image alone gets on this CPU.
///
/// # Errors
/// [`SealingError`] where the CPU gives none: always in a native build.
pub(crate) fn derive(
    code_hash: &[u8; 32],
    owner: &[u8; 32],
    name: &AppName,
) -> Result<Zeroizing<[u8; 32]>, SealingError> {
    let mut secret = Zeroizing::new([0; 32]);
    for (half, id) in secret.chunks_exact_mut(16).zip(KEY_IDS) {
        half.copy_from_slice(&*sealing_key(id)?);
    }
    Ok(expand(&secret, code_hash, owner, name))
}

fn expand(secret: &[u8; 32], code_hash: &[u8; 32], owner: &[u8; 32], name: &AppName) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    // The two hashes have a length of their own, so no two apps have one string.
    let info = [LABEL, code_hash, owner, name.as_str().as_bytes()];
    Hkdf::<Sha256>::new(None, secret)
        .expand_multi_info(&info, &mut *key)
        .expect("32 bytes are less than 255 hashes");
    key
}

/// Of the two halves of the secret: EGETKEY gives 128 bits at once.
const KEY_IDS: [&[u8; 32]; 2] = [b"cloister: seal key of apps, 1/2 ", b"cloister: seal key of apps, 2/2 "];
const LABEL: &[u8] = b"cloister app seal key 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_differs_with_all_that_it_follows_from() {
        let name = |text: &str| text.parse::<AppName>().unwrap();
        let key = expand(&[1; 32], &[2; 32], &[3; 32], &name("app"));
        assert_eq!(key, expand(&[1; 32], &[2; 32], &[3; 32], &name("app")));
        for other in [
            expand(&[0; 32], &[2; 32], &[3; 32], &name("app")),
            expand(&[1; 32], &[0; 32], &[3; 32], &name("app")),
            expand(&[1; 32], &[2; 32], &[0; 32], &name("app")),
            expand(&[1; 32], &[2; 32], &[3; 32], &name("apps")),
        ] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn a_native_build_has_none() {
        assert!(derive(&[0; 32], &[0; 32], &"app".parse().unwrap()).is_err());
        assert_ne!(KEY_IDS[0], KEY_IDS[1]);
    }
}
