//! What the host lends: a flat array of blocks.

use std::fmt::Debug;
use std::io;

mod faulty;
mod memory;

pub use faulty::*;
pub use memory::*;

/// Bytes in a block, the unit of everything that the disk reads and writes.
pub const BLOCK: usize = 4096;

/// A flat array of blocks that the host lends. Not trusted for anything: whatever it returns is verified, and whatever
/// it is given is ciphertext.
pub trait Disk: Send + Sync + Debug {
    /// The present length in blocks.
    fn blocks(&self) -> io::Result<u64>;
    /// Makes the disk `blocks` long. New blocks hold anything.
    fn resize(&self, blocks: u64) -> io::Result<()>;
    /// Reads the blocks from `block` on; `into` holds a whole number of them.
    fn read(&self, block: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes blocks from `block` on; `bytes` holds a whole number of them. Not durable before [`Disk::flush`].
    fn write(&self, block: u64, bytes: &[u8]) -> io::Result<()>;
    /// Says that the contents of `count` blocks are no longer wanted. A hint.
    fn discard(&self, block: u64, count: u64) -> io::Result<()>;
    /// Returns when everything written before is durable.
    fn flush(&self) -> io::Result<()>;
}
