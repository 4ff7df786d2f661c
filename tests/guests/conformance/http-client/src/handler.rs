//! Requests as they arrive.

use crate::exchange::{
    body_of_request, failed, finish, get, headers, is_https, pattern, post, read, read_text,
    read_with_trailers, request, send, set, stream_of, variable, wait, write_body,
};
use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{ErrorCode, Method, OutgoingRequest, RequestOptions, Scheme};
use crate::wasi::io::poll::poll;
use conformance_suite::{Cases, Failure, Outcome, functions, holds, same};

pub(crate) fn cases(mut cases: Cases) -> Cases {
    if variable("HTTP_AUTHORITY").is_none() {
        return cases;
    }
    for name in METHODS {
        cases.add("outgoing-handler.method", name, move || arrives_as(name));
    }
    for (what, path) in PATHS {
        cases.add("outgoing-handler.path", what, move || {
            let text = read_text(get(path)?)?;
            same(text.lines().next(), Some(&*format!("GET {path}")))
        });
    }
    cases
        .with(
            "outgoing-handler",
            functions![
                no_path_is_the_root,
                a_query_without_a_path,
                headers_arrive,
                headers_of_one_name_arrive_in_order,
                the_host_is_the_authority,
                options_without_timeouts,
                no_scheme_is_https,
                no_authority,
                another_scheme,
                a_length_without_a_body,
                a_length_of_zero_without_a_body,
                several_one_after_the_other,
                several_at_once,
                many_at_once,
                many_one_after_the_other,
            ],
        )
        .with(
            "request-body",
            functions![
                none,
                an_empty_one,
                a_small_one,
                one_of_a_declared_length,
                one_written_before_it_is_sent,
                one_written_in_pieces,
                one_of_a_declared_length_in_pieces,
                a_large_one,
                a_large_one_of_a_declared_length,
                a_large_one_both_ways_at_once,
                with_trailers,
                of_a_get,
                of_a_delete,
                that_is_not_finished,
                that_is_too_short,
                that_is_too_long,
                that_the_server_does_not_read,
            ],
        )
}

const METHODS: [&str; 9] = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "PURGE", "M-SEARCH"];

fn arrives_as(name: &str) -> Outcome {
    let method = match name {
        "GET" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
    };
    let response = send(request(method, "/request", &[])?)??;
    same(response.status(), 200)?;
    same(read_text(response)?.lines().next(), Some(&*format!("{name} /request")))
}

const PATHS: [(&str, &str); 6] = [
    ("alone", "/request"),
    ("with-a-query", "/request?a=b&c=d"),
    ("with-an-empty-query", "/request?"),
    ("percent-encoded", "/request/%2F%20%C3%A4?%26"),
    ("with-dots", "/request/a/../b/./c"),
    ("with-all-that-needs-no-encoding", "/request/-._~!$&'()*+,;=:@"),
];

fn request_without_path() -> Outcome<OutgoingRequest> {
    let request = request(Method::Get, "/", &[])?;
    set(request.set_path_with_query(None))?;
    Ok(request)
}

fn no_path_is_the_root() -> Outcome {
    let response = send(request_without_path()?)??;
    same(read_text(response)?.lines().next(), Some("GET /"))
}

fn a_query_without_a_path() -> Outcome {
    let request = request_without_path()?;
    set(request.set_path_with_query(Some("?query")))?;
    same(read_text(send(request)??)?.lines().next(), Some("GET /?query"))
}

/// The lines that the server has of headers with this name.
fn lines_of(text: &str, name: &str) -> Vec<String> {
    let prefix = format!("{name}: ");
    text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
}

fn headers_arrive() -> Outcome {
    let fields = [("X-One", "1"), ("x-empty", ""), ("authorization", "Bearer abc"), ("cookie", "a=b; c=d")];
    let text = read_text(send(request(Method::Get, "/request", &fields)?)??)?;
    same(lines_of(&text, "x-one"), ["1"])?;
    same(lines_of(&text, "x-empty"), [""])?;
    same(lines_of(&text, "authorization"), ["Bearer abc"])?;
    same(lines_of(&text, "cookie"), ["a=b; c=d"])
}

fn headers_of_one_name_arrive_in_order() -> Outcome {
    let fields = [("x-many", "b"), ("x-many", "a"), ("X-Many", "c")];
    let text = read_text(send(request(Method::Get, "/request", &fields)?)??)?;
    same(lines_of(&text, "x-many").join(",").replace(' ', ""), "b,a,c")
}

fn the_host_is_the_authority() -> Outcome {
    let text = read_text(get("/request")?)?;
    same(lines_of(&text, "host"), [variable("HTTP_AUTHORITY").unwrap_or_default()])
}

fn options_without_timeouts() -> Outcome {
    let future = handle(request(Method::Get, "/request", &[])?, Some(RequestOptions::new()))?;
    same(wait(&future)??.status(), 200)
}

fn no_scheme_is_https() -> Outcome {
    let request = request(Method::Get, "/request", &[])?;
    set(request.set_scheme(None))?;
    match send(request)? {
        Ok(response) => same((is_https(), response.status()), (true, 200)),
        // TLS with a server that speaks none.
        Err(_) => holds("the server is a plain one", !is_https()),
    }
}

fn no_authority() -> Outcome {
    let request = request(Method::Get, "/request", &[])?;
    set(request.set_authority(None))?;
    failed(send(request)?, |error| {
        matches!(
            error,
            ErrorCode::HttpRequestUriInvalid | ErrorCode::HttpProtocolError | ErrorCode::InternalError(_)
        )
    })
}

fn another_scheme() -> Outcome {
    let request = request(Method::Get, "/request", &[])?;
    set(request.set_scheme(Some(&Scheme::Other("gopher".to_owned()))))?;
    failed(send(request)?, |error| {
        matches!(error, ErrorCode::HttpProtocolError | ErrorCode::HttpRequestUriInvalid)
    })
}

fn a_length_without_a_body() -> Outcome {
    let request = request(Method::Post, "/count", &[("content-length", "5")])?;
    failed(send(request)?, |error| matches!(error, ErrorCode::HttpRequestBodySize(Some(0))))
}

fn a_length_of_zero_without_a_body() -> Outcome {
    same(read_text(send(request(Method::Post, "/count", &[("content-length", "0")])?)??)?, "0")
}

fn several_one_after_the_other() -> Outcome {
    for number in 0..5 {
        let text = read_text(get(&format!("/request?{number}"))?)?;
        same(text.lines().next(), Some(&*format!("GET /request?{number}")))?;
    }
    Ok(())
}

fn several_at_once() -> Outcome {
    let slow = handle(request(Method::Get, "/slow-head/3000", &[])?, None)?;
    let quick = handle(request(Method::Get, "/request", &[])?, None)?;
    same(poll(&[&slow.subscribe(), &quick.subscribe()]), [1])?;
    same(wait(&quick)??.status(), 200)?;
    same(wait(&slow)??.status(), 200)
}

fn many_at_once() -> Outcome {
    let mut futures = Vec::new();
    for number in 0..12 {
        futures.push(handle(request(Method::Get, &format!("/request?{number}"), &[])?, None)?);
    }
    for (number, future) in futures.iter().enumerate().rev() {
        let text = read_text(wait(future)??)?;
        same(text.lines().next(), Some(&*format!("GET /request?{number}")))?;
    }
    Ok(())
}

fn many_one_after_the_other() -> Outcome {
    for _ in 0..100 {
        same(get("/status/204")?.status(), 204)?;
    }
    Ok(())
}

fn none() -> Outcome {
    same(read_text(send(request(Method::Post, "/count", &[])?)??)?, "0")
}

fn an_empty_one() -> Outcome {
    same(read_text(post("/count", &[], b"")?)?, "0")
}

fn a_small_one() -> Outcome {
    same(read_text(post("/echo", &[], b"hello")?)?, "hello")
}

fn one_of_a_declared_length() -> Outcome {
    same(read_text(post("/echo", &[("content-length", "5")], b"hello")?)?, "hello")
}

fn one_written_before_it_is_sent() -> Outcome {
    let request = request(Method::Post, "/echo", &[])?;
    write_body(body_of_request(&request)?, b"early")?;
    same(read_text(send(request)??)?, "early")
}

fn one_written_in_pieces() -> Outcome {
    arrives_in_pieces(request(Method::Post, "/echo", &[])?)
}

fn one_of_a_declared_length_in_pieces() -> Outcome {
    arrives_in_pieces(request(Method::Post, "/echo", &[("content-length", "13")])?)
}

fn arrives_in_pieces(request: OutgoingRequest) -> Outcome {
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    for piece in [&b"one "[..], b"two ", b"three"] {
        stream.blocking_write_and_flush(piece)?;
    }
    drop(stream);
    finish(body, None)?;
    same(read_text(wait(&future)??)?, "one two three")
}

fn a_large_one() -> Outcome {
    same(read_text(post("/count", &[], &pattern(LARGE))?)?, LARGE.to_string())
}

fn a_large_one_of_a_declared_length() -> Outcome {
    let length = LARGE.to_string();
    same(read_text(post("/count", &[("content-length", &length)], &pattern(LARGE))?)?, length)
}

/// The server sends back what comes, so that nothing goes on unless both sides are served.
fn a_large_one_both_ways_at_once() -> Outcome {
    let request = request(Method::Post, "/echo", &[])?;
    let outgoing = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(output) = outgoing.write() else { return Err(Failure::new("there is no stream")) };
    let data = pattern(LARGE);
    let (head, rest) = data.split_at(4_096);
    output.blocking_write_and_flush(head)?;
    let response = wait(&future)??;
    let incoming = crate::exchange::body_of(&response)?;
    let input = stream_of(&incoming)?;
    let (mut rest, mut received) = (rest, Vec::new());
    while received.len() < data.len() && !rest.is_empty() {
        let ready = poll(&[&input.subscribe(), &output.subscribe()]);
        if ready.contains(&0) {
            received.extend(input.read(64 << 10)?);
        }
        if ready.contains(&1) {
            let permit = (output.check_write()? as usize).min(rest.len());
            output.write(&rest[..permit])?;
            rest = &rest[permit..];
        }
    }
    drop(output);
    finish(outgoing, None)?;
    while received.len() < data.len() {
        received.extend(input.blocking_read(64 << 10)?);
    }
    drop(input);
    holds("it is what was sent", received == data)
}

/// HTTP/1.1 carries them where `trailer` and `te` announce them.
fn with_trailers() -> Outcome {
    let request = request(Method::Post, "/echo", &[("trailer", "x-sum"), ("te", "trailers")])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    stream.blocking_write_and_flush(b"hello")?;
    drop(stream);
    finish(body, Some(headers(&[("x-sum", "42")])?))?;
    let (bytes, trailers) = read_with_trailers(wait(&future)??)?;
    same(bytes, b"hello")?;
    same(trailers, Some(vec![("x-sum".to_owned(), b"42".to_vec())]))
}

fn of_a_get() -> Outcome {
    let request = request(Method::Get, "/echo", &[("content-length", "7")])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    write_body(body, b"unusual")?;
    same(read_text(wait(&future)??)?, "unusual")
}

fn of_a_delete() -> Outcome {
    let request = request(Method::Delete, "/echo", &[("content-length", "4")])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    write_body(body, b"gone")?;
    same(read_text(wait(&future)??)?, "gone")
}

/// "The implementation should treat the body as incomplete, and that an error has occurred."
fn that_is_not_finished() -> Outcome {
    let request = request(Method::Post, "/count", &[])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    stream.blocking_write_and_flush(b"half of it")?;
    drop(stream);
    drop(body);
    match wait(&future)? {
        Err(_) => Ok(()),
        Ok(response) => holds("the server takes it for no whole one", response.status() >= 400),
    }
}

fn that_is_too_short() -> Outcome {
    let request = request(Method::Post, "/count", &[("content-length", "10")])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    stream.blocking_write_and_flush(b"short")?;
    drop(stream);
    failed(finish(body, None), |error| matches!(error, ErrorCode::HttpRequestBodySize(Some(5))))?;
    match wait(&future)? {
        Err(_) => Ok(()),
        Ok(response) => holds("the server takes it for no whole one", response.status() >= 400),
    }
}

fn that_is_too_long() -> Outcome {
    let request = request(Method::Post, "/count", &[("content-length", "2")])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    let written = stream.blocking_write_and_flush(b"too long");
    drop(stream);
    let finished = finish(body, None);
    holds("the guest is told", written.is_err() || finished.is_err())?;
    match wait(&future)? {
        Err(_) => Ok(()),
        Ok(response) => holds("the server has no more than declared", read(response)?.len() <= 2),
    }
}

/// A server may answer before it has the request.
fn that_the_server_does_not_read() -> Outcome {
    let request = request(Method::Post, "/early", &[])?;
    let body = body_of_request(&request)?;
    let future = handle(request, None)?;
    let Ok(stream) = body.write() else { return Err(Failure::new("there is no stream")) };
    stream.check_write()?;
    stream.write(b"some")?;
    let response = wait(&future)??;
    same(response.status(), 200)?;
    drop(stream);
    let _whatever_became_of_it = finish(body, None);
    same(read_text(response)?, "early")
}

/// Bytes: many times what is buffered anywhere.
const LARGE: usize = 4 << 20;
