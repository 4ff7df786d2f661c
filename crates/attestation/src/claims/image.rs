use super::ascending;
use crate::HASH_LEN;
use crate::codec::{ClaimsError, Reader, Writer};
use cloister_api::{ImageDigest, ImageUpgrade, MAX_LISTED_IMAGES};

/// Which other images the enclave may hand its volume to. The operator has to ask for it in any case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ImageUpgradeClaim {
    /// None.
    #[default]
    Never,
    /// Whichever the operator names.
    Operator,
    /// Those with one of these MRENCLAVEs; ascending, none twice, 1 to [`MAX_LISTED_IMAGES`].
    Listed(Vec<[u8; HASH_LEN]>),
    /// Those that one key signed.
    Signer {
        /// MRSIGNER.
        mrsigner: [u8; HASH_LEN],
        /// ISVPRODID.
        product: u16,
        /// The least ISVSVN.
        minimum_svn: u16,
    },
}

impl ImageUpgradeClaim {
    /// Whether no image may get the volume by this that may not by `most`.
    pub fn is_within(&self, most: &Self) -> bool {
        match (self, most) {
            (Self::Never, _) | (_, Self::Operator) => true,
            (Self::Listed(images), Self::Listed(allowed)) => {
                images.iter().all(|image| allowed.contains(image))
            }
            (
                Self::Signer { mrsigner, product, minimum_svn },
                Self::Signer { mrsigner: allowed, product: of, minimum_svn: least },
            ) => mrsigner == allowed && product == of && minimum_svn >= least,
            _ => false,
        }
    }

    pub(super) fn write(&self, writer: &mut Writer) -> Result<(), ClaimsError> {
        match self {
            Self::Never => writer.uint(0),
            Self::Operator => writer.uint(1),
            Self::Listed(images) => {
                check_images(images)?;
                writer.array(2);
                writer.uint(2);
                writer.array(images.len());
                images.iter().for_each(|image| writer.bytes(image));
            }
            Self::Signer { mrsigner, product, minimum_svn } => {
                writer.array(4);
                writer.uint(3);
                writer.bytes(mrsigner);
                writer.uint((*product).into());
                writer.uint((*minimum_svn).into());
            }
        }
        Ok(())
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        let unknown = ClaimsError::Shape { expected: "a known rule of image upgrades" };
        if !reader.is_array() {
            return match reader.uint()? {
                0 => Ok(Self::Never),
                1 => Ok(Self::Operator),
                _ => Err(unknown),
            };
        }
        match (reader.array()?, reader.uint()?) {
            (2, 2) => {
                let images = reader.list(|reader| reader.bytes())?;
                check_images(&images)?;
                Ok(Self::Listed(images))
            }
            (4, 3) => Ok(Self::Signer {
                mrsigner: reader.bytes()?,
                product: reader.narrow("a 16-bit ISVPRODID")?,
                minimum_svn: reader.narrow("a 16-bit ISVSVN")?,
            }),
            _ => Err(unknown),
        }
    }
}

impl From<&ImageUpgrade> for ImageUpgradeClaim {
    fn from(upgrade: &ImageUpgrade) -> Self {
        match upgrade {
            ImageUpgrade::Never => Self::Never,
            ImageUpgrade::Operator => Self::Operator,
            ImageUpgrade::Listed { mrenclave } => {
                let mut images = Vec::from_iter(mrenclave.iter().map(|image| *image.as_bytes()));
                images.sort_unstable();
                images.dedup();
                Self::Listed(images)
            }
            ImageUpgrade::Signer { mrsigner, product, minimum_svn } => {
                Self::Signer { mrsigner: *mrsigner.as_bytes(), product: *product, minimum_svn: *minimum_svn }
            }
        }
    }
}

impl From<&ImageUpgradeClaim> for ImageUpgrade {
    fn from(claim: &ImageUpgradeClaim) -> Self {
        match claim {
            ImageUpgradeClaim::Never => Self::Never,
            ImageUpgradeClaim::Operator => Self::Operator,
            ImageUpgradeClaim::Listed(images) => Self::Listed {
                mrenclave: images.iter().map(|image| ImageDigest::from_bytes(*image)).collect(),
            },
            ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn } => Self::Signer {
                mrsigner: ImageDigest::from_bytes(*mrsigner),
                product: *product,
                minimum_svn: *minimum_svn,
            },
        }
    }
}

/// What the host says of its platform. It is the host's word, which a verifier compares with the root of trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformClaim {
    /// SGX hardware.
    Hardware,
    /// A machine that stands in for it.
    Simulated,
}

impl PlatformClaim {
    pub(super) fn write(self, writer: &mut Writer) {
        writer.uint(match self {
            Self::Hardware => 0,
            Self::Simulated => 1,
        });
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, ClaimsError> {
        match reader.uint()? {
            0 => Ok(Self::Hardware),
            1 => Ok(Self::Simulated),
            _ => Err(ClaimsError::Shape { expected: "a known platform" }),
        }
    }
}

fn check_images(images: &[[u8; HASH_LEN]]) -> Result<(), ClaimsError> {
    if images.is_empty() || images.len() > MAX_LISTED_IMAGES {
        return Err(ClaimsError::Images(images.len()));
    }
    ascending(images, |image| image, "images that the volume may be handed to")
}

#[cfg(test)]
mod tests {
    use super::ImageUpgradeClaim::{self, Listed, Never, Operator, Signer};

    const A: [u8; 32] = [0xa; 32];
    const B: [u8; 32] = [0xb; 32];

    #[test]
    fn what_allows_no_more_is_within() {
        let signer = |minimum_svn| Signer { mrsigner: A, product: 1, minimum_svn };
        let all = [Never, Operator, Listed(vec![A]), Listed(vec![A, B]), signer(1), signer(2)];
        let within = |claim: &ImageUpgradeClaim| Vec::from_iter(all.iter().map(|most| claim.is_within(most)));
        assert_eq!(within(&Never), [true; 6]);
        assert_eq!(within(&Operator), [false, true, false, false, false, false]);
        assert_eq!(within(&Listed(vec![A])), [false, true, true, true, false, false]);
        assert_eq!(within(&Listed(vec![A, B])), [false, true, false, true, false, false]);
        assert_eq!(within(&signer(1)), [false, true, false, false, true, false]);
        assert_eq!(within(&signer(2)), [false, true, false, false, true, true]);
        assert_eq!(within(&Signer { mrsigner: B, product: 1, minimum_svn: 2 })[4..], [false; 2]);
        assert_eq!(within(&Signer { mrsigner: A, product: 2, minimum_svn: 2 })[4..], [false; 2]);
    }
}
