//! One request and its response, as the log of egress sees them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::connection::Tls;
use crate::log::DROPPED_BY_GUEST;
use crate::{EgressLog, EgressOutcome, EgressRequest};

/// A request from when the guest asked for it until it is over. Told to the log once, when it is dropped at the latest.
pub struct Exchange {
    log: Arc<dyn EgressLog>,
    /// None once it is told.
    open: Mutex<Option<Open>>,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What a guest asks for, as the log tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As [`EgressRequest::method`].
    pub method: &'static str,
    /// As [`EgressRequest::scheme`].
    pub scheme: &'static str,
    /// As [`EgressRequest::host`].
    pub host: String,
    /// As [`EgressRequest::port`].
    pub port: u16,
}

#[derive(Debug)]
struct Open {
    asked: Asked,
    began: SystemTime,
    tls: Option<Tls>,
    status: Option<u16>,
}

impl Exchange {
    /// The guest asks for it now.
    pub fn begin(log: Arc<dyn EgressLog>, asked: Asked) -> Self {
        let open = Open { asked, began: SystemTime::now(), tls: None, status: None };
        Self { log, open: Mutex::new(Some(open)), sent: AtomicU64::new(0), received: AtomicU64::new(0) }
    }

    pub(crate) fn set_tls(&self, tls: Option<Tls>) {
        if let Some(open) = &mut *self.lock() {
            open.tls = tls;
        }
    }

    pub(crate) fn set_status(&self, status: u16) {
        if let Some(open) = &mut *self.lock() {
            open.status = Some(status);
        }
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn add_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It failed, or was refused.
    pub fn end(&self, outcome: EgressOutcome) {
        let open = self.lock().take();
        if let Some(open) = open {
            self.tell(open, outcome);
        }
    }

    /// Its response was received whole, or the guest lets go of it.
    pub fn end_as_it_is(&self) {
        let open = self.lock().take();
        if let Some(open) = open {
            let outcome = open.status.map_or(EgressOutcome::Failed(DROPPED_BY_GUEST), EgressOutcome::Status);
            self.tell(open, outcome);
        }
    }

    fn tell(&self, open: Open, outcome: EgressOutcome) {
        // The host's clock may go backwards.
        let duration = open.began.elapsed().unwrap_or(Duration::ZERO);
        let Asked { method, scheme, host, port } = open.asked;
        self.log.record(EgressRequest {
            method,
            scheme,
            host,
            port,
            outcome,
            bytes_sent: self.sent.load(Ordering::Relaxed),
            bytes_received: self.received.load(Ordering::Relaxed),
            began: open.began,
            duration,
            tls: open.tls.map(|tls| tls.version),
            peer: open.tls.and_then(|tls| tls.peer),
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
