//! What the guest saw of its request.

use crate::answers::text;
use crate::wasi::http::types::{
    Fields, HeaderError, IncomingBody, IncomingRequest, Method, ResponseOutparam, Scheme,
};
use crate::wasi::io::streams::StreamError;
use std::fmt::Write as _;

/// The head, a line for each thing.
pub(crate) fn request(request: IncomingRequest, outparam: ResponseOutparam) {
    let mut report = String::new();
    let _ = writeln!(report, "method {}", name(&request.method()));
    let _ = writeln!(report, "path {}", request.path_with_query().unwrap_or_default());
    let scheme = match request.scheme() {
        Some(Scheme::Http) => "http".to_owned(),
        Some(Scheme::Https) => "https".to_owned(),
        Some(Scheme::Other(other)) => other,
        None => "none".to_owned(),
    };
    let _ = writeln!(report, "scheme {scheme}");
    let _ = writeln!(report, "authority {}", request.authority().unwrap_or_default());
    for (name, value) in request.headers().entries() {
        let _ = writeln!(report, "header {name}: {}", String::from_utf8_lossy(&value));
    }
    text(outparam, 200, &report);
}

/// Whether what the guest got keeps to the standard: a line for each rule that is broken.
pub(crate) fn rules(request: IncomingRequest, outparam: ResponseOutparam) {
    let mut broken = String::new();
    let mut rule = |name: &str, holds: bool| {
        if !holds {
            let _ = writeln!(broken, "{name}");
        }
    };
    let headers = request.headers();
    rule("headers.append is refused", is_immutable(headers.append("x-new", b"x")));
    rule("headers.set is refused", is_immutable(headers.set("x-one", &[])));
    rule("headers.delete is refused", is_immutable(headers.delete("x-one")));
    rule("headers.get is of any case", headers.get("X-ONE") == [b"1"] && headers.get("x-one") == [b"1"]);
    rule("headers.get has all values in order", values(&headers, "x-many") == "b,a");
    rule("headers.has", headers.has("X-One") && !headers.has("x-other") && !headers.has("no name"));
    for name in ["connection", "host", "keep-alive", "transfer-encoding", "upgrade"] {
        rule(&format!("{name} is not shown"), !headers.has(name));
    }
    let clone = headers.clone();
    rule(
        "a clone is mutable",
        clone.append("x-new", b"x").is_ok() && clone.has("x-new") && !headers.has("x-new"),
    );
    drop((clone, headers));

    let body = request.consume();
    rule("the body is given once", body.is_ok() && request.consume().is_err());
    if let Ok(body) = body {
        let stream = body.stream();
        rule("the stream is given once", stream.is_ok() && body.stream().is_err());
        if let Ok(stream) = stream {
            rule("reading nothing gives nothing", stream.read(0).is_ok_and(|bytes| bytes.is_empty()));
            while stream.blocking_read(1_000).is_ok() {}
            rule("the end is told again", matches!(stream.blocking_read(1), Err(StreamError::Closed)));
        }
        let future = IncomingBody::finish(body);
        future.subscribe().block();
        rule("there are no trailers", matches!(future.get(), Some(Ok(Ok(None)))));
        rule("trailers are given once", matches!(future.get(), Some(Err(()))));
    }
    text(outparam, 200, &broken);
}

fn is_immutable(result: Result<(), HeaderError>) -> bool {
    matches!(result, Err(HeaderError::Immutable))
}

/// All values, however the protocol has put them together.
fn values(headers: &Fields, name: &str) -> String {
    let values = headers.get(name);
    let values: Vec<_> = values.iter().map(|value| String::from_utf8_lossy(value).replace(' ', "")).collect();
    values.join(",")
}

/// How many bytes the body has, or how it ended before its end.
pub(crate) fn count(request: IncomingRequest, outparam: ResponseOutparam) {
    let body = request.consume().expect("it is the first time");
    let stream = body.stream().expect("it is the first time");
    let mut count = 0;
    loop {
        match stream.blocking_read(64 << 10) {
            Ok(bytes) => count += bytes.len(),
            Err(StreamError::Closed) => return text(outparam, 200, &count.to_string()),
            Err(StreamError::LastOperationFailed(_)) => {
                return text(outparam, 400, &format!("broken at {count}"));
            }
        }
    }
}

/// The first so many bytes of a body, of which the rest is not read.
pub(crate) fn first(request: IncomingRequest, outparam: ResponseOutparam, count: usize) {
    let body = request.consume().expect("it is the first time");
    let stream = body.stream().expect("it is the first time");
    let mut bytes = Vec::new();
    while bytes.len() < count {
        match stream.blocking_read((count - bytes.len()) as u64) {
            Ok(more) => bytes.extend(more),
            Err(_) => break,
        }
    }
    drop(stream);
    text(outparam, 200, &String::from_utf8_lossy(&bytes));
}

/// The trailers of the request, of which the body is not read.
pub(crate) fn trailers(request: IncomingRequest, outparam: ResponseOutparam) {
    let future = IncomingBody::finish(request.consume().expect("it is the first time"));
    future.subscribe().block();
    let report = match future.get() {
        Some(Ok(Ok(Some(trailers)))) => {
            let is_fixed = is_immutable(trailers.append("x-new", b"x"));
            let entries: Vec<_> = trailers
                .entries()
                .into_iter()
                .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(&value)))
                .collect();
            format!("{} immutable={is_fixed}", entries.join(", "))
        }
        Some(Ok(Ok(None))) => "none".to_owned(),
        Some(Ok(Err(error))) => format!("{error:?}"),
        Some(Err(())) | None => "not there".to_owned(),
    };
    text(outparam, 200, &report);
}

fn name(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}
