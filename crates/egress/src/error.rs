use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;

use cloister_boundary::net::SocketError;
use rustls::CertificateError;

use crate::BodyError;
use crate::tls::is_an_authoritys;

/// Why a request has no response, or its response no end. RFC 9209, section 2.3 says what most of them mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressError {
    /// The app's network rules do not allow it.
    #[error("the app's network rules do not allow it")]
    Denied,
    /// The name has no address, as the host says.
    #[error("the server's name has no address")]
    NoSuchName,
    /// The host cannot look the name up.
    #[error("the server's name could not be looked up")]
    Resolver,
    /// The host cannot connect.
    #[error("the server cannot be connected to")]
    Unavailable,
    /// The host refuses to connect to this address.
    #[error("the server's address must not be connected to")]
    AddressProhibited,
    /// The address cannot be reached.
    #[error("the server's address cannot be reached")]
    Unroutable,
    /// Nobody listens there.
    #[error("the server refused the connection")]
    ConnectionRefused,
    /// The connection ended before there was a response.
    #[error("the connection ended before there was a response")]
    ConnectionTerminated,
    /// There was no connection in time.
    #[error("there was no connection to the server in time")]
    ConnectTimeout,
    /// The server was silent for too long.
    #[error("the server was silent for too long")]
    ReadTimeout,
    /// There are too many requests or connections.
    #[error("there are too many requests under way")]
    ConnectionLimit,
    /// The peer does not speak TLS as it should.
    #[error(
        "there was no TLS session with the server: it speaks neither TLS 1.3 nor 1.2, or breaks the protocol"
    )]
    Tls,
    /// The server's certificate is not to be trusted.
    #[error("the server's certificate {0}")]
    Certificate(CertificateFault),
    /// The server ended the handshake: RFC 8446, section 6.
    #[error("the server ended the TLS handshake with alert {id}{}", name.map(|name| format!(" ({name})")).unwrap_or_default())]
    Alert {
        /// `AlertDescription`
        id: u8,
        /// Its name, where it has one.
        name: Option<&'static str>,
    },
    /// A [`Check`](crate::Check) does not accept the session: why.
    #[error("{0}")]
    Unverified(Cow<'static, str>),
    /// The URI is none that a request can have.
    #[error("the URL is not valid")]
    InvalidUri,
    /// The URI is too long.
    #[error("the URL is too long")]
    UriTooLong,
    /// The method is none that a request can have.
    #[error("the method is not valid")]
    InvalidMethod,
    /// The body is not as long as the headers say: how long it is, where that is known.
    #[error("the request's body is not as long as its headers say")]
    RequestBodySize(Option<u64>),
    /// The guest did not write the body as it should.
    #[error(transparent)]
    Body(BodyError),
    /// The response broke off.
    #[error("the response broke off before its end")]
    ResponseIncomplete,
    /// The head of the response has more than 64 KiB or 100 fields.
    #[error("the response has more than 100 headers, or more than 64 KiB of them")]
    ResponseHeadSize,
    /// The body of the response is longer than it may be.
    #[error("the response's body has more than {most} bytes")]
    ResponseBodySize {
        /// Bytes that it may have.
        most: usize,
    },
    /// The whole response did not come in time.
    #[error("the response was not there in time")]
    ResponseTimeout,
    /// The server wants to speak another protocol.
    #[error("the server switched to another protocol")]
    Upgrade,
    /// The server does not speak HTTP as it should.
    #[error("the server's answer is no HTTP")]
    Protocol,
    /// Something of ours failed.
    #[error("an internal error")]
    Internal,
}

/// What is wrong with a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    #[error("has expired, by the host's clock")]
    Expired,
    #[error("is not valid yet, by the host's clock")]
    NotYetValid,
    #[error("is for another name")]
    WrongName,
    #[error("was not issued by an authority that is trusted")]
    UnknownIssuer,
    #[error("was not signed by the authority that it names")]
    Forged,
    #[error("is that of an authority, and not of a server")]
    Authority,
    #[error("was revoked")]
    Revoked,
    #[error("is not valid")]
    Invalid,
}

impl EgressError {
    /// Its name for the log, in lower case: those of `error-code` in `wasi:http/types@0.2`, and `ratls-refused`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Denied => "http-request-denied",
            Self::NoSuchName | Self::Resolver => "dns-error",
            Self::Unavailable => "destination-unavailable",
            Self::AddressProhibited => "destination-ip-prohibited",
            Self::Unroutable => "destination-ip-unroutable",
            Self::ConnectionRefused => "connection-refused",
            Self::ConnectionTerminated => "connection-terminated",
            Self::ConnectTimeout => "connection-timeout",
            Self::ReadTimeout => "connection-read-timeout",
            Self::ConnectionLimit => "connection-limit-reached",
            Self::Tls => "tls-protocol-error",
            Self::Certificate(_) => "tls-certificate-error",
            Self::Alert { .. } => "tls-alert-received",
            Self::Unverified(_) => "ratls-refused",
            Self::InvalidUri => "http-request-uri-invalid",
            Self::UriTooLong => "http-request-uri-too-long",
            Self::InvalidMethod => "http-request-method-invalid",
            Self::RequestBodySize(_) | Self::Body(BodyError::Length { .. }) => "http-request-body-size",
            Self::ResponseIncomplete => "http-response-incomplete",
            Self::ResponseHeadSize => "http-response-header-section-size",
            Self::ResponseBodySize { .. } => "http-response-body-size",
            Self::ResponseTimeout => "http-response-timeout",
            Self::Upgrade => "http-upgrade-failed",
            Self::Protocol | Self::Body(BodyError::Unfinished) => "http-protocol-error",
            Self::Internal => "internal-error",
        }
    }

    /// Of making a connection.
    pub(crate) fn of_connect(error: SocketError) -> Self {
        match error {
            SocketError::NameUnresolvable => Self::NoSuchName,
            SocketError::PermanentResolverFailure | SocketError::TemporaryResolverFailure => Self::Resolver,
            SocketError::ConnectionRefused => Self::ConnectionRefused,
            SocketError::ConnectionReset | SocketError::ConnectionAborted => Self::ConnectionTerminated,
            SocketError::Timeout => Self::ConnectTimeout,
            SocketError::RemoteUnreachable => Self::Unroutable,
            SocketError::AccessDenied => Self::AddressProhibited,
            SocketError::NewSocketLimit => Self::ConnectionLimit,
            _ => Self::Unavailable,
        }
    }

    /// Of a TLS handshake.
    pub(crate) fn of_handshake(error: &io::Error) -> Self {
        of_tls(error).unwrap_or(Self::ConnectionTerminated)
    }

    /// Of a request until the head of its response.
    pub(crate) fn of_head(error: &hyper::Error) -> Self {
        of_exchange(error, Self::ConnectionTerminated, Self::Protocol)
    }

    /// Of a response's body.
    pub(crate) fn of_response_body(error: &hyper::Error) -> Self {
        of_exchange(error, Self::ResponseIncomplete, Self::ResponseIncomplete)
    }
}

/// Whether the server says that it did nothing about a request. RFC 9113, sections 6.8 and 8.7.
pub(crate) fn was_not_processed(error: &hyper::Error) -> bool {
    causes(error).filter_map(|cause| cause.downcast_ref::<h2::Error>()).any(|error| {
        error.is_remote()
            && (error.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR)))
    })
}

/// `reset` is what it means that the server gives up a stream of HTTP/2.
fn of_exchange(error: &hyper::Error, ended_early: EgressError, reset: EgressError) -> EgressError {
    if error.is_parse_too_large() {
        return EgressError::ResponseHeadSize;
    }
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return ended_early;
    }
    for cause in causes(error) {
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return of_tls(error).unwrap_or(match error.kind() {
                io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => EgressError::Protocol,
                io::ErrorKind::TimedOut => EgressError::ReadTimeout,
                _ => ended_early,
            });
        }
    }
    if error.is_parse() { EgressError::Protocol } else { reset }
}

/// What rustls says, where the error is its.
fn of_tls(error: &io::Error) -> Option<EgressError> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(error) => EgressError::Certificate(fault(error)),
        rustls::Error::NoCertificatesPresented
        | rustls::Error::UnsupportedNameType
        | rustls::Error::InvalidCertRevocationList(_) => EgressError::Certificate(CertificateFault::Invalid),
        rustls::Error::AlertReceived(alert) => {
            EgressError::Alert { id: u8::from(*alert), name: alert.as_str() }
        }
        _ => EgressError::Tls,
    })
}

fn fault(error: &CertificateError) -> CertificateFault {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => CertificateFault::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            CertificateFault::NotYetValid
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateFault::WrongName
        }
        CertificateError::UnknownIssuer => CertificateFault::UnknownIssuer,
        CertificateError::BadSignature => CertificateFault::Forged,
        CertificateError::Revoked => CertificateFault::Revoked,
        error if is_an_authoritys(error) => CertificateFault::Authority,
        _ => CertificateFault::Invalid,
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error: &&'a (dyn StdError + 'static)| error.source())
}
