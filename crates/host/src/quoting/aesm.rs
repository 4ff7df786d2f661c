//! Intel's Architectural Enclave Service Manager, over its socket: a length of four bytes, little-endian, and a message of
//! `aesm.proto`. It takes one request for each connection.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloister_frames::{REPORT_LEN, TARGET_INFO_LEN};

use super::message::{Malformed, bytes, number, put_bytes, put_number};
use super::quote::MAX_QUOTE;
use super::{QuotingEnclave, QuotingError};

/// The service, which has an ECDSA key and has loaded it.
#[derive(Debug)]
pub(super) struct Aesm {
    path: PathBuf,
    patience: Duration,
    /// Identifies the attestation key, as the service named it.
    key: Vec<u8>,
}

impl Aesm {
    /// Asks the service which keys it has, and to get ready with the one that DCAP quotes are signed with.
    pub(super) fn connect(path: &Path, patience: Duration) -> Result<Self, QuotingError> {
        let mut service = Self { path: path.to_owned(), patience, key: Vec::new() };
        service.key = service.ecdsa_key()?;
        service.target_info()?;
        Ok(service)
    }

    /// The first key with ECDSA over P-256.
    fn ecdsa_key(&self) -> Result<Vec<u8>, QuotingError> {
        let answer = self.ask(KEY_COUNT, &[])?;
        let count = number(&answer, 2).map_err(|_| KEY_COUNT.malformed())?.unwrap_or(0);
        if count == 0 {
            return Err(QuotingError::NoEcdsa);
        }
        if count > MAX_KEYS {
            return Err(KEYS.wrong("it has more keys than there are kinds"));
        }
        let expected = count as usize * KEY_ID;
        let mut request = Vec::new();
        put_number(&mut request, 1, expected as u64);
        let answer = self.ask(KEYS, &request)?;
        let keys = bytes(&answer, 2).map_err(|_| KEYS.malformed())?.unwrap_or_default();
        if keys.len() != expected {
            return Err(KEYS.wrong("it names another number of keys than it said"));
        }
        let ecdsa = keys.chunks_exact(KEY_ID).find(|key| key[ALGORITHM..ALGORITHM + 4] == ECDSA_P256);
        ecdsa.map(<[u8]>::to_vec).ok_or(QuotingError::NoEcdsa)
    }

    /// The fields of the answer of this kind, which says that it went well.
    fn ask(&self, kind: Kind, request: &[u8]) -> Result<Vec<u8>, QuotingError> {
        let mut request = request.to_vec();
        // In microseconds.
        put_number(&mut request, kind.timeout, self.patience.as_micros().min(u128::from(u32::MAX)) as u64);
        let mut message = Vec::new();
        put_bytes(&mut message, kind.field, &request);
        let answer = self.exchange(kind, &message)?;
        let Some(answer) = bytes(&answer, kind.field).map_err(|Malformed| kind.malformed())? else {
            return Err(kind.wrong("it is an answer to something else"));
        };
        match number(answer, 1).map_err(|Malformed| kind.malformed())? {
            Some(0) => Ok(answer.to_vec()),
            Some(code) => {
                Err(QuotingError::Aesm { doing: kind.doing, code: u32::try_from(code).unwrap_or(u32::MAX) })
            }
            None => Err(kind.wrong("it does not say whether it went well")),
        }
    }

    fn exchange(&self, kind: Kind, message: &[u8]) -> Result<Vec<u8>, QuotingError> {
        let deadline = Instant::now() + self.patience;
        let mut stream = UnixStream::connect(&self.path)
            .map_err(|source| QuotingError::NoAesm { path: self.path.clone(), source })?;
        let mut talk = || -> io::Result<Result<Vec<u8>, QuotingError>> {
            stream.set_write_timeout(Some(self.patience))?;
            stream.write_all(&(message.len() as u32).to_le_bytes())?;
            stream.write_all(message)?;
            let mut length = [0; 4];
            read_until(&mut stream, &mut length, deadline)?;
            let length = u32::from_le_bytes(length) as usize;
            if length > MAX_ANSWER {
                return Ok(Err(kind.wrong("it is longer than any answer")));
            }
            let mut answer = vec![0; length];
            read_until(&mut stream, &mut answer, deadline)?;
            Ok(Ok(answer))
        };
        talk().unwrap_or_else(|error| {
            Err(match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                    QuotingError::TimedOut { who: WHO, doing: kind.doing, after: self.patience }
                }
                io::ErrorKind::UnexpectedEof => kind.wrong("it ended early"),
                _ => QuotingError::NoAesm { path: self.path.clone(), source: error },
            })
        })
    }
}

impl QuotingEnclave for Aesm {
    fn target_info(&self) -> Result<Box<[u8; TARGET_INFO_LEN]>, QuotingError> {
        let request = |public_key: u64, size: Option<u64>| {
            let mut request = Vec::new();
            put_bytes(&mut request, 1, &self.key);
            put_number(&mut request, 3, public_key);
            if let Some(size) = size {
                put_number(&mut request, 4, size);
            }
            request
        };
        // In two steps, as Intel's own library does it: the second one makes the key where there is none yet.
        let sized = self.ask(INIT, &request(0, None))?;
        let size = number(&sized, 3).map_err(|_| INIT.malformed())?.unwrap_or(0);
        if size > MAX_KEY_NAME {
            return Err(INIT.wrong("its key has too long a name"));
        }
        let answer = self.ask(INIT, &request(1, Some(size)))?;
        let target_info = bytes(&answer, 2).map_err(|_| INIT.malformed())?.unwrap_or_default();
        match <[u8; TARGET_INFO_LEN]>::try_from(target_info) {
            Ok(target_info) if target_info.iter().any(|byte| *byte != 0) => Ok(Box::new(target_info)),
            Ok(_) => Err(INIT.wrong("its TARGETINFO is empty")),
            Err(_) => Err(INIT.wrong("its TARGETINFO is not 512 bytes long")),
        }
    }

    fn quote(&self, report: &[u8; REPORT_LEN]) -> Result<Vec<u8>, QuotingError> {
        let mut request = Vec::new();
        put_bytes(&mut request, 1, &self.key);
        let answer = self.ask(SIZE, &request)?;
        let size = number(&answer, 2).map_err(|_| SIZE.malformed())?.unwrap_or(0);
        if !(1..=MAX_QUOTE as u64).contains(&size) {
            return Err(SIZE.wrong("no quote has that size"));
        }
        let mut request = Vec::new();
        put_bytes(&mut request, 1, report);
        put_bytes(&mut request, 2, &self.key);
        put_number(&mut request, 4, size);
        let answer = self.ask(QUOTE, &request)?;
        let quote = bytes(&answer, 2).map_err(|_| QUOTE.malformed())?;
        quote.map(<[u8]>::to_vec).ok_or_else(|| QUOTE.wrong("it has no quote"))
    }
}

/// A kind of request, and of the answer to it.
#[derive(Clone, Copy, Debug)]
struct Kind {
    /// As a verb.
    doing: &'static str,
    /// Of the request and of the answer.
    field: u32,
    /// Of the time that the service may take.
    timeout: u32,
}

impl Kind {
    fn malformed(self) -> QuotingError {
        self.wrong("it is no message")
    }

    fn wrong(self, reason: &'static str) -> QuotingError {
        QuotingError::Malformed { who: WHO, doing: self.doing, reason }
    }
}

fn read_until(stream: &mut UnixStream, mut buffer: &mut [u8], deadline: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = &mut buffer[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

const WHO: &str = "AESM service";

const INIT: Kind = Kind { doing: "get its attestation key ready", field: 15, timeout: 9 };
const SIZE: Kind = Kind { doing: "say how long quotes are", field: 16, timeout: 9 };
const QUOTE: Kind = Kind { doing: "make a quote", field: 17, timeout: 9 };
const KEY_COUNT: Kind = Kind { doing: "count its attestation keys", field: 21, timeout: 9 };
const KEYS: Kind = Kind { doing: "name its attestation keys", field: 22, timeout: 9 };

/// Bytes of `sgx_att_key_id_t`.
const KEY_ID: usize = 256;
/// Offset of `algorithm_id` in `sgx_ql_att_key_id_t`, with which that begins.
const ALGORITHM: usize = 154;
/// `SGX_QL_ALG_ECDSA_P256`.
const ECDSA_P256: [u8; 4] = 2_u32.to_le_bytes();
/// More than there are kinds of attestation keys.
const MAX_KEYS: u64 = 16;
/// The name of a key is a hash, in bytes.
const MAX_KEY_NAME: u64 = 1024;
/// A quote, and some more.
const MAX_ANSWER: usize = MAX_QUOTE + 4096;
