//! One request and its response, as the log of egress sees them.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use crate::egress::DROPPED_BY_GUEST;
use crate::{BodyError, EgressLog, EgressOutcome, EgressRequest, TlsVersion};

/// A request from when the guest asked for it until it is over. Told to the log once.
pub(crate) struct Exchange {
    log: Arc<dyn EgressLog>,
    /// None once it is told.
    open: Mutex<Option<Open>>,
    sent: AtomicU64,
    received: AtomicU64,
    /// The connection would send more of the request, and the guest has not written it yet.
    awaits_guest: AtomicBool,
    /// The request is sent, or will never be.
    upload_ended: AtomicBool,
    /// Why it never will: the server only sees that it breaks off.
    upload_error: OnceLock<BodyError>,
}

/// What is known of it when it begins.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) method: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) began: SystemTime,
    pub(crate) tls: Option<TlsVersion>,
    pub(crate) status: Option<u16>,
}

impl Exchange {
    pub(crate) fn begin(log: Arc<dyn EgressLog>, open: Open) -> Self {
        Self {
            log,
            open: Mutex::new(Some(open)),
            sent: AtomicU64::new(0),
            received: AtomicU64::new(0),
            awaits_guest: AtomicBool::new(false),
            upload_ended: AtomicBool::new(false),
            upload_error: OnceLock::new(),
        }
    }

    pub(crate) fn set_tls(&self, version: Option<TlsVersion>) {
        if let Some(open) = &mut *self.lock() {
            open.tls = version;
        }
    }

    pub(crate) fn set_status(&self, status: u16) {
        if let Some(open) = &mut *self.lock() {
            open.status = Some(status);
        }
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.awaits_guest.store(false, Ordering::Relaxed);
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn set_awaits_guest(&self) {
        self.awaits_guest.store(true, Ordering::Relaxed);
    }

    pub(crate) fn end_upload(&self) {
        self.awaits_guest.store(false, Ordering::Relaxed);
        self.upload_ended.store(true, Ordering::Release);
    }

    pub(crate) fn fail_upload(&self, error: BodyError) {
        // Only the first one counts.
        let _ = self.upload_error.set(error);
        self.end_upload();
    }

    pub(crate) fn upload_error(&self) -> Option<BodyError> {
        self.upload_error.get().copied()
    }

    pub(crate) fn upload_ended(&self) -> bool {
        self.upload_ended.load(Ordering::Acquire)
    }

    /// Whether it is not the peer's fault that nothing came since `sent` bytes were sent.
    pub(crate) fn excuses_silence(&self, sent: u64) -> bool {
        self.awaits_guest.load(Ordering::Relaxed) || self.sent() != sent
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// It failed, or was refused.
    pub(crate) fn end(&self, outcome: EgressOutcome) {
        let open = self.lock().take();
        if let Some(open) = open {
            self.tell(open, outcome);
        }
    }

    /// Its response was received whole, or the guest lets go of it.
    pub(crate) fn end_as_it_is(&self) {
        let open = self.lock().take();
        if let Some(open) = open {
            let outcome = open.status.map_or(EgressOutcome::Failed(DROPPED_BY_GUEST), EgressOutcome::Status);
            self.tell(open, outcome);
        }
    }

    fn tell(&self, open: Open, outcome: EgressOutcome) {
        // The host's clock may go backwards.
        let duration = open.began.elapsed().unwrap_or(Duration::ZERO);
        self.log.record(EgressRequest {
            method: open.method,
            scheme: open.scheme,
            host: open.host,
            port: open.port,
            outcome,
            bytes_sent: self.sent(),
            bytes_received: self.received.load(Ordering::Relaxed),
            began: open.began,
            duration,
            tls: open.tls,
        });
    }

    fn lock(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end_as_it_is();
    }
}
