//! What the enclave says of itself, and how it proves it.

use crate::app::App;
use crate::certificates::Certificates;
use crate::host_name::HostName;
use crate::storage::Storage;
use cloister_api::{AppName, Code, Configuration, EvidenceResponse, Problem, VolumeState};
use cloister_attestation::{
    AppClaims, AppExtensions, Boot, CertificateError, Claims, ClaimsError, EXPORTER_LABEL, Evidence,
    KeyError, MAX_CLAIMS, MAX_EXTENSION_VALUES, SessionBinding, SessionKey, TlsKey, UpgradePolicy, Volume,
    environment_hash, fits_certificate, leaf_certificate, report_data, sha256,
};
use cloister_boundary::{HostError, Quotes};
use cloister_frames::{QuoteRequest, QuoteResponse};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;
use zeroize::Zeroizing;

/// The enclave's keys, and what stays the same of its claims while it runs.
#[derive(Debug)]
pub(crate) struct Attestor {
    tls_key: TlsKey,
    tls_pkcs8: Zeroizing<Vec<u8>>,
    session_key: SessionKey,
    boot: Boot,
    configuration: [u8; 32],
    owners: Vec<[u8; 32]>,
    quotes: Mutex<Option<Quotes>>,
}

/// Claims about one set of apps with their evidence and certificates.
#[derive(Debug)]
pub(crate) struct Attested {
    claims: Vec<u8>,
    quote: Vec<u8>,
    collateral: Option<serde_json::Value>,
    /// For clients that name no host.
    enclave: Arc<CertifiedKey>,
    /// What certificates under an app's host name say of it.
    apps: HashMap<String, AppExtensions>,
    by_name: Certificates,
}

impl Attestor {
    /// With the enclave's own TLS key, and a new session key for this run.
    ///
    /// # Errors
    /// [`AttestError`] where there is no randomness.
    pub(crate) fn new(
        configuration: &Configuration,
        measured: &[u8],
        tls_key: TlsKey,
    ) -> Result<Self, AttestError> {
        let tls_pkcs8 = tls_key.to_pkcs8_der()?;
        let mut id = [0; 16];
        cloister_tee::random(&mut id)?;
        let told_time =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut owners: Vec<[u8; 32]> = configuration.owners.iter().map(|key| *key.as_bytes()).collect();
        owners.sort_unstable();
        owners.dedup();
        Ok(Self {
            tls_key,
            tls_pkcs8,
            session_key: SessionKey::generate()?,
            boot: Boot { id, told_time },
            configuration: sha256(measured),
            owners,
            quotes: Mutex::default(),
        })
    }

    /// Claims, quote and certificates for these apps on this volume. Blocks while the platform quotes.
    ///
    /// # Errors
    /// [`AttestError`] where the platform gives no quote.
    pub(crate) fn attest(
        &self,
        apps: &BTreeMap<AppName, Arc<App>>,
        storage: &Storage,
    ) -> Result<Attested, AttestError> {
        let claims = self.claims(apps, storage);
        let extensions = |claims: &AppClaims| {
            let values = apps.get(&claims.name).map(|app| app.record.extensions.clone()).unwrap_or_default();
            let extensions = AppExtensions {
                code_hash: claims.code_hash,
                configuration: claims.hash()?,
                values: values.into_iter().collect(),
            };
            Ok::<_, AttestError>((claims.name.to_string(), extensions))
        };
        let extensions = claims.apps.iter().map(extensions).collect::<Result<_, _>>()?;
        let claims = claims.encode()?;
        let (quote, collateral) = self.quote(&claims)?;
        // Every app may set its values later: that must not fail for want of room.
        if !fits_certificate(claims.len(), quote.len(), MAX_EXTENSION_VALUES) {
            return Err(ClaimsError::TooLong(claims.len()).into());
        }
        let evidence = Evidence { claims, quote };
        let enclave = self.certificate(&["localhost".to_owned()], &evidence, None)?;
        Ok(Attested {
            claims: evidence.claims,
            quote: evidence.quote,
            collateral,
            enclave,
            apps: extensions,
            by_name: Certificates::default(),
        })
    }

    /// Evidence for the session with this exporter value and its client's nonce, and for the volume's present state.
    ///
    /// # Errors
    /// [`AttestError::Key`] where there is no randomness for a signature.
    pub(crate) fn bind(
        &self,
        attested: &Attested,
        binding: &SessionBinding,
        volume: Volume,
    ) -> Result<EvidenceResponse, AttestError> {
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD;
        let signature = self.session_key.sign(binding, &attested.claims, Some(volume))?;
        Ok(EvidenceResponse {
            claims: base64.encode(&attested.claims),
            quote: base64.encode(&attested.quote),
            signature: base64.encode(signature),
            volume: Some(VolumeState { epoch: volume.epoch, root: hex::encode(volume.root) }),
            collateral: attested.collateral.clone(),
        })
    }

    /// The certificate for the host that a client names: with what concerns the app that has this host name.
    ///
    /// # Errors
    /// [`AttestError`] where there is no randomness for a signature.
    pub(crate) fn certificate_for(
        &self,
        attested: &Attested,
        host: Option<&HostName>,
    ) -> Result<Arc<CertifiedKey>, AttestError> {
        let Some(host) = host else { return Ok(Arc::clone(&attested.enclave)) };
        attested.by_name.find_or_make(host, || {
            let app = host.app().and_then(|app| attested.apps.get(app));
            let evidence = Evidence { claims: attested.claims.clone(), quote: attested.quote.clone() };
            self.certificate(&[host.as_str().to_owned()], &evidence, app)
        })
    }

    fn claims(&self, apps: &BTreeMap<AppName, Arc<App>>, storage: &Storage) -> Claims {
        Claims {
            tls_key: self.tls_key.fingerprint(),
            session_key: self.session_key.public(),
            boot: self.boot,
            configuration: self.configuration,
            owners: self.owners.clone(),
            volume: Some(storage.state()),
            freshness: storage.freshness(),
            apps: apps
                .values()
                .map(|app| AppClaims {
                    name: app.name.clone(),
                    code_hash: app.program.code_hash(),
                    owner: *app.record.owner.as_bytes(),
                    limits: app.record.limits.clone(),
                    environment: environment_hash(app.environment.iter().map(|(name, _)| name.as_str())),
                    upgrade: UpgradePolicy::Owner,
                    network: app.record.network.clone(),
                    roots: app.record.roots_hash(),
                    assets: app.record.assets_claim(),
                    config: environment_hash(app.record.config.iter().map(|(name, _)| name.as_str())),
                    extensions: app
                        .record
                        .extensions
                        .iter()
                        .map(|(suffix, value)| (*suffix, sha256(value)))
                        .collect(),
                    configuration: app.record.configuration(),
                    quote_roots: app.record.quote_roots_hash(),
                })
                .collect(),
        }
    }

    fn certificate(
        &self,
        names: &[String],
        evidence: &Evidence,
        app: Option<&AppExtensions>,
    ) -> Result<Arc<CertifiedKey>, AttestError> {
        let certificate = leaf_certificate(&self.tls_key, names, evidence, app)?;
        Ok(Arc::new(certified_key(certificate.to_vec(), &self.tls_pkcs8)?))
    }

    #[cfg(target_env = "sgx")]
    fn quote(&self, claims: &[u8]) -> Result<(Vec<u8>, Option<serde_json::Value>), AttestError> {
        let mut quotes = self.quotes.lock().unwrap_or_else(PoisonError::into_inner);
        // A failed exchange leaves the stream at an unknown place: the next one opens a new stream.
        let mut service = match quotes.take() {
            Some(service) => service,
            None => Quotes::open()?,
        };
        let QuoteResponse::TargetInfo(target) = ask(&mut service, &QuoteRequest::TargetInfo)? else {
            return Err(HostError::Unexpected.into());
        };
        let report = cloister_tee::report(&target, &report_data(claims))?;
        let QuoteResponse::Quote(quote) = ask(&mut service, &QuoteRequest::Quote(report))? else {
            return Err(HostError::Unexpected.into());
        };
        let QuoteResponse::Collateral(collateral) = ask(&mut service, &QuoteRequest::Collateral)? else {
            return Err(HostError::Unexpected.into());
        };
        *quotes = Some(service);
        // The collateral is for the client, which checks its signatures; here it is only passed on.
        Ok((quote, serde_json::from_slice(&collateral).ok()))
    }

    /// A native build serves without evidence: its clients refuse it.
    #[cfg(not(target_env = "sgx"))]
    fn quote(&self, claims: &[u8]) -> Result<(Vec<u8>, Option<serde_json::Value>), AttestError> {
        let _ = (report_data(claims), &self.quotes, ask, PoisonError::<()>::into_inner);
        Ok((Vec::new(), None))
    }
}

impl Attested {
    /// The claims, encoded.
    #[cfg(test)]
    pub(crate) fn claims(&self) -> &[u8] {
        &self.claims
    }
}

/// The certificate's key in the form that TLS signs with.
fn certified_key(certificate: Vec<u8>, pkcs8: &[u8]) -> Result<CertifiedKey, rustls::Error> {
    let provider = rustls_graviola::default_provider();
    CertifiedKey::from_der(
        vec![CertificateDer::from(certificate)],
        PrivatePkcs8KeyDer::from(pkcs8.to_vec()).into(),
        &provider,
    )
}

/// Label of the exporter that session evidence is bound to.
pub(crate) const EXPORTER: &[u8] = EXPORTER_LABEL;

fn ask(service: &mut Quotes, request: &QuoteRequest) -> Result<QuoteResponse, HostError> {
    match service.request(request)? {
        QuoteResponse::Failed(why) => Err(HostError::Quotes(why)),
        answer => Ok(answer),
    }
}

/// The enclave cannot prove what it is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttestError {
    #[error(transparent)]
    Host(#[from] HostError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Random(#[from] cloister_tee::RandomError),
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("TLS does not take the certificate: {0}")]
    Tls(#[from] rustls::Error),
    #[cfg(target_env = "sgx")]
    #[error(transparent)]
    NotAnEnclave(#[from] cloister_tee::NotAnEnclave),
}

impl AttestError {
    /// Why a change of the apps was refused.
    pub(crate) fn into_problem(self) -> Problem {
        match self {
            Self::Claims(ClaimsError::TooLong(length)) => Problem::new(
                Code::TooManyApps,
                format!(
                    "nothing was changed: the evidence names every app with its network rules, and has room for \
                     {MAX_CLAIMS} bytes of that at most, beside the quote. With this app it would have {length}; give \
                     it fewer or shorter rules, or remove another app"
                ),
            ),
            error => Problem::new(Code::EvidenceUnavailable, format!("nothing was changed: {error}")),
        }
    }
}
