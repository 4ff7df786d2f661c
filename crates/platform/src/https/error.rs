use std::borrow::Cow;

use cloister_egress::EgressError;

use super::ratls::RatlsRefused;
use super::{
    FETCH_TIMEOUT, MAX_HEADER_BYTES, MAX_HEADERS, MAX_REDIRECTS, MAX_ROOT_BYTES, MAX_ROOTS, MAX_URL_BYTES,
};

/// Why there is no response. The text is what the guest gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("only https urls are fetched, and this one begins with {0:?}")]
    Scheme(String),
    #[error("a url has {MAX_URL_BYTES} bytes at most, not {0}")]
    UrlTooLong(usize),
    #[error("the url cannot be used: {0}")]
    Url(&'static str),
    #[error("a request has {MAX_HEADERS} headers at most, and {MAX_HEADER_BYTES} bytes of them")]
    TooManyHeaders,
    #[error("{0:?} is no name of a header")]
    HeaderName(String),
    #[error("the header {0} is not the guest's to set")]
    ForbiddenHeader(String),
    #[error("the value of the header {0} has characters that a header cannot have")]
    HeaderValue(String),
    #[error("ca-roots-der is an empty list, so no server is trusted; without it, the app's own roots are")]
    NoRoots,
    #[error("ca-roots-der has {MAX_ROOTS} certificates at most, and {MAX_ROOT_BYTES} bytes together")]
    TooManyRoots,
    #[error("root {0} of ca-roots-der, counted from 0, is no X.509 certificate in DER")]
    Root(usize),
    #[error("TLS cannot be set up for this request")]
    Tls,
    #[error(transparent)]
    Ratls(RatlsRefused),
    #[error("the app's network rules do not allow https://{0}")]
    Denied(String),
    #[error("https://{server}: {error}")]
    Failed { server: String, error: EgressError },
    #[error("the response was not there within {} seconds", FETCH_TIMEOUT.as_secs())]
    TimedOut,
    #[error("there were more than {MAX_REDIRECTS} redirects")]
    TooManyRedirects,
    #[error("a redirect was not followed: {0}")]
    Redirect(Box<FetchError>),
    #[error("a redirect was not followed: it leads to another server, {0}, and a ratls policy is about one")]
    RedirectElsewhere(String),
    #[error("the fetches of all apps hold as many bodies as there is room for; try again later")]
    Busy,
}

impl FetchError {
    pub(super) fn failed(server: &str, error: EgressError) -> Self {
        match error {
            EgressError::ResponseTimeout => Self::TimedOut,
            error => Self::Failed { server: server.to_owned(), error },
        }
    }

    pub(super) fn unverified(refused: &RatlsRefused) -> EgressError {
        EgressError::Unverified(Cow::Owned(refused.to_string()))
    }
}
