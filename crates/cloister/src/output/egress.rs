//! What an app sent, as people read it.

use super::table;
use crate::quantity::{Size, elapsed, grouped};
use cloister_api::EgressLog;
use std::fmt::Write as _;

/// What an app sent, one request a line.
pub(crate) fn egress(log: &EgressLog) -> String {
    if log.requests.is_empty() {
        return "no requests yet\n".to_owned();
    }
    let rows = log.requests.iter().map(|request| {
        let host =
            if request.host.contains(':') { format!("[{}]", request.host) } else { request.host.clone() };
        let outcome = match (&request.status, &request.error) {
            (Some(status), None) => status.to_string(),
            (Some(status), Some(error)) => format!("{status}, {error}"),
            (None, error) => error.clone().unwrap_or_else(|| "no answer".to_owned()),
        };
        [
            utc(request.time_ms),
            request.method.clone(),
            format!("{}://{host}:{}", request.scheme, request.port),
            outcome,
            Size(request.bytes_sent).to_string(),
            Size(request.bytes_received).to_string(),
            elapsed(request.duration_us),
            request.tls.clone().unwrap_or_else(|| "none".to_owned()),
            request.peer.as_deref().map_or_else(|| "none".to_owned(), |hash| hash.chars().take(8).collect()),
        ]
    });
    let head = ["TIME", "METHOD", "TO", "STATUS", "SENT", "RECEIVED", "TOOK", "TLS", "PEER"];
    let mut text = table(head, rows);
    if log.dropped > 0 {
        let _ = writeln!(text, "and {} before these", grouped(log.dropped));
    }
    text
}

/// Milliseconds since 1970 as a date and a time of UTC, to the second.
fn utc(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The Gregorian date of a day since 1970, counted in years that begin with March, whose last day is the leap day.
fn date(days: u64) -> (u64, u64, u64) {
    // Days since 0000-03-01.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, of_month)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_api::EgressRequest;

    #[test]
    fn egress_is_a_table() {
        let request = EgressRequest {
            time_ms: 1_800_000_000_000,
            method: "GET".into(),
            scheme: "https".into(),
            host: "::1".into(),
            port: 443,
            status: Some(200),
            error: None,
            bytes_sent: 0,
            bytes_received: 2_048,
            duration_us: 1_500,
            tls: Some("TLSv1.3".into()),
            peer: Some("0123456789abcdef".repeat(4)),
        };
        let failed = EgressRequest {
            host: "a.com\u{1b}".into(),
            status: None,
            error: Some("connection-refused".into()),
            tls: None,
            peer: None,
            ..request.clone()
        };
        let text = egress(&EgressLog { dropped: 1_000, requests: vec![request, failed] });
        let lines: Vec<_> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(
            lines,
            [
                "TIME METHOD TO STATUS SENT RECEIVED TOOK TLS PEER",
                "2027-01-15T08:00:00Z GET https://[::1]:443 200 0 B 2 KiB 1.5 ms TLSv1.3 01234567",
                "2027-01-15T08:00:00Z GET https://a.com\\u{1b}:443 connection-refused 0 B 2 KiB 1.5 ms none none",
                "and 1,000 before these",
            ]
        );
        assert_eq!(egress(&EgressLog::default()), "no requests yet\n");
    }

    #[test]
    fn times_are_dates() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_799_999, "2000-02-29T23:59:59Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
            (1_704_067_199_000, "2023-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(milliseconds), text);
        }
        utc(u64::MAX);
    }
}
