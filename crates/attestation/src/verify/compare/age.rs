//! How old evidence and collateral are.

use super::{Compared, not_asked, passed};
use crate::Claims;
use crate::verify::extract::VerifiedPlatform;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_cert::der::DateTime;

/// The host told the enclave the time, so that this is worth what the host's word is: it can make evidence look newer, and
/// cannot make the claims say another time than the one that it told.
pub(super) fn quote(claims: &Claims, most: Option<Duration>, now: SystemTime) -> Compared {
    let made = Duration::from_secs(claims.made);
    let Some(most) = most else {
        return not_asked(format!("made at {}, as the host told; this policy accepts any age", date(made)));
    };
    let now = since_epoch(now)?;
    if made > now + CLOCK_SKEW {
        return Err(format!(
            "the claims are said to be made at {}, which is in the future: the host's clock is wrong, or the one here",
            date(made)
        ));
    }
    within(now.saturating_sub(made), most, &format!("made at {}, as the host told", date(made)))
}

pub(super) fn collateral(platform: &VerifiedPlatform, most: Option<Duration>, now: SystemTime) -> Compared {
    let issued = platform.collateral_issued.clone().map(Duration::from_secs);
    match (most, issued) {
        (None, Ok(issued)) => {
            not_asked(format!("issued at {}; this policy accepts any that is valid", date(issued)))
        }
        (None, Err(reason)) => not_asked(reason),
        (Some(_), Err(reason)) => Err(reason),
        (Some(most), Ok(issued)) => {
            let age = since_epoch(now)?.saturating_sub(issued);
            within(age, most, &format!("issued at {}", date(issued)))
        }
    }
}

fn within(age: Duration, most: Duration, what: &str) -> Compared {
    let (old, allowed) = (span(age), span(most));
    if age > most {
        return Err(format!("{what}: {old} ago, and {allowed} is the most that the policy accepts"));
    }
    passed(format!("{what}: {old} ago, at most {allowed}"))
}

fn since_epoch(now: SystemTime) -> Result<Duration, String> {
    now.duration_since(UNIX_EPOCH).map_err(|_| "the clock here says a time before 1970".to_owned())
}

/// RFC 3339 in UTC, or seconds where the year has more than four digits.
fn date(time: Duration) -> String {
    match DateTime::from_unix_duration(time) {
        Ok(date) => date.to_string(),
        Err(_) => format!("{} s since 1970", time.as_secs()),
    }
}

/// In its two largest units.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [
        (seconds / 86_400, "d"),
        (seconds / 3_600 % 24, "h"),
        (seconds / 60 % 60, "min"),
        (seconds % 60, "s"),
    ];
    let significant =
        units.iter().skip_while(|(count, _)| *count == 0).take(2).filter(|(count, _)| *count > 0);
    let parts = Vec::from_iter(significant.map(|(count, unit)| format!("{count} {unit}")));
    if parts.is_empty() { "0 s".to_owned() } else { parts.join(" ") }
}

/// How far two honest clocks may be apart.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_661, "1 h 1 min"),
            (86_400, "1 d"),
            (86_459, "1 d"),
            (30 * 86_400 + 7_200, "30 d 2 h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn dates_are_those_of_rfc_3339() {
        assert_eq!(date(Duration::from_secs(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(date(Duration::from_secs(u64::MAX)), format!("{} s since 1970", u64::MAX));
    }
}
