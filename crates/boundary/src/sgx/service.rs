use super::usercalls::{self, Fd};
use crate::HostError;
use cloister_frames::{CONFIGURATION, QUOTES, QuoteRequest, QuoteResponse, decode_length, encode_length};
use std::io;

/// The boot configuration, JSON.
///
/// # Errors
/// [`HostError`] where the host does not serve it.
pub fn configuration() -> Result<Vec<u8>, HostError> {
    Service::open(CONFIGURATION)?.request(&[])
}

/// The quoting service.
#[derive(Debug)]
pub struct Quotes(Service);

impl Quotes {
    /// Opens the service.
    ///
    /// # Errors
    /// [`HostError::Io`] where the host refuses it.
    pub fn open() -> Result<Self, HostError> {
        Service::open(QUOTES).map(Self)
    }

    /// Asks the service. Blocks until the host answers.
    ///
    /// # Errors
    /// [`HostError`] where the host does not answer with a response.
    pub fn request(&mut self, request: &QuoteRequest) -> Result<QuoteResponse, HostError> {
        let answer = self.0.request(&request.encode())?;
        Ok(QuoteResponse::decode(&answer)?)
    }
}

/// A stream of requests and responses, each behind its length.
#[derive(Debug)]
struct Service(Fd);

impl Service {
    fn open(name: &str) -> Result<Self, HostError> {
        Ok(Self(usercalls::connect(name)?))
    }

    fn request(&mut self, payload: &[u8]) -> Result<Vec<u8>, HostError> {
        let frame = [&encode_length(payload.len())?, payload].concat();
        let mut rest = frame.as_slice();
        while !rest.is_empty() {
            match usercalls::write(self.0, rest)? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                written => rest = &rest[written..],
            }
        }
        let mut prefix = [0; 4];
        self.read_exact(&mut prefix)?;
        let mut answer = vec![0; decode_length(prefix)?];
        self.read_exact(&mut answer)?;
        Ok(answer)
    }

    fn read_exact(&self, mut into: &mut [u8]) -> Result<(), HostError> {
        while !into.is_empty() {
            match usercalls::read(self.0, into)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                length => into = &mut into[length..],
            }
        }
        Ok(())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        usercalls::close(self.0);
    }
}
