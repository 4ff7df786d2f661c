//! The folder of temporary files: the image's disk lies in it, and so does everything plain.

use crate::load::Sample;
use anyhow::{Context as _, Result};
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The kind of filesystem that a folder is on.
pub(crate) fn describe(folder: &Path) -> Result<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").context("cannot read /proc/self/mounts")?;
    let folder = folder.canonicalize()?;
    let kind = mounts
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
            folder.starts_with(place).then_some((place.len(), kind))
        })
        .max_by_key(|(length, _)| *length)
        .map_or("an unknown filesystem", |(_, kind)| kind);
    Ok(kind.to_owned())
}

/// What the disk itself takes: so many threads, each of which writes 4 KiB over a file of its own and waits for
/// `fdatasync`, again and again.
pub(crate) fn synced_writes(folder: &Path, threads: usize, duration: Duration) -> Result<Sample> {
    let began = Instant::now();
    let writers: Vec<_> = (0..threads)
        .map(|number| {
            let path = folder.join(number.to_string());
            thread::spawn(move || write_again_and_again(path, began + duration))
        })
        .collect();
    let mut sample = Sample::default();
    for writer in writers {
        sample.latencies.extend(writer.join().expect("it does not panic")?);
    }
    sample.elapsed = began.elapsed();
    Ok(sample)
}

fn write_again_and_again(path: PathBuf, end: Instant) -> Result<Vec<Duration>> {
    let file = File::create(path)?;
    let mut latencies = Vec::new();
    let mut began = Instant::now();
    while began < end {
        file.write_all_at(&[latencies.len() as u8; 4096], 0)?;
        file.sync_data()?;
        let now = Instant::now();
        latencies.push(now - began);
        began = now;
    }
    Ok(latencies)
}
