//! Readings in a file, one a line: time, what was measured, the sensor's name.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, ErrorKind, Write as _};

use crate::{Contact, Measurement, Reading};

/// Adds readings to the end.
pub fn add(readings: &[Reading]) -> io::Result<()> {
    let mut file = BufWriter::new(OpenOptions::new().append(true).create(true).open(PATH)?);
    for Reading { sensor, at, measurement } in readings {
        let measured = match measurement {
            Measurement::Temperature(value) => format!("temperature={value}"),
            Measurement::Humidity(value) => format!("humidity={value}"),
            Measurement::Contact(Contact::Open) => "contact=open".to_owned(),
            Measurement::Contact(Contact::Closed) => "contact=closed".to_owned(),
            Measurement::Nothing => "nothing=".to_owned(),
        };
        writeln!(file, "{at} {measured} {}", sensor.replace(['\n', '\r'], " "))?;
    }
    file.flush()
}

/// How many there are.
pub fn count() -> io::Result<u64> {
    Ok(lines()?.len() as u64)
}

/// All readings, oldest first.
pub fn all() -> io::Result<Vec<Reading>> {
    let damaged = |line: &str| io::Error::new(ErrorKind::InvalidData, format!("no reading: {line}"));
    lines()?.iter().map(|line| parse(line).ok_or_else(|| damaged(line))).collect()
}

fn lines() -> io::Result<Vec<String>> {
    match File::open(PATH) {
        Ok(file) => BufReader::new(file).lines().collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn parse(line: &str) -> Option<Reading> {
    let (at, rest) = line.split_once(' ')?;
    let (measured, sensor) = rest.split_once(' ')?;
    let measurement = match measured.split_once('=')? {
        ("temperature", value) => Measurement::Temperature(value.parse().ok()?),
        ("humidity", value) => Measurement::Humidity(value.parse().ok()?),
        ("contact", "open") => Measurement::Contact(Contact::Open),
        ("contact", "closed") => Measurement::Contact(Contact::Closed),
        ("nothing", "") => Measurement::Nothing,
        _ => return None,
    };
    Some(Reading { sensor: sensor.to_owned(), at: at.parse().ok()?, measurement })
}

const PATH: &str = "/readings.txt";
