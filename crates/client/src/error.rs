use crate::{Endpoint, Refused, TreeError};
use cloister_api::Problem;
use std::error::Error;
use std::io;
use std::time::Duration;

/// Why a request was not answered, or never sent.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing listens there, or it cannot be reached.
    #[error("cannot connect to {address}: {source}")]
    Unreachable { address: String, source: io::Error },
    /// It took too long.
    #[error("{doing} took longer than {}", seconds(.after))]
    TimedOut { doing: &'static str, after: Duration },
    /// The peer speaks, but not TLS.
    #[error("{address} does not speak TLS (it may be a plain HTTP server)")]
    NotTls { address: String },
    /// The TLS handshake failed.
    #[error("no TLS session with {address}: {source}")]
    Tls { address: String, source: io::Error },
    /// The peer speaks TLS 1.3 and HTTP, but has no evidence to show.
    #[error("{address} does not answer as an enclave does: {reason}. Nothing was sent to it")]
    NotAnEnclave { address: String, reason: String },
    /// The evidence did not pass the policy. Nothing but the request for evidence was sent.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The enclave refused the request, or the call ended in an error.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// The answer came from other code than was expected.
    #[error("{app} answered with the code {answered}, and {expected} is expected: the result was dropped")]
    CodeHash { app: String, expected: String, answered: String },
    /// The enclave has other assets than were sent.
    #[error("the enclave says that it got assets with the hash {answered}, and {expected} were sent")]
    Assets { expected: String, answered: String },
    /// What should be uploaded cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The request is larger than the protocol allows.
    #[error("the {what} would be {length} bytes long, and the limit is {limit}")]
    RequestTooLarge { what: &'static str, length: usize, limit: usize },
    /// The response is larger than this client reads.
    #[error("the response is longer than {limit} bytes, which is as much as this client reads")]
    ResponseTooLarge { limit: usize },
    /// The response is not one of the protocol.
    #[error("the enclave's answer cannot be understood: {0}")]
    UnexpectedResponse(String),
    /// The session ended before the response.
    #[error("the connection was lost: {0}")]
    ConnectionLost(String),
    /// The host name is none.
    #[error("{0:?} is not a host name or an IP address")]
    ServerName(String),
    /// The client's own key cannot be used.
    #[error("this client's key cannot be used: {0}")]
    Identity(String),
    /// What should be shown as a token is none. Nothing was sent.
    #[error("this is not a JSON Web Token: three parts in base64url with dots between them, 16 KiB at most")]
    Token,
    /// The system's random number generator failed.
    #[error("the system has no randomness for a nonce")]
    Randomness,
}

impl ClientError {
    /// The failure of a TLS handshake, by its cause.
    pub(crate) fn handshake(endpoint: &Endpoint, source: io::Error) -> Self {
        let address = endpoint.address.clone();
        let cause = source.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
        match cause {
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls { address },
            _ => Self::Tls { address, source },
        }
    }

    /// The failure of a request on an established session, with what is under it.
    pub(crate) fn lost(error: &hyper::Error) -> Self {
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        Self::ConnectionLost(text)
    }
}

fn seconds(duration: &Duration) -> String {
    match duration.as_secs_f64() {
        whole if whole.fract() == 0.0 => format!("{whole} s"),
        fraction => format!("{fraction:.1} s"),
    }
}
