//! `privasys:enclave-os/https`.
//!
//! A fetch is one request, and one more for each redirect. `cloister_egress` sends them: TLS, connections that are kept, the
//! log. `docs/design/https.md` has what is promised.

mod check;
mod error;
mod fetch;
mod ratls;
mod request;
mod url;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cloister_egress::{Budget, HttpSettings, Total};

use crate::PlatformCtxView;
use crate::bindings::privasys::enclave_os::https::{Host, Request, Response};
use crate::error::{Failure, answer};
use error::FetchError;
use request::Fetch;

/// What one call of a guest needs for its requests.
pub(crate) struct HttpsCtx {
    settings: HttpSettings,
    quote_roots: Arc<[Vec<u8>]>,
    /// Bytes of bodies, the request's and the response's.
    bodies: Budget,
    limit: Duration,
}

impl HttpsCtx {
    pub(crate) fn new(settings: HttpSettings, quote_roots: Arc<[Vec<u8>]>) -> Self {
        let bodies = Budget::new(MAX_CALL_BODIES, &ALL_BODIES);
        Self { settings, quote_roots, bodies, limit: FETCH_TIMEOUT }
    }
}

impl fmt::Debug for HttpsCtx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpsCtx").finish_non_exhaustive()
    }
}

impl Host for PlatformCtxView<'_> {
    async fn fetch(&mut self, request: Request) -> wasmtime::Result<Result<Response, String>> {
        answer(self.fetch_whole(request).await)
    }
}

impl PlatformCtxView<'_> {
    async fn fetch_whole(&mut self, request: Request) -> Result<Response, Failure> {
        self.pay(price(&request)).await?;
        let fetch = Fetch::read(request, &self.ctx.https)?;
        fetch::run(fetch, self).await
    }
}

impl From<FetchError> for crate::Error {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error.to_string().into())
    }
}

/// What everything but the requests themselves costs: the arguments are copied, certificates and policies read.
fn price(request: &Request) -> u64 {
    let headers = request.headers.iter().map(|(name, value)| name.len() + value.len() + HEADER_BYTES);
    let roots = request.ca_roots_der.iter().flatten().map(|root| ROOT_FUEL.saturating_add(root.len() as u64));
    let bytes = request.url.len() + headers.sum::<usize>() + request.body.as_ref().map_or(0, Vec::len);
    let evidence = request.ratls.as_ref().map_or(0, |policy| {
        let servers = policy.attestation_servers.len() as u64;
        let extensions =
            policy.expected_oids.iter().map(|expected| expected.oid.len() + expected.value.len());
        EVIDENCE_FUEL
            .saturating_add(servers.saturating_mul(REQUEST_FUEL))
            .saturating_add(extensions.sum::<usize>() as u64)
    });
    roots.fold(evidence, u64::saturating_add).saturating_add(bytes as u64)
}

/// Where evidence that a server does not bring along is asked for.
trait Servers: Send + Sync {
    /// Asks for an https URL, where the app's rules allow it, and receives an answer of at most 1 MiB. Redirects are not
    /// followed.
    fn get<'a>(
        &'a self,
        url: &'a str,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<Bytes>, FetchError>> + Send + 'a>>;
}

/// How long a fetch may take, redirects included.
pub(crate) const FETCH_TIMEOUT: Duration = Duration::from_secs(60);
/// Redirects that one fetch follows.
pub(crate) const MAX_REDIRECTS: usize = 10;
/// Bytes of a URL, the guest's or a redirect's.
pub(crate) const MAX_URL_BYTES: usize = 8 << 10;
/// Headers of a request.
pub(crate) const MAX_HEADERS: usize = 100;
/// Bytes of the names and values of a request's headers.
pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;
/// Certificates of `ca-roots-der`.
pub(crate) const MAX_ROOTS: usize = 32;
/// Bytes of the certificates of `ca-roots-der`.
pub(crate) const MAX_ROOT_BYTES: usize = 64 << 10;
/// Bytes of a response's body.
pub(crate) const MAX_RESPONSE_BYTES: usize = 8 << 20;
/// Bytes of bodies that one fetch holds.
const MAX_CALL_BODIES: usize = 2 * MAX_RESPONSE_BYTES;
/// Bytes of bodies that the fetches of all apps hold.
static ALL_BODIES: Total = Total::new(256 << 20);
/// Fuel of a request: about what a TLS handshake costs. As in `wasi:http`.
const REQUEST_FUEL: u64 = 500_000;
/// Fuel of the verification of a server's evidence: ten signatures or so, and JSON.
const EVIDENCE_FUEL: u64 = 1_500_000;
/// Fuel of a root: it is parsed.
const ROOT_FUEL: u64 = 10_000;
/// What a header takes beside its name and value.
const HEADER_BYTES: usize = 32;

#[cfg(test)]
mod tests;
