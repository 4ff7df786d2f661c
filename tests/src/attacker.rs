//! Somebody who got hold of the TLS key of a genuine enclave (the class of CVE-2026-33697).
//!
//! The key is read out of the memory of software SGX, which protects nothing from its host: the image itself has no way
//! to leak it, and needs no other build for this. On hardware it would take a fault in the image or in the CPU.

use crate::RawTls;
use cloister_attestation::{TlsKey, key_fingerprint};
use memchr::memmem;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// The certificate that an enclave shows under one name, and the key that belongs to it.
#[derive(Debug)]
pub struct StolenKey {
    certificate: CertificateDer<'static>,
    key: Zeroizing<Vec<u8>>,
}

impl StolenKey {
    /// The TLS key of the enclave that listens there, which runs on software SGX in this very process.
    ///
    /// # Panics
    /// Where it is not found in memory.
    pub async fn of_enclave(address: SocketAddr, server_name: &str) -> Self {
        let shown = RawTls::connect(address, server_name).await.expect("the enclave answers");
        let certificate = CertificateDer::from(shown.certificate());
        let fingerprint = key_fingerprint(&certificate).expect("it is a certificate");
        let key =
            tokio::task::spawn_blocking(move || find_key(&fingerprint)).await.expect("it does not panic");
        Self { certificate, key: key.expect("the key is in this process's memory") }
    }

    /// The enclave's certificate, which is public.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

/// What an attacker does with a stolen key.
#[derive(Clone, Debug)]
pub enum Attack {
    /// Passes everything on to the genuine enclave there, and back.
    Relay { enclave: SocketAddr, server_name: String },
    /// Answers the first request of each session with what an enclave once answered to another.
    Replay { answer: Vec<u8> },
}

/// A server with a stolen key.
#[derive(Debug)]
pub struct Attacker {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Attacker {
    /// Starts it at a port of its own.
    ///
    /// # Panics
    /// Where the key cannot be used.
    pub async fn start(stolen: &StolenKey, attack: Attack) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let mut tls = ServerConfig::builder_with_provider(Arc::new(rustls_graviola::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("the provider has it")
            .with_no_client_auth()
            .with_single_cert(
                vec![stolen.certificate.clone()],
                PrivatePkcs8KeyDer::from(stolen.key.to_vec()).into(),
            )
            .expect("key and certificate belong together");
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        let seen: Arc<Mutex<Vec<u8>>> = Arc::default();
        let attacker = Self { address, seen: Arc::clone(&seen) };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, attack, seen) = (acceptor.clone(), attack.clone(), Arc::clone(&seen));
                // A victim that hangs up ends its own session.
                tokio::spawn(async move { serve(stream, &acceptor, &attack, &seen).await });
            }
        });
        attacker
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What its victims sent so far, as they meant it for the enclave.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

async fn serve(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    attack: &Attack,
    seen: &Mutex<Vec<u8>>,
) -> io::Result<()> {
    let mut victim = acceptor.accept(stream).await?;
    match attack {
        Attack::Relay { enclave, server_name } => {
            let enclave = RawTls::connect(*enclave, server_name).await?.0;
            let (from_victim, to_victim) = tokio::io::split(victim);
            let (from_enclave, to_enclave) = tokio::io::split(enclave);
            tokio::try_join!(
                pass(from_victim, to_enclave, |bytes| note(seen, bytes)),
                pass(from_enclave, to_victim, |_| {}),
            )?;
        }
        Attack::Replay { answer } => {
            let mut buffer = [0; 4096];
            let length = victim.read(&mut buffer).await?;
            note(seen, &buffer[..length]);
            victim.write_all(answer).await?;
            victim.shutdown().await?;
        }
    }
    Ok(())
}

fn note(seen: &Mutex<Vec<u8>>, bytes: &[u8]) {
    seen.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    see: impl Fn(&[u8]),
) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    loop {
        match from.read(&mut buffer).await? {
            0 => return to.shutdown().await,
            length => {
                see(&buffer[..length]);
                to.write_all(&buffer[..length]).await?;
                to.flush().await?;
            }
        }
    }
}

/// The private key with this public one, in PKCS #8, from this process's memory.
fn find_key(fingerprint: &[u8; 32]) -> Option<Zeroizing<Vec<u8>>> {
    let memory = File::open("/proc/self/mem").ok()?;
    let finder = memmem::Finder::new(PKCS8_P256);
    for range in resident_memory()? {
        let mut bytes = Zeroizing::new(vec![0; range.end.abs_diff(range.start) as usize]);
        // Memory that went away meanwhile, or that the kernel keeps to itself.
        if memory.read_exact_at(&mut bytes, range.start).is_err() {
            continue;
        }
        let found = finder.find_iter(&bytes).filter_map(|at| document(&bytes, at)).find(|document| {
            TlsKey::from_pkcs8_der(document).is_ok_and(|key| key.fingerprint() == *fingerprint)
        });
        if let Some(document) = found {
            return Some(Zeroizing::new(document.to_vec()));
        }
    }
    None
}

/// The DER document whose contents begin there: a SEQUENCE, its length in one byte, or in one after 0x81 (X.690, section
/// 8.1.3).
fn document(bytes: &[u8], contents: usize) -> Option<&[u8]> {
    let start = match bytes[..contents] {
        [.., 0x30, 0x81, _] => contents - 3,
        [.., 0x30, _] => contents - 2,
        _ => return None,
    };
    let length = usize::from(*bytes.get(contents.checked_sub(1)?)?);
    bytes.get(start..contents + length)
}

/// Writable memory of this process that is there, in pieces of at most [`PIECE`] bytes that overlap by a page.
fn resident_memory() -> Option<Vec<Range<u64>>> {
    let pages = File::open("/proc/self/pagemap").ok()?;
    let mut pieces: Vec<Range<u64>> = Vec::new();
    for line in fs::read_to_string("/proc/self/maps").ok()?.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (bounds, rights) = (fields.next()?, fields.next()?);
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = bounds.split_once('-')?;
        let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
        let mut entries = vec![0; ((end - start) / PAGE * ENTRY) as usize];
        if pages.read_exact_at(&mut entries, start / PAGE * ENTRY).is_err() {
            continue;
        }
        for (number, entry) in entries.as_chunks::<8>().0.iter().enumerate() {
            if u64::from_le_bytes(*entry) & (PRESENT | SWAPPED) == 0 {
                continue;
            }
            let page = start + number as u64 * PAGE;
            match pieces.last_mut() {
                Some(last) if last.end == page && last.end - last.start < PIECE => last.end = page + PAGE,
                // What begins on the last page of a full piece may end on the next.
                Some(last) if last.end == page => pieces.push(page - PAGE..page + PAGE),
                _ => pieces.push(page..page + PAGE),
            }
        }
    }
    Some(pieces)
}

const PAGE: u64 = 4096;
/// Bytes of a page's entry in the pagemap, and the bits that say that it is there (Linux, admin-guide/mm/pagemap).
const ENTRY: u64 = 8;
const PRESENT: u64 = 1 << 63;
const SWAPPED: u64 = 1 << 62;
const PIECE: u64 = 4 << 20;
/// Version and algorithm of a P-256 key in PKCS #8 (RFC 5208, section 5; RFC 5480, section 2.1.1), and the tag that follows.
const PKCS8_P256: &[u8] = &[
    0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04,
];
