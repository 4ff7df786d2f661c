//! What servers that speak HTTP answer.

use super::{Page, Received, Site};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderValue, LOCATION};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub(super) async fn serve_http1(stream: TlsStream<TcpStream>, session: u64, site: Arc<Site>) {
    let server_name = stream.get_ref().1.server_name().map(str::to_owned);
    let service = service_fn(move |request| answer(request, session, server_name.clone(), Arc::clone(&site)));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.max_headers(1_000);
    // A client that goes is a result of its own.
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

pub(super) async fn serve_http2(stream: TlsStream<TcpStream>, session: u64, site: Arc<Site>) {
    let server_name = stream.get_ref().1.server_name().map(str::to_owned);
    let service = service_fn(move |request| answer(request, session, server_name.clone(), Arc::clone(&site)));
    let mut http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    http.max_header_list_size(1 << 20);
    let _ended = http.serve_connection(TokioIo::new(stream), service).await;
}

/// The server's own page, or what the path names:
///
/// | path | answer |
/// |---|---|
/// | `/status/CODE` | this status, without a body |
/// | `/bytes/COUNT` | so many zeros |
/// | `/headers/COUNT/LENGTH` | so many header fields of this length |
/// | `/redirect/CODE?URL` | this status, and `location: URL` |
/// | `/chain/COUNT` | a redirect to the path with one less, until 0 |
/// | `/loop` | a redirect to itself |
/// | any other | the body that came |
///
/// The method that came is in `x-method`.
async fn answer(
    request: Request<Incoming>,
    session: u64,
    server_name: Option<String>,
    site: Arc<Site>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authority = match head.uri.authority() {
        Some(authority) => authority.to_string(),
        None => head.headers.get(HOST).map(text).unwrap_or_default(),
    };
    // A body that breaks off is as long as it came.
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
    site.receive(Received {
        session,
        method: head.method.to_string(),
        target: head.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        authority,
        headers,
        body: body.to_vec(),
        server_name,
    });
    let mut response = match site.pages.get(head.uri.path()) {
        Some(page) => of_page(page),
        None => named(head.uri.path(), head.uri.query(), body),
    };
    if head.method == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    let method = HeaderValue::from_str(head.method.as_str()).expect("methods are tokens");
    response.headers_mut().insert("x-method", method);
    Ok(response)
}

fn of_page(page: &Page) -> Response<Full<Bytes>> {
    let mut response = Response::new(page.body.clone().into());
    for (name, value) in &page.headers {
        let value = HeaderValue::from_str(value).expect("a page's header can be sent");
        response.headers_mut().insert(*name, value);
    }
    response
}

fn named(path: &str, query: Option<&str>, body: Bytes) -> Response<Full<Bytes>> {
    let mut parts = path.trim_start_matches('/').split('/');
    let name = parts.next().unwrap_or_default();
    let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok()).unwrap_or(0);
    match name {
        "status" => with_status(number()),
        "bytes" => Response::new(vec![0; number().min(MOST_BYTES)].into()),
        "headers" => with_headers(number(), number()),
        "redirect" => redirect(number(), query.unwrap_or_default()),
        "chain" => match number() {
            0 => Response::new("the end".into()),
            count => redirect(302, &format!("/chain/{}", count - 1)),
        },
        "loop" => redirect(302, "/loop"),
        _ => Response::new(body.into()),
    }
}

fn with_status(code: usize) -> Response<Full<Bytes>> {
    let code = u16::try_from(code).ok().and_then(|code| StatusCode::from_u16(code).ok());
    let mut response = Response::new(Full::default());
    *response.status_mut() = code.unwrap_or(StatusCode::BAD_REQUEST);
    response
}

fn with_headers(count: usize, length: usize) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("with headers"));
    let value = HeaderValue::from_bytes(&vec![b'x'; length]).expect("they are letters");
    for _ in 0..count {
        response.headers_mut().append("x-filler", value.clone());
    }
    response
}

fn redirect(code: usize, location: &str) -> Response<Full<Bytes>> {
    let mut response = with_status(code);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    *response.body_mut() = Full::from("elsewhere");
    response
}

const MOST_BYTES: usize = 64 << 20;
