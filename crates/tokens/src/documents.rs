//! Where the documents of issuers come from.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cloister_egress::{
    Asked, Client, EgressError, EgressLog, EgressRequest, Exchange, Payload, Request, Timeouts, Turn,
};
use http::header::{ACCEPT, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::settings::check_url;
use crate::{FETCH_TIMEOUT, MAX_DOCUMENT};

/// What answers with the documents of issuers: https servers, or in tests a table.
pub trait Documents: Send + Sync + 'static {
    /// The whole document at an https URL, at most [`MAX_DOCUMENT`] bytes.
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>>;
}

/// Why a document did not come.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It is no https URL.
    #[error("the URL of a document is not valid: {0}")]
    Url(&'static str),
    /// There was no answer.
    #[error("{host}: {error}")]
    Failed { host: String, error: EgressError },
    /// Redirects are not followed: what they lead to is nothing that the issuer's settings name.
    #[error("{host} redirects to another URL, which is not followed")]
    Redirect { host: String },
    /// It is another status than 200.
    #[error("{host} answers with status {status}")]
    Status { host: String, status: u16 },
    /// It is longer than [`MAX_DOCUMENT`].
    #[error("{host} answers with more than {MAX_DOCUMENT} bytes")]
    TooLong { host: String },
}

/// Documents of https servers.
pub(crate) struct Servers(pub(crate) Client);

impl Servers {
    async fn fetch(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let (uri, target) = check_url(url).map_err(FetchError::Url)?;
        let host = target.host().to_owned();
        let asked = Asked { method: "GET", scheme: "https", host: host.clone(), port: target.port() };
        let exchange = Arc::new(Exchange::begin(Arc::new(Nobody), asked));
        let mut message = http::Request::new(Payload::empty());
        *message.uri_mut() = uri;
        message.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let request = Request { message, target, trust: None, timeouts: TIMEOUTS };
        // With a share of its own: no guest's requests keep it waiting.
        let failed = |error| FetchError::Failed { host: host.clone(), error };
        let response = self.0.send(request, Turn::Check, exchange).await.map_err(failed)?;
        let (head, body) = response.into_parts();
        match head.status.as_u16() {
            200 => {}
            300..=399 => return Err(FetchError::Redirect { host }),
            status => return Err(FetchError::Status { host, status }),
        }
        match Limited::new(body, MAX_DOCUMENT).collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong { host }),
            Err(error) => {
                let error = error.downcast().map_or(EgressError::Internal, |error: Box<EgressError>| *error);
                Err(FetchError::Failed { host, error })
            }
        }
    }
}

impl Documents for Servers {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>> {
        Box::pin(self.fetch(url))
    }
}

/// Documents that are given beforehand: issuers of tests need no network. A clone shares them.
#[derive(Clone, Default)]
pub struct FixedDocuments(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    documents: BTreeMap<String, Vec<u8>>,
    asked: Vec<String>,
}

impl FixedDocuments {
    /// None at all.
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this is the document at a URL.
    pub fn set(&self, url: &str, document: impl Into<Vec<u8>>) {
        self.lock().documents.insert(url.to_owned(), document.into());
    }

    /// From now on there is no document at a URL: its server answers with status 404.
    pub fn remove(&self, url: &str) {
        self.lock().documents.remove(url);
    }

    /// The URLs that were asked for so far, in order.
    pub fn asked(&self) -> Vec<String> {
        self.lock().asked.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Documents for FixedDocuments {
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<u8>, FetchError>> + Send + 'a>> {
        let mut table = self.lock();
        table.asked.push(url.to_owned());
        let document = table.documents.get(url).cloned();
        let document = document.ok_or(FetchError::Status { host: url.to_owned(), status: 404 });
        Box::pin(std::future::ready(document))
    }
}

impl fmt::Debug for FixedDocuments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedDocuments").field("asked", &self.asked()).finish_non_exhaustive()
    }
}

struct Nobody;

impl EgressLog for Nobody {
    fn record(&self, _: EgressRequest) {}
}

/// The whole takes no longer than [`FETCH_TIMEOUT`] either.
const TIMEOUTS: Timeouts = {
    const EACH: Duration = FETCH_TIMEOUT;
    Timeouts { connect: EACH, first_byte: EACH, between_bytes: EACH }
};
