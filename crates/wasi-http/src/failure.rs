//! Which `error-code` a failure is. RFC 9209, section 2.3 says what these mean.

use std::error::Error as StdError;
use std::io;

use cloister_egress::{BodyError, EgressError};

use crate::bindings::wasi::http::types::{DnsErrorPayload, ErrorCode, TlsAlertReceivedPayload};

impl From<EgressError> for ErrorCode {
    fn from(error: EgressError) -> Self {
        match error {
            EgressError::Denied => Self::HttpRequestDenied,
            EgressError::NoSuchName => dns("NXDOMAIN"),
            EgressError::Resolver => dns("SERVFAIL"),
            EgressError::Unavailable => Self::DestinationUnavailable,
            EgressError::AddressProhibited => Self::DestinationIpProhibited,
            EgressError::Unroutable => Self::DestinationIpUnroutable,
            EgressError::ConnectionRefused => Self::ConnectionRefused,
            EgressError::ConnectionTerminated => Self::ConnectionTerminated,
            EgressError::ConnectTimeout => Self::ConnectionTimeout,
            EgressError::ReadTimeout => Self::ConnectionReadTimeout,
            EgressError::ConnectionLimit => Self::ConnectionLimitReached,
            EgressError::Tls => Self::TlsProtocolError,
            EgressError::Certificate(_) | EgressError::Unverified(_) => Self::TlsCertificateError,
            EgressError::Alert { id, name } => Self::TlsAlertReceived(TlsAlertReceivedPayload {
                alert_id: Some(id),
                alert_message: name.map(str::to_owned),
            }),
            EgressError::InvalidUri => Self::HttpRequestUriInvalid,
            EgressError::UriTooLong => Self::HttpRequestUriTooLong,
            EgressError::InvalidMethod => Self::HttpRequestMethodInvalid,
            EgressError::RequestBodySize(size) => Self::HttpRequestBodySize(size),
            EgressError::Body(BodyError::Length { written, .. }) => Self::HttpRequestBodySize(Some(written)),
            EgressError::Body(BodyError::Unfinished) | EgressError::Protocol => Self::HttpProtocolError,
            EgressError::ResponseIncomplete => Self::HttpResponseIncomplete,
            EgressError::ResponseHeadSize => Self::HttpResponseHeaderSectionSize(None),
            EgressError::ResponseBodySize { .. } => Self::HttpResponseBodySize(None),
            EgressError::ResponseTimeout => Self::HttpResponseTimeout,
            EgressError::Upgrade => Self::HttpUpgradeFailed,
            EgressError::Internal => Self::InternalError(None),
        }
    }
}

fn dns(rcode: &str) -> ErrorCode {
    ErrorCode::DnsError(DnsErrorPayload { rcode: Some(rcode.to_owned()), info_code: None })
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

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| error.source())
}
