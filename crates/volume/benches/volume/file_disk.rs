//! A file as a disk, without a host between.

use cloister_volume::{BLOCK, Disk};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct FileDisk(File);

impl FileDisk {
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path).map(Self)
    }

    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }
}

impl Disk for FileDisk {
    fn blocks(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len() / BLOCK as u64)
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        self.0.set_len(blocks * BLOCK as u64)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, block * BLOCK as u64)
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, block * BLOCK as u64)
    }

    fn discard(&self, _: u64, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
