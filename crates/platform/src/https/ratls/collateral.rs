//! What quotes are verified with, asked of a service with the interface of Intel's Provisioning Certification Service,
//! version 4.

use bytes::Bytes;
use cloister_attestation::verify::{Collateral, QuoteOrigin, Tee};
use http::{Response, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::RatlsRefused;
use crate::https::Servers;

/// An attestation server that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AttestationServer {
    /// Without a slash at its end.
    base: String,
}

impl AttestationServer {
    /// The service at this URL, with or without the path of the interface (`/sgx/certification/v4`).
    pub(super) fn parse(url: &str) -> Result<Self, RatlsRefused> {
        let wrong =
            RatlsRefused::Policy("an attestation server is named by an https url of at most 2048 bytes");
        if url.len() > MAX_URL {
            return Err(wrong);
        }
        let uri: Uri = url.parse().map_err(|_| wrong.clone())?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some("https"), Some(_), None) = (uri.scheme_str(), authority, uri.query()) else {
            return Err(wrong);
        };
        let base = url.split('#').next().unwrap_or(url).trim_end_matches('/');
        let base = INTERFACES.iter().find_map(|path| base.strip_suffix(path)).unwrap_or(base);
        Ok(Self { base: base.to_owned() })
    }

    /// All that a quote of this origin is verified with. Everything in it is signed below the quote's root, so that the
    /// service can withhold it, and no more.
    pub(super) async fn collateral(
        &self,
        origin: &QuoteOrigin,
        servers: &dyn Servers,
    ) -> Result<Collateral, RatlsRefused> {
        let tee = match origin.tee {
            Tee::Sgx => "sgx",
            Tee::Tdx => "tdx",
        };
        let fmspc = hex::encode_upper(origin.fmspc);

        let path = format!("sgx/certification/v4/pckcrl?ca={}&encoding=der", origin.authority);
        let crl = self.ask(&path, REVOCATIONS, servers).await?;
        let crl_issuers = chain(&crl, &["sgx-pck-crl-issuer-chain"]);
        let pck_crl_issuer_chain = crl_issuers.ok_or_else(|| self.refused(REVOCATIONS))?;

        let tcb = self.ask(&format!("{tee}/certification/v4/tcb?fmspc={fmspc}"), LEVELS, servers).await?;
        let tcb_issuers = chain(&tcb, &["tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain"]);
        let (tcb_info, tcb_info_signature) =
            parsed(tcb.body(), |answer: TcbAnswer<'_>| (answer.tcb_info.get().to_owned(), answer.signature))
                .ok_or_else(|| self.refused(LEVELS))?;

        let identity = self.ask(&format!("{tee}/certification/v4/qe/identity"), IDENTITY, servers).await?;
        let identity_issuers =
            chain(&identity, &["sgx-enclave-identity-issuer-chain", "enclave-identity-issuer-chain"]);
        let (qe_identity, qe_identity_signature) = parsed(identity.body(), |answer: IdentityAnswer<'_>| {
            (answer.enclave_identity.get().to_owned(), answer.signature)
        })
        .ok_or_else(|| self.refused(IDENTITY))?;

        Ok(Collateral {
            pck_crl_issuer_chain,
            root_ca_crl: self.root_revocations(servers).await?,
            pck_crl: der(crl.body()),
            tcb_info_issuer_chain: tcb_issuers.ok_or_else(|| self.refused(LEVELS))?,
            tcb_info,
            tcb_info_signature,
            qe_identity_issuer_chain: identity_issuers.ok_or_else(|| self.refused(IDENTITY))?,
            qe_identity,
            qe_identity_signature,
            // The quote has its own.
            pck_certificate_chain: None,
        })
    }

    /// Caches of Intel's service have the root's revocations, Intel's own does not: they are where its certificate says.
    async fn root_revocations(&self, servers: &dyn Servers) -> Result<Vec<u8>, RatlsRefused> {
        if let Ok(list) = self.ask("sgx/certification/v4/rootcacrl", ROOT_REVOCATIONS, servers).await {
            return Ok(der(list.body()));
        }
        let list = self.get(INTEL_ROOT_CRL, ROOT_REVOCATIONS, servers).await?;
        Ok(der(list.body()))
    }

    async fn ask(
        &self,
        path: &str,
        part: &'static str,
        servers: &dyn Servers,
    ) -> Result<Response<Bytes>, RatlsRefused> {
        self.get(&format!("{}/{path}", self.base), part, servers).await
    }

    async fn get(
        &self,
        url: &str,
        part: &'static str,
        servers: &dyn Servers,
    ) -> Result<Response<Bytes>, RatlsRefused> {
        match servers.get(url).await {
            Ok(response) if response.status() == StatusCode::OK && response.body().len() <= MAX_ANSWER => {
                Ok(response)
            }
            _ => Err(self.refused(part)),
        }
    }

    fn refused(&self, part: &'static str) -> RatlsRefused {
        RatlsRefused::AttestationServer { server: self.base.clone(), part }
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

fn parsed<'a, A: Deserialize<'a>, T>(body: &'a [u8], parts: impl FnOnce(A) -> T) -> Option<T> {
    serde_json::from_slice(body).ok().map(parts)
}

/// The certificates in the first of these headers that the answer has, PEM with `%` before what headers cannot have.
fn chain(answer: &Response<Bytes>, names: &[&str]) -> Option<String> {
    let value = names.iter().find_map(|name| answer.headers().get(*name))?.to_str().ok()?;
    Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
}

/// A revocation list in DER. Some services write it in hex digits.
fn der(body: &[u8]) -> Vec<u8> {
    hex::decode(body.trim_ascii()).unwrap_or_else(|_| body.to_vec())
}

/// Where Intel publishes the revocations of its SGX Root CA: the distribution point in that root's certificate.
const INTEL_ROOT_CRL: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// Paths of the interface, which a URL may have or not.
const INTERFACES: [&str; 2] = ["/sgx/certification/v4", "/tdx/certification/v4"];
const REVOCATIONS: &str = "revocation list";
const ROOT_REVOCATIONS: &str = "revocation list of the root";
const LEVELS: &str = "TCB levels";
const IDENTITY: &str = "identity of the quoting enclave";
/// Of an attestation server's URL.
const MAX_URL: usize = 2048;
/// Of one answer, in bytes: Intel's are at most some tens of KiB.
const MAX_ANSWER: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_url_with_or_without_the_interface() {
        let base = |url| AttestationServer::parse(url).unwrap().base;
        assert_eq!(base("https://pccs.example:8081"), "https://pccs.example:8081");
        assert_eq!(base("https://pccs.example/cache/"), "https://pccs.example/cache");
        assert_eq!(base("https://pccs.example/sgx/certification/v4/"), "https://pccs.example");
        let long = format!("https://pccs.example/{}", "a".repeat(MAX_URL));
        for url in
            ["http://pccs.example", "https://", "pccs.example", "https://a@b", "https://a/?b", "", &long]
        {
            assert!(AttestationServer::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn chains_are_decoded_from_the_header_that_is_there() {
        let answer = Response::builder()
            .header("tcb-info-issuer-chain", "-----BEGIN%20CERTIFICATE-----%0A")
            .body(Bytes::new())
            .unwrap();
        let found = chain(&answer, &["sgx-tcb-info-issuer-chain", "tcb-info-issuer-chain"]);
        assert_eq!(found.as_deref(), Some("-----BEGIN CERTIFICATE-----\n"));
        assert_eq!(chain(&answer, &["other"]), None);
    }

    #[test]
    fn revocation_lists_come_in_der_or_hex() {
        assert_eq!(der(&[0x30, 0x82, 0xff]), [0x30, 0x82, 0xff]);
        assert_eq!(der(b"3082ff\n"), [0x30, 0x82, 0xff]);
    }

    #[test]
    fn signed_parts_are_taken_byte_for_byte() {
        let body = br#"{"tcbInfo":{"b":1,"a" : 2},"signature":"0aFF"}"#;
        let parts =
            parsed(body, |answer: TcbAnswer<'_>| (answer.tcb_info.get().to_owned(), answer.signature));
        assert_eq!(parts, Some((r#"{"b":1,"a" : 2}"#.to_owned(), vec![0x0a, 0xff])));
        assert!(parsed(b"{}", |answer: TcbAnswer<'_>| answer.signature).is_none());
    }
}
