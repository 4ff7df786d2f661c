//! Which `error-code` a failure is. RFC 9209, section 2.3 says what these mean.

use std::error::Error as StdError;
use std::io;

use cloister_boundary::net::SocketError;

use crate::BodyError;
use crate::bindings::wasi::http::types::{DnsErrorPayload, ErrorCode, TlsAlertReceivedPayload};

/// Of making a connection.
pub(crate) fn of_connect(error: SocketError) -> ErrorCode {
    match error {
        SocketError::NameUnresolvable => dns("NXDOMAIN"),
        SocketError::PermanentResolverFailure | SocketError::TemporaryResolverFailure => dns("SERVFAIL"),
        SocketError::ConnectionRefused => ErrorCode::ConnectionRefused,
        SocketError::ConnectionReset | SocketError::ConnectionAborted => ErrorCode::ConnectionTerminated,
        SocketError::Timeout => ErrorCode::ConnectionTimeout,
        SocketError::RemoteUnreachable => ErrorCode::DestinationIpUnroutable,
        SocketError::AccessDenied => ErrorCode::DestinationIpProhibited,
        SocketError::NewSocketLimit => ErrorCode::ConnectionLimitReached,
        _ => ErrorCode::DestinationUnavailable,
    }
}

fn dns(rcode: &str) -> ErrorCode {
    ErrorCode::DnsError(DnsErrorPayload { rcode: Some(rcode.to_owned()), info_code: None })
}

/// Of a TLS handshake.
pub(crate) fn of_handshake(error: &io::Error) -> ErrorCode {
    tls(error).unwrap_or(ErrorCode::ConnectionTerminated)
}

/// Of a request until the head of its response.
pub(crate) fn of_head(error: &hyper::Error) -> ErrorCode {
    of_exchange(error, ErrorCode::ConnectionTerminated, ErrorCode::HttpProtocolError)
}

/// Of a response's body.
pub(crate) fn of_response_body(error: &hyper::Error) -> ErrorCode {
    of_exchange(error, ErrorCode::HttpResponseIncomplete, ErrorCode::HttpResponseIncomplete)
}

/// Of the body of a request, which its guest did not write as it should.
pub(crate) fn of_upload(error: BodyError) -> ErrorCode {
    match error {
        BodyError::Length { written, .. } => ErrorCode::HttpRequestBodySize(Some(written)),
        BodyError::Unfinished => ErrorCode::HttpProtocolError,
    }
}

/// `reset` is what it means that the server gives up a stream of HTTP/2.
fn of_exchange(error: &hyper::Error, ended_early: ErrorCode, reset: ErrorCode) -> ErrorCode {
    if error.is_parse_too_large() {
        return ErrorCode::HttpResponseHeaderSectionSize(None);
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return ended_early;
    }
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return tls(error).unwrap_or(match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => ErrorCode::HttpProtocolError,
                io::ErrorKind::TimedOut => ErrorCode::ConnectionReadTimeout,
                _ => ended_early,
            });
        }
    }
    if error.is_parse() { ErrorCode::HttpProtocolError } else { reset }
}

/// Of the body of a request that a client sends to a guest.
pub(crate) fn of_incoming_request(error: &(dyn StdError + 'static)) -> ErrorCode {
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<ErrorCode>() {
            return error.clone();
        }
        if cause.is::<http_body_util::LengthLimitError>() {
            return ErrorCode::HttpRequestBodySize(None);
        }
        if cause.is::<io::Error>() {
            return ErrorCode::ConnectionTerminated;
        }
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return ErrorCode::ConnectionTerminated;
        }
    }
    ErrorCode::HttpProtocolError
}

/// What rustls says, where the error is its.
fn tls(error: &io::Error) -> Option<ErrorCode> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(_)
        | rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::InvalidCertRevocationList(_) => ErrorCode::TlsCertificateError,
        rustls::Error::AlertReceived(alert) => ErrorCode::TlsAlertReceived(TlsAlertReceivedPayload {
            alert_id: Some(u8::from(*alert)),
            alert_message: alert.as_str().map(str::to_owned),
        }),
        _ => ErrorCode::TlsProtocolError,
    })
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| error.source())
}

/// The name of a code, in lower case.
pub(crate) fn name(error: &ErrorCode) -> &'static str {
    match error {
        ErrorCode::DnsTimeout => "dns-timeout",
        ErrorCode::DnsError(_) => "dns-error",
        ErrorCode::DestinationNotFound => "destination-not-found",
        ErrorCode::DestinationUnavailable => "destination-unavailable",
        ErrorCode::DestinationIpProhibited => "destination-ip-prohibited",
        ErrorCode::DestinationIpUnroutable => "destination-ip-unroutable",
        ErrorCode::ConnectionRefused => "connection-refused",
        ErrorCode::ConnectionTerminated => "connection-terminated",
        ErrorCode::ConnectionTimeout => "connection-timeout",
        ErrorCode::ConnectionReadTimeout => "connection-read-timeout",
        ErrorCode::ConnectionWriteTimeout => "connection-write-timeout",
        ErrorCode::ConnectionLimitReached => "connection-limit-reached",
        ErrorCode::TlsProtocolError => "tls-protocol-error",
        ErrorCode::TlsCertificateError => "tls-certificate-error",
        ErrorCode::TlsAlertReceived(_) => "tls-alert-received",
        ErrorCode::HttpRequestDenied => "http-request-denied",
        ErrorCode::HttpRequestLengthRequired => "http-request-length-required",
        ErrorCode::HttpRequestBodySize(_) => "http-request-body-size",
        ErrorCode::HttpRequestMethodInvalid => "http-request-method-invalid",
        ErrorCode::HttpRequestUriInvalid => "http-request-uri-invalid",
        ErrorCode::HttpRequestUriTooLong => "http-request-uri-too-long",
        ErrorCode::HttpRequestHeaderSectionSize(_) => "http-request-header-section-size",
        ErrorCode::HttpRequestHeaderSize(_) => "http-request-header-size",
        ErrorCode::HttpRequestTrailerSectionSize(_) => "http-request-trailer-section-size",
        ErrorCode::HttpRequestTrailerSize(_) => "http-request-trailer-size",
        ErrorCode::HttpResponseIncomplete => "http-response-incomplete",
        ErrorCode::HttpResponseHeaderSectionSize(_) => "http-response-header-section-size",
        ErrorCode::HttpResponseHeaderSize(_) => "http-response-header-size",
        ErrorCode::HttpResponseBodySize(_) => "http-response-body-size",
        ErrorCode::HttpResponseTrailerSectionSize(_) => "http-response-trailer-section-size",
        ErrorCode::HttpResponseTrailerSize(_) => "http-response-trailer-size",
        ErrorCode::HttpResponseTransferCoding(_) => "http-response-transfer-coding",
        ErrorCode::HttpResponseContentCoding(_) => "http-response-content-coding",
        ErrorCode::HttpResponseTimeout => "http-response-timeout",
        ErrorCode::HttpUpgradeFailed => "http-upgrade-failed",
        ErrorCode::HttpProtocolError => "http-protocol-error",
        ErrorCode::LoopDetected => "loop-detected",
        ErrorCode::ConfigurationError => "configuration-error",
        ErrorCode::InternalError(_) => "internal-error",
    }
}
