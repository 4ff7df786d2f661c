//! What the enclave's file descriptors stand for.

mod table;

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;

use cloister_frames::{CONFIGURATION, DISK, LISTEN_PREFIX, QUOTES, READINESS, SOCKETS, TPM};
use fortanix_sgx_abi::{FD_STDERR, FD_STDIN, FD_STDOUT};

use crate::abi::UsercallError;
use crate::disk::Disk;
use crate::interference::{Interference, StreamKind};
use crate::listening::{Listening, Progress, listen};
use crate::log::{LogSink, LogSource, LogStream};
use crate::memory::Borrowed;
use crate::readiness::Readiness;
use crate::service::{Configuration, Quotes, Service, ServiceStream};
use crate::sockets::{Lent, Lookup, Sockets};
use crate::statistics::DiskStatistics;
use crate::tpm::Tpm;

pub(crate) use table::Table;

/// The open streams, and what may be opened.
#[derive(Debug)]
pub(crate) struct Streams {
    table: Arc<Table>,
    offer: Offer,
    sockets: Arc<Sockets>,
    listening: Listening,
}

impl Streams {
    pub(crate) fn new(
        offer: Offer,
        log: &LogSink,
        interference: Option<Arc<dyn Interference>>,
    ) -> io::Result<Self> {
        let standard = [
            (FD_STDIN, Stream::Input),
            (FD_STDOUT, Stream::Output(LogStream::new(LogSource::EnclaveOutput, log.clone()))),
            (FD_STDERR, Stream::Output(LogStream::new(LogSource::EnclaveError, log.clone()))),
        ];
        let table = Arc::new(Table::new(standard)?);
        let sockets = Arc::new(Sockets::new(&table, interference));
        Ok(Self { table, offer, sockets, listening: Listening::default() })
    }

    pub(crate) fn listening(&self) -> &Listening {
        &self.listening
    }

    /// The stream behind a number. An unknown number is a closed stream: `std` expects `BrokenPipe`.
    pub(crate) fn find(&self, fd: u64) -> Result<Arc<Stream>, UsercallError> {
        self.table.find(fd)
    }

    pub(crate) fn close(&self, fd: u64) {
        self.table.close(fd);
    }

    /// Opens the listener, where `name` is the one address that was agreed on: number and local address.
    pub(crate) fn bind(&self, name: &str) -> Result<(u64, String), UsercallError> {
        let wanted: SocketAddr = name
            .strip_prefix(LISTEN_PREFIX)
            .and_then(|address| address.parse().ok())
            .ok_or(UsercallError::PermissionDenied)?;
        if wanted != self.offer.listen {
            return Err(UsercallError::PermissionDenied);
        }
        let (listener, address) = match listen(wanted) {
            Ok(bound) => bound,
            Err(error) => {
                let answer = UsercallError::from(&error);
                self.listening.set(Progress::Failed(error));
                return Err(answer);
            }
        };
        let stopped = self.listening.is_closed();
        if stopped || !self.listening.set(Progress::Bound(address, Arc::clone(&listener))) {
            return Err(UsercallError::AddrInUse);
        }
        let fd = self.table.add(|fd| {
            self.table.readiness().watch(&*listener, fd)?;
            Ok(Stream::Listener(listener))
        })?;
        Ok((fd, address.to_string()))
    }

    /// Opens one of the services: its number.
    pub(crate) fn connect(&self, name: &str) -> Result<u64, UsercallError> {
        self.table.add(|_| {
            Ok(match name {
                READINESS => Stream::Readiness(Arc::clone(self.table.readiness())),
                CONFIGURATION => self.service(StreamKind::Configuration, self.offer.configuration.clone()),
                QUOTES => self.service(StreamKind::Quotes, self.offer.quotes.clone()),
                DISK => self.service(StreamKind::Disk, self.offer.disk.clone()),
                SOCKETS => self.service(StreamKind::Sockets, self.sockets.clone()),
                TPM => {
                    let tpm = self.offer.tpm.clone().ok_or(UsercallError::NotFound)?;
                    self.service(StreamKind::Tpm, tpm)
                }
                _ => return Err(UsercallError::PermissionDenied),
            })
        })
    }

    /// Accepts a connection: its number, local and peer address.
    pub(crate) fn accept(&self, fd: u64) -> Result<Accepted, UsercallError> {
        let Stream::Listener(listener) = &*self.find(fd)? else {
            return Err(UsercallError::InvalidInput);
        };
        if self.listening.is_closed() {
            return Err(UsercallError::WouldBlock);
        }
        let (socket, peer) = listener.accept()?;
        let local = socket.local_addr()?;
        socket.set_nonblocking(true)?;
        socket.set_nodelay(true)?;
        let fd = self.table.add(|fd| {
            self.table.readiness().watch(&socket, fd)?;
            Ok(Stream::Socket(socket))
        })?;
        Ok(Accepted { fd, local, peer })
    }

    /// Refuses new connections and tells the enclave to finish.
    pub(crate) fn request_shutdown(&self) {
        self.listening.close();
        self.table.readiness().request_shutdown();
    }

    /// How often the disk was used.
    pub(crate) fn disk_statistics(&self) -> DiskStatistics {
        self.offer.disk.statistics()
    }

    /// Ends every blocking read for good, closes the disk's file, and writes out what the enclave's last lines have.
    pub(crate) fn stop(&self) {
        self.listening.close();
        self.table.readiness().stop();
        self.offer.disk.close();
        for fd in [FD_STDOUT, FD_STDERR] {
            if let Ok(stream) = self.find(fd)
                && let Stream::Output(output) = &*stream
            {
                output.end();
            }
        }
    }

    fn service(&self, kind: StreamKind, service: Arc<dyn Service>) -> Stream {
        Stream::Service(kind, ServiceStream::new(service))
    }
}

/// What the host was started with and lends to the enclave.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The only address at which the enclave may listen.
    pub(crate) listen: SocketAddr,
    pub(crate) configuration: Arc<Configuration>,
    pub(crate) quotes: Arc<Quotes>,
    pub(crate) disk: Arc<Disk>,
    /// `None` where the host was started without one.
    pub(crate) tpm: Option<Arc<Tpm>>,
}

/// An accepted connection.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) fd: u64,
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

/// One stream.
#[derive(Debug)]
pub(crate) enum Stream {
    /// Standard input, always at its end.
    Input,
    Output(LogStream),
    Listener(Arc<TcpListener>),
    Socket(TcpStream),
    Lent(Lent),
    Lookup(Arc<Lookup>),
    Readiness(Arc<Readiness>),
    Service(StreamKind, ServiceStream),
}

impl Stream {
    pub(crate) fn kind(&self) -> StreamKind {
        match self {
            Self::Input | Self::Output(_) => StreamKind::Standard,
            Self::Listener(_) => StreamKind::Listener,
            Self::Socket(_) => StreamKind::Socket,
            Self::Lent(_) => StreamKind::Lent,
            Self::Lookup(_) => StreamKind::Lookup,
            Self::Readiness(_) => StreamKind::Readiness,
            Self::Service(kind, _) => *kind,
        }
    }

    /// Reads into the enclave's buffer. Only the readiness stream blocks.
    pub(crate) fn read(&self, into: &Borrowed<'_>) -> Result<usize, UsercallError> {
        if into.len() == 0 {
            return Ok(0);
        }
        match self {
            Self::Input => Ok(0),
            Self::Output(_) | Self::Listener(_) => Err(UsercallError::InvalidInput),
            Self::Socket(socket) => Ok(into.receive(socket.as_fd())?),
            Self::Lent(lent) => Ok(into.receive(lent.connection()?)?),
            Self::Lookup(lookup) => lookup.read(|bytes| into.copy_from(bytes)),
            Self::Readiness(readiness) => Ok(into.copy_from(&readiness.wait(into.len())?)),
            Self::Service(_, service) => Ok(service.read(|bytes| into.copy_from(bytes))),
        }
    }

    /// Writes from the enclave's buffer.
    pub(crate) fn write(&self, from: &Borrowed<'_>) -> Result<usize, UsercallError> {
        if from.len() == 0 {
            return Ok(0);
        }
        match self {
            Self::Input | Self::Listener(_) | Self::Lookup(_) => Err(UsercallError::InvalidInput),
            Self::Socket(socket) => Ok(from.send(socket.as_fd())?),
            Self::Lent(lent) => Ok(from.send(lent.connection()?)?),
            Self::Output(output) => {
                let bytes = from.to_vec(MAX_COPY);
                output.write(&bytes);
                Ok(bytes.len())
            }
            Self::Readiness(readiness) => {
                readiness.wake();
                Ok(from.len())
            }
            Self::Service(_, service) => service.write(from),
        }
    }
}

/// Most bytes that a write to standard output takes at once. Also what an interference sees of a write.
pub(crate) const MAX_COPY: usize = 2 << 20;

#[cfg(test)]
mod tests;
