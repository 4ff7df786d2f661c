//! Sizes, durations, fuel and digests as people write them in arguments.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of bytes: `65536`, `64KiB`, `64MiB`, `2GiB`, or the decimal `64kB`, `64MB`, `2GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

impl FromStr for Size {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (number, unit) = split_number(text);
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" | "ki" => 1 << 10,
            "mib" | "mi" => 1 << 20,
            "gib" | "gi" => 1 << 30,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            _ => return Err(InvalidQuantity::Size),
        };
        scaled(number, factor).map(Self).ok_or(InvalidQuantity::Size)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
        match units.into_iter().find(|(factor, _)| self.0 >= *factor) {
            Some((factor, unit)) if self.0.is_multiple_of(factor) => write!(f, "{} {unit}", self.0 / factor),
            Some((factor, unit)) => write!(f, "{:.1} {unit}", self.0 as f64 / factor as f64),
            None => write!(f, "{} B", self.0),
        }
    }
}

/// A time span: `500ms`, `30s`, `2m`, `1h30m`; a bare number is seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) Duration);

impl Span {
    /// Whole milliseconds; more than fits is the largest that does.
    pub(crate) fn milliseconds(self) -> u64 {
        u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX)
    }
}

impl FromStr for Span {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let seconds = text.parse().map_err(|_| InvalidQuantity::Span)?;
            return Ok(Self(Duration::from_secs(seconds)));
        }
        let mut total = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() || text.is_empty() {
            let (number, tail) = split_number(rest);
            let unit_length = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_length);
            let factor = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(InvalidQuantity::Span),
            };
            let part = scaled(number, factor).ok_or(InvalidQuantity::Span)?;
            total = total.checked_add(Duration::from_millis(part)).ok_or(InvalidQuantity::Span)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}

/// Fuel units: `10000000`, `10_000_000`, `500k`, `10M`, `2G`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fuel(pub(crate) u64);

impl FromStr for Fuel {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (number, unit) = split_number(text);
        let factor = match unit {
            "" => 1,
            "k" | "K" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            _ => return Err(InvalidQuantity::Fuel),
        };
        scaled(number, factor).map(Self).ok_or(InvalidQuantity::Fuel)
    }
}

/// A SHA-256 digest, MRENCLAVE included: 64 hex digits, with or without a leading `sha256:`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Digest(pub(crate) [u8; 32]);

impl FromStr for Digest {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| InvalidQuantity::Digest)?;
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidQuantity;

    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The text is not a quantity of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidQuantity {
    #[error("write a size as bytes or with a unit: 65536, 64KiB, 64MiB, 2GiB (or decimal kB, MB, GB)")]
    Size,
    #[error("write a time with a unit: 500ms, 30s, 2m, 1h30m")]
    Span,
    #[error("write fuel as a number: 10000000, 10_000_000, 500k, 10M, 2G")]
    Fuel,
    #[error("a SHA-256 digest is 64 hex digits")]
    Digest,
}

/// Groups the digits of `number` by three: `10,000,000`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Microseconds as the unit that reads best: `850 µs`, `12.3 ms`, `2.50 s`.
pub(crate) fn elapsed(microseconds: u64) -> String {
    match microseconds {
        0..1_000 => format!("{microseconds} µs"),
        1_000..1_000_000 => format!("{:.1} ms", microseconds as f64 / 1e3),
        _ => format!("{:.2} s", microseconds as f64 / 1e6),
    }
}

fn split_number(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '_')).unwrap_or(text.len());
    text.split_at(end)
}

fn scaled(number: &str, factor: u64) -> Option<u64> {
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    number.replace('_', "").parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65_536),
            ("65_536", 65_536),
            ("10B", 10),
            ("64KiB", 64 << 10),
            ("64MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("2Gi", 2 << 30),
            ("64kB", 64_000),
            ("64MB", 64_000_000),
            ("1GB", 1_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn a_size_that_could_mean_two_things_or_does_not_fit_is_refused() {
        for bad in ["", "M", "64M", "64G", "-1", "1.5MiB", "_1", "64 MiB", "20000000000GiB", "x"] {
            assert_eq!(bad.parse::<Size>(), Err(InvalidQuantity::Size), "{bad:?}");
        }
    }

    #[test]
    fn sizes_print_in_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (64 << 20, "64 MiB"),
            (3 << 30, "3 GiB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text);
        }
    }

    #[test]
    fn spans_have_units_and_add_up() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("2m", 120_000),
            ("1h30m", 5_400_000),
            ("1m30s250ms", 90_250),
            ("7", 7_000),
        ] {
            assert_eq!(text.parse::<Span>().unwrap().milliseconds(), milliseconds, "{text}");
        }
        for bad in ["", "s", "30x", "30 s", "-1s", "1.5s", "5s3", "1m m", "99999999999999999999s"] {
            assert_eq!(bad.parse::<Span>(), Err(InvalidQuantity::Span), "{bad:?}");
        }
    }

    #[test]
    fn fuel_has_decimal_suffixes() {
        for (text, units) in [
            ("10000000", 10_000_000),
            ("10_000_000", 10_000_000),
            ("500k", 500_000),
            ("10M", 10_000_000),
            ("2G", 2_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Fuel(units)), "{text}");
        }
        for bad in ["", "10MiB", "-5", "1.5M", "99999999999G"] {
            assert_eq!(bad.parse::<Fuel>(), Err(InvalidQuantity::Fuel), "{bad:?}");
        }
    }

    #[test]
    fn digests_are_64_hex_digits() {
        let text = "0123456789abcdef".repeat(4);
        assert_eq!(text.parse::<Digest>().unwrap().to_string(), text);
        assert_eq!(format!("sha256:{text}").parse::<Digest>().unwrap().to_string(), text);
        assert_eq!(text.to_uppercase().parse::<Digest>().unwrap().to_string(), text);
        for bad in ["", "00", "sha256:", &"g".repeat(64), &"0".repeat(66)] {
            assert_eq!(bad.parse::<Digest>(), Err(InvalidQuantity::Digest), "{bad:?}");
        }
    }

    #[test]
    fn numbers_and_times_are_readable() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(10_000_000), "10,000,000");
        assert_eq!(elapsed(850), "850 µs");
        assert_eq!(elapsed(12_340), "12.3 ms");
        assert_eq!(elapsed(2_500_000), "2.50 s");
    }
}
