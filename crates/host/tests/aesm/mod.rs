//! A stand-in for Intel's AESM service: it speaks the same protocol on a socket of its own, and quotes with a soft platform. It
//! encodes messages by itself, so that it and the host do not share a mistake.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use cloister_soft_sgx::SoftPlatform;

/// What is asked, by the number of its field in `aesm.proto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Init = 15,
    Size = 16,
    Quote = 17,
    KeyCount = 21,
    Keys = 22,
}

/// What the service does with an answer.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "not every test has it do everything")]
pub(crate) enum Does {
    /// Sends this message.
    Sends(Vec<u8>),
    /// Sends these bytes, and no length before them.
    SendsRaw(Vec<u8>),
    /// Holds the connection, silently.
    Hangs,
}

/// Runs until the test ends.
#[derive(Debug)]
pub(crate) struct AesmStandIn {
    path: PathBuf,
}

impl AesmStandIn {
    /// A service in this folder that does what it should.
    #[allow(dead_code, reason = "not every test has one that does")]
    pub(crate) fn start(folder: &Path, platform: SoftPlatform) -> Self {
        Self::start_with(folder, platform, |_, right| Does::Sends(right))
    }

    /// A service that does with each right answer what `twist` says.
    pub(crate) fn start_with(
        folder: &Path,
        platform: SoftPlatform,
        twist: impl Fn(Asked, Vec<u8>) -> Does + Send + Sync + 'static,
    ) -> Self {
        let path = folder.join("aesm.socket");
        let listener = UnixListener::bind(&path).unwrap();
        let twist = Arc::new(twist);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (platform, twist) = (platform.clone(), Arc::clone(&twist));
                thread::spawn(move || serve(stream, &platform, &*twist));
            }
        });
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// An answer that says how it went, and these fields behind that.
pub(crate) fn answer(asked: Asked, code: u64, fields: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut inner = vec![0x08];
    inner.extend(varint(code));
    for (number, value) in fields {
        inner.push(number << 3 | 2);
        inner.extend(varint(value.len() as u64));
        inner.extend(value);
    }
    wrapped(asked, &inner)
}

/// The same with a number as its only other field.
pub(crate) fn number(asked: Asked, field: u8, value: u64) -> Vec<u8> {
    let mut inner = vec![0x08, 0, field << 3];
    inner.extend(varint(value));
    wrapped(asked, &inner)
}

/// A key as `sgx_att_key_id_t` has it, of this algorithm.
pub(crate) fn key(algorithm: u8) -> Vec<u8> {
    let mut key = vec![0; 256];
    key[0] = algorithm;
    key[154] = algorithm;
    key
}

/// EPID's and ECDSA's, as a service with all its plugins has them.
fn keys() -> Vec<u8> {
    [key(0), key(2)].concat()
}

fn serve(
    mut stream: UnixStream,
    platform: &SoftPlatform,
    twist: &(dyn Fn(Asked, Vec<u8>) -> Does + Send + Sync),
) {
    let mut length = [0; 4];
    if stream.read_exact(&mut length).is_err() {
        return;
    }
    let mut message = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut message).unwrap();
    let (asked, request) = parsed(&message);
    let field =
        |number: u8| request.iter().find(|(found, _)| *found == number).map(|(_, value)| value.clone());
    if asked != Asked::KeyCount && asked != Asked::Keys {
        let named = field(if asked == Asked::Quote { 2 } else { 1 });
        assert_eq!(named.as_ref(), Some(&key(2)), "the ECDSA key is named");
    }
    let right = match asked {
        Asked::KeyCount => number(asked, 2, 2),
        Asked::Keys => answer(asked, 0, &[(2, keys())]),
        Asked::Init => answer(asked, 0, &[(2, platform.target_info().to_vec()), (4, vec![7; 32])]),
        Asked::Size => number(asked, 2, 8192),
        Asked::Quote => {
            let report = field(1).unwrap().try_into().unwrap();
            match platform.quote(&report) {
                // As the service does it: as many bytes as the caller has room for.
                Ok(mut quote) => {
                    quote.resize(8192, 0);
                    answer(asked, 0, &[(2, quote)])
                }
                Err(_) => answer(asked, 3, &[]),
            }
        }
    };
    match twist(asked, right) {
        Does::Sends(message) => {
            let _ = stream.write_all(&(message.len() as u32).to_le_bytes());
            let _ = stream.write_all(&message);
        }
        Does::SendsRaw(bytes) => drop(stream.write_all(&bytes)),
        Does::Hangs => {
            let _ = stream.read(&mut [0]);
        }
    }
}

/// What is asked, and its fields that are bytes.
fn parsed(message: &[u8]) -> (Asked, Vec<(u8, Vec<u8>)>) {
    let mut rest = message;
    let key = take(&mut rest);
    let length = take(&mut rest) as usize;
    assert_eq!((key & 7, length), (2, rest.len()), "one request is one message");
    let asked = [Asked::Init, Asked::Size, Asked::Quote, Asked::KeyCount, Asked::Keys]
        .into_iter()
        .find(|asked| *asked as u64 == key >> 3)
        .expect("a request that the service knows");
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let key = take(&mut rest);
        let value = take(&mut rest);
        if key & 7 == 2 {
            let (bytes, behind) = rest.split_at(value as usize);
            fields.push(((key >> 3) as u8, bytes.to_vec()));
            rest = behind;
        }
    }
    (asked, fields)
}

fn wrapped(asked: Asked, inner: &[u8]) -> Vec<u8> {
    let mut message = varint(u64::from(asked as u8) << 3 | 2);
    message.extend(varint(inner.len() as u64));
    message.extend(inner);
    message
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

fn take(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let (byte, behind) = rest.split_first().expect("a whole number");
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}
