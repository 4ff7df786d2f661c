//! How long each part of a task took, said at its end.

use std::time::{Duration, Instant};

use anyhow::Result;

/// The parts of a task, timed.
#[derive(Debug, Default)]
pub(crate) struct Phases(Vec<(&'static str, Duration)>);

impl Phases {
    /// Runs one part under a heading.
    ///
    /// # Errors
    /// The part's own.
    pub(crate) fn run<T>(&mut self, name: &'static str, part: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("== {name}");
        let started = Instant::now();
        let outcome = part();
        self.0.push((name, started.elapsed()));
        outcome
    }

    /// Prints the table of times.
    pub(crate) fn print(&self) {
        println!();
        for (name, took) in &self.0 {
            println!("{name:<12} {:>8.1} s", took.as_secs_f64());
        }
        let total: Duration = self.0.iter().map(|(_, took)| *took).sum();
        println!("{:<12} {:>8.1} s", "total", total.as_secs_f64());
    }
}
