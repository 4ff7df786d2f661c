//! Commands and responses as bytes (TPM 2.0 Library, part 1, section 18; part 2; part 3). Big-endian.

use crate::{MAX_MESSAGE, Operation, TpmError, Transport};
use std::thread;
use std::time::Duration;

pub(crate) const RH_OWNER: u32 = 0x4000_0001;
pub(crate) const RH_NULL: u32 = 0x4000_0007;
pub(crate) const RH_ENDORSEMENT: u32 = 0x4000_000b;
/// The session of a plain password.
pub(crate) const RS_PASSWORD: u32 = 0x4000_0009;

pub(crate) const ALG_XOR: u16 = 0x000a;
pub(crate) const ALG_SHA256: u16 = 0x000b;

/// `TPM_RC_NV_DEFINED`.
pub(crate) const RC_NV_DEFINED: u32 = 0x14c;
/// `TPM_RC_HANDLE` for the first handle: there is no such object.
pub(crate) const RC_NO_FIRST_HANDLE: u32 = 0x18b;
/// `TPM_RC_OBJECT_MEMORY`, `TPM_RC_SESSION_MEMORY`, `TPM_RC_SESSION_HANDLES`: others' objects fill the TPM.
pub(crate) const RC_CROWDED: [u32; 3] = [0x902, 0x903, 0x905];

impl Operation {
    /// `TPM_CC`.
    pub(crate) fn code(self) -> u32 {
        match self {
            Self::LoadKey => 0x131,
            Self::StartSession => 0x176,
            Self::Flush => 0x165,
            Self::ListHandles => 0x17a,
            Self::Define => 0x12a,
            Self::Increment => 0x134,
            Self::Read => 0x14e,
        }
    }
}

/// Bytes in the making.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A `TPM2B`: 16 bits of length, and the bytes, which are fewer than 65,536.
    pub(crate) fn sized(self, bytes: &[u8]) -> Self {
        self.u16(bytes.len() as u16).bytes(bytes)
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Bytes that are being read. Whatever is missing is [`TpmError::Malformed`].
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    operation: Operation,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(operation: Operation, bytes: &'a [u8]) -> Self {
        Self { operation, rest: bytes }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], TpmError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(TpmError::Malformed(self.operation))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, TpmError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, TpmError> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, TpmError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A `TPM2B`.
    pub(crate) fn sized(&mut self) -> Result<&'a [u8], TpmError> {
        let length = self.u16()?;
        self.bytes(length.into())
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], TpmError> {
        let bytes = self.bytes(N)?;
        bytes.try_into().map_err(|_| TpmError::Malformed(self.operation))
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Result<(), TpmError> {
        if self.rest.is_empty() { Ok(()) } else { Err(TpmError::Malformed(self.operation)) }
    }
}

/// Whether a command carries authorizations, and its response then too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    Bare,
    Sessions,
}

impl Tag {
    /// `TPM_ST`.
    fn code(self) -> u16 {
        match self {
            Self::Bare => 0x8001,
            Self::Sessions => 0x8002,
        }
    }
}

/// Sends a command and returns what follows the header of its response. A TPM that asks for patience is asked again.
///
/// # Errors
/// [`TpmError::Refused`] with the response's code, [`TpmError::Malformed`] where it is no response.
pub(crate) fn send(
    transport: &dyn Transport,
    operation: Operation,
    tag: Tag,
    body: &[u8],
) -> Result<Vec<u8>, TpmError> {
    let command = Writer::default()
        .u16(tag.code())
        .u32((HEADER + body.len()) as u32)
        .u32(operation.code())
        .bytes(body)
        .finish();
    debug_assert!(command.len() <= MAX_MESSAGE);
    let mut attempts = 0;
    loop {
        let mut response = transport.transact(&command)?;
        match accept(operation, tag, &response) {
            Err(TpmError::Refused { code, .. }) if is_patience(code) && attempts < ATTEMPTS => {
                attempts += 1;
                thread::sleep(PAUSE * attempts);
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(response.split_off(HEADER)),
        }
    }
}

/// Checks the header of a response.
fn accept(operation: Operation, tag: Tag, response: &[u8]) -> Result<(), TpmError> {
    let malformed = TpmError::Malformed(operation);
    let mut header = Reader::new(operation, response);
    let (told, size, code) = (header.u16()?, header.u32()?, header.u32()?);
    if size as usize != response.len() || response.len() > MAX_MESSAGE {
        return Err(malformed);
    }
    match code {
        0 if told == tag.code() => Ok(()),
        0 => Err(malformed),
        code => Err(TpmError::Refused { operation, code }),
    }
}

/// `TPM_RC_YIELDED`, `TPM_RC_TESTING`, `TPM_RC_NV_RATE`, `TPM_RC_RETRY`: nothing was done, and it may be asked again.
fn is_patience(code: u32) -> bool {
    matches!(code, 0x908 | 0x90a | 0x920 | 0x922)
}

/// Bytes of the header of commands and responses.
const HEADER: usize = 10;
/// How often a command is sent again. The pauses add up to 3.6 seconds.
const ATTEMPTS: u32 = 8;
/// The first pause; each is longer by it than the one before.
const PAUSE: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Mutex;

    /// Says these things, the last one forever.
    #[derive(Debug)]
    struct Says(Mutex<Vec<Vec<u8>>>);

    impl Transport for Says {
        fn transact(&self, _: &[u8]) -> Result<Vec<u8>, TpmError> {
            let mut answers = self.0.lock().unwrap();
            Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
        }
    }

    fn ask(answers: &[&[u8]]) -> Result<Vec<u8>, TpmError> {
        let says = Says(Mutex::new(answers.iter().map(|answer| answer.to_vec()).collect()));
        send(&says, Operation::Read, Tag::Bare, &[1, 2])
    }

    #[test]
    fn headers_are_checked() {
        let malformed = Err(TpmError::Malformed(Operation::Read));
        assert_eq!(ask(&[&[0x80, 1, 0, 0, 0, 12, 0, 0, 0, 0, 7, 8]]), Ok(vec![7, 8]));
        assert_eq!(ask(&[&[0x80, 2, 0, 0, 0, 12, 0, 0, 0, 0, 7, 8]]), malformed);
        assert_eq!(ask(&[&[0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0, 7, 8]]), malformed);
        assert_eq!(ask(&[&[0x80, 1, 0, 0, 0]]), malformed);
        assert_eq!(ask(&[&[]]), malformed);
        let refused = TpmError::Refused { operation: Operation::Read, code: 0x98e };
        assert_eq!(ask(&[&[0x80, 1, 0, 0, 0, 10, 0, 0, 0x09, 0x8e]]), Err(refused));
    }

    #[test]
    fn a_tpm_that_asks_for_patience_is_asked_again() {
        let retry = [0x80, 1, 0, 0, 0, 10, 0, 0, 0x09, 0x22];
        let done = [0x80, 1, 0, 0, 0, 10, 0, 0, 0, 0];
        assert_eq!(ask(&[&retry, &retry, &done]), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = accept(Operation::Read, Tag::Sessions, &bytes);
            let mut reader = Reader::new(Operation::Read, &bytes);
            while reader.sized().is_ok() {}
            let _ = (reader.u8(), reader.u16(), reader.u32());
            prop_assert!(reader.clone().end().is_ok() == reader.rest.is_empty());
        }
    }
}
