use std::io;
use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fetch::Fetch;
use crate::origin::{Origin, Platform, PlatformCertificate};
use crate::{Collateral, CollateralError, Part, ServerTrust};

/// A service with the interface of Intel's Provisioning Certification Service, version 4.
#[derive(Clone, Debug)]
pub struct CollateralServer {
    /// Without a slash at its end.
    base: String,
    trust: ServerTrust,
    patience: Duration,
}

impl CollateralServer {
    /// The service at this URL, with or without the path of the interface (`/sgx/certification/v4`): `https`, or `http` on this
    /// very machine.
    ///
    /// # Errors
    /// [`CollateralError::Url`].
    pub fn new(url: &str) -> Result<Self, CollateralError> {
        let wrong = |reason| CollateralError::Url { url: url.chars().take(SHOWN).collect(), reason };
        if url.len() > MAX_URL {
            return Err(wrong("it is longer than 2048 bytes"));
        }
        let uri: Uri = url.parse().map_err(|_| wrong("it is no URL"))?;
        let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("it names a user"));
        }
        if uri.query().is_some() {
            return Err(wrong("it has a query"));
        }
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if is_loopback(authority.host()) => {}
            Some("http") => return Err(wrong("http is for services on this machine; write https")),
            _ => return Err(wrong("it does not begin with https://")),
        }
        let base = url.split('#').next().unwrap_or(url).trim_end_matches('/');
        let base = INTERFACES.iter().find_map(|path| base.strip_suffix(path)).unwrap_or(base);
        Ok(Self { base: base.to_owned(), trust: ServerTrust::default(), patience: PATIENCE })
    }

    /// The same service, recognized in another way.
    pub fn with_trust(mut self, trust: ServerTrust) -> Self {
        self.trust = trust;
        self
    }

    /// The same service, given this long for each answer; 20 s by default.
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Its URL, without the path of the interface.
    pub fn url(&self) -> &str {
        &self.base
    }

    /// All that this quote is verified with, and the platform's certificate where the quote has none.
    ///
    /// # Errors
    /// [`CollateralError`].
    pub async fn collateral(&self, quote: &[u8]) -> Result<Collateral, CollateralError> {
        let Origin { technology, certificate } = Origin::read(quote)?;
        let tls = self.trust.configuration()?;
        let asking =
            Asking { server: self, fetch: Fetch { server: &self.base, tls: &tls, patience: self.patience } };
        let (platform, pck_certificate_chain) = match certificate {
            PlatformCertificate::Carried(platform) => (platform, None),
            PlatformCertificate::ToAskFor { query } => {
                let (platform, chain) = asking.platform_certificate(&query).await?;
                (platform, Some(chain))
            }
        };
        asking.all(technology, platform, pck_certificate_chain).await
    }

    /// The same, blocking. Not for threads that run asynchronous tasks.
    ///
    /// # Errors
    /// [`CollateralError`].
    pub fn fetch(&self, quote: &[u8]) -> Result<Collateral, CollateralError> {
        self.block_on(self.collateral(quote))
    }

    /// Asks for what every such service has, and is silent about what it is. Blocking.
    ///
    /// # Errors
    /// [`CollateralError`] where it does not answer as such a service does.
    pub fn reach(&self) -> Result<(), CollateralError> {
        self.block_on(async {
            let tls = self.trust.configuration()?;
            let fetch = Fetch { server: &self.base, tls: &tls, patience: self.patience };
            let asking = Asking { server: self, fetch };
            asking.identity("sgx").await.map(drop)
        })
    }

    fn block_on<T>(
        &self,
        future: impl Future<Output = Result<T, CollateralError>>,
    ) -> Result<T, CollateralError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let unreachable =
            |source: io::Error| CollateralError::Unreachable { server: self.base.clone(), source };
        runtime.map_err(unreachable)?.block_on(future)
    }
}

#[derive(Clone, Copy, Debug)]
struct Asking<'a> {
    server: &'a CollateralServer,
    fetch: Fetch<'a>,
}

impl Asking<'_> {
    async fn all(
        &self,
        technology: &str,
        platform: Platform,
        pck_certificate_chain: Option<String>,
    ) -> Result<Collateral, CollateralError> {
        let path = format!("sgx/certification/v4/pckcrl?ca={}&encoding=der", platform.authority);
        let revocations = self.ask(&path, Part::PckRevocations).await?;
        let (tcb_info, tcb_info_signature, tcb_info_issuer_chain) = self.levels(technology, platform).await?;
        let (qe_identity, qe_identity_signature, qe_identity_issuer_chain) =
            self.identity(technology).await?;
        Ok(Collateral {
            pck_crl_issuer_chain: self.chain(
                &revocations,
                Part::PckRevocations,
                &["sgx-pck-crl-issuer-chain"],
            )?,
            root_ca_crl: self.root_revocations().await?,
            pck_crl: der(revocations.body()),
            tcb_info_issuer_chain,
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain,
            qe_identity,
            qe_identity_signature,
            pck_certificate_chain,
        })
    }

    async fn platform_certificate(&self, query: &str) -> Result<(Platform, String), CollateralError> {
        let part = Part::PckCertificate;
        let answer = self.ask(&format!("sgx/certification/v4/pckcert?{query}"), part).await?;
        let issuers = self.chain(&answer, part, &["sgx-pck-certificate-issuer-chain"])?;
        let leaf = std::str::from_utf8(answer.body()).map_err(|_| self.malformed(part, "it is not PEM"))?;
        let platform =
            Platform::read_pem(leaf).ok_or_else(|| self.malformed(part, "it is not a platform's"))?;
        Ok((platform, format!("{}\n{issuers}", leaf.trim_end())))
    }

    /// TCB info, its signature and who signed it.
    async fn levels(
        &self,
        technology: &str,
        platform: Platform,
    ) -> Result<(String, Vec<u8>, String), CollateralError> {
        let part = Part::TcbInfo;
        let fmspc = hex::encode_upper(platform.fmspc);
        let answer = self.ask(&format!("{technology}/certification/v4/tcb?fmspc={fmspc}"), part).await?;
        let issuers = self.chain(&answer, part, &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"])?;
        let TcbAnswer { tcb_info, signature } = serde_json::from_slice(answer.body())
            .map_err(|_| self.malformed(part, "it is not the interface's JSON"))?;
        let of: OfPlatform<'_> =
            serde_json::from_str(tcb_info.get()).map_err(|_| self.malformed(part, "it names no platform"))?;
        if !of.fmspc.eq_ignore_ascii_case(&fmspc) {
            return Err(self.malformed(part, "it is of another family of platforms"));
        }
        Ok((tcb_info.get().to_owned(), signature, issuers))
    }

    async fn identity(&self, technology: &str) -> Result<(String, Vec<u8>, String), CollateralError> {
        let part = Part::QeIdentity;
        let answer = self.ask(&format!("{technology}/certification/v4/qe/identity"), part).await?;
        let names = ["sgx-enclave-identity-issuer-chain", "enclave-identity-issuer-chain"];
        let issuers = self.chain(&answer, part, &names)?;
        let IdentityAnswer { enclave_identity, signature } = serde_json::from_slice(answer.body())
            .map_err(|_| self.malformed(part, "it is not the interface's JSON"))?;
        Ok((enclave_identity.get().to_owned(), signature, issuers))
    }

    /// Caches of Intel's service have the root's revocations, Intel's own does not: they are where its certificate says.
    async fn root_revocations(&self) -> Result<Vec<u8>, CollateralError> {
        let part = Part::RootRevocations;
        let list = match self.ask("sgx/certification/v4/rootcacrl", part).await {
            Err(CollateralError::Status { .. }) => self.fetch.get(INTEL_ROOT_CRL, part).await?,
            answer => answer?,
        };
        Ok(der(list.body()))
    }

    async fn ask(&self, path: &str, part: Part) -> Result<Response<Bytes>, CollateralError> {
        self.fetch.get(&format!("{}/{path}", self.server.base), part).await
    }

    /// The certificates in the first of these headers that the answer has: PEM, with `%` before what headers cannot have.
    fn chain(&self, answer: &Response<Bytes>, part: Part, names: &[&str]) -> Result<String, CollateralError> {
        let value = names.iter().find_map(|name| answer.headers().get(*name));
        let text = value.and_then(|value| value.to_str().ok());
        text.and_then(|text| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned()))
            .ok_or_else(|| self.malformed(part, "it comes without the certificates of who signed it"))
    }

    fn malformed(&self, part: Part, reason: &'static str) -> CollateralError {
        CollateralError::Malformed { server: self.server.base.clone(), part, reason }
    }
}

#[derive(Deserialize)]
struct TcbAnswer<'a> {
    /// As it came, byte for byte: the signature is over that.
    #[serde(borrow, rename = "tcbInfo")]
    tcb_info: &'a RawValue,
    #[serde(with = "hex")]
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct IdentityAnswer<'a> {
    #[serde(borrow, rename = "enclaveIdentity")]
    enclave_identity: &'a RawValue,
    #[serde(with = "hex")]
    signature: Vec<u8>,
}

#[derive(Deserialize)]
struct OfPlatform<'a> {
    fmspc: &'a str,
}

/// A revocation list in DER. Some services write it in hex digits.
fn der(body: &[u8]) -> Vec<u8> {
    hex::decode(body.trim_ascii()).unwrap_or_else(|_| body.to_vec())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Where Intel publishes the revocations of its SGX Root CA: the distribution point in that root's certificate.
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// Paths of the interface, which a URL may have or not.
const INTERFACES: [&str; 2] = ["/sgx/certification/v4", "/tdx/certification/v4"];
/// Default for each answer: a cache asks Intel's service where it has none itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of a service's URL, in bytes.
const MAX_URL: usize = 2048;
/// Of a URL that is refused, in characters.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_named_by_its_url_with_or_without_the_interface() {
        let base = |url| CollateralServer::new(url).unwrap().base;
        assert_eq!(base("https://pccs.example:8081"), "https://pccs.example:8081");
        assert_eq!(base("https://pccs.example/cache/"), "https://pccs.example/cache");
        assert_eq!(base("https://pccs.example/sgx/certification/v4/"), "https://pccs.example");
        assert_eq!(base("http://127.0.0.1:9"), "http://127.0.0.1:9");
        assert_eq!(base("http://[::1]:9"), "http://[::1]:9");
    }

    #[test]
    fn other_urls_are_refused() {
        let long = format!("https://pccs.example/{}", "a".repeat(MAX_URL));
        for url in [
            "http://pccs.example",
            "http://10.0.0.1",
            "https://",
            "pccs.example",
            "ftp://a",
            "https://a@b",
            "https://a/?b",
            "",
            &long,
        ] {
            assert!(matches!(CollateralServer::new(url), Err(CollateralError::Url { .. })), "{url}");
        }
    }

    #[test]
    fn revocation_lists_come_in_der_or_hex() {
        assert_eq!(der(&[0x30, 0x82, 0xff]), [0x30, 0x82, 0xff]);
        assert_eq!(der(b"3082ff\n"), [0x30, 0x82, 0xff]);
    }
}
