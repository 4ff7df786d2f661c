use crate::answers::{self, Answer};
use crate::guard::{self, Admitted, Target};
use crate::interface::Component;
use crate::upstream::Upstream;
use crate::{PAGE_PATH, ProxyError, forward, page, shown};
use cloister_api::AppName;
use cloister_client::{Client, ClientError, Endpoint, Session};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// One enclave behind a local port. Clones share everything.
#[derive(Clone, Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    settings: Settings,
}

/// What a proxy does beside forwarding.
#[derive(Debug, Default)]
pub struct Settings {
    /// Host names that are served beside this machine's own, without port.
    pub allowed_hosts: Vec<String>,
    /// The app that the page opens with.
    pub app: Option<AppName>,
    /// The only apps that requests may go to; `None`: all that the policy accepts. A policy that names apps says nothing of
    /// others.
    pub apps: Option<Vec<AppName>>,
    /// Components whose exports the page can make forms for, where the attested code hash is theirs.
    pub components: Vec<Component>,
    /// Who is told what happens.
    pub notices: Notices,
}

/// Something that the user should hear of.
#[derive(Clone, Debug)]
pub enum Notice {
    /// The enclave passed every check in a new session.
    Verified { mrenclave: [u8; 32] },
    /// No session came about, and nothing was sent.
    Refused(Arc<ClientError>),
}

/// Takes [`Notice`]s; the default takes none.
#[derive(Clone, Default)]
pub struct Notices(Option<Arc<dyn Fn(Notice) + Send + Sync>>);

impl Notices {
    pub fn new(take: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(take) = &self.0 {
            take(notice);
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Notices(taken)" } else { "Notices(none)" })
    }
}

impl Proxy {
    /// A proxy that reaches the enclave with this client: under its policy, and with its key where it has one.
    pub fn new(client: Client, enclave: Endpoint, settings: Settings) -> Self {
        let upstream = Upstream::new(client, enclave, settings.notices.clone());
        Self { shared: Arc::new(Shared { upstream, settings }) }
    }

    /// Verifies the enclave in a new session, which carries the requests from then on.
    ///
    /// # Errors
    /// [`ProxyError::NoSession`] where it is refused or cannot be reached.
    pub async fn verify(&self) -> Result<Arc<Session>, ProxyError> {
        self.shared.upstream.verify().await.map_err(ProxyError::NoSession)
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.shared.upstream
    }

    /// Whether requests may go to this app.
    pub(crate) fn accepts(&self, app: &AppName) -> bool {
        self.shared.settings.apps.as_ref().is_none_or(|apps| apps.contains(app))
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let answered = match guard::admit(&request, &self.shared.settings.allowed_hosts) {
            Ok(admitted) => self.route(admitted, request).await,
            Err(refused) => Err(refused),
        };
        answered.unwrap_or_else(ProxyError::into_response)
    }

    async fn route(
        &self,
        admitted: Admitted,
        request: Request<Incoming>,
    ) -> Result<Response<Answer>, ProxyError> {
        let path = request.uri().path();
        match (&admitted.target, path.strip_prefix(PAGE_PATH)) {
            // The origins of apps are theirs: neither the page nor the protocol is there, where an app's own pages could use
            // them with the user's key.
            (Target::App(_), _) if is_below(path, PAGE_PATH) || is_below(path, PROTOCOL) => {
                Err(ProxyError::NotFound("this is at localhost, and not at the host names of apps"))
            }
            (Target::Enclave, Some(rest)) => {
                let rest = rest.to_owned();
                self.own(&rest, request.method()).await
            }
            (Target::Enclave, None) if path == "/" || is_below(path, PAGE_PATH) => {
                get(request.method()).map(|()| answers::redirect(PAGE_PATH))
            }
            _ => forward::forward(self, &admitted, request).await,
        }
    }

    /// What the proxy serves itself.
    async fn own(&self, path: &str, method: &Method) -> Result<Response<Answer>, ProxyError> {
        if let Some(app) = path.strip_prefix("api/apps/") {
            get(method)?;
            let app = app.parse().map_err(|_| ProxyError::NotFound("that is not the name of an app"))?;
            return self.interface(&app).await;
        }
        match path {
            "" => get(method).map(|()| page::document()),
            "api/verify" if method == Method::POST => Ok(self.appraisal().await),
            "api/verify" => Err(ProxyError::Method("POST")),
            _ => Err(ProxyError::NotFound("the proxy has nothing there")),
        }
    }

    /// The report of a new session; a refusal is an answer like any other.
    async fn appraisal(&self) -> Response<Answer> {
        let began = Instant::now();
        let verified = self.shared.upstream.verify().await;
        let endpoint = self.shared.upstream.endpoint();
        let shown =
            shown::Appraisal::new(endpoint, &verified, began.elapsed(), self.shared.settings.app.as_ref());
        answers::json(StatusCode::OK, &shown)
    }

    /// The functions of an app, by the component that the user gave, else as the enclave describes it to its owner.
    async fn interface(&self, app: &AppName) -> Result<Response<Answer>, ProxyError> {
        let session = self.shared.upstream.session(&Target::Enclave, Some(app)).await?;
        let claims = session.claims().app(app).ok_or_else(|| ProxyError::UnknownApp(app.clone()))?;
        let components = &self.shared.settings.components;
        let answer = |source, code_hash, described| {
            answers::json(StatusCode::OK, &Interface { app, code_hash, source, described })
        };
        if let Some(component) = components.iter().find(|own| *own.code_hash() == claims.code_hash) {
            return Ok(answer(Source::Component, hex::encode(claims.code_hash), component.interface()));
        }
        match session.describe(app).await {
            Ok(description) => {
                let described = crate::interface::of_text(&description.wit);
                Ok(answer(Source::Enclave, description.summary.code_hash, described))
            }
            Err(ClientError::Problem(_)) => {
                let described = crate::interface::Interface::unknown(HOW_TO_KNOW);
                Ok(answer(Source::None, hex::encode(claims.code_hash), described))
            }
            Err(error) => Err(ProxyError::Interrupted(Arc::new(error))),
        }
    }
}

#[derive(Serialize)]
struct Interface<'a> {
    app: &'a AppName,
    code_hash: String,
    source: Source,
    #[serde(flatten)]
    described: crate::interface::Interface,
}

/// Where an interface is known from.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Source {
    /// A component with the attested code hash.
    Component,
    /// The enclave, which tells the app's owner.
    Enclave,
    None,
}

/// Whether `path` is `prefix`, with or without the slash that it ends with, or below it.
fn is_below(path: &str, prefix: &str) -> bool {
    path.starts_with(prefix) || prefix.strip_suffix('/') == Some(path)
}

fn get(method: &Method) -> Result<(), ProxyError> {
    match *method {
        Method::GET | Method::HEAD => Ok(()),
        _ => Err(ProxyError::Method("GET")),
    }
}

/// The enclave's protocol, as it has it on every host name.
const PROTOCOL: &str = "/.well-known/cloister/";
const HOW_TO_KNOW: &str = "An enclave describes an app to its owner alone. Start the proxy with the owner's key (--key), or with \
                           the component itself (--wasm FILE), whose SHA-256 has to be the attested code hash.";
