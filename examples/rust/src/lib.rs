//! Sensor readings, dice and the time: a guest in Rust.
//!
//! It uses what Rust programs use: strings, maps with random keys, the clock, files. `std` reaches them through WASI, and inside the
//! enclave randomness comes from the processor.

mod kept;

use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher as _, Hasher as _};
use std::time::{SystemTime, UNIX_EPOCH};

wit_bindgen::generate!({ path: "wit", world: "hello" });

struct Component;

export!(Component);

impl Guest for Component {
    fn greet(name: String) -> String {
        format!("Hello, {name}!")
    }

    fn summarize(readings: Vec<Reading>) -> Result<Summary, Problem> {
        if readings.is_empty() {
            return Err(Problem::Empty);
        }
        let mut temperature = Statistics::default();
        let mut humidity = Statistics::default();
        let mut contacts: BTreeMap<&str, Option<(u64, Contact)>> = BTreeMap::new();
        for reading in &readings {
            let contact = contacts.entry(&reading.sensor).or_default();
            match reading.measurement {
                Measurement::Temperature(value) => temperature.add(reading, value, -273.15..=10_000.0)?,
                Measurement::Humidity(value) => humidity.add(reading, value, 0.0..=100.0)?,
                Measurement::Contact(state) => {
                    if contact.is_none_or(|(at, _)| at <= reading.at) {
                        *contact = Some((reading.at, state));
                    }
                }
                Measurement::Nothing => {}
            }
        }
        Ok(Summary {
            readings: u32::try_from(readings.len()).unwrap_or(u32::MAX),
            sensors: contacts.keys().map(|&sensor| sensor.to_owned()).collect(),
            temperature: temperature.range(),
            humidity: humidity.range(),
            left_open: contacts
                .iter()
                .filter(|(_, contact)| matches!(contact, Some((_, Contact::Open))))
                .map(|(&sensor, _)| sensor.to_owned())
                .collect(),
        })
    }

    fn keep(readings: Vec<Reading>) -> Result<u64, Problem> {
        kept::add(&readings).and_then(|()| kept::count()).map_err(|error| Problem::File(error.to_string()))
    }

    fn summarize_kept() -> Result<Summary, Problem> {
        Self::summarize(kept::all().map_err(|error| Problem::File(error.to_string()))?)
    }

    fn roll_dice(dice: u16, sides: u16) -> Result<Vec<u16>, String> {
        if dice > MOST_DICE {
            return Err(format!("{dice} dice are too many: at most {MOST_DICE}"));
        }
        if sides == 0 {
            return Err("a die has at least one side".to_owned());
        }
        let mut random = Random::new();
        Ok((0..dice).map(|_| random.below(sides) + 1).collect())
    }

    fn now() -> Moment {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Moment {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        }
    }
}

#[derive(Default)]
struct Statistics {
    count: u32,
    sum: f64,
    lowest: f64,
    highest: f64,
}

impl Statistics {
    fn add(
        &mut self,
        reading: &Reading,
        value: f64,
        plausible: std::ops::RangeInclusive<f64>,
    ) -> Result<(), Problem> {
        if !plausible.contains(&value) {
            return Err(Problem::Implausible((reading.sensor.clone(), value)));
        }
        let first = self.count == 0;
        self.lowest = if first { value } else { self.lowest.min(value) };
        self.highest = if first { value } else { self.highest.max(value) };
        self.sum += value;
        self.count += 1;
        Ok(())
    }

    fn range(&self) -> Option<Range> {
        (self.count > 0).then(|| Range {
            lowest: self.lowest,
            mean: self.sum / f64::from(self.count),
            highest: self.highest,
        })
    }
}

/// Numbers from the keyed hash with which `std` protects its maps: the keys come from `wasi:random`.
struct Random {
    keys: RandomState,
    drawn: u64,
}

impl Random {
    fn new() -> Self {
        Self {
            keys: RandomState::new(),
            drawn: 0,
        }
    }

    fn next(&mut self) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(self.drawn);
        self.drawn += 1;
        hasher.finish()
    }

    /// Each number below `bound` is equally likely: draws that would favour the low ones are thrown away.
    fn below(&mut self, bound: u16) -> u16 {
        let bound = u64::from(bound);
        let fair = u64::MAX - u64::MAX % bound;
        loop {
            let drawn = self.next();
            if drawn < fair {
                return (drawn % bound) as u16;
            }
        }
    }
}

const MOST_DICE: u16 = 1_000;
