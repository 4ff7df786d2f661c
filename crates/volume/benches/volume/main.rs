//! The sealed volume on a file, each figure beside its yardstick in the same run.
//!
//! `cargo bench -p cloister-volume` takes seconds; `-- --all` also fills 10 GiB to mount them. It asserts that answers
//! are right and nothing about time. The files are in the build folder, or where `CLOISTER_BENCH_DIR` says; what was
//! written lies in the kernel's page cache in all rows, so "cold" means that nothing is decrypted yet.
#![forbid(unsafe_code)]

mod file_disk;
mod mounting;
mod random_access;
mod sequential;

use cloister_volume::{Dataset, ObjectId, Options, Quota, SealingError, SealingKey, Volume};
use file_disk::FileDisk;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

fn main() -> Result<(), Box<dyn Error>> {
    let all = std::env::args().any(|argument| argument == "--all");
    let place =
        std::env::var("CLOISTER_BENCH_DIR").unwrap_or_else(|_| env!("CARGO_TARGET_TMPDIR").to_owned());
    let folder = tempfile::tempdir_in(place)?;
    println!("machine   {}, {} cores", processor(), std::thread::available_parallelism()?);
    sequential::compare(folder.path())?;
    random_access::compare(folder.path())?;
    mounting::compare(folder.path(), if all { 10 << 30 } else { 1 << 30 })
}

/// A platform that is none.
#[derive(Debug)]
struct Platform;

impl SealingKey for Platform {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

fn create(file: &Path) -> Result<Volume, Box<dyn Error>> {
    Ok(Volume::create(Arc::new(FileDisk::create(file)?), &Platform, Options::default())?)
}

fn mount(file: &Path, cache_bytes: usize) -> Result<Volume, Box<dyn Error>> {
    let options = Options { cache_bytes, ..Options::default() };
    Ok(Volume::mount(Arc::new(FileDisk::open(file)?), &Platform, options)?)
}

fn new_object(volume: &Volume) -> Result<(Dataset, ObjectId), Box<dyn Error>> {
    let quota = Quota { bytes: u64::MAX, objects: u64::MAX };
    let dataset = volume.create_dataset(&volume.begin(), "bench", quota)?;
    let id = dataset.create_object(&volume.begin(), &[0; 64])?;
    Ok((dataset, id))
}

/// The dataset of a volume that was mounted again.
fn dataset(volume: &Volume) -> Result<Dataset, Box<dyn Error>> {
    Ok(volume.dataset("bench")?.ok_or("the dataset is gone")?)
}

fn timed<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<(T, Duration), Box<dyn Error>> {
    let began = Instant::now();
    let result = work()?;
    Ok((result, began.elapsed()))
}

fn title(text: &str) {
    println!("\n{text}");
}

fn row(what: &str, figure: &str) {
    println!("  {what:<58} {figure:>16}");
}

fn throughput(bytes: u64, time: Duration) -> String {
    format!("{:.0} MiB/s", bytes as f64 / time.as_secs_f64() / f64::from(1 << 20))
}

fn rate(operations: u64, time: Duration) -> String {
    format!("{:.0}/s", operations as f64 / time.as_secs_f64())
}

/// Bytes that do not compress, repeatable.
fn noise(length: usize) -> Vec<u8> {
    let mut numbers = Numbers(7);
    let mut bytes: Vec<u8> = (0..length / 8).flat_map(|_| numbers.next().to_le_bytes()).collect();
    bytes.resize(length, 0);
    bytes
}

/// SplitMix64, repeatable.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

fn processor() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or("an unnamed processor", |(_, model)| model.trim()).to_owned()
}
