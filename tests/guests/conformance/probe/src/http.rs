//! Requests over `wasi:http`.

use crate::wasi::http::outgoing_handler::handle;
use crate::wasi::http::types::{ErrorCode, Fields, OutgoingRequest, Scheme};

pub(crate) fn get(url: &str) -> Result<u16, String> {
    let (scheme, rest) = url.split_once("://").ok_or("no scheme")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let scheme = match scheme {
        "https" => Scheme::Https,
        "http" => Scheme::Http,
        other => Scheme::Other(other.to_owned()),
    };
    let request = OutgoingRequest::new(Fields::new());
    let set = [
        request.set_scheme(Some(&scheme)),
        request.set_authority(Some(authority)),
        request.set_path_with_query(Some(path)),
    ];
    set.into_iter().collect::<Result<(), ()>>().map_err(|()| "the URL is not taken".to_owned())?;
    let response = handle(request, None).map_err(name)?;
    loop {
        match response.get() {
            Some(Ok(Ok(response))) => return Ok(response.status()),
            Some(Ok(Err(error))) => return Err(name(error)),
            Some(Err(())) => return Err("it was taken before".to_owned()),
            None => response.subscribe().block(),
        }
    }
}

/// The standard's name of those that tests ask for.
fn name(error: ErrorCode) -> String {
    match error {
        ErrorCode::HttpRequestDenied => "HTTP-request-denied".to_owned(),
        ErrorCode::DnsError(_) => "DNS-error".to_owned(),
        ErrorCode::DnsTimeout => "DNS-timeout".to_owned(),
        ErrorCode::ConnectionRefused => "connection-refused".to_owned(),
        ErrorCode::ConnectionTerminated => "connection-terminated".to_owned(),
        ErrorCode::TlsCertificateError => "TLS-certificate-error".to_owned(),
        ErrorCode::TlsProtocolError => "TLS-protocol-error".to_owned(),
        other => format!("{other:?}"),
    }
}
