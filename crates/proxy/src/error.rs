use crate::answers::{Answer, problem};
use cloister_api::AppName;
use cloister_client::ClientError;
use http::{Response, StatusCode};
use serde::Serialize;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why the proxy does not listen, or did not forward a request.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProxyError {
    /// Whoever can reach the address would act with the user's key.
    #[error("{0} can be reached from elsewhere, and whoever reaches it acts with your key")]
    Exposed(SocketAddr),
    /// The port cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: Arc<io::Error> },
    /// There is no verified session. Nothing of the request was sent.
    #[error("{0}")]
    NoSession(Arc<ClientError>),
    /// The session failed amid the request, which may have been carried out.
    #[error("the session ended before the answer: {0}")]
    Interrupted(Arc<ClientError>),
    /// The policy names the apps that it accepts, and this is none of them.
    #[error("your policy says nothing of an app '{0}'")]
    UnnamedApp(AppName),
    /// The enclave has no such app.
    #[error("the enclave runs no app '{0}'")]
    UnknownApp(AppName),
    /// A name that is not of this machine: a page may have pointed it here.
    #[error("this proxy serves localhost, and not {0:?}; --allow-host adds a name")]
    ForeignHost(String),
    /// A page of another site made the browser ask.
    #[error("{0}")]
    CrossSite(&'static str),
    /// Another protocol than HTTP was asked for.
    #[error("this proxy carries HTTP alone: no WebSocket, no other upgrade, no tunnel")]
    Upgrade,
    /// The request cannot be read.
    #[error("{0}")]
    BadRequest(&'static str),
    /// The proxy has nothing there.
    #[error("{0}")]
    NotFound(&'static str),
    /// The proxy's own resource knows another method.
    #[error("use {0} here")]
    Method(&'static str),
}

impl ProxyError {
    /// As problem details (RFC 9457). A refusal has the whole report.
    pub(crate) fn into_response(self) -> Response<Answer> {
        let (status, code) = self.kind();
        let report = match &self {
            Self::NoSession(error) | Self::Interrupted(error) => report(error),
            _ => None,
        };
        let title = title(code);
        let uri = format!("urn:cloister:problem:{code}");
        let text = Details { uri, title, status: status.as_u16(), detail: self.to_string(), code, report };
        problem(status, &text)
    }

    /// What programs know the error by: `code` of the problem details that a client of the proxy gets.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    fn kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NoSession(error) | Self::Interrupted(error) => of_client(error),
            Self::UnnamedApp(_) => (StatusCode::FORBIDDEN, "app-not-accepted"),
            Self::UnknownApp(_) => (StatusCode::NOT_FOUND, "unknown-app"),
            Self::ForeignHost(_) => (StatusCode::MISDIRECTED_REQUEST, "foreign-host"),
            Self::CrossSite(_) => (StatusCode::FORBIDDEN, "cross-site"),
            Self::Upgrade => (StatusCode::NOT_IMPLEMENTED, "upgrade-refused"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "bad-request"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed"),
            Self::Exposed(_) | Self::Listen { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        }
    }
}

/// Problem details of the proxy's own; the enclave's pass through it as they are.
#[derive(Serialize)]
struct Details {
    #[serde(rename = "type")]
    uri: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Value>,
}

/// Every check of a refused enclave.
pub(crate) fn report(error: &ClientError) -> Option<Value> {
    match error {
        ClientError::Refused(refused) => serde_json::to_value(&refused.report).ok(),
        _ => None,
    }
}

fn of_client(error: &ClientError) -> (StatusCode, &'static str) {
    let code = match error {
        ClientError::Refused(_) | ClientError::CodeHash { .. } => "verification-refused",
        ClientError::NotAnEnclave { .. } | ClientError::NotTls { .. } | ClientError::Tls { .. } => {
            "not-an-enclave"
        }
        ClientError::Unreachable { .. } => "cannot-connect",
        ClientError::TimedOut { .. } => return (StatusCode::GATEWAY_TIMEOUT, "timed-out"),
        ClientError::ConnectionLost(_) => "connection-lost",
        _ => "no-session",
    };
    (StatusCode::BAD_GATEWAY, code)
}

fn title(code: &str) -> &'static str {
    match code {
        "verification-refused" => "The enclave was refused",
        "not-an-enclave" => "Not an enclave",
        "cannot-connect" => "The enclave cannot be reached",
        "timed-out" => "The enclave took too long",
        "connection-lost" => "The session was lost",
        "app-not-accepted" => "Your policy does not accept this app",
        "unknown-app" => "No such app",
        "foreign-host" => "Not a host name of this proxy",
        "cross-site" => "A request of another site",
        "upgrade-refused" => "No upgrades",
        "bad-request" => "Bad request",
        "not-found" => "No such resource",
        "method-not-allowed" => "Method not allowed",
        _ => "No session",
    }
}
