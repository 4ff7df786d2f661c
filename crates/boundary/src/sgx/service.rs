use super::usercalls::{self, Fd, HostLane};
use crate::lanes::Lanes;
use crate::{HostError, TpmFault};
use cloister_frames::{
    CONFIGURATION, DISK, MAX_TPM_MESSAGE, QUOTES, QuoteRequest, QuoteResponse, TPM, decode_length,
    encode_length,
};
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

/// The disk that the host lends, for any number of threads at a time.
#[derive(Debug)]
pub struct Disk(Lanes<HostLane>);

impl Disk {
    /// Opens the disk.
    ///
    /// # Errors
    /// [`HostError::Io`] where the host refuses it.
    pub fn open() -> Result<Self, HostError> {
        Ok(Self(Lanes::new(|| HostLane::connect(DISK))?))
    }

    pub(crate) fn lent(&self) -> &dyn cloister_volume::Disk {
        &self.0
    }
}

/// The TPM that the host lends.
#[derive(Debug)]
pub struct Tpm(Service);

impl Tpm {
    /// Opens the TPM.
    ///
    /// # Errors
    /// [`HostError::Tpm`] where the host lends none.
    pub fn open() -> Result<Self, HostError> {
        match usercalls::connect(TPM) {
            Ok(fd) => Ok(Self(Service(fd))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(HostError::Tpm(TpmFault::None)),
            Err(error) => Err(error.into()),
        }
    }

    /// The TPM's response to a command, at most [`MAX_TPM_MESSAGE`] bytes each. Blocks until the host answers; whether
    /// the response is the TPM's, only its authorization can say.
    ///
    /// # Errors
    /// [`HostError::Tpm`] where the command is too long or the host cannot reach the TPM, others where it does not
    /// answer with a response. Open it again after an error.
    pub fn transact(&mut self, command: &[u8]) -> Result<Vec<u8>, HostError> {
        if command.len() > MAX_TPM_MESSAGE {
            return Err(HostError::Tpm(TpmFault::TooLong));
        }
        let response = self.0.request(command)?;
        match response.len() {
            0 => Err(HostError::Tpm(TpmFault::Unreachable)),
            1..=MAX_TPM_MESSAGE => Ok(response),
            _ => Err(HostError::Unexpected),
        }
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
