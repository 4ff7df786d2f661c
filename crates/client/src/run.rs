use crate::transport::{Body, BodyError, Transport, full};
use crate::{ClientError, ascii};
use bytes::{Buf, Bytes, BytesMut};
use cloister_api::{
    API_PATH, AppName, EXPECTED_CODE_HEADER, MAX_RUN_FRAME, MAX_RUN_REQUEST, Problem, RUN, RUN_FRAME_HEAD,
    RUN_HEADER, RunEnd, RunRequest, RunTag,
};
use cloister_channel_body::{Channel, Sender};
use http::header::CONTENT_TYPE;
use http::{Method, Request};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use std::sync::{Mutex, PoisonError};

/// The standard input of a command.
#[derive(Debug)]
pub struct Stdin(Body);

impl Stdin {
    /// Nothing: the command reads the end at once.
    pub fn empty() -> Self {
        Self(full(Bytes::new()))
    }

    /// Bytes that are given while the command runs. It reads the end when the sender is dropped.
    pub fn channel() -> (StdinSender, Self) {
        let (sender, body) = Channel::<Bytes, BodyError>::new(1);
        (StdinSender(sender), Self(body.boxed_unsync()))
    }
}

impl From<Bytes> for Stdin {
    fn from(bytes: Bytes) -> Self {
        Self(full(bytes))
    }
}

/// The other end of a [`Stdin`].
#[derive(Debug)]
pub struct StdinSender(Sender<Bytes, BodyError>);

impl StdinSender {
    /// Hands over the next bytes, and waits while the command does not read. False: the command reads no more.
    pub async fn send(&mut self, bytes: Bytes) -> bool {
        self.0.send_data(bytes).await.is_ok()
    }
}

/// A command that runs. Dropping it tells the enclave that nobody waits any more.
#[derive(Debug)]
pub struct Run<'a> {
    app: AppName,
    expected: Option<String>,
    body: Incoming,
    decoder: Decoder,
    latest_epoch: &'a Mutex<Option<u64>>,
}

/// What a command wrote, or that it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutput {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The last.
    Ended(RunEnd),
}

impl<'a> Run<'a> {
    /// `expected` is the only code that may run, hex; `latest_epoch` the highest that its session saw.
    pub(crate) async fn begin(
        transport: &Transport,
        app: &AppName,
        request: &RunRequest,
        stdin: Stdin,
        expected: Option<String>,
        latest_epoch: &'a Mutex<Option<u64>>,
    ) -> Result<Self, ClientError> {
        let mut head = Request::builder()
            .method(Method::POST)
            .uri(format!("{API_PATH}/apps/{app}/run"))
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(RUN_HEADER, ascii::json(request, "arguments", MAX_RUN_REQUEST)?);
        if let Some(expected) = &expected {
            head = head.header(EXPECTED_CODE_HEADER, expected);
        }
        let request =
            head.body(stdin.0).map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;
        let response = transport.send(request).await?;
        if !response.status().is_success() {
            return Err(transport.problem(response).await);
        }
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if media_type != Some(RUN) {
            return Err(unexpected("the answer is not that of a run"));
        }
        let (body, decoder) = (response.into_body(), Decoder::default());
        Ok(Self { app: app.clone(), expected, body, decoder, latest_epoch })
    }

    /// What comes next, however long it takes. Not to be asked again after [`RunOutput::Ended`].
    ///
    /// # Errors
    /// [`ClientError::Problem`] where the command ended otherwise than by itself; [`ClientError::CodeHash`] where other
    /// code ran than the policy expects.
    pub async fn next(&mut self) -> Result<RunOutput, ClientError> {
        loop {
            if let Some((tag, contents)) = self.decoder.next()? {
                match tag {
                    RunTag::Stdout => return Ok(RunOutput::Stdout(contents)),
                    RunTag::Stderr => return Ok(RunOutput::Stderr(contents)),
                    RunTag::Problem => {
                        return Err(ClientError::Problem(Box::new(json::<Problem>(&contents)?)));
                    }
                    RunTag::End => return self.ended(json(&contents)?),
                }
            }
            match Transport::next_patiently(&mut self.body).await? {
                Some(piece) => self.decoder.push(&piece),
                None => {
                    let what = format!("{} was cut off before it ended", self.app);
                    return Err(ClientError::ConnectionLost(what));
                }
            }
        }
    }

    fn ended(&self, end: RunEnd) -> Result<RunOutput, ClientError> {
        if let Some(epoch) = end.epoch {
            let mut latest = self.latest_epoch.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = (*latest).max(Some(epoch));
        }
        match &self.expected {
            Some(expected) if *expected != end.code_hash => Err(ClientError::CodeHash {
                app: self.app.to_string(),
                expected: expected.clone(),
                answered: end.code_hash,
            }),
            _ => Ok(RunOutput::Ended(end)),
        }
    }
}

/// Cuts the stream of a run into its frames; holds at most one of them and one piece.
#[derive(Debug, Default)]
struct Decoder {
    buffer: BytesMut,
}

impl Decoder {
    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// A whole frame, where one is there.
    fn next(&mut self) -> Result<Option<(RunTag, Bytes)>, ClientError> {
        let Some(&[tag, a, b, c, d]) = self.buffer.first_chunk::<RUN_FRAME_HEAD>() else { return Ok(None) };
        let tag = RunTag::from_byte(tag).ok_or_else(|| unexpected("a run has a frame of no known kind"))?;
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        if length > MAX_RUN_FRAME {
            return Err(ClientError::ResponseTooLarge { limit: MAX_RUN_FRAME });
        }
        if self.buffer.len() < RUN_FRAME_HEAD + length {
            return Ok(None);
        }
        self.buffer.advance(RUN_FRAME_HEAD);
        Ok(Some((tag, self.buffer.split_to(length).freeze())))
    }
}

fn json<T: DeserializeOwned>(contents: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(contents).map_err(|error| unexpected(&format!("the end of a run: {error}")))
}

fn unexpected(what: &str) -> ClientError {
    ClientError::UnexpectedResponse(what.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_across_pieces() {
        let stream =
            [&RunTag::Stdout.head(3)[..], b"abc", &RunTag::Stderr.head(0), &RunTag::End.head(2), b"{}"]
                .concat();
        for step in 1..=stream.len() {
            let (mut decoder, mut found) = (Decoder::default(), Vec::new());
            for piece in stream.chunks(step) {
                decoder.push(piece);
                while let Some(frame) = decoder.next().unwrap() {
                    found.push(frame);
                }
            }
            let expected = [
                (RunTag::Stdout, Bytes::from_static(b"abc")),
                (RunTag::Stderr, Bytes::new()),
                (RunTag::End, Bytes::from_static(b"{}")),
            ];
            assert_eq!(found, expected, "{step}");
        }
    }

    #[test]
    fn bad_frames_are_errors() {
        let mut decoder = Decoder::default();
        decoder.push(&[9, 0, 0, 0, 0]);
        assert!(matches!(decoder.next(), Err(ClientError::UnexpectedResponse(_))));
        let mut decoder = Decoder::default();
        decoder.push(&RunTag::Stdout.head(MAX_RUN_FRAME as u32 + 1));
        assert!(matches!(decoder.next(), Err(ClientError::ResponseTooLarge { .. })));
    }
}
