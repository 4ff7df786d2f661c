//! Which image may follow.

use cloister_api::ImageUpgrade;
use cloister_tee::Identity;

/// Whether the volume of the image `own` may go to the image `to`, by the rule that is fixed in the volume.
///
/// # Errors
/// [`Refusal`]: why not.
pub(super) fn check(rule: &ImageUpgrade, own: &Identity, to: &Identity) -> Result<(), Refusal> {
    if to.debug {
        return Err(Refusal::Debug);
    }
    if (to.mrsigner, to.isv_prod_id) == (own.mrsigner, own.isv_prod_id) && to.isv_svn < own.isv_svn {
        return Err(Refusal::Older { asked: to.isv_svn, least: own.isv_svn });
    }
    match rule {
        ImageUpgrade::Never => Err(Refusal::Never),
        ImageUpgrade::Operator => Ok(()),
        ImageUpgrade::Listed { mrenclave } => {
            let is_listed = mrenclave.iter().any(|listed| *listed.as_bytes() == to.mrenclave);
            if is_listed { Ok(()) } else { Err(Refusal::Unlisted(to.mrenclave)) }
        }
        ImageUpgrade::Signer { mrsigner, product, minimum_svn } => {
            if *mrsigner.as_bytes() != to.mrsigner {
                Err(Refusal::Signer(to.mrsigner))
            } else if *product != to.isv_prod_id {
                Err(Refusal::Product { asked: to.isv_prod_id, product: *product })
            } else if to.isv_svn < *minimum_svn {
                Err(Refusal::Older { asked: to.isv_svn, least: *minimum_svn })
            } else {
                Ok(())
            }
        }
    }
}

/// An image may not have the volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the new image runs as a debug enclave, whose memory the host can read")]
    Debug,
    #[error("the volume was founded with --image-upgrade never: no other image ever gets its key")]
    Never,
    #[error("the image with MRENCLAVE {} is not one of those that the volume was founded with", hex::encode(.0))]
    Unlisted([u8; 32]),
    #[error("the new image is signed by {}, which is not the key that the volume was founded with", hex::encode(.0))]
    Signer([u8; 32]),
    #[error("the new image has product number {asked}, and the volume was founded for {product}")]
    Product { asked: u16, product: u16 },
    #[error("the new image has security version {asked}, and the least that may follow is {least}")]
    Older { asked: u16, least: u16 },
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_api::ImageDigest;

    fn image(mrenclave: u8) -> Identity {
        Identity { mrenclave: [mrenclave; 32], mrsigner: [9; 32], isv_prod_id: 1, isv_svn: 5, debug: false }
    }

    fn digest(byte: u8) -> ImageDigest {
        ImageDigest::from_bytes([byte; 32])
    }

    #[test]
    fn each_rule_lets_through_what_it_names_and_nothing_else() {
        let own = Identity { mrsigner: [8; 32], ..image(1) };
        let listed = ImageUpgrade::listed(vec![digest(2), digest(3)]).unwrap();
        let signer = ImageUpgrade::Signer { mrsigner: digest(9), product: 1, minimum_svn: 5 };
        for (rule, to, expected) in [
            (ImageUpgrade::Never, image(2), Err(Refusal::Never)),
            (ImageUpgrade::Operator, image(2), Ok(())),
            (listed.clone(), image(2), Ok(())),
            (listed.clone(), image(3), Ok(())),
            (listed, image(4), Err(Refusal::Unlisted([4; 32]))),
            (signer.clone(), image(2), Ok(())),
            (signer.clone(), Identity { isv_svn: 6, ..image(2) }, Ok(())),
            (signer.clone(), Identity { isv_svn: 4, ..image(2) }, Err(Refusal::Older { asked: 4, least: 5 })),
            (signer.clone(), Identity { mrsigner: [7; 32], ..image(2) }, Err(Refusal::Signer([7; 32]))),
            (signer, Identity { isv_prod_id: 2, ..image(2) }, Err(Refusal::Product { asked: 2, product: 1 })),
        ] {
            assert_eq!(check(&rule, &own, &to), expected, "{rule}");
        }
    }

    #[test]
    fn no_rule_lets_a_debug_enclave_through() {
        let to = Identity { debug: true, ..image(2) };
        for rule in [ImageUpgrade::Operator, ImageUpgrade::listed(vec![digest(2)]).unwrap()] {
            assert_eq!(check(&rule, &image(1), &to), Err(Refusal::Debug));
        }
    }

    #[test]
    fn an_older_version_of_the_same_product_never_follows() {
        let older = Identity { isv_svn: 4, ..image(2) };
        let refused = Err(Refusal::Older { asked: 4, least: 5 });
        assert_eq!(check(&ImageUpgrade::Operator, &image(1), &older), refused);
        let of_another = Identity { mrsigner: [7; 32], ..older };
        assert_eq!(check(&ImageUpgrade::Operator, &image(1), &of_another), Ok(()), "versions do not compare");
    }
}
