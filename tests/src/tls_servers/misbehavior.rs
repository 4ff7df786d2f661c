use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

/// What a server does that no client should believe or wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehavior {
    /// A body shorter than its `content-length`, and the proper end of TLS.
    ShortBody,
    /// Chunks without the last one, and the proper end of TLS.
    NoLastChunk,
    /// A body until the end, and then not the end of TLS but of the connection: what an attacker on the way can do.
    CutOff,
    /// The end of TLS in the middle of the header fields.
    HalfAHead,
    /// Nothing after the request, and the end.
    NoAnswer,
    /// What is no HTTP.
    Garbage,
    /// Header fields, one after the other, for ever.
    EndlessHeaders,
    /// One header field, for ever.
    EndlessHeader,
    /// `1xx` responses, one each millisecond.
    EndlessInformation,
    /// A header field, a byte each 200 ms.
    SlowHead,
    /// A body, a byte each 200 ms.
    SlowBody,
    /// Nothing, for ever.
    Silence,
    /// A gigabyte that `content-length` announces.
    Gigabyte,
    /// A gigabyte in chunks.
    GigabyteInChunks,
}

/// Reads the head of one request and does that, until it is done or the client goes.
pub(super) async fn misbehave(mut stream: TlsStream<TcpStream>, how: Misbehavior, written: &AtomicU64) {
    // That the client goes is what tests are about.
    let _gone = perform(&mut stream, how, written).await;
}

async fn perform(stream: &mut TlsStream<TcpStream>, how: Misbehavior, written: &AtomicU64) -> io::Result<()> {
    read_head(stream).await?;
    let mut writer = Writer { stream, written };
    match how {
        Misbehavior::ShortBody => {
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n0123456789").await?;
        }
        Misbehavior::NoLastChunk => {
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n").await?;
        }
        Misbehavior::CutOff => {
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n0123456789").await?;
            // Without the alert that ends TLS (RFC 8446, section 6.1).
            return writer.stream.get_mut().0.shutdown().await;
        }
        Misbehavior::HalfAHead => writer.write(b"HTTP/1.1 200 OK\r\ncontent-len").await?,
        Misbehavior::NoAnswer => {}
        Misbehavior::Garbage => writer.write(b"\x00\xff this is no HTTP\r\n\r\n").await?,
        Misbehavior::EndlessHeaders => {
            writer.write(b"HTTP/1.1 200 OK\r\n").await?;
            writer.forever(b"x-more: and more\r\n".repeat(100).as_slice(), Duration::ZERO).await?;
        }
        Misbehavior::EndlessHeader => {
            writer.write(b"HTTP/1.1 200 OK\r\nx-long: ").await?;
            writer.forever(&[b'x'; 4096], Duration::ZERO).await?;
        }
        Misbehavior::EndlessInformation => {
            let interim = b"HTTP/1.1 103 Early Hints\r\nlink: </style>\r\n\r\n";
            writer.forever(interim, Duration::from_millis(1)).await?;
        }
        Misbehavior::SlowHead => {
            writer.write(b"HTTP/1.1 200 OK\r\nx-slow: ").await?;
            writer.forever(b"x", DRIP).await?;
        }
        Misbehavior::SlowBody => {
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n").await?;
            writer.forever(b"x", DRIP).await?;
        }
        Misbehavior::Silence => std::future::pending().await,
        Misbehavior::Gigabyte => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {GIGABYTE}\r\n\r\n");
            writer.write(head.as_bytes()).await?;
            writer.gigabyte(&[0; PIECE], PIECE).await?;
        }
        Misbehavior::GigabyteInChunks => {
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = [format!("{PIECE:x}\r\n").into_bytes(), vec![0; PIECE], b"\r\n".to_vec()].concat();
            writer.gigabyte(&chunk, PIECE).await?;
            writer.write(b"0\r\n\r\n").await?;
        }
    }
    writer.stream.shutdown().await
}

async fn read_head(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut buffer).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => head.extend_from_slice(&buffer[..length]),
        }
    }
    Ok(())
}

struct Writer<'a> {
    stream: &'a mut TlsStream<TcpStream>,
    written: &'a AtomicU64,
}

impl Writer<'_> {
    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await?;
        self.written.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    async fn forever(&mut self, bytes: &[u8], pause: Duration) -> io::Result<()> {
        loop {
            self.write(bytes).await?;
            if pause.is_zero() {
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    }

    async fn gigabyte(&mut self, bytes: &[u8], payload: usize) -> io::Result<()> {
        for _ in 0..GIGABYTE / payload {
            self.write(bytes).await?;
        }
        Ok(())
    }
}

const DRIP: Duration = Duration::from_millis(200);
const GIGABYTE: usize = 1 << 30;
const PIECE: usize = 16 << 10;
