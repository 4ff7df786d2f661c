//! What the figures were taken on.

use anyhow::{Context as _, Result};

/// The processor and the number of its cores.
pub(crate) fn name() -> Result<String> {
    let information = std::fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let model = information
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("an unnamed processor", |(_, model)| model.trim());
    Ok(format!("{model}, {} cores", std::thread::available_parallelism()?))
}
