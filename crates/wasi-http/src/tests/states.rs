//! Which resource gives what, how often, and in which order they may be dropped.

use wasmtime::component::ResourceTableError;

use super::call::{Ask, Call, again, code, owned};
use crate::bindings::wasi::http::types::{
    ErrorCode, HostFields, HostIncomingBody, HostOutgoingBody, HostOutgoingRequest, HostOutgoingResponse,
    HostRequestOptions, HostResponseOutparam, Method, Scheme,
};
use crate::error::Failure;
use crate::{Error, MAX_OPEN_BODIES};

fn has_children<T: std::fmt::Debug>(result: wasmtime::Result<T>) {
    let error = result.unwrap_err().downcast::<ResourceTableError>().unwrap();
    assert!(matches!(error, ResourceTableError::HasChildren), "{error:?}");
}

#[tokio::test]
async fn a_new_request_is_a_get_of_nothing() {
    let mut call = Call::offline();
    let headers = call.fields(&[("a", "1")]).await;
    let mut view = call.view();
    let request = HostOutgoingRequest::new(&mut view, headers).await.unwrap();
    let it = || again(&request);
    assert!(matches!(HostOutgoingRequest::method(&mut view, it()).await.unwrap(), Method::Get));
    assert_eq!(HostOutgoingRequest::path_with_query(&mut view, it()).await.unwrap(), None);
    assert!(HostOutgoingRequest::scheme(&mut view, it()).await.unwrap().is_none());
    assert_eq!(HostOutgoingRequest::authority(&mut view, it()).await.unwrap(), None);
}

#[tokio::test]
async fn setters_of_a_request_check_what_they_get() {
    let mut call = Call::offline();
    let request = call.request(&Ask::get("localhost")).await;
    let mut view = call.view();
    let it = || again(&request);
    for (method, good) in [("QUERY", true), ("M-SEARCH", true), ("", false), ("GET X", false), ("Ä", false)]
    {
        let set = HostOutgoingRequest::set_method(&mut view, it(), Method::Other(method.to_owned())).await;
        assert_eq!(set.unwrap().is_ok(), good, "{method:?}");
    }
    let long = HostOutgoingRequest::set_method(&mut view, it(), Method::Other("M".repeat(65))).await;
    assert!(long.unwrap().is_err());
    let paths = [
        ("/", true),
        ("", true),
        ("?a=b", true),
        ("/a?b=c&d=%20", true),
        ("*", false),
        ("a", false),
        ("http://other.example/", false),
        ("/a b", false),
        ("/a\r\nx: y", false),
        ("//other.example/", true),
    ];
    for (path, good) in paths {
        let set = HostOutgoingRequest::set_path_with_query(&mut view, it(), Some(path.to_owned())).await;
        assert_eq!(set.unwrap().is_ok(), good, "{path:?}");
    }
    for (scheme, good) in [("ws", true), ("a+b.c-d", true), ("", false), ("a b", false), ("a/b", false)] {
        let scheme_set = Some(Scheme::Other(scheme.to_owned()));
        let set = HostOutgoingRequest::set_scheme(&mut view, it(), scheme_set).await;
        assert_eq!(set.unwrap().is_ok(), good, "{scheme:?}");
    }
    let authorities = [
        ("example.com", true),
        ("example.com:443", true),
        ("[::1]:80", true),
        ("a b", false),
        ("", false),
        ("example.com/x", false),
        ("a\r\nb", false),
        ("[::1", false),
    ];
    for (authority, good) in authorities {
        let set = HostOutgoingRequest::set_authority(&mut view, it(), Some(authority.to_owned())).await;
        assert_eq!(set.unwrap().is_ok(), good, "{authority:?}");
    }
    for good in [None, Some("/x".to_owned())] {
        let set = HostOutgoingRequest::set_path_with_query(&mut view, it(), good.clone()).await;
        assert!(set.unwrap().is_ok());
        assert_eq!(HostOutgoingRequest::path_with_query(&mut view, it()).await.unwrap(), good);
    }
}

#[tokio::test]
async fn a_status_is_one_of_a_final_response() {
    let mut call = Call::offline();
    let headers = call.fields(&[]).await;
    let mut view = call.view();
    let response = HostOutgoingResponse::new(&mut view, headers).await.unwrap();
    assert_eq!(HostOutgoingResponse::status_code(&mut view, again(&response)).await.unwrap(), 200);
    for (status, good) in
        [(204, true), (599, true), (999, true), (0, false), (99, false), (101, false), (1000, false)]
    {
        let set = HostOutgoingResponse::set_status_code(&mut view, again(&response), status).await.unwrap();
        assert_eq!(set.is_ok(), good, "{status}");
    }
    assert_eq!(HostOutgoingResponse::status_code(&mut view, again(&response)).await.unwrap(), 999);
}

#[tokio::test]
async fn headers_of_a_message_do_not_change_and_are_dropped_before_it() {
    let mut call = Call::offline();
    let request = call.request(&Ask { headers: &[("a", "1")], ..Ask::get("localhost") }).await;
    let headers = HostOutgoingRequest::headers(&mut call.view(), again(&request)).await.unwrap();
    let appended = HostFields::append(&mut call.view(), again(&headers), "b".to_owned(), b"2".to_vec()).await;
    assert!(appended.is_err());
    has_children(HostOutgoingRequest::drop(&mut call.view(), owned(&request)).await);
    HostFields::drop(&mut call.view(), headers).await.unwrap();
    HostOutgoingRequest::drop(&mut call.view(), request).await.unwrap();

    let fields = call.fields(&[]).await;
    let response = HostOutgoingResponse::new(&mut call.view(), fields).await.unwrap();
    let headers = HostOutgoingResponse::headers(&mut call.view(), again(&response)).await.unwrap();
    has_children(HostOutgoingResponse::drop(&mut call.view(), owned(&response)).await);
    HostFields::drop(&mut call.view(), headers).await.unwrap();
    HostOutgoingResponse::drop(&mut call.view(), response).await.unwrap();
    assert!(call.table.is_empty());
}

#[tokio::test]
async fn a_body_and_its_stream_are_given_once() {
    let mut call = Call::offline();
    let request = call.request(&Ask::get("localhost")).await;
    let body = HostOutgoingRequest::body(&mut call.view(), again(&request)).await.unwrap().unwrap();
    assert!(HostOutgoingRequest::body(&mut call.view(), again(&request)).await.unwrap().is_err());
    let stream = call.stream_to(&body).await;
    assert!(HostOutgoingBody::write(&mut call.view(), again(&body)).await.unwrap().is_err());

    has_children(HostOutgoingBody::drop(&mut call.view(), owned(&body)).await);
    let finished = HostOutgoingBody::finish(&mut call.view(), owned(&body), None).await;
    let Err(Failure::Trap(error)) = finished else { panic!("{finished:?}") };
    has_children::<()>(Err(error));
    call.table.delete(stream).unwrap();
    call.finish(body, None).await.unwrap();

    let fields = call.fields(&[]).await;
    let response = HostOutgoingResponse::new(&mut call.view(), fields).await.unwrap();
    let body = HostOutgoingResponse::body(&mut call.view(), again(&response)).await.unwrap().unwrap();
    assert!(HostOutgoingResponse::body(&mut call.view(), again(&response)).await.unwrap().is_err());
    HostOutgoingBody::drop(&mut call.view(), body).await.unwrap();
}

#[tokio::test]
async fn open_bodies_are_bounded() {
    let mut call = Call::offline();
    let mut bodies = Vec::new();
    for _ in 0..MAX_OPEN_BODIES {
        let request = call.request(&Ask::get("localhost")).await;
        bodies.push(HostOutgoingRequest::body(&mut call.view(), request).await.unwrap().unwrap());
    }
    let request = call.request(&Ask::get("localhost")).await;
    let error = HostOutgoingRequest::body(&mut call.view(), again(&request)).await.unwrap_err();
    assert_eq!(error.downcast::<Error>().unwrap(), Error::TooManyBodies);
    call.finish(bodies.pop().unwrap(), None).await.unwrap();
    assert!(HostOutgoingRequest::body(&mut call.view(), request).await.unwrap().is_ok());
}

#[tokio::test]
async fn options_keep_what_they_are_given() {
    let mut call = Call::offline();
    let options = call.options([None, None, None]).await;
    let mut view = call.view();
    let it = || again(&options);
    assert_eq!(HostRequestOptions::connect_timeout(&mut view, it()).await.unwrap(), None);
    HostRequestOptions::set_connect_timeout(&mut view, it(), Some(1)).await.unwrap().unwrap();
    HostRequestOptions::set_first_byte_timeout(&mut view, it(), Some(2)).await.unwrap().unwrap();
    HostRequestOptions::set_between_bytes_timeout(&mut view, it(), Some(u64::MAX)).await.unwrap().unwrap();
    assert_eq!(HostRequestOptions::connect_timeout(&mut view, it()).await.unwrap(), Some(1));
    assert_eq!(HostRequestOptions::first_byte_timeout(&mut view, it()).await.unwrap(), Some(2));
    assert_eq!(HostRequestOptions::between_bytes_timeout(&mut view, it()).await.unwrap(), Some(u64::MAX));
    HostRequestOptions::set_connect_timeout(&mut view, it(), None).await.unwrap().unwrap();
    assert_eq!(HostRequestOptions::connect_timeout(&mut view, it()).await.unwrap(), None);
    HostRequestOptions::drop(&mut view, options).await.unwrap();
}

#[tokio::test]
async fn an_incoming_body_is_streamed_once_and_finished_after_its_stream() {
    let mut call = Call::offline();
    let body = http_body_util::Full::new(bytes::Bytes::from_static(b"abc"));
    let request = http::Request::new(body);
    let request = crate::push_incoming_request(call.view(), request, Scheme::Https, "a".to_owned()).unwrap();
    use crate::bindings::wasi::http::types::HostIncomingRequest;
    let headers = HostIncomingRequest::headers(&mut call.view(), again(&request)).await.unwrap();
    has_children(HostIncomingRequest::drop(&mut call.view(), owned(&request)).await);
    HostFields::drop(&mut call.view(), headers).await.unwrap();
    let body = HostIncomingRequest::consume(&mut call.view(), again(&request)).await.unwrap().unwrap();
    assert!(HostIncomingRequest::consume(&mut call.view(), again(&request)).await.unwrap().is_err());
    HostIncomingRequest::drop(&mut call.view(), request).await.unwrap();

    let stream = call.stream_of(&body).await;
    assert!(HostIncomingBody::stream(&mut call.view(), again(&body)).await.unwrap().is_err());
    has_children(HostIncomingBody::drop(&mut call.view(), owned(&body)).await);
    has_children(HostIncomingBody::finish(&mut call.view(), owned(&body)).await);
    call.table.delete(stream).unwrap();

    use crate::bindings::wasi::http::types::HostFutureTrailers;
    let future = HostIncomingBody::finish(&mut call.view(), body).await.unwrap();
    let pollable = HostFutureTrailers::subscribe(&mut call.view(), again(&future)).await.unwrap();
    has_children(HostFutureTrailers::drop(&mut call.view(), owned(&future)).await);
    call.table.delete(pollable).unwrap();
    let first = HostFutureTrailers::get(&mut call.view(), again(&future)).await.unwrap();
    assert!(matches!(first, Some(Ok(Ok(None)))), "{first:?}");
    let second = HostFutureTrailers::get(&mut call.view(), again(&future)).await.unwrap();
    assert!(matches!(second, Some(Err(()))), "{second:?}");
    HostFutureTrailers::drop(&mut call.view(), future).await.unwrap();
    assert!(call.table.is_empty());
}

#[tokio::test]
async fn an_informational_response_is_an_error_that_ends_nothing() {
    let mut call = Call::offline();
    let (answer, mut answered) = tokio::sync::oneshot::channel();
    let outparam = crate::push_response_outparam(call.view(), answer).unwrap();
    let headers = call.fields(&[]).await;
    let sent =
        HostResponseOutparam::send_informational(&mut call.view(), again(&outparam), 103, headers).await;
    assert!(matches!(code(sent.unwrap_err()), ErrorCode::InternalError(Some(_))));
    assert!(answered.try_recv().is_err());
    HostResponseOutparam::set(&mut call.view(), outparam, Err(ErrorCode::LoopDetected)).await.unwrap();
    assert!(matches!(answered.try_recv().unwrap(), Err(ErrorCode::LoopDetected)));
    assert!(call.table.is_empty());
}
