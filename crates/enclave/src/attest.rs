//! What the enclave says of itself, and how it proves it.

use crate::app::App;
use crate::certificates::Certificates;
use crate::clock::Clock;
use crate::host_name::HostName;
use crate::storage::{Record, Storage};
use cloister_api::{AppName, Code, Configuration, EvidenceResponse, Problem, VolumeState};
use cloister_attestation::{
    AppClaims, AppExtensions, Boot, CertificateError, Claims, ClaimsError, EXPORTER_LABEL, Evidence,
    ImageUpgradeClaim, IssuerClaim, KeyError, MAX_CLAIMS, MAX_EXTENSION_VALUES, PlatformClaim,
    SessionBinding, SessionKey, TlsKey, UpgradePolicy, Volume, environment_hash, fits_certificate,
    leaf_certificate, report_data, sha256,
};
use cloister_boundary::{HostError, Quotes};
#[cfg(target_env = "sgx")]
use cloister_frames::PlatformKind;
use cloister_frames::{QuoteRequest, QuoteResponse};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
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
    operator: Option<[u8; 32]>,
    image_upgrade: ImageUpgradeClaim,
    issuers: Vec<IssuerClaim>,
    clock: Clock,
    quotes: Mutex<Option<Quotes>>,
}

/// Claims about one set of apps with their evidence and certificates.
#[derive(Debug)]
pub(crate) struct Attested {
    claims: Vec<u8>,
    quote: Vec<u8>,
    collateral: Option<serde_json::Value>,
    made: Instant,
    /// For clients that name no host.
    enclave: Arc<CertifiedKey>,
    /// What certificates under an app's host name say of it.
    apps: HashMap<String, AppExtensions>,
    by_name: Certificates,
}

impl Attestor {
    /// With the enclave's own TLS key, and a new session key for this run, which is the volume's start of this number.
    ///
    /// # Errors
    /// [`AttestError`] where there is no randomness, or the configuration's issuers are none.
    pub(crate) fn new(
        configuration: &Configuration,
        measured: &[u8],
        tls_key: TlsKey,
        starts: u64,
    ) -> Result<Self, AttestError> {
        let tls_pkcs8 = tls_key.to_pkcs8_der()?;
        let mut id = [0; 16];
        cloister_tee::random(&mut id)?;
        let clock = Clock::default();
        let mut owners: Vec<[u8; 32]> = configuration.owners.iter().map(|key| *key.as_bytes()).collect();
        owners.sort_unstable();
        owners.dedup();
        Ok(Self {
            tls_key,
            tls_pkcs8,
            session_key: SessionKey::generate()?,
            boot: Boot { id, told_time: clock.seconds(), counter: starts },
            configuration: sha256(measured),
            owners,
            operator: configuration.operator.map(|key| *key.as_bytes()),
            image_upgrade: ImageUpgradeClaim::from(&configuration.image_upgrade),
            issuers: IssuerClaim::of_all(&configuration.issuers)?,
            clock,
            quotes: Mutex::default(),
        })
    }

    /// The time of this run.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
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
        let made = Instant::now();
        let claims = self.claims(apps, storage)?;
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
            made,
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
        volume: Option<Volume>,
    ) -> Result<EvidenceResponse, AttestError> {
        use base64::Engine;
        let base64 = base64::engine::general_purpose::STANDARD;
        let signature = self.session_key.sign(binding, &attested.claims, volume)?;
        Ok(EvidenceResponse {
            claims: base64.encode(&attested.claims),
            quote: base64.encode(&attested.quote),
            signature: base64.encode(signature),
            volume: volume.map(|Volume { epoch, root }| VolumeState { epoch, root: hex::encode(root) }),
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

    fn claims(&self, apps: &BTreeMap<AppName, Arc<App>>, storage: &Storage) -> Result<Claims, AttestError> {
        let claims = apps.values().map(|app| app_claims(&app.name, &app.record, app.program.code_hash()));
        Ok(Claims {
            tls_key: self.tls_key.fingerprint(),
            session_key: self.session_key.public(),
            boot: self.boot,
            configuration: self.configuration,
            owners: self.owners.clone(),
            volume: storage.claimed_state(),
            lineage: storage.lineage(),
            freshness: storage.freshness(),
            apps: claims.collect::<Result<_, _>>()?,
            operator: self.operator,
            image_upgrade: self.image_upgrade.clone(),
            made: self.clock.seconds(),
            platform: self.platform()?,
            issuers: self.issuers.clone(),
        })
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

    /// As the host says.
    #[cfg(target_env = "sgx")]
    fn platform(&self) -> Result<PlatformClaim, AttestError> {
        let mut quotes = self.quotes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut service = opened(&mut quotes)?;
        let QuoteResponse::Platform(kind) = ask(&mut service, &QuoteRequest::Platform)? else {
            return Err(HostError::Unexpected.into());
        };
        *quotes = Some(service);
        Ok(match kind {
            PlatformKind::Hardware => PlatformClaim::Hardware,
            PlatformKind::Simulated => PlatformClaim::Simulated,
        })
    }

    /// No hardware keeps anybody out of a native build.
    #[cfg(not(target_env = "sgx"))]
    fn platform(&self) -> Result<PlatformClaim, AttestError> {
        Ok(PlatformClaim::Simulated)
    }

    #[cfg(target_env = "sgx")]
    fn quote(&self, claims: &[u8]) -> Result<(Vec<u8>, Option<serde_json::Value>), AttestError> {
        let mut quotes = self.quotes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut service = opened(&mut quotes)?;
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
    /// How long ago it was made, by the host's clock.
    pub(crate) fn age(&self) -> Duration {
        self.made.elapsed()
    }

    /// The claims, encoded.
    #[cfg(test)]
    pub(crate) fn claims(&self) -> &[u8] {
        &self.claims
    }
}

/// What is claimed of an app with this record and code.
///
/// # Errors
/// [`ClaimsError::IssuerRoots`] where its issuers' certificates are none.
pub(crate) fn app_claims(
    name: &AppName,
    record: &Record,
    code_hash: [u8; 32],
) -> Result<AppClaims, ClaimsError> {
    let names = |pairs: &[(String, String)]| environment_hash(pairs.iter().map(|(name, _)| name.as_str()));
    Ok(AppClaims {
        name: name.clone(),
        code_hash,
        owner: *record.owner.as_bytes(),
        limits: record.limits.clone(),
        environment: names(&record.environment),
        upgrade: UpgradePolicy::from(&record.upgrade),
        callers: record.callers.clone(),
        network: record.network.clone(),
        roots: record.roots_hash(),
        assets: record.assets_claim(),
        config: names(&record.config),
        extensions: record.extensions.iter().map(|(suffix, value)| (*suffix, sha256(value))).collect(),
        configuration: record.configuration(),
        quote_roots: record.quote_roots_hash(),
        issuers: IssuerClaim::of_all(&record.issuers)?,
    })
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

/// A failed exchange leaves the stream at an unknown place: the next one opens a new stream.
#[cfg(target_env = "sgx")]
fn opened(quotes: &mut Option<Quotes>) -> Result<Quotes, HostError> {
    quotes.take().map_or_else(Quotes::open, Ok)
}

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
