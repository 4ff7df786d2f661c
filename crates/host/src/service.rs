//! Services that the host offers as streams of frames: the boot configuration and quotes.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use cloister_frames::{MAX_FRAME, QuoteRequest, QuoteResponse, decode_length, encode_length};

use crate::abi::UsercallError;
use crate::sync::lock;

/// Answers requests, one at a time and in order.
pub(crate) trait Service: Send + Sync + fmt::Debug {
    /// The answer to one request, at most [`MAX_FRAME`] bytes.
    ///
    /// # Errors
    /// Where the request is not one of this service; the stream is then broken.
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, UsercallError>;
}

/// One stream to a service.
#[derive(Debug)]
pub(crate) struct ServiceStream {
    service: Arc<dyn Service>,
    buffers: Mutex<Buffers>,
}

impl ServiceStream {
    pub(crate) fn new(service: Arc<dyn Service>) -> Self {
        Self { service, buffers: Mutex::default() }
    }

    /// Takes some of `bytes`, up to the end of the frame that they continue, and says how many. A frame that becomes
    /// complete is answered before this returns.
    ///
    /// # Errors
    /// `WouldBlock` while an answer waits to be read; `InvalidData` after anything that is not a request.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<usize, UsercallError> {
        let mut buffers = lock(&self.buffers);
        if buffers.broken {
            return Err(UsercallError::InvalidData);
        }
        if !buffers.answer.is_empty() {
            return Err(UsercallError::WouldBlock);
        }
        let taken = self.advance(&mut buffers, bytes);
        buffers.broken = taken.is_err();
        taken
    }

    /// Bytes of the answer, `limit` at most; none where nothing waits to be read.
    pub(crate) fn read(&self, limit: usize) -> Vec<u8> {
        let mut buffers = lock(&self.buffers);
        let count = limit.min(buffers.answer.len());
        buffers.answer.drain(..count).collect()
    }

    fn advance(&self, buffers: &mut Buffers, bytes: &[u8]) -> Result<usize, UsercallError> {
        let mut rest = bytes;
        buffers.request.fill(LENGTH, &mut rest);
        let Some(prefix) = buffers.request.0.first_chunk::<LENGTH>() else {
            return Ok(bytes.len() - rest.len());
        };
        let length = decode_length(*prefix).map_err(|_| UsercallError::InvalidData)?;
        buffers.request.fill(LENGTH + length, &mut rest);
        if buffers.request.0.len() == LENGTH + length {
            let request = std::mem::take(&mut buffers.request.0);
            let answer = self.service.answer(&request[LENGTH..])?;
            buffers.answer.extend(encode_length(answer.len()).map_err(|_| UsercallError::InvalidData)?);
            buffers.answer.extend(answer);
        }
        Ok(bytes.len() - rest.len())
    }
}

/// The boot configuration.
#[derive(Debug)]
pub(crate) struct Configuration(Vec<u8>);

impl Configuration {
    /// `None` where it is longer than a frame.
    pub(crate) fn new(configuration: Vec<u8>) -> Option<Self> {
        (configuration.len() <= MAX_FRAME).then_some(Self(configuration))
    }
}

impl Service for Configuration {
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, UsercallError> {
        if request.is_empty() { Ok(self.0.clone()) } else { Err(UsercallError::InvalidData) }
    }
}

/// Makes quotes on some device. Errors are told to the enclave, and by it to whoever asked for evidence.
pub(crate) trait Quoting: Send + Sync + fmt::Debug {
    fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String>;
}

/// The quoting service.
#[derive(Debug)]
pub(crate) struct Quotes(pub(crate) Arc<dyn Quoting>);

impl Service for Quotes {
    fn answer(&self, request: &[u8]) -> Result<Vec<u8>, UsercallError> {
        let request = QuoteRequest::decode(request).map_err(|_| UsercallError::InvalidData)?;
        let response = self.0.answer(request).unwrap_or_else(QuoteResponse::Failed).encode();
        if response.len() <= MAX_FRAME {
            return Ok(response);
        }
        let why =
            format!("the platform's answer is {} bytes long, and the limit is {MAX_FRAME}", response.len());
        Ok(QuoteResponse::Failed(why).encode())
    }
}

#[derive(Debug, Default)]
struct Buffers {
    request: Request,
    answer: VecDeque<u8>,
    broken: bool,
}

/// Bytes of an incomplete request, its length included.
#[derive(Debug, Default)]
struct Request(Vec<u8>);

impl Request {
    /// Moves bytes from the front of `rest` until `length` of them are here.
    fn fill(&mut self, length: usize, rest: &mut &[u8]) {
        let missing = length.saturating_sub(self.0.len()).min(rest.len());
        let (taken, left) = rest.split_at(missing);
        self.0.extend_from_slice(taken);
        *rest = left;
    }
}

/// Bytes of a frame's length.
const LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    impl Service for Echo {
        fn answer(&self, request: &[u8]) -> Result<Vec<u8>, UsercallError> {
            Ok(request.to_vec())
        }
    }

    #[derive(Debug)]
    struct Platform;

    impl Quoting for Platform {
        fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String> {
            match request {
                QuoteRequest::Quote(report) => Ok(QuoteResponse::Quote(report.to_vec())),
                QuoteRequest::Collateral => Ok(QuoteResponse::Collateral(vec![0; MAX_FRAME])),
                QuoteRequest::TargetInfo => Err("no platform".into()),
            }
        }
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&encode_length(payload.len()).unwrap(), payload].concat()
    }

    #[test]
    fn a_request_may_come_byte_by_byte_and_its_answer_leave_so() {
        let stream = ServiceStream::new(Arc::new(Echo));
        assert!(stream.read(10).is_empty());
        for byte in frame(b"hello") {
            assert_eq!(stream.write(&[byte]), Ok(1));
        }
        assert_eq!(stream.write(b"x"), Err(UsercallError::WouldBlock));
        let answer: Vec<u8> = (0..9).flat_map(|_| stream.read(1)).collect();
        assert_eq!(answer, frame(b"hello"));
        assert!(stream.read(1).is_empty());
        assert_eq!(stream.write(&frame(b"")), Ok(4));
        assert_eq!(stream.read(100), frame(b""));
    }

    #[test]
    fn a_write_takes_one_request_at_most() {
        let stream = ServiceStream::new(Arc::new(Echo));
        let two = [frame(b"one"), frame(b"two")].concat();
        assert_eq!(stream.write(&two), Ok(7));
        assert_eq!(stream.read(100), frame(b"one"));
        assert_eq!(stream.write(&two[7..]), Ok(7));
        assert_eq!(stream.read(100), frame(b"two"));
    }

    #[test]
    fn a_frame_that_is_too_long_breaks_the_stream() {
        let stream = ServiceStream::new(Arc::new(Echo));
        assert_eq!(stream.write(&u32::MAX.to_le_bytes()), Err(UsercallError::InvalidData));
        assert_eq!(stream.write(&frame(b"later")), Err(UsercallError::InvalidData));
        assert!(stream.read(10).is_empty());
    }

    #[test]
    fn the_configuration_answers_an_empty_request() {
        let stream = ServiceStream::new(Arc::new(Configuration::new(b"{}".to_vec()).unwrap()));
        assert_eq!(stream.write(&frame(b"")), Ok(4));
        assert_eq!(stream.read(100), frame(b"{}"));
        assert_eq!(stream.write(&frame(b"?")), Err(UsercallError::InvalidData));
        assert!(Configuration::new(vec![0; MAX_FRAME + 1]).is_none());
    }

    #[test]
    fn quotes_are_passed_on_and_failures_said() {
        let quotes = Quotes(Arc::new(Platform));
        let answer = |request: QuoteRequest| {
            QuoteResponse::decode(&quotes.answer(&request.encode()).unwrap()).unwrap()
        };
        assert_eq!(answer(QuoteRequest::Quote(Box::new([5; 432]))), QuoteResponse::Quote(vec![5; 432]));
        assert_eq!(answer(QuoteRequest::TargetInfo), QuoteResponse::Failed("no platform".into()));
        assert!(
            matches!(answer(QuoteRequest::Collateral), QuoteResponse::Failed(why) if why.contains("limit"))
        );
        assert_eq!(quotes.answer(&[77]), Err(UsercallError::InvalidData));
    }
}
