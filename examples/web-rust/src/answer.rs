//! Answers: a status, headers, and a body that is written like a file.

use std::io::{self, Write};

use wasip2::http::types::{Fields, OutgoingBody, OutgoingResponse, ResponseOutparam, Trailers};
use wasip2::io::streams::OutputStream;

/// Answers with a short text.
pub fn text(answer: ResponseOutparam, status: u16, text: &str) {
    let length = text.len().to_string();
    let headers = [("content-type", &b"text/plain; charset=utf-8"[..]), ("content-length", length.as_bytes())];
    let mut body = Body::begin(answer, status, &headers);
    // Where the client went away, nobody is left to tell.
    if body.write_all(text.as_bytes()).is_ok() {
        body.finish(None);
    }
}

/// The body of an answer whose head is on its way. Dropped before it is finished, it tells the client that something is missing.
pub struct Body {
    // Before `body`, which must not go while its stream is there.
    stream: OutputStream,
    body: OutgoingBody,
}

impl Body {
    /// Sends the head.
    ///
    /// # Panics
    /// A header's name or value is not valid.
    pub fn begin(answer: ResponseOutparam, status: u16, headers: &[(&str, &[u8])]) -> Self {
        let fields = Fields::new();
        for (name, value) in headers {
            fields.append(name, value).expect("names and values are valid");
        }
        let response = OutgoingResponse::new(fields);
        response.set_status_code(status).expect("the status is valid");
        let body = response.body().expect("it is taken once");
        let stream = body.write().expect("it is taken once");
        ResponseOutparam::set(answer, Ok(response));
        Self { stream, body }
    }

    /// The stream beneath, for `splice`.
    pub fn stream(&self) -> &OutputStream {
        &self.stream
    }

    /// Says that nothing is missing.
    pub fn finish(self, trailers: Option<Trailers>) {
        drop(self.stream);
        let _ = OutgoingBody::finish(self.body, trailers);
    }
}

impl Write for Body {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(&mut self.stream, bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(&mut self.stream)
    }
}
