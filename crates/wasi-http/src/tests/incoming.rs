//! A guest's handler behind a server: requests in, responses out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use wasmtime::component::Resource;

use super::call::{Call, again};
use super::server::{drain, frames, listen};
use crate::bindings::wasi::http::types::{
    ErrorCode, HostIncomingRequest, HostOutgoingResponse, HostResponseOutparam, Method, Scheme,
};
use crate::{GuestBody, IncomingRequest, ResponseOutparam};

#[tokio::test]
async fn a_guest_sees_a_request_without_what_is_about_the_connection() {
    let mut call = Call::offline();
    let request = Request::builder()
        .method("QUERY")
        .uri("/a/b?c=d")
        .header("host", "app.example")
        .header("connection", "keep-alive")
        .header("x-own", "1")
        .body(Full::new(Bytes::from_static(b"hello")))
        .unwrap();
    let authority = "app.example:8443".to_owned();
    let request = crate::push_incoming_request(call.view(), request, Scheme::Https, authority).unwrap();
    let mut view = call.view();
    let it = || again(&request);
    let method = HostIncomingRequest::method(&mut view, it()).await.unwrap();
    assert!(matches!(method, Method::Other(name) if name == "QUERY"));
    let path = HostIncomingRequest::path_with_query(&mut view, it()).await.unwrap();
    assert_eq!(path.as_deref(), Some("/a/b?c=d"));
    assert!(matches!(HostIncomingRequest::scheme(&mut view, it()).await.unwrap(), Some(Scheme::Https)));
    let authority = HostIncomingRequest::authority(&mut view, it()).await.unwrap();
    assert_eq!(authority.as_deref(), Some("app.example:8443"));
    let headers = HostIncomingRequest::headers(&mut view, it()).await.unwrap();
    assert_eq!(call.entries(headers).await, [("x-own".to_owned(), "1".to_owned())]);
    let body = HostIncomingRequest::consume(&mut call.view(), it()).await.unwrap().unwrap();
    assert_eq!(call.read_body(body).await.unwrap(), (b"hello".to_vec(), None));
    HostIncomingRequest::drop(&mut call.view(), request).await.unwrap();
    assert!(call.table.is_empty());
}

#[tokio::test]
async fn a_request_that_breaks_off_is_told_twice() {
    let mut call = Call::offline();
    let mut pieces = vec![Err("gone".into()), Ok(hyper::body::Frame::data(Bytes::from_static(b"ab")))];
    let request = Request::new(frames(move || pieces.pop()));
    let request = crate::push_incoming_request(call.view(), request, Scheme::Http, "a".to_owned()).unwrap();
    let body = HostIncomingRequest::consume(&mut call.view(), request).await.unwrap().unwrap();
    let stream = call.stream_of(&body).await;
    let read = call.table.get_mut(&stream).unwrap();
    assert_eq!(read.blocking_read(10).await.unwrap(), "ab");
    let error = read.blocking_read(10).await.unwrap_err();
    assert!(matches!(error, wasmtime_wasi_io::streams::StreamError::LastOperationFailed(_)));
    assert!(matches!(read.read(10).unwrap_err(), wasmtime_wasi_io::streams::StreamError::Closed));
    call.table.delete(stream).unwrap();
    assert!(matches!(call.trailers_of(body).await, Err(ErrorCode::HttpProtocolError)));
}

/// Serves HTTP/1.1, each request by `guest`.
async fn serve_guest<F, R>(guest: F) -> SocketAddr
where
    F: Fn(Call, Resource<IncomingRequest>, Resource<ResponseOutparam>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    listen(move |stream| {
        let guest = guest.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let mut call = Call::offline();
            let (answer, answered) = oneshot::channel();
            let scheme = Scheme::Https;
            let request = crate::push_incoming_request(call.view(), request, scheme, "a".to_owned()).unwrap();
            let outparam = crate::push_response_outparam(call.view(), answer).unwrap();
            tokio::spawn(guest(call, request, outparam));
            async move {
                Ok::<_, Infallible>(match answered.await {
                    Ok(Ok(response)) => response,
                    Ok(Err(_)) => plain(StatusCode::BAD_GATEWAY),
                    Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR),
                })
            }
        });
        async move {
            let connection = hyper::server::conn::http1::Builder::new();
            let _ = connection.serve_connection(TokioIo::new(stream), service).await;
        }
    })
    .await
}

fn plain(status: StatusCode) -> Response<GuestBody> {
    let mut response = Response::new(GuestBody::empty());
    *response.status_mut() = status;
    response
}

async fn post<B>(server: SocketAddr, body: B) -> hyper::Result<Response<Incoming>>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<super::server::BoxError>,
{
    let stream = TokioIo::new(TcpStream::connect(server).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::post("/").header("host", "a").header("te", "trailers").body(body).unwrap();
    sender.send_request(request).await
}

/// Answers with what it is sent, piece by piece, as a guest in a loop does.
async fn echo(mut call: Call, request: Resource<IncomingRequest>, outparam: Resource<ResponseOutparam>) {
    let taken = HostIncomingRequest::consume(&mut call.view(), again(&request)).await.unwrap().unwrap();
    let headers = call.fields(&[("trailer", "sum")]).await;
    let response = HostOutgoingResponse::new(&mut call.view(), headers).await.unwrap();
    let given = HostOutgoingResponse::body(&mut call.view(), again(&response)).await.unwrap().unwrap();
    HostResponseOutparam::set(&mut call.view(), outparam, Ok(response)).await.unwrap();
    let from = call.stream_of(&taken).await;
    let to = call.stream_to(&given).await;
    while let Ok(bytes) = call.table.get_mut(&from).unwrap().blocking_read(64 << 10).await {
        call.write(&to, bytes).await.unwrap();
    }
    call.table.delete(from).unwrap();
    call.table.delete(to).unwrap();
    call.finish(given, Some(&[("sum", "ok")])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_echoes_streams_both_ways() {
    const LENGTH: u64 = 64 << 20;
    let server = serve_guest(echo).await;
    let (mut left, piece) = (LENGTH, Bytes::from(vec![7; 64 << 10]));
    let body = frames(move || {
        left = left.checked_sub(piece.len() as u64)?;
        Some(Ok(hyper::body::Frame::data(piece.clone())))
    });
    let response = post(server, body).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(drain(response.into_body()).await, LENGTH);

    let response = post(server, Full::new(Bytes::from_static(b"small"))).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["sum"], "ok");
    assert_eq!(collected.to_bytes(), "small");
}

#[tokio::test]
async fn a_guest_that_does_not_read_holds_its_client_up() {
    let server = serve_guest(|call, request, outparam| async move {
        let _held = (call, request, outparam);
        std::future::pending().await
    });
    let server = server.await;
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let body = frames(move || {
        count.fetch_add(1 << 20, std::sync::atomic::Ordering::Relaxed);
        Some(Ok(hyper::body::Frame::data(Bytes::from(vec![1; 1 << 20]))))
    });
    let waited = tokio::time::timeout(Duration::from_secs(1), post(server, body)).await;
    assert!(waited.is_err());
    let asked = asked.load(std::sync::atomic::Ordering::Relaxed);
    assert!(asked < 32 << 20, "{asked} bytes");
}

#[tokio::test]
async fn a_guest_that_fails_breaks_the_response_off() {
    let server = serve_guest(|mut call, _request, outparam| async move {
        let headers = call.fields(&[]).await;
        let response = HostOutgoingResponse::new(&mut call.view(), headers).await.unwrap();
        let body = HostOutgoingResponse::body(&mut call.view(), again(&response)).await.unwrap().unwrap();
        HostResponseOutparam::set(&mut call.view(), outparam, Ok(response)).await.unwrap();
        let stream = call.stream_to(&body).await;
        call.write(&stream, Bytes::from_static(b"half")).await.unwrap();
        // Until the head is sent. Then its call ends, and with it the table.
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    let response = post(server.await, Full::new(Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(response.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_guest_that_sets_nothing_or_an_error() {
    let server = serve_guest(|call, _, _| async move { drop(call) }).await;
    let response = post(server, Full::new(Bytes::new())).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let server = serve_guest(|mut call, _, outparam| async move {
        let error = Err(ErrorCode::DestinationNotFound);
        HostResponseOutparam::set(&mut call.view(), outparam, error).await.unwrap();
    });
    let response = post(server.await, Full::new(Bytes::new())).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
}

#[tokio::test]
async fn a_response_without_a_body_is_empty_and_complete() {
    let server = serve_guest(|mut call, _, outparam| async move {
        let headers = call.fields(&[("x-own", "1")]).await;
        let response = HostOutgoingResponse::new(&mut call.view(), headers).await.unwrap();
        HostOutgoingResponse::set_status_code(&mut call.view(), again(&response), 404)
            .await
            .unwrap()
            .unwrap();
        HostResponseOutparam::set(&mut call.view(), outparam, Ok(response)).await.unwrap();
    });
    let response = post(server.await, Full::new(Bytes::new())).await.unwrap();
    assert_eq!(response.status(), 404);
    assert_eq!(response.headers()["content-length"], "0");
    assert_eq!(response.headers()["x-own"], "1");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn nobody_waits_for_the_response_any_more() {
    let mut call = Call::offline();
    let (answer, answered) = oneshot::channel();
    drop(answered);
    let outparam = crate::push_response_outparam(call.view(), answer).unwrap();
    let headers = call.fields(&[]).await;
    let response = HostOutgoingResponse::new(&mut call.view(), headers).await.unwrap();
    HostResponseOutparam::set(&mut call.view(), outparam, Ok(response)).await.unwrap();
    assert!(call.table.is_empty());
}
