mod disk;
mod sockets;

pub(crate) use sockets::{Socket, look_up};

use crate::connection::Connection;
use crate::net::TcpSocket;
use crate::{HostError, TpmFault};
use cloister_frames::{QuoteRequest, QuoteResponse};
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Starts what the door needs: nothing in a native build.
///
/// # Errors
/// None in a native build.
pub fn start() -> Result<(), HostError> {
    Ok(())
}

/// The boot configuration, JSON, from the environment variable `CLOISTER_CONFIGURATION`.
///
/// # Errors
/// [`HostError::Io`] where the variable is not set.
pub fn configuration() -> Result<Vec<u8>, HostError> {
    let text = std::env::var("CLOISTER_CONFIGURATION").map_err(io::Error::other)?;
    Ok(text.into_bytes())
}

/// Ends when the host asks the enclave to finish: never, in a native build.
pub async fn shutdown_requested() {
    std::future::pending().await
}

/// Writes a line to the host's log.
pub fn log(line: &str) {
    eprintln!("{line}");
}

/// The quoting service: none in a native build.
#[derive(Debug)]
pub struct Quotes(());

impl Quotes {
    /// Opens the service.
    ///
    /// # Errors
    /// [`HostError::Quotes`], always, in a native build.
    pub fn open() -> Result<Self, HostError> {
        Err(HostError::Quotes("a native build has no quotes".into()))
    }

    /// Asks the service.
    ///
    /// # Errors
    /// As the service says.
    pub fn request(&mut self, _request: &QuoteRequest) -> Result<QuoteResponse, HostError> {
        Err(HostError::Quotes("a native build has no quotes".into()))
    }
}

/// The disk: the file that the environment variable `CLOISTER_DISK` names, or one in memory where it is not set.
#[derive(Debug)]
pub struct Disk(Arc<dyn cloister_volume::Disk>);

impl Disk {
    /// Opens the disk, and makes the file where it is missing.
    ///
    /// # Errors
    /// [`HostError::Io`] where the file cannot be used.
    pub fn open() -> Result<Self, HostError> {
        Ok(match std::env::var_os("CLOISTER_DISK") {
            Some(path) => Self(Arc::new(disk::FileDisk::open(Path::new(&path))?)),
            None => Self(Arc::new(cloister_volume::MemoryDisk::new(MEMORY_BLOCKS))),
        })
    }

    pub(crate) fn lent(&self) -> &dyn cloister_volume::Disk {
        &*self.0
    }
}

/// The TPM: none in a native build.
#[derive(Debug)]
pub struct Tpm(());

impl Tpm {
    /// Opens the TPM.
    ///
    /// # Errors
    /// [`HostError::Tpm`], always, in a native build.
    pub fn open() -> Result<Self, HostError> {
        Err(HostError::Tpm(TpmFault::None))
    }

    /// The TPM's response to a command.
    ///
    /// # Errors
    /// As [`Tpm::open`].
    pub fn transact(&mut self, _command: &[u8]) -> Result<Vec<u8>, HostError> {
        Err(HostError::Tpm(TpmFault::None))
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens at a socket address, such as `127.0.0.1:8443`.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn bind(address: &str) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// The next connection.
    ///
    /// # Errors
    /// As the operating system says.
    pub async fn accept(&self) -> io::Result<Stream> {
        let (stream, _) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok(Stream(Kind::Accepted(stream)))
    }
}

/// A connection.
#[derive(Debug)]
pub struct Stream(Kind);

#[derive(Debug)]
enum Kind {
    Accepted(TcpStream),
    Lent(Connection),
}

impl Stream {
    pub(crate) fn of(socket: TcpSocket) -> Self {
        Self(Kind::Lent(Connection::new(socket)))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Accepted(stream) => Pin::new(stream).poll_read(cx, buffer),
            Kind::Lent(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.0 {
            Kind::Accepted(stream) => Pin::new(stream).poll_write(cx, data),
            Kind::Lent(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Accepted(stream) => Pin::new(stream).poll_flush(cx),
            Kind::Lent(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            Kind::Accepted(stream) => Pin::new(stream).poll_shutdown(cx),
            Kind::Lent(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// Most blocks of a disk in memory: 1 GiB.
const MEMORY_BLOCKS: u64 = 1 << 18;
