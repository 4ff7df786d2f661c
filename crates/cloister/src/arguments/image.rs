//! What `image` takes.

use super::examples::IMAGE_EXAMPLES;
use clap::{Args, Subcommand};
use cloister_soft_sgx::sigstruct::Date;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// Look for instructions that a real enclave cannot execute
    #[command(after_help = IMAGE_EXAMPLES)]
    Check {
        /// The enclave's ELF file, from which the image is made
        #[arg(value_name = "ELF")]
        elf: PathBuf,
    },
    /// Sign an image: write its SIGSTRUCT
    ///
    /// --key FILE names the signing key, an RSA key of 3072 bits with public exponent 3, in PEM. Where there is no such file, a
    /// key is made and kept there. A key in a token is named with --pkcs11-module, --pkcs11-token and --pkcs11-key in its place.
    #[command(after_help = IMAGE_EXAMPLES)]
    Sign(ImageSignArguments),
    /// Write what is to be signed of an image, for a key that is on another machine
    ///
    /// That key signs the file with RSA, PKCS #1 v1.5 and SHA-256; `cloister image attach` makes the SIGSTRUCT of the signature.
    #[command(after_help = IMAGE_EXAMPLES)]
    Digest(ImageDigestArguments),
    /// Make the SIGSTRUCT of a signature that was made on another machine
    #[command(after_help = IMAGE_EXAMPLES)]
    Attach(ImageAttachArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ImageSignArguments {
    /// The image
    #[arg(value_name = "FILE.sgxs")]
    pub(crate) image: PathBuf,
    /// Where to write the SIGSTRUCT [default: the image's name with .sigstruct]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) identity: ImageIdentityArguments,
    #[command(flatten)]
    pub(crate) token: TokenArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ImageDigestArguments {
    /// The image
    #[arg(value_name = "FILE.sgxs")]
    pub(crate) image: PathBuf,
    /// Where to write the 256 bytes that are to be signed
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) identity: ImageIdentityArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ImageAttachArguments {
    /// What was signed, as `cloister image digest` wrote it
    #[arg(value_name = "FILE")]
    pub(crate) signed: PathBuf,
    /// The signature, 384 bytes as they are
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: PathBuf,
    /// The public key of the key that signed, in PEM
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: PathBuf,
    /// Where to write the SIGSTRUCT
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

/// What a signature says of an image beside its measurement.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct ImageIdentityArguments {
    /// ISVPRODID: which of the signer's products the image is
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) product: u16,
    /// ISVSVN: the product's security version, which verifiers may demand a least one of
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) svn: u16,
    /// The date in the signature. The same for every build, unless it is given, so that the same image has the same signature
    #[arg(long, value_name = "YYYY-MM-DD", default_value = "2026-01-01", value_parser = date)]
    pub(crate) date: Date,
    /// Have the CPU open the enclave to debuggers, and so to the host. Every verifier refuses it
    #[arg(long)]
    pub(crate) debug: bool,
}

/// A key that does not leave its token.
#[derive(Debug, Args)]
pub(crate) struct TokenArguments {
    /// The library that speaks PKCS #11 to the token
    #[arg(long, value_name = "FILE.so", requires = "pkcs11_token", requires = "pkcs11_key")]
    pub(crate) pkcs11_module: Option<PathBuf>,
    /// The token's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pub(crate) pkcs11_token: Option<String>,
    /// The key's label
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pub(crate) pkcs11_key: Option<String>,
    /// A file with the token's PIN. Otherwise it is taken from CLOISTER_PKCS11_PIN, or asked for on the terminal
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pub(crate) pkcs11_pin_file: Option<PathBuf>,
}

fn date(text: &str) -> Result<Date, InvalidDate> {
    let digits = |part: &str, width: usize| {
        (part.len() == width && part.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| part.parse().ok())
            .flatten()
    };
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(InvalidDate);
    };
    let year: u16 = digits(year, 4).ok_or(InvalidDate)?;
    let month = digits(month, 2).filter(|month| (1..=12).contains(month)).ok_or(InvalidDate)?;
    let day = digits(day, 2).filter(|day| (1..=31).contains(day)).ok_or(InvalidDate)?;
    Ok(Date { year, month: month as u8, day: day as u8 })
}

/// The text is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write YYYY-MM-DD")]
struct InvalidDate;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        assert_eq!(date("2026-02-28"), Ok(Date { year: 2026, month: 2, day: 28 }));
        for bad in [
            "",
            "2026",
            "2026-13-01",
            "2026-00-01",
            "2026-01-32",
            "26-01-01",
            "2026-1-1",
            "2026-01-01-",
            "+026-01-01",
        ] {
            assert_eq!(date(bad), Err(InvalidDate), "{bad}");
        }
    }
}
