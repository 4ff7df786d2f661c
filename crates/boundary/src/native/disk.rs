use cloister_frames::BLOCK_LEN;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A file as a disk.
#[derive(Debug)]
pub(super) struct FileDisk(File);

impl FileDisk {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map(Self)
    }
}

impl cloister_volume::Disk for FileDisk {
    fn blocks(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len() / BLOCK_LEN as u64)
    }

    fn resize(&self, blocks: u64) -> io::Result<()> {
        self.0.set_len(offset(blocks)?)
    }

    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(into, offset(block)?)
    }

    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, offset(block)?)
    }

    fn discard(&self, _block: u64, _count: u64) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

fn offset(block: u64) -> io::Result<u64> {
    block.checked_mul(BLOCK_LEN as u64).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_volume::Disk as _;

    #[test]
    fn a_file_is_a_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let disk = FileDisk::open(&path).unwrap();
        assert_eq!(disk.blocks().unwrap(), 0);
        disk.resize(3).unwrap();
        disk.write(1, &[7; 2 * BLOCK_LEN]).unwrap();
        disk.flush().unwrap();
        disk.discard(0, 1).unwrap();
        let again = FileDisk::open(&path).unwrap();
        let mut block = [0; BLOCK_LEN];
        again.read(2, &mut block).unwrap();
        assert_eq!((again.blocks().unwrap(), block), (3, [7; BLOCK_LEN]));
        assert!(again.read(3, &mut block).is_err());
        assert!(again.read(u64::MAX, &mut block).is_err());
    }
}
