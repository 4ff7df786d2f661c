//! Quotes of hardware: the two ways to Intel's quoting enclave, and the collateral that is offered with its quotes.
//!
//! What either says is checked as far as the host can check it, so that a service that is broken is named here, and not as evidence
//! that every client refuses.

mod aesm;
mod dcap;
mod error;
mod message;
mod provider;
mod quote;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use cloister_collateral::{CollateralCache, CollateralServer};
use cloister_frames::{PlatformKind, QuoteRequest, QuoteResponse, REPORT_LEN, TARGET_INFO_LEN};

use crate::log::LogSink;
use crate::service::Quoting;
use crate::sync::lock;

pub use error::{DcapError, QuotingError};
pub use provider::{PROVIDER_CONFIGURATION, ProviderConfiguration};

/// Where quotes come from, and what they are verified with.
#[derive(Clone, Debug)]
pub struct QuotingSettings {
    /// Which way to the quoting enclave.
    pub service: QuotingService,
    /// The socket of Intel's Architectural Enclave Service Manager.
    pub aesm_socket: PathBuf,
    /// The DCAP quote library: a file, or a name that the loader looks for.
    pub dcap_library: PathBuf,
    /// How long either may take for one answer.
    pub patience: Duration,
    /// Where collateral comes from that is offered to clients. Without one, clients have to have their own.
    pub collateral: Option<CollateralServer>,
}

impl QuotingSettings {
    /// Socket of the AESM service, as Intel's packages set it up.
    pub const AESM_SOCKET: &'static str = "/var/run/aesmd/aesm.socket";
    /// The DCAP quote library of Intel's package `libsgx-dcap-ql`.
    pub const DCAP_LIBRARY: &'static str = "libsgx_dcap_ql.so.1";
}

impl Default for QuotingSettings {
    /// Whichever way there is, at the usual places; no collateral.
    fn default() -> Self {
        Self {
            service: QuotingService::Auto,
            aesm_socket: Self::AESM_SOCKET.into(),
            dcap_library: Self::DCAP_LIBRARY.into(),
            patience: PATIENCE,
            collateral: None,
        }
    }
}

/// A way to the quoting enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QuotingService {
    /// On hardware, the DCAP library where it loads and answers, else the AESM service. On a soft platform, its own.
    #[default]
    Auto,
    /// The AESM service, on a soft platform too.
    Aesm,
    /// The DCAP library, on a soft platform too.
    Dcap,
}

/// What one of the ways can do.
pub(crate) trait QuotingEnclave: Send + Sync + fmt::Debug {
    fn target_info(&self) -> Result<Box<[u8; TARGET_INFO_LEN]>, QuotingError>;

    /// A quote over this report, as it came.
    fn quote(&self, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError>;
}

/// Whether the machine can make quotes now: asks for what every quote begins with.
///
/// # Errors
/// [`QuotingError`] says what is missing.
pub fn probe_quoting(settings: &QuotingSettings) -> Result<QuotingService, QuotingError> {
    open(settings).map(|(service, _)| service)
}

/// The quoting service of a machine with Intel's software.
pub(crate) struct PlatformQuoting {
    platform: PlatformKind,
    settings: QuotingSettings,
    /// `None` until it answered once, and after a failure: it may be started, or started again, meanwhile.
    enclave: Mutex<Option<Arc<dyn QuotingEnclave>>>,
    collateral: Option<CollateralCache>,
    /// The last one that was made: it says what the collateral is to be for.
    quote: Mutex<Option<Vec<u8>>>,
    log: LogSink,
}

impl PlatformQuoting {
    pub(crate) fn new(platform: PlatformKind, settings: QuotingSettings, log: LogSink) -> Self {
        let collateral = settings.collateral.clone().map(CollateralCache::new);
        Self { platform, settings, enclave: Mutex::default(), collateral, quote: Mutex::default(), log }
    }

    fn target_info(&self) -> Result<Box<[u8; TARGET_INFO_LEN]>, QuotingError> {
        let mut enclave = lock(&self.enclave);
        if let Some(known) = enclave.take() {
            let target_info = known.target_info()?;
            *enclave = Some(known);
            return Ok(target_info);
        }
        let (_, found) = open(&self.settings)?;
        let target_info = found.target_info()?;
        *enclave = Some(found);
        Ok(target_info)
    }

    fn quote(&self, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError> {
        let known = lock(&self.enclave).clone();
        let enclave = match known {
            Some(enclave) => enclave,
            None => open(&self.settings)?.1,
        };
        let made = enclave.quote(report).and_then(|quote| quote::checked(quote, report));
        if made.is_err() {
            *lock(&self.enclave) = None;
        }
        let made = made?;
        *lock(&self.quote) = Some(made.clone());
        Ok(made)
    }

    /// JSON; empty where there is none to offer. A client may have its own, so that none is no failure.
    fn collateral(&self) -> Vec<u8> {
        let (Some(cache), Some(quote)) = (&self.collateral, lock(&self.quote).clone()) else {
            return Vec::new();
        };
        let failed = |error: &dyn fmt::Display| self.log.host(&format!("no new collateral: {error}"));
        match cache.collateral(&quote, SystemTime::now(), |error| failed(error)) {
            Ok(collateral) => serde_json::to_vec(&*collateral).unwrap_or_default(),
            Err(error) => {
                failed(&error);
                Vec::new()
            }
        }
    }
}

impl Quoting for PlatformQuoting {
    fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String> {
        let answer = match request {
            QuoteRequest::TargetInfo => self.target_info().map(QuoteResponse::TargetInfo),
            QuoteRequest::Quote(report) => self.quote(&report).map(QuoteResponse::Quote),
            QuoteRequest::Collateral => Ok(QuoteResponse::Collateral(self.collateral())),
            QuoteRequest::Platform => Ok(QuoteResponse::Platform(self.platform())),
        };
        answer.map_err(|error| error.to_string())
    }

    fn platform(&self) -> PlatformKind {
        self.platform
    }
}

impl fmt::Debug for PlatformQuoting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlatformQuoting").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// The way that is asked for, or the first that answers.
fn open(settings: &QuotingSettings) -> Result<(QuotingService, Arc<dyn QuotingEnclave>), QuotingError> {
    let dcap = || -> Result<Arc<dyn QuotingEnclave>, QuotingError> {
        let library = dcap::Dcap::load(&settings.dcap_library, settings.patience)?;
        library.target_info()?;
        Ok(Arc::new(library))
    };
    let aesm = || -> Result<Arc<dyn QuotingEnclave>, QuotingError> {
        let service = aesm::Aesm::connect(&settings.aesm_socket, settings.patience)?;
        Ok(Arc::new(service))
    };
    match settings.service {
        QuotingService::Dcap => Ok((QuotingService::Dcap, dcap()?)),
        QuotingService::Aesm => Ok((QuotingService::Aesm, aesm()?)),
        QuotingService::Auto => match dcap() {
            Ok(library) => Ok((QuotingService::Dcap, library)),
            Err(dcap) => match aesm() {
                Ok(service) => Ok((QuotingService::Aesm, service)),
                Err(aesm) => Err(QuotingError::Neither { dcap: Box::new(dcap), aesm: Box::new(aesm) }),
            },
        },
    }
}

/// The first quote after a start may have the service ask Intel for the platform's certificate.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
