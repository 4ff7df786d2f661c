//! Host memory that the enclave asked for and may name in usercalls.
//!
//! Every allocation is recorded, and every pointer in a usercall must lie in one: a wild pointer, one into the
//! enclave's own range, and memory freed while a usercall still uses it are a [`Breach`] and end the enclave.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;
use std::sync::Mutex;

use crate::abi::UsercallError;
use crate::sync::lock;

/// The enclave broke the usercall ABI, so nothing it asks for can be answered any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// usercall {0} does not exist
    #[error("usercall {0:#x} does not exist")]
    UnknownUsercall(u64),
    /// a usercall names memory inside the enclave
    #[error("a usercall names {length} bytes at {address:#x}, which is inside the enclave")]
    InsideEnclave {
        /// First byte.
        address: u64,
        /// In bytes.
        length: u64,
    },
    /// a usercall names memory that the enclave was not given
    #[error("a usercall names {length} bytes at {address:#x}, which the enclave was not given")]
    NotAllocated {
        /// First byte.
        address: u64,
        /// In bytes.
        length: u64,
    },
    /// memory is freed that is in use, or with another size
    #[error("the memory at {0:#x} was freed with another size or while a usercall used it")]
    Freed(u64),
    /// the main thread returned instead of calling `exit`
    #[error("the main thread returned instead of calling exit")]
    MainReturned,
}

/// All memory that an enclave holds outside itself. Dropping it frees what the enclave did not.
#[derive(Debug)]
pub(crate) struct Memory {
    enclave: Range<u64>,
    allocations: Mutex<Allocations>,
}

impl Memory {
    /// `enclave` is the range of addresses that belongs to the enclave (ELRANGE).
    pub(crate) fn new(enclave: Range<u64>) -> Self {
        Self { enclave, allocations: Mutex::default() }
    }

    /// New memory, never zero its address.
    pub(crate) fn allocate(&self, size: u64, alignment: u64) -> Result<u64, UsercallError> {
        let size = usize::try_from(size).map_err(|_| UsercallError::InvalidInput)?;
        let alignment = usize::try_from(alignment).map_err(|_| UsercallError::InvalidInput)?;
        let layout = Layout::from_size_align(size, alignment).map_err(|_| UsercallError::InvalidInput)?;
        if size == 0 || alignment > MAX_ALIGNMENT {
            return Err(UsercallError::InvalidInput);
        }
        let mut allocations = lock(&self.allocations);
        if size > MAX_ALLOCATION || allocations.total + size > MAX_TOTAL {
            return Err(UsercallError::Other);
        }
        // SAFETY: the layout is not empty.
        let start = unsafe { System.alloc(layout) };
        if start.is_null() {
            return Err(UsercallError::Other);
        }
        allocations.total += size;
        allocations.by_address.insert(start as u64, Allocation { layout, borrows: 0 });
        Ok(start as u64)
    }

    /// Takes memory back. The alignment is not compared: `std` frees arrays of `ByteBuffer` with 8 where the ABI says 1.
    pub(crate) fn free(&self, address: u64, size: u64) -> Result<(), Breach> {
        if size == 0 {
            return Ok(());
        }
        let mut allocations = lock(&self.allocations);
        match allocations.by_address.get(&address) {
            Some(found) if found.borrows == 0 && found.layout.size() as u64 == size => {
                let layout = found.layout;
                allocations.by_address.remove(&address);
                allocations.total -= layout.size();
                // SAFETY: allocated in `allocate` with this layout and no longer recorded.
                unsafe { System.dealloc(address as *mut u8, layout) };
                Ok(())
            }
            Some(_) => Err(Breach::Freed(address)),
            None => Err(self.wild(address, size)),
        }
    }

    /// The memory at a pointer of a usercall, kept from being freed while it is borrowed.
    pub(crate) fn borrow(&self, address: u64, length: u64) -> Result<Borrowed<'_>, Breach> {
        if length == 0 {
            return Ok(Borrowed { memory: self, allocation: None, start: ptr::dangling_mut(), length: 0 });
        }
        let mut allocations = lock(&self.allocations);
        let Some((&base, allocation)) = allocations.by_address.range_mut(..=address).next_back() else {
            return Err(self.wild(address, length));
        };
        let room = (allocation.layout.size() as u64).saturating_sub(address - base);
        if length > room {
            return Err(self.wild(address, length));
        }
        allocation.borrows += 1;
        // The length fits: it is no more than the allocation's size.
        Ok(Borrowed {
            memory: self,
            allocation: Some(base),
            start: address as *mut u8,
            length: length as usize,
        })
    }

    /// A copy of `bytes` for the enclave to read and free: address and length, both zero for no bytes.
    pub(crate) fn publish(&self, bytes: &[u8]) -> Result<(u64, u64), UsercallError> {
        if bytes.is_empty() {
            return Ok((0, 0));
        }
        let length = bytes.len() as u64;
        let address = self.allocate(length, 1)?;
        self.borrow(address, length).map_err(|_| UsercallError::Other)?.copy_from(bytes);
        Ok((address, length))
    }

    /// Arguments for the main entry, as an array of `ByteBuffer` that the enclave frees: address and count.
    pub(crate) fn publish_arguments(&self, arguments: &[&str]) -> Result<(u64, u64), UsercallError> {
        let mut array = Vec::with_capacity(arguments.len() * BYTE_BUFFER_LEN as usize);
        for argument in arguments {
            array.extend(byte_buffer(self.publish(argument.as_bytes())?));
        }
        if array.is_empty() {
            return Ok((0, 0));
        }
        let address = self.allocate(array.len() as u64, align_of::<u64>() as u64)?;
        self.borrow(address, array.len() as u64).map_err(|_| UsercallError::Other)?.copy_from(&array);
        Ok((address, arguments.len() as u64))
    }

    /// Copies `bytes` for the enclave and describes the copy in the `ByteBuffer` at `target`. A null target means that
    /// the enclave does not care.
    pub(crate) fn answer_bytes(
        &self,
        target: u64,
        bytes: &[u8],
    ) -> Result<Result<(), UsercallError>, Breach> {
        if target == 0 {
            return Ok(Ok(()));
        }
        let buffer = self.borrow(target, BYTE_BUFFER_LEN)?;
        Ok(self.publish(bytes).map(|published| {
            buffer.copy_from(&byte_buffer(published));
        }))
    }

    fn wild(&self, address: u64, length: u64) -> Breach {
        let end = address.saturating_add(length);
        if address < self.enclave.end && end > self.enclave.start {
            Breach::InsideEnclave { address, length }
        } else {
            Breach::NotAllocated { address, length }
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        for (&address, allocation) in &lock(&self.allocations).by_address {
            // SAFETY: recorded when allocated with this layout; no borrow outlives `self`.
            unsafe { System.dealloc(address as *mut u8, allocation.layout) };
        }
    }
}

/// Memory of a usercall in progress. The enclave may change it at any time, so it is only copied, never referenced.
#[derive(Debug)]
pub(crate) struct Borrowed<'a> {
    memory: &'a Memory,
    allocation: Option<u64>,
    start: *mut u8,
    length: usize,
}

impl Borrowed<'_> {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Copies as many bytes as fit, and says how many.
    pub(crate) fn copy_from(&self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.length);
        // SAFETY: the allocation holds `length` bytes from `start` and is not freed while borrowed; Rust code holds no
        // reference into it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, count) };
        count
    }

    /// A copy of the first bytes, `limit` at most.
    pub(crate) fn to_vec(&self, limit: usize) -> Vec<u8> {
        let count = self.length.min(limit);
        let mut bytes = Vec::with_capacity(count);
        // SAFETY: as in `copy_from`; the vector has room for `count` bytes, all of them written before the length is
        // set. What the enclave never wrote are arbitrary bytes: it is foreign code that was handed the pointer.
        unsafe {
            ptr::copy_nonoverlapping(self.start, bytes.as_mut_ptr(), count);
            bytes.set_len(count);
        }
        bytes
    }

    /// Adds a copy of these bytes to the end of `into`.
    ///
    /// # Panics
    /// Where the range is not in the memory.
    pub(crate) fn append(&self, range: Range<usize>, into: &mut Vec<u8>) {
        assert!(range.start <= range.end && range.end <= self.length, "the range lies in the memory");
        into.reserve(range.len());
        // SAFETY: as in `to_vec`; the vector has room for the range, which lies in the allocation.
        unsafe {
            let end = into.as_mut_ptr().add(into.len());
            ptr::copy_nonoverlapping(self.start.add(range.start), end, range.len());
            into.set_len(into.len() + range.len());
        }
    }

    /// Receives from a socket straight into the memory.
    pub(crate) fn receive(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        // SAFETY: the kernel writes no more than `length` bytes from `start`, which stay allocated while borrowed.
        let count = unsafe { libc::recv(socket.as_raw_fd(), self.start.cast(), self.length, 0) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// Sends straight from the memory.
    pub(crate) fn send(&self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let flags = libc::MSG_NOSIGNAL;
        // SAFETY: the kernel reads no more than `length` bytes from `start`, which stay allocated while borrowed.
        let count = unsafe { libc::send(socket.as_raw_fd(), self.start.cast(), self.length, flags) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}

impl Drop for Borrowed<'_> {
    fn drop(&mut self) {
        if let Some(base) = self.allocation
            && let Some(allocation) = lock(&self.memory.allocations).by_address.get_mut(&base)
        {
            allocation.borrows -= 1;
        }
    }
}

#[derive(Debug, Default)]
struct Allocations {
    by_address: BTreeMap<u64, Allocation>,
    total: usize,
}

#[derive(Debug)]
struct Allocation {
    layout: Layout,
    borrows: u32,
}

/// `ByteBuffer` of the ABI: pointer and length.
fn byte_buffer((address, length): (u64, u64)) -> [u8; BYTE_BUFFER_LEN as usize] {
    let mut bytes = [0; BYTE_BUFFER_LEN as usize];
    bytes[..8].copy_from_slice(&address.to_le_bytes());
    bytes[8..].copy_from_slice(&length.to_le_bytes());
    bytes
}

/// Size of `ByteBuffer` in bytes.
const BYTE_BUFFER_LEN: u64 = size_of::<fortanix_sgx_abi::ByteBuffer>() as u64;

/// Largest single allocation, in bytes.
const MAX_ALLOCATION: usize = 64 << 20;
/// Largest sum of all allocations, in bytes.
const MAX_TOTAL: usize = 1 << 30;
/// Largest alignment, in bytes.
const MAX_ALIGNMENT: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> Memory {
        Memory::new(0x1_0000_0000..0x2_0000_0000)
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = memory();
        let address = memory.allocate(100, 64).unwrap();
        assert_eq!(address % 64, 0);
        let borrowed = memory.borrow(address + 90, 10).unwrap();
        assert_eq!(borrowed.copy_from(b"0123456789abc"), 10);
        assert_eq!(memory.borrow(address + 92, 3).unwrap().to_vec(64), b"234");
        assert_eq!(borrowed.to_vec(4), b"0123");
        let mut bytes = b"+".to_vec();
        borrowed.append(3..6, &mut bytes);
        borrowed.append(10..10, &mut bytes);
        assert_eq!(bytes, b"+345");
        drop(borrowed);
        memory.free(address, 100).unwrap();
        assert_eq!(lock(&memory.allocations).total, 0);
    }

    #[test]
    fn absurd_sizes_are_errors() {
        let memory = memory();
        for (size, alignment, expected) in [
            (0, 8, UsercallError::InvalidInput),
            (8, 0, UsercallError::InvalidInput),
            (8, 3, UsercallError::InvalidInput),
            (8, 1 << 20, UsercallError::InvalidInput),
            (u64::MAX, 1, UsercallError::InvalidInput),
            (1 << 40, 1, UsercallError::Other),
        ] {
            assert_eq!(memory.allocate(size, alignment), Err(expected), "{size} {alignment}");
        }
    }

    #[test]
    fn the_sum_of_all_allocations_is_bounded() {
        let memory = memory();
        let held: Vec<_> = std::iter::from_fn(|| memory.allocate(MAX_ALLOCATION as u64, 8).ok()).collect();
        assert_eq!(held.len(), MAX_TOTAL / MAX_ALLOCATION);
        memory.free(held[0], MAX_ALLOCATION as u64).unwrap();
        assert!(memory.allocate(MAX_ALLOCATION as u64, 8).is_ok());
    }

    #[test]
    fn pointers_outside_allocations_are_breaches() {
        let memory = memory();
        let address = memory.allocate(16, 8).unwrap();
        assert!(memory.borrow(address, 16).is_ok());
        for (start, length) in [(address, 17), (address + 16, 1), (address, u64::MAX), (8, 8), (0, 1)] {
            assert_eq!(
                memory.borrow(start, length).unwrap_err(),
                Breach::NotAllocated { address: start, length },
            );
        }
        let inside = 0x1_0000_1000;
        assert_eq!(
            memory.borrow(inside, 8).unwrap_err(),
            Breach::InsideEnclave { address: inside, length: 8 }
        );
        assert!(memory.borrow(inside, 0).unwrap().to_vec(8).is_empty());
    }

    #[test]
    fn wrong_frees_are_breaches() {
        let memory = memory();
        let address = memory.allocate(16, 8).unwrap();
        assert_eq!(memory.free(address, 15), Err(Breach::Freed(address)));
        let borrowed = memory.borrow(address, 1).unwrap();
        assert_eq!(memory.free(address, 16), Err(Breach::Freed(address)));
        drop(borrowed);
        assert_eq!(memory.free(address, 16), Ok(()));
        assert_eq!(memory.free(address, 16), Err(Breach::NotAllocated { address, length: 16 }));
        assert_eq!(memory.free(address, 0), Ok(()));
    }

    #[test]
    fn byte_buffers_describe_a_copy_that_the_enclave_frees() {
        let memory = memory();
        let target = memory.allocate(16, 8).unwrap();
        memory.answer_bytes(target, b"127.0.0.1:80").unwrap().unwrap();
        let buffer = memory.borrow(target, 16).unwrap().to_vec(16);
        let address = u64::from_le_bytes(buffer[..8].try_into().unwrap());
        let length = u64::from_le_bytes(buffer[8..].try_into().unwrap());
        assert_eq!(memory.borrow(address, length).unwrap().to_vec(64), b"127.0.0.1:80");
        memory.free(address, length).unwrap();
        assert_eq!(memory.answer_bytes(0, b"ignored"), Ok(Ok(())));
        assert!(memory.answer_bytes(0x1_0000_0000, b"x").is_err());
    }

    #[test]
    fn arguments_are_an_array_of_byte_buffers() {
        let memory = memory();
        let (array, count) = memory.publish_arguments(&["enclave", "", "x"]).unwrap();
        assert_eq!(count, 3);
        let bytes = memory.borrow(array, 48).unwrap().to_vec(48);
        let address = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        assert_eq!(memory.borrow(address, 7).unwrap().to_vec(7), b"enclave");
        assert_eq!(&bytes[16..32], &[0; 16]);
        memory.free(array, 48).unwrap();
    }
}
