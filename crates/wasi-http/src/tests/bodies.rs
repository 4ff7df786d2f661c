//! Large bodies and guests that do not take what comes: what is held of a body is bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use cloister_test_authority::{Authority, Versions};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::StreamError;

use super::call::{Ask, Call, again};
use super::server::{AsRoots as _, drain, frames, serve, whole};
use crate::bindings::wasi::http::types::{
    ErrorCode, HostFields, HostIncomingBody, HostOutgoingBody, HostOutgoingResponse, HostResponseOutparam,
};
use crate::body::OutgoingBody;
use crate::{BODY_BUFFER_BYTES, BodyError, GuestBody};

/// A response, its body still to be written, and the connection's end of it.
async fn response(
    call: &mut Call,
    headers: &[(&str, &str)],
) -> (Resource<OutgoingBody>, Response<GuestBody>) {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let outparam = crate::push_response_outparam(call.view(), answer).unwrap();
    let headers = call.fields(headers).await;
    let made = HostOutgoingResponse::new(&mut call.view(), headers).await.unwrap();
    let body = HostOutgoingResponse::body(&mut call.view(), again(&made)).await.unwrap().unwrap();
    HostResponseOutparam::set(&mut call.view(), outparam, Ok(made)).await.unwrap();
    (body, answered.await.unwrap().unwrap())
}

#[tokio::test]
async fn a_guest_writes_no_further_ahead_than_the_buffer() {
    let mut call = Call::offline();
    let (body, response) = response(&mut call, &[]).await;
    let mut taken = response.into_body();
    let stream = call.stream_to(&body).await;
    let writer = call.table.get_mut(&stream).unwrap();
    assert_eq!(writer.check_write().unwrap(), BODY_BUFFER_BYTES);
    writer.write(Bytes::from(vec![1; BODY_BUFFER_BYTES])).unwrap();
    assert_eq!(writer.check_write().unwrap(), 0);
    assert!(tokio::time::timeout(Duration::from_millis(50), writer.ready()).await.is_err());
    assert!(matches!(writer.write(Bytes::from_static(b"x")), Err(StreamError::Trap(_))));

    let frame = taken.frame().await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap().len(), BODY_BUFFER_BYTES);
    writer.ready().await;
    assert_eq!(writer.check_write().unwrap(), BODY_BUFFER_BYTES);
}

#[tokio::test]
async fn small_writes_become_large_frames() {
    let mut call = Call::offline();
    let (body, response) = response(&mut call, &[]).await;
    let mut taken = response.into_body();
    let stream = call.stream_to(&body).await;
    for byte in 0..100_000 {
        call.write(&stream, Bytes::from(vec![byte as u8])).await.unwrap();
    }
    call.write(&stream, Bytes::from(vec![9; 10_000])).await.unwrap();
    call.write(&stream, Bytes::from_static(b"end")).await.unwrap();
    call.table.delete(stream).unwrap();
    call.finish(body, None).await.unwrap();
    assert_eq!(taken.size_hint().exact(), Some(110_003));
    let (mut count, mut bytes) = (0, Vec::new());
    while let Some(frame) = taken.frame().await {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
        count += 1;
    }
    assert!(count <= 16, "{count} frames");
    let mut expected: Vec<u8> = (0..100_000).map(|byte| byte as u8).collect();
    expected.extend_from_slice(&[9; 10_000]);
    expected.extend_from_slice(b"end");
    assert!(bytes == expected);
    assert!(taken.is_end_stream());
}

#[tokio::test]
async fn ends_of_a_body() {
    // Finished, with nothing in it.
    let mut call = Call::offline();
    let (body, made) = response(&mut call, &[]).await;
    assert_eq!(made.body().size_hint().exact(), None);
    call.finish(body, None).await.unwrap();
    assert!(made.body().is_end_stream());
    assert_eq!(made.body().size_hint().exact(), Some(0));
    assert!(made.into_body().frame().await.is_none());

    // Finished, with trailers.
    let (body, made) = response(&mut call, &[]).await;
    call.finish(body, Some(&[("a", "1")])).await.unwrap();
    let mut made = made.into_body();
    assert!(!made.is_end_stream());
    assert_eq!(made.frame().await.unwrap().unwrap().into_trailers().unwrap()["a"], "1");
    assert!(made.frame().await.is_none());

    // Dropped: what was written comes, and then the error.
    let (body, made) = response(&mut call, &[]).await;
    let stream = call.stream_to(&body).await;
    call.write(&stream, Bytes::from_static(b"abc")).await.unwrap();
    call.table.delete(stream).unwrap();
    HostOutgoingBody::drop(&mut call.view(), body).await.unwrap();
    let mut made = made.into_body();
    assert_eq!(made.frame().await.unwrap().unwrap().into_data().unwrap(), "abc");
    assert_eq!(made.frame().await.unwrap().unwrap_err(), BodyError::Unfinished);

    // Dropped with everything else, when the guest's call ends.
    let (_, made) = response(&mut call, &[]).await;
    drop(call);
    assert_eq!(made.into_body().frame().await.unwrap().unwrap_err(), BodyError::Unfinished);
}

#[tokio::test]
async fn a_body_is_as_long_as_its_headers_say() {
    let mut call = Call::offline();
    let (body, made) = response(&mut call, &[("content-length", "5")]).await;
    assert_eq!(made.body().size_hint().exact(), Some(5));
    call.write_body(body, b"12345", None).await.unwrap();
    assert_eq!(made.into_body().collect().await.unwrap().to_bytes(), "12345");

    // Too short.
    let (body, made) = response(&mut call, &[("content-length", "5")]).await;
    let error = call.write_body(body, b"1234", None).await.unwrap_err();
    assert!(matches!(error, ErrorCode::HttpResponseBodySize(Some(4))), "{error:?}");
    let error = made.into_body().collect().await.unwrap_err();
    assert_eq!(error, BodyError::Length { declared: 5, written: 4 });

    // Too long: said at once, and never sent.
    let (body, made) = response(&mut call, &[("content-length", "5")]).await;
    let stream = call.stream_to(&body).await;
    call.write(&stream, Bytes::from_static(b"12345")).await.unwrap();
    let refused = call.write(&stream, Bytes::from_static(b"6")).await;
    let Err(StreamError::LastOperationFailed(error)) = refused else { panic!("{refused:?}") };
    assert!(matches!(error.downcast_ref(), Some(ErrorCode::HttpResponseBodySize(Some(6)))), "{error:?}");
    use crate::bindings::wasi::http::types::Host;
    let error = call.table.push(error).unwrap();
    let code = Host::http_error_code(&mut call.view(), again(&error)).await.unwrap();
    assert!(matches!(code, Some(ErrorCode::HttpResponseBodySize(Some(6)))));
    assert!(matches!(call.write(&stream, Bytes::from_static(b"7")).await, Err(StreamError::Closed)));
    call.table.delete(stream).unwrap();
    let error = call.finish(body, None).await.unwrap_err();
    assert!(matches!(error, ErrorCode::HttpResponseBodySize(Some(6))), "{error:?}");
    assert!(made.into_body().collect().await.is_err());
}

#[tokio::test]
async fn a_guest_learns_that_the_client_has_gone() {
    let mut call = Call::offline();
    let (body, made) = response(&mut call, &[]).await;
    let stream = call.stream_to(&body).await;
    call.write(&stream, Bytes::from(vec![1; BODY_BUFFER_BYTES])).await.unwrap();
    let waiting = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(made);
    });
    let refused = call.write(&stream, Bytes::from_static(b"x")).await;
    assert!(matches!(refused, Err(StreamError::Closed)), "{refused:?}");
    waiting.await.unwrap();
    call.table.delete(stream).unwrap();
    call.finish(body, None).await.unwrap();
}

#[tokio::test]
async fn an_error_of_another_kind_has_no_code() {
    use crate::bindings::wasi::http::types::Host;
    let mut call = Call::offline();
    let error = call.table.push(wasmtime::Error::msg("something else")).unwrap();
    assert!(Host::http_error_code(&mut call.view(), error).await.unwrap().is_none());
}

/// A server that says how much it sent, sends `length` bytes, and takes what it is sent.
async fn sized(alpn: &'static str, length: u64) -> (Call, String, Arc<AtomicU64>) {
    let (authority, sent) = (Authority::new(), Arc::new(AtomicU64::new(0)));
    let count = Arc::clone(&sent);
    let answer = move |request: Request<Incoming>| {
        let count = Arc::clone(&count);
        async move {
            if request.method() == http::Method::POST {
                return Response::new(whole(drain(request.into_body()).await.to_string()));
            }
            let piece = Bytes::from(vec![5; 32 << 10]);
            Response::new(frames(move || {
                let left = length - count.load(Ordering::Relaxed);
                let piece = piece.slice(..piece.len().min(left as usize));
                count.fetch_add(piece.len() as u64, Ordering::Relaxed);
                (!piece.is_empty()).then(|| Ok(Frame::data(piece)))
            }))
        }
    };
    let server = serve(authority.good().acceptor(&[alpn], Versions::All), answer).await;
    let host = format!("localhost:{}", server.port());
    (Call::new(&["https://localhost:*"], authority.roots()), host, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_response_waits_for_the_guest() {
    const LENGTH: u64 = 64 << 20;
    for alpn in ["h2", "http/1.1"] {
        let (mut call, host, sent) = sized(alpn, LENGTH).await;
        let future = call.send(&Ask::get(&host)).await.unwrap();
        let response = call.response(&future).await.unwrap();
        let body = call.body_of(&response).await;
        let stream = call.stream_of(&body).await;
        let mut read = 0;
        while read < LENGTH {
            if read == 0 || read == 1 << 20 {
                // Until all buffers on the way are full: the kernel's too, which are most of it.
                tokio::time::sleep(Duration::from_millis(300)).await;
                let ahead = sent.load(Ordering::Relaxed) - read;
                assert!(ahead < 16 << 20, "{alpn}: {ahead} bytes ahead");
            }
            let most = (1 << 20) - (read % (1 << 20)).min((1 << 20) - 1);
            let bytes = call.table.get_mut(&stream).unwrap().blocking_read(most as usize).await.unwrap();
            assert!(bytes.iter().all(|&byte| byte == 5));
            read += bytes.len() as u64;
        }
        let end = call.table.get_mut(&stream).unwrap().blocking_read(1).await;
        assert!(matches!(end, Err(StreamError::Closed)), "{end:?}");
        assert_eq!(call.one_logged().await.bytes_received, LENGTH);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_request_is_taken_whole() {
    const LENGTH: usize = 64 << 20;
    for alpn in ["h2", "http/1.1"] {
        let (mut call, host, _) = sized(alpn, 0).await;
        let (future, body) = call.send_open(&Ask::post(&host, "/")).await;
        let stream = call.stream_to(&body).await;
        for _ in 0..LENGTH >> 20 {
            call.write(&stream, Bytes::from(vec![3; 1 << 20])).await.unwrap();
        }
        call.table.delete(stream).unwrap();
        call.finish(body, None).await.unwrap();
        assert_eq!(call.receive(future).await.unwrap().body, LENGTH.to_string().as_bytes());
        assert_eq!(call.one_logged().await.bytes_sent, LENGTH as u64);
    }
}

#[tokio::test]
async fn a_request_waits_for_the_server() {
    let authority = Authority::new();
    let stuck = |request: Request<Incoming>| async move {
        let _held = request;
        std::future::pending().await
    };
    for alpn in ["h2", "http/1.1"] {
        let server = serve(authority.good().acceptor(&[alpn], Versions::All), stuck).await;
        let host = format!("localhost:{}", server.port());
        let mut call = Call::new(&["https://localhost:*"], authority.roots());
        let (_future, body) = call.send_open(&Ask::post(&host, "/")).await;
        let stream = call.stream_to(&body).await;
        let mut written = 0;
        loop {
            let write = call.write(&stream, Bytes::from(vec![0; 64 << 10]));
            let Ok(write) = tokio::time::timeout(Duration::from_millis(500), write).await else { break };
            write.unwrap();
            written += 64 << 10;
            assert!(written < 32 << 20, "{alpn}: {written} bytes, and nobody reads");
        }
        assert!(written >= BODY_BUFFER_BYTES);
    }
}

#[tokio::test]
async fn trailers_can_be_had_without_reading_the_body() {
    let authority = Authority::new();
    let answer = |_: Request<Incoming>| async {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("sum", "x".parse().unwrap());
        let mut pieces = vec![Ok(Frame::trailers(trailers))];
        pieces.extend((0..100).map(|_| Ok(Frame::data(Bytes::from(vec![1; 10_000])))));
        Response::new(frames(move || pieces.pop()))
    };
    let server = serve(authority.good().acceptor(&["h2"], Versions::All), answer).await;
    let host = format!("localhost:{}", server.port());
    let mut call = Call::new(&["https://localhost:*"], authority.roots());
    for read in [0, 10] {
        let future = call.send(&Ask::get(&host)).await.unwrap();
        let response = call.response(&future).await.unwrap();
        let body = call.body_of(&response).await;
        if read > 0 {
            let stream = call.stream_of(&body).await;
            call.table.get_mut(&stream).unwrap().blocking_read(read).await.unwrap();
            call.table.delete(stream).unwrap();
        }
        let trailers = call.trailers_of(body).await.unwrap();
        assert_eq!(trailers, Some(vec![("sum".to_owned(), "x".to_owned())]));
    }
}

#[tokio::test]
async fn trailers_are_a_child_of_their_future_and_cannot_be_changed() {
    use crate::bindings::wasi::http::types::HostFutureTrailers;
    let mut call = Call::offline();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("a", "1".parse().unwrap());
    let mut pieces = vec![Ok::<_, super::server::BoxError>(Frame::trailers(trailers))];
    let request = Request::new(frames(move || pieces.pop()));
    let scheme = crate::Scheme::Https;
    let request = crate::push_incoming_request(call.view(), request, scheme, "a".to_owned()).unwrap();
    use crate::bindings::wasi::http::types::HostIncomingRequest;
    let body = HostIncomingRequest::consume(&mut call.view(), request).await.unwrap().unwrap();
    let future = HostIncomingBody::finish(&mut call.view(), body).await.unwrap();
    let fields = HostFutureTrailers::get(&mut call.view(), again(&future)).await.unwrap();
    let fields = fields.unwrap().unwrap().unwrap().unwrap();
    let changed = HostFields::delete(&mut call.view(), again(&fields), "a".to_owned()).await;
    assert!(changed.is_err());
    let dropped = HostFutureTrailers::drop(&mut call.view(), super::call::owned(&future)).await;
    assert!(dropped.is_err());
    HostFields::drop(&mut call.view(), fields).await.unwrap();
    HostFutureTrailers::drop(&mut call.view(), future).await.unwrap();
}

/// What became of an upload that the guest does not finish.
#[tokio::test]
async fn an_unfinished_request_fails() {
    for alpn in ["h2", "http/1.1"] {
        let (mut call, host, _) = sized(alpn, 0).await;
        let (future, body) = call.send_open(&Ask::post(&host, "/")).await;
        let stream = call.stream_to(&body).await;
        call.write(&stream, Bytes::from_static(b"half")).await.unwrap();
        call.table.delete(stream).unwrap();
        call.table.delete(body).unwrap();
        let error = call.receive(future).await.unwrap_err();
        assert!(matches!(error, ErrorCode::HttpProtocolError), "{alpn}: {error:?}");

        let headers = &[("content-length", "5")];
        let (future, body) = call.send_open(&Ask { headers, ..Ask::post(&host, "/") }).await;
        let refused = call.write_body(body, b"1234", None).await.unwrap_err();
        assert!(matches!(refused, ErrorCode::HttpRequestBodySize(Some(4))), "{refused:?}");
        let error = call.receive(future).await.unwrap_err();
        assert!(matches!(error, ErrorCode::HttpRequestBodySize(Some(4))), "{alpn}: {error:?}");
    }
}
