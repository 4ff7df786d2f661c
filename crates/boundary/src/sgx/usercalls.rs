//! Usercalls with bounds: what `std` does with an abort, an allocation in host memory for each call, or a panic, is an
//! error here, and the buffer in host memory is kept.

use crate::lanes::{LANE_LEN, Lane};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::ops::Range;
use std::os::fortanix_sgx::mem::is_user_range;
use std::os::fortanix_sgx::usercalls::alloc::{User, UserRef};
use std::os::fortanix_sgx::usercalls::raw::{self, ByteBuffer, Error, FD_STDERR};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A host object's number.
pub(crate) type Fd = raw::Fd;

/// Reads at most [`BUFFER_LEN`] bytes.
///
/// # Errors
/// As the host says; [`io::ErrorKind::InvalidData`] where it claims more bytes than were asked for.
pub(crate) fn read(fd: Fd, into: &mut [u8]) -> io::Result<usize> {
    with_buffer(|buffer| {
        let asked = into.len().min(BUFFER_LEN);
        // SAFETY: the pointer is to `BUFFER_LEN` bytes of host memory that this thread owns.
        let (result, length) = unsafe { raw::read(fd, buffer.as_mut_ptr(), asked) };
        check(result)?;
        let into = into[..asked].get_mut(..length).ok_or_else(lied_about_length)?;
        copy_in(&buffer[..length], into);
        Ok(length)
    })
}

/// Writes at most [`BUFFER_LEN`] bytes.
///
/// # Errors
/// As the host says; [`io::ErrorKind::InvalidData`] where it claims more bytes than were offered.
pub(crate) fn write(fd: Fd, data: &[u8]) -> io::Result<usize> {
    with_buffer(|buffer| {
        let offered = data.len().min(BUFFER_LEN);
        copy_out(&data[..offered], &mut buffer[..offered]);
        // SAFETY: the pointer is to `BUFFER_LEN` bytes of host memory that this thread owns.
        let (result, length) = unsafe { raw::write(fd, buffer.as_ptr(), offered) };
        check(result)?;
        if length <= offered { Ok(length) } else { Err(lied_about_length()) }
    })
}

/// Opens a listening socket.
///
/// # Errors
/// As the host says.
pub(crate) fn bind(name: &str) -> io::Result<Fd> {
    let name = User::<[u8]>::new_from_enclave(name.as_bytes());
    // SAFETY: the name is in host memory; a null pointer for the local address is allowed.
    let (result, fd) = unsafe { raw::bind_stream(name.as_ptr(), name.len(), std::ptr::null_mut()) };
    check(result).map(|()| fd)
}

/// Takes the next connection of a listening socket. Its addresses are the host's word and are not asked for.
///
/// # Errors
/// As the host says.
pub(crate) fn accept(fd: Fd) -> io::Result<Fd> {
    // SAFETY: null pointers for the addresses are allowed.
    let (result, fd) = unsafe { raw::accept_stream(fd, std::ptr::null_mut(), std::ptr::null_mut()) };
    check(result).map(|()| fd)
}

/// Opens a service of the host. [`close`] it.
///
/// # Errors
/// As the host says; [`io::ErrorKind::InvalidData`] where it gives a number that is in use.
pub(crate) fn connect(name: &str) -> io::Result<Fd> {
    let name = User::<[u8]>::new_from_enclave(name.as_bytes());
    let none: *mut ByteBuffer = std::ptr::null_mut();
    // SAFETY: the name is in host memory; null pointers for the addresses are allowed.
    let (result, fd) = unsafe { raw::connect_stream(name.as_ptr(), name.len(), none, none) };
    check(result)?;
    if is_standard(fd) || super::reactor::is_watched(fd) || !services().insert(fd) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the host gave a number that is in use"));
    }
    Ok(fd)
}

/// The number is that of an open service, or of a standard stream: no socket can have it.
pub(crate) fn is_taken(fd: Fd) -> bool {
    is_standard(fd) || services().contains(&fd)
}

/// Gives an object back.
pub(crate) fn close(fd: Fd) {
    // Forgotten before it is closed: the host may give the number again at once.
    services().remove(&fd);
    // SAFETY: closing takes a number.
    unsafe { raw::close(fd) }
}

/// A stream to a service with a buffer of [`LANE_LEN`] bytes in host memory that it keeps: one usercall moves all of it.
pub(crate) struct HostLane {
    fd: Fd,
    buffer: User<[u8]>,
}

impl HostLane {
    /// Opens the service.
    ///
    /// # Errors
    /// As the host says; [`io::ErrorKind::OutOfMemory`] where it has no memory for the buffer.
    pub(crate) fn connect(name: &str) -> io::Result<Self> {
        let buffer = host_memory(LANE_LEN)?;
        connect(name).map(|fd| Self { fd, buffer })
    }
}

impl Lane for HostLane {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        copy_out(bytes, &mut self.buffer[at..at + bytes.len()]);
    }

    fn take(&self, at: usize, into: &mut [u8]) {
        copy_in(&self.buffer[at..at + into.len()], into);
    }

    fn write(&mut self, part: Range<usize>) -> io::Result<usize> {
        let part = &self.buffer[part];
        // SAFETY: pointer and length are of host memory that the buffer owns.
        let (result, length) = unsafe { raw::write(self.fd, part.as_ptr(), part.len()) };
        check(result)?;
        if length <= part.len() { Ok(length) } else { Err(lied_about_length()) }
    }

    fn read(&mut self, part: Range<usize>) -> io::Result<usize> {
        let part = &mut self.buffer[part];
        // SAFETY: pointer and length are of host memory that the buffer owns.
        let (result, length) = unsafe { raw::read(self.fd, part.as_mut_ptr(), part.len()) };
        check(result)?;
        if length <= part.len() { Ok(length) } else { Err(lied_about_length()) }
    }
}

impl Drop for HostLane {
    fn drop(&mut self) {
        close(self.fd);
    }
}

impl fmt::Debug for HostLane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostLane").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// Memory of the host; `User::uninitialized` would panic where there is none.
fn host_memory(length: usize) -> io::Result<User<[u8]>> {
    // SAFETY: allocating takes numbers.
    let (result, start) = unsafe { raw::alloc(length, HOST_ALIGNMENT) };
    check(result).map_err(|_| io::ErrorKind::OutOfMemory)?;
    if start.is_null() || !is_user_range(start, length) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the host lends memory that is not its own"));
    }
    // SAFETY: the memory lies outside the enclave, where everything may be overwritten; the host said that it is ours.
    Ok(unsafe { User::<[u8]>::from_raw_parts(start, length) })
}

/// `std` takes a copy of nothing for one that leaves the enclave, and panics: an empty slice may point anywhere.
fn copy_in(from: &UserRef<[u8]>, into: &mut [u8]) {
    if !into.is_empty() {
        from.copy_to_enclave(into);
    }
}

/// As [`copy_in`].
fn copy_out(from: &[u8], into: &mut UserRef<[u8]>) {
    if !from.is_empty() {
        into.copy_from_enclave(from);
    }
}

fn is_standard(fd: Fd) -> bool {
    fd <= FD_STDERR
}

fn services() -> MutexGuard<'static, BTreeSet<Fd>> {
    static SERVICES: Mutex<BTreeSet<Fd>> = Mutex::new(BTreeSet::new());
    SERVICES.lock().unwrap_or_else(PoisonError::into_inner)
}

fn with_buffer<T>(use_it: impl FnOnce(&mut User<[u8]>) -> T) -> T {
    BUFFER.with(|buffer| use_it(&mut buffer.borrow_mut()))
}

thread_local! {
    static BUFFER: RefCell<User<[u8]>> = RefCell::new(User::<[u8]>::uninitialized(BUFFER_LEN));
}

fn check(result: raw::Result) -> io::Result<()> {
    if result == raw::RESULT_SUCCESS {
        return Ok(());
    }
    let kind = ERRORS
        .iter()
        .find(|(error, _)| *error as raw::Result == result)
        .map_or(io::ErrorKind::Other, |(_, kind)| *kind);
    Err(kind.into())
}

fn lied_about_length() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the host claims a length that was not offered")
}

/// Bytes that one usercall moves at most: a TLS record with its overhead (RFC 8446, section 5.2) fits twice.
const BUFFER_LEN: usize = 64 << 10;

/// As `User<[u8]>` frees it.
const HOST_ALIGNMENT: usize = 1;

const ERRORS: &[(Error, io::ErrorKind)] = &[
    (Error::WouldBlock, io::ErrorKind::WouldBlock),
    (Error::Interrupted, io::ErrorKind::Interrupted),
    (Error::PermissionDenied, io::ErrorKind::PermissionDenied),
    (Error::NotFound, io::ErrorKind::NotFound),
    (Error::AddrInUse, io::ErrorKind::AddrInUse),
    (Error::AddrNotAvailable, io::ErrorKind::AddrNotAvailable),
    (Error::ConnectionAborted, io::ErrorKind::ConnectionAborted),
    (Error::ConnectionRefused, io::ErrorKind::ConnectionRefused),
    (Error::ConnectionReset, io::ErrorKind::ConnectionReset),
    (Error::BrokenPipe, io::ErrorKind::BrokenPipe),
    (Error::NotConnected, io::ErrorKind::NotConnected),
    (Error::TimedOut, io::ErrorKind::TimedOut),
    (Error::InvalidInput, io::ErrorKind::InvalidInput),
    (Error::UnexpectedEof, io::ErrorKind::UnexpectedEof),
];
