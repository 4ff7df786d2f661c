//! What of a quote says which collateral goes with it. Nothing of it is verified here.

use dcap_qvl::config::PckCa;
use dcap_qvl::intel;
use dcap_qvl::quote::Quote;

use crate::CollateralError;

/// Where a quote comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// First part of the paths of the interface: `sgx` or `tdx`.
    pub(crate) technology: &'static str,
    pub(crate) certificate: PlatformCertificate,
}

/// How a quote names its platform's certificate (Intel's DCAP quote library reference, appendix A.4, "Certification Data").
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PlatformCertificate {
    /// Types 4 and 5: it carries it.
    Carried(Platform),
    /// Types 2 and 3: it carries what to ask for it with, as the query of a URL.
    ToAskFor { query: String },
}

/// What a platform's certificate says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// Family, model, stepping, platform type and custom SKU (Intel's PCK certificate profile).
    pub(crate) fmspc: [u8; 6],
    /// Name of the authority that certified it, as the interface spells it.
    pub(crate) authority: &'static str,
}

impl Origin {
    pub(crate) fn read(quote: &[u8]) -> Result<Self, CollateralError> {
        let quote = Quote::parse(quote).map_err(|_| CollateralError::Quote("it is no DCAP quote"))?;
        let technology = if quote.header.is_sgx() { "sgx" } else { "tdx" };
        let certificate = match quote.inner_cert_type() {
            2 | 3 => {
                let wanted = quote.encrypted_ppid_params().map_err(|_| {
                    CollateralError::Quote("what it has in place of a certificate is damaged")
                })?;
                // Intel's own service takes no number that is not in upper case, its cache any.
                let query = format!(
                    "qeid={}&encrypted_ppid={}&cpusvn={}&pcesvn={}&pceid={}",
                    hex::encode_upper(quote.qeid()),
                    hex::encode_upper(&wanted.encrypted_ppid),
                    hex::encode_upper(wanted.cpusvn),
                    hex::encode_upper(wanted.pcesvn.to_le_bytes()),
                    hex::encode_upper(wanted.pceid),
                );
                PlatformCertificate::ToAskFor { query }
            }
            _ => {
                let chain = intel::extract_cert_chain(&quote)
                    .map_err(|_| CollateralError::Quote("it does not say on which platform it was made"))?;
                let leaf = chain.first().ok_or(CollateralError::Quote("its certificate chain is empty"))?;
                let platform = Platform::read(leaf);
                PlatformCertificate::Carried(
                    platform.ok_or(CollateralError::Quote("its certificate is not a platform's"))?,
                )
            }
        };
        Ok(Self { technology, certificate })
    }
}

impl Platform {
    /// `None` where the certificate (DER) is not a platform's.
    pub(crate) fn read(certificate: &[u8]) -> Option<Self> {
        let fmspc = intel::parse_pck_extension(certificate).ok()?.fmspc;
        let authority = match intel::pck_ca(certificate).ok()? {
            PckCa::Processor => "processor",
            PckCa::Platform => "platform",
        };
        Some(Self { fmspc, authority })
    }

    /// The same of the first certificate of a chain in PEM.
    pub(crate) fn read_pem(chain: &str) -> Option<Self> {
        use rustls::pki_types::CertificateDer;
        use rustls::pki_types::pem::PemObject;
        let leaf = CertificateDer::pem_slice_iter(chain.as_bytes()).next()?.ok()?;
        Self::read(&leaf)
    }
}
