//! Files to read from and write to.

use crate::wasi::filesystem::preopens::get_directories;
use crate::wasi::filesystem::types::{Descriptor, DescriptorFlags, OpenFlags, PathFlags};
use crate::wasi::io::streams::{InputStream, OutputStream, StreamError};
use conformance_suite::{Failure, Outcome, same};

/// A new file, which is gone once this is dropped.
pub(crate) struct Scratch {
    directory: Descriptor,
    name: &'static str,
    pub(crate) file: Descriptor,
}

impl Scratch {
    /// An empty file.
    pub(crate) fn empty(name: &'static str) -> Outcome<Self> {
        let (directory, _) =
            get_directories().into_iter().next().ok_or_else(|| Failure::new("no preopen"))?;
        let file = directory.open_at(
            PathFlags::empty(),
            name,
            OpenFlags::CREATE | OpenFlags::TRUNCATE,
            DescriptorFlags::READ | DescriptorFlags::WRITE,
        )?;
        Ok(Self { directory, name, file })
    }

    /// A file of these bytes.
    pub(crate) fn of(name: &'static str, contents: &[u8]) -> Outcome<Self> {
        let scratch = Self::empty(name)?;
        let mut offset = 0;
        while offset < contents.len() {
            offset += scratch.file.write(&contents[offset..], offset as u64)? as usize;
        }
        Ok(scratch)
    }

    pub(crate) fn input(&self) -> Outcome<InputStream> {
        Ok(self.file.read_via_stream(0)?)
    }

    pub(crate) fn output(&self) -> Outcome<OutputStream> {
        Ok(self.file.write_via_stream(0)?)
    }

    /// What the file holds.
    pub(crate) fn contents(&self) -> Outcome<Vec<u8>> {
        let mut contents = Vec::new();
        loop {
            let (bytes, at_end) = self.file.read(1 << 16, contents.len() as u64)?;
            contents.extend(bytes);
            if at_end {
                return Ok(contents);
            }
        }
    }

    /// Passes where the file holds these bytes.
    #[track_caller]
    pub(crate) fn holds(&self, expected: &[u8]) -> Outcome {
        let contents = self.contents()?;
        same(contents.len(), expected.len())?;
        let wrong = contents.iter().zip(expected).position(|(one, other)| one != other);
        same(wrong, None)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = self.directory.unlink_file_at(self.name);
    }
}

/// Bytes of which every stretch differs.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Passes where a stream's function says that the stream is closed.
#[track_caller]
pub(crate) fn closed<T>(result: Result<T, StreamError>) -> Outcome {
    match result {
        Err(StreamError::Closed) => Ok(()),
        Err(error) => Err(Failure::new(format!("{error:?} instead of closed"))),
        Ok(_) => Err(Failure::new("success instead of closed")),
    }
}

/// All that is left in a stream.
pub(crate) fn read_all(input: &InputStream) -> Outcome<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match input.blocking_read(1 << 16) {
            Ok(bytes) => all.extend(bytes),
            Err(StreamError::Closed) => return Ok(all),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes everything in as many writes as the stream's permits make it, and flushes.
pub(crate) fn write_all(output: &OutputStream, mut bytes: &[u8]) -> Outcome {
    while !bytes.is_empty() {
        let permit = output.check_write()?.min(bytes.len() as u64) as usize;
        if permit == 0 {
            output.subscribe().block();
            continue;
        }
        output.write(&bytes[..permit])?;
        bytes = &bytes[permit..];
    }
    Ok(output.blocking_flush()?)
}
