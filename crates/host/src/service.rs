//! Services that the host offers as streams of frames: the boot configuration and quotes.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use cloister_frames::{MAX_FRAME, PlatformKind, QuoteRequest, QuoteResponse, decode_length, encode_length};

use crate::abi::UsercallError;
use crate::memory::Borrowed;
use crate::sync::lock;

/// Answers requests: those of one stream one at a time and in order, those of different streams at the same time.
pub(crate) trait Service: Send + Sync + fmt::Debug {
    /// Puts the answer to one request, at most [`MAX_FRAME`] bytes, into `answer`.
    ///
    /// # Errors
    /// Where the request is not one of this service; the stream is then broken.
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError>;
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

    /// Takes some of the bytes, up to the end of the frame that they continue, and says how many. A frame that becomes
    /// complete is answered before this returns.
    ///
    /// # Errors
    /// `WouldBlock` while an answer waits to be read; `InvalidData` after anything that is not a request.
    pub(crate) fn write(&self, bytes: &(impl Source + ?Sized)) -> Result<usize, UsercallError> {
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

    /// Offers the rest of the answer to `deliver`, which says how many of its bytes it took: as many are gone. Offers
    /// nothing where nothing waits to be read.
    pub(crate) fn read(&self, deliver: impl FnOnce(&[u8]) -> usize) -> usize {
        let mut buffers = lock(&self.buffers);
        let count = deliver(buffers.answer.rest());
        buffers.answer.skip(count);
        count
    }

    fn advance(&self, buffers: &mut Buffers, bytes: &(impl Source + ?Sized)) -> Result<usize, UsercallError> {
        let mut taken = 0;
        fill(&mut buffers.request, LENGTH, bytes, &mut taken);
        let Some(prefix) = buffers.request.first_chunk::<LENGTH>() else {
            return Ok(taken);
        };
        let length = LENGTH + decode_length(*prefix).map_err(|_| UsercallError::InvalidData)?;
        fill(&mut buffers.request, length, bytes, &mut taken);
        if buffers.request.len() == length {
            buffers.answer.begin();
            self.service.answer(&buffers.request[LENGTH..], &mut buffers.answer)?;
            buffers.answer.finish()?;
            buffers.request.clear();
        }
        Ok(taken)
    }
}

/// Where the bytes of a write come from.
pub(crate) trait Source {
    fn len(&self) -> usize;

    /// Adds a copy of these bytes to the end of `into`.
    fn append(&self, range: Range<usize>, into: &mut Vec<u8>);
}

impl Source for Borrowed<'_> {
    fn len(&self) -> usize {
        self.len()
    }

    fn append(&self, range: Range<usize>, into: &mut Vec<u8>) {
        self.append(range, into);
    }
}

/// The answer to one request. Its memory is kept for the next one.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The frame, its length included, is in front; what follows is left over.
    bytes: Vec<u8>,
    /// What is still to be read of it.
    rest: Range<usize>,
}

impl Answer {
    /// Adds bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        self.room(bytes.len()).copy_from_slice(bytes);
    }

    /// Adds this many bytes, for the caller to fill.
    pub(crate) fn room(&mut self, length: usize) -> &mut [u8] {
        let start = self.rest.end;
        self.rest.end += length;
        if self.bytes.len() < self.rest.end {
            self.bytes.resize(self.rest.end, 0);
        }
        &mut self.bytes[start..self.rest.end]
    }

    /// Takes back what was added to it so far.
    pub(crate) fn clear(&mut self) {
        self.rest.end = LENGTH;
    }

    fn begin(&mut self) {
        self.rest = 0..0;
        self.room(LENGTH);
    }

    /// Writes the frame's length where `begin` left room for it.
    fn finish(&mut self) -> Result<(), UsercallError> {
        let length = encode_length(self.rest.end - LENGTH).map_err(|_| UsercallError::InvalidData)?;
        self.bytes[..LENGTH].copy_from_slice(&length);
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.rest.clone()]
    }

    fn skip(&mut self, count: usize) {
        self.rest.start = (self.rest.start + count).min(self.rest.end);
    }

    /// What `fill` puts into an answer, as a frame's payload.
    pub(crate) fn payload(fill: impl FnOnce(&mut Self)) -> Vec<u8> {
        let mut answer = Self::default();
        answer.begin();
        fill(&mut answer);
        answer.rest()[LENGTH..].to_vec()
    }

    /// What a service answers, for tests.
    #[cfg(test)]
    pub(crate) fn of(service: &dyn Service, request: &[u8]) -> Result<Vec<u8>, UsercallError> {
        let mut result = Ok(());
        let payload = Self::payload(|answer| result = service.answer(request, answer));
        result.map(|()| payload)
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
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
        if !request.is_empty() {
            return Err(UsercallError::InvalidData);
        }
        answer.put(&self.0);
        Ok(())
    }
}

/// Makes quotes on some device. Errors are told to the enclave, and by it to whoever asked for evidence.
pub(crate) trait Quoting: Send + Sync + fmt::Debug {
    /// Answers everything but [`QuoteRequest::Platform`], which [`platform`](Self::platform) is for.
    fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String>;

    /// What the device is. The enclave claims it as the host's word.
    fn platform(&self) -> PlatformKind {
        PlatformKind::Hardware
    }
}

/// The quoting service.
#[derive(Debug)]
pub(crate) struct Quotes(pub(crate) Arc<dyn Quoting>);

impl Service for Quotes {
    fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
        let request = QuoteRequest::decode(request).map_err(|_| UsercallError::InvalidData)?;
        let answered = match request {
            QuoteRequest::Platform => Ok(QuoteResponse::Platform(self.0.platform())),
            request => self.0.answer(request),
        };
        let response = answered.unwrap_or_else(QuoteResponse::Failed).encode();
        if response.len() <= MAX_FRAME {
            answer.put(&response);
            return Ok(());
        }
        let why =
            format!("the platform's answer is {} bytes long, and the limit is {MAX_FRAME}", response.len());
        answer.put(&QuoteResponse::Failed(why).encode());
        Ok(())
    }
}

#[derive(Debug, Default)]
struct Buffers {
    /// Bytes of an incomplete request, its length included.
    request: Vec<u8>,
    answer: Answer,
    broken: bool,
}

/// Adds bytes that were not taken yet until `request` has `length` of them.
fn fill(request: &mut Vec<u8>, length: usize, bytes: &(impl Source + ?Sized), taken: &mut usize) {
    let missing = length.saturating_sub(request.len()).min(bytes.len() - *taken);
    bytes.append(*taken..*taken + missing, request);
    *taken += missing;
}

/// Bytes of a frame's length.
const LENGTH: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Echo;

    impl Service for Echo {
        fn answer(&self, request: &[u8], answer: &mut Answer) -> Result<(), UsercallError> {
            answer.put(b"to be taken back");
            answer.clear();
            answer.room(request.len()).copy_from_slice(request);
            Ok(())
        }
    }

    impl Source for [u8] {
        fn len(&self) -> usize {
            self.len()
        }

        fn append(&self, range: Range<usize>, into: &mut Vec<u8>) {
            into.extend_from_slice(&self[range]);
        }
    }

    fn read(stream: &ServiceStream, limit: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read(|rest| {
            bytes.extend_from_slice(&rest[..limit.min(rest.len())]);
            bytes.len()
        });
        bytes
    }

    #[derive(Debug)]
    struct Platform;

    impl Quoting for Platform {
        fn answer(&self, request: QuoteRequest) -> Result<QuoteResponse, String> {
            match request {
                QuoteRequest::Quote(report) => Ok(QuoteResponse::Quote(report.to_vec())),
                QuoteRequest::Collateral => Ok(QuoteResponse::Collateral(vec![0; MAX_FRAME])),
                QuoteRequest::TargetInfo => Err("no platform".into()),
                QuoteRequest::Platform => Err("not asked".into()),
            }
        }

        fn platform(&self) -> PlatformKind {
            PlatformKind::Simulated
        }
    }

    fn frame(payload: &[u8]) -> Vec<u8> {
        [&encode_length(payload.len()).unwrap(), payload].concat()
    }

    #[test]
    fn a_request_may_come_byte_by_byte_and_its_answer_leave_so() {
        let stream = ServiceStream::new(Arc::new(Echo));
        assert!(read(&stream, 10).is_empty());
        for byte in frame(b"hello") {
            assert_eq!(stream.write(&[byte][..]), Ok(1));
        }
        assert_eq!(stream.write(&b"x"[..]), Err(UsercallError::WouldBlock));
        let answer: Vec<u8> = (0..9).flat_map(|_| read(&stream, 1)).collect();
        assert_eq!(answer, frame(b"hello"));
        assert!(read(&stream, 1).is_empty());
        assert_eq!(stream.write(&*frame(b"")), Ok(4));
        assert_eq!(read(&stream, 100), frame(b""));
    }

    #[test]
    fn a_write_takes_one_request_at_most() {
        let stream = ServiceStream::new(Arc::new(Echo));
        let two = [frame(b"one"), frame(b"two")].concat();
        assert_eq!(stream.write(&two[..]), Ok(7));
        assert_eq!(read(&stream, 100), frame(b"one"));
        assert_eq!(stream.write(&two[7..]), Ok(7));
        assert_eq!(read(&stream, 100), frame(b"two"));
    }

    #[test]
    fn a_frame_that_is_too_long_breaks_the_stream() {
        let stream = ServiceStream::new(Arc::new(Echo));
        assert_eq!(stream.write(&u32::MAX.to_le_bytes()[..]), Err(UsercallError::InvalidData));
        assert_eq!(stream.write(&*frame(b"later")), Err(UsercallError::InvalidData));
        assert!(read(&stream, 10).is_empty());
    }

    #[test]
    fn the_configuration_answers_an_empty_request() {
        let stream = ServiceStream::new(Arc::new(Configuration::new(b"{}".to_vec()).unwrap()));
        assert_eq!(stream.write(&*frame(b"")), Ok(4));
        assert_eq!(read(&stream, 100), frame(b"{}"));
        assert_eq!(stream.write(&*frame(b"?")), Err(UsercallError::InvalidData));
        assert!(Configuration::new(vec![0; MAX_FRAME + 1]).is_none());
    }

    #[test]
    fn quotes_are_passed_on_and_failures_said() {
        let quotes = Quotes(Arc::new(Platform));
        let answer = |request: QuoteRequest| {
            QuoteResponse::decode(&Answer::of(&quotes, &request.encode()).unwrap()).unwrap()
        };
        assert_eq!(answer(QuoteRequest::Quote(Box::new([5; 432]))), QuoteResponse::Quote(vec![5; 432]));
        assert_eq!(answer(QuoteRequest::TargetInfo), QuoteResponse::Failed("no platform".into()));
        assert!(
            matches!(answer(QuoteRequest::Collateral), QuoteResponse::Failed(why) if why.contains("limit"))
        );
        assert_eq!(answer(QuoteRequest::Platform), QuoteResponse::Platform(PlatformKind::Simulated));
        assert_eq!(Answer::of(&quotes, &[77]), Err(UsercallError::InvalidData));
    }
}
