//! Which requests an app sent.

use cloister_api::{EgressLog, EgressRequest, MAX_EGRESS_REQUESTS};
use cloister_runtime::{self as runtime, EgressOutcome, TlsVersion};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The last requests of an app.
#[derive(Default)]
pub(crate) struct Egress(Mutex<Last>);

#[derive(Default)]
struct Last {
    dropped: u64,
    requests: VecDeque<runtime::EgressRequest>,
}

impl Egress {
    /// As its owner sees it.
    pub(crate) fn read(&self) -> EgressLog {
        let last = self.lock();
        EgressLog { dropped: last.dropped, requests: last.requests.iter().map(told).collect() }
    }

    fn lock(&self) -> MutexGuard<'_, Last> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl runtime::EgressLog for Egress {
    fn record(&self, request: runtime::EgressRequest) {
        let mut last = self.lock();
        if last.requests.len() >= MAX_EGRESS_REQUESTS {
            last.requests.pop_front();
            last.dropped += 1;
        }
        last.requests.push_back(request);
    }
}

impl std::fmt::Debug for Egress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Egress").finish_non_exhaustive()
    }
}

fn told(request: &runtime::EgressRequest) -> EgressRequest {
    let (status, error) = match &request.outcome {
        EgressOutcome::Status(status) => (Some(*status), None),
        EgressOutcome::Failed(code) => (None, Some((*code).to_owned())),
        EgressOutcome::Refused => (None, Some(REFUSED.to_owned())),
    };
    let tls = request.tls.map(|version| match version {
        TlsVersion::Tls12 => "TLSv1.2".to_owned(),
        TlsVersion::Tls13 => "TLSv1.3".to_owned(),
    });
    let since_1970 = request.began.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    EgressRequest {
        time_ms: whole(since_1970.as_millis()),
        method: request.method.to_owned(),
        scheme: request.scheme.to_owned(),
        host: request.host.clone(),
        port: request.port,
        status,
        error,
        bytes_sent: request.bytes_sent,
        bytes_received: request.bytes_received,
        duration_us: whole(Duration::as_micros(&request.duration)),
        tls,
        peer: request.peer.map(hex::encode),
    }
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// The error of a request that the app's network rules do not allow.
const REFUSED: &str = "refused: the app's network rules do not allow it";

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_runtime::EgressLog as _;

    fn request(port: u16, outcome: EgressOutcome) -> runtime::EgressRequest {
        runtime::EgressRequest {
            method: "GET",
            scheme: "https",
            host: "example.com".to_owned(),
            port,
            outcome,
            bytes_sent: 1,
            bytes_received: 2,
            began: SystemTime::UNIX_EPOCH + Duration::from_millis(5),
            duration: Duration::from_micros(7),
            tls: Some(TlsVersion::Tls13),
            peer: Some([0xce; 32]),
        }
    }

    #[test]
    fn the_last_requests_are_kept_and_the_others_counted() {
        let egress = Egress::default();
        for port in 0..1_005 {
            egress.record(request(port, EgressOutcome::Status(200)));
        }
        let told = egress.read();
        assert_eq!((told.dropped, told.requests.len(), told.requests[0].port), (5, MAX_EGRESS_REQUESTS, 5));
        let first = &told.requests[0];
        assert_eq!((first.time_ms, first.duration_us, first.status), (5, 7, Some(200)));
        assert_eq!(first.tls.as_deref(), Some("TLSv1.3"));
        assert_eq!(first.peer, Some("ce".repeat(32)));
    }

    #[test]
    fn a_failure_has_an_error_and_no_status() {
        let egress = Egress::default();
        egress.record(request(1, EgressOutcome::Failed("dns-timeout")));
        egress.record(request(2, EgressOutcome::Refused));
        let told = egress.read().requests;
        assert_eq!((told[0].status, told[0].error.as_deref()), (None, Some("dns-timeout")));
        assert!(told[1].error.as_deref().unwrap().starts_with("refused"));
    }
}
