//! An OpenID Connect issuer on loopback, which signs whatever a test wants.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use cloister_api::TokenIssuer;
use cloister_test_authority::{Authority, Versions};
use graviola::hashing::hmac::Hmac;
use graviola::hashing::{Sha256, Sha384};
use graviola::signing::ecdsa::{P256, P384, SigningKey as Ecdsa};
use graviola::signing::eddsa::Ed25519SigningKey;
use graviola::signing::rsa::{KeySize, SigningKey as Rsa};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

/// An issuer at `https://localhost:PORT`, on a thread of its own until it is dropped: any runtime, or none, may use it.
///
/// ```no_run
/// # use cloister_tests::Issuer;
/// let issuer = Issuer::start();
/// let settings = issuer.settings("clinic", "cloister");
/// let token = issuer.token(serde_json::json!({ "sub": "alice", "aud": "cloister", "roles": ["doctor"] }));
/// ```
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    authority: Authority,
    site: Arc<Mutex<Site>>,
    /// Dropped with the issuer: the thread ends.
    _running: oneshot::Sender<Infallible>,
}

/// How a token is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenSignature {
    Es256,
    Es384,
    Rs256,
    Ps256,
    EdDsa,
    /// By nothing: `alg` is `none`.
    None,
    /// By an HMAC whose secret is the issuer's public key, as everybody has it.
    PublicKeyAsSecret,
    /// By a key of somebody else's under the name of the issuer's.
    Stranger,
    /// By a key under a name that is in no key set.
    UnknownKey,
}

#[derive(Debug)]
struct Site {
    keys: Arc<Keys>,
    requests: Vec<String>,
    is_broken: bool,
}

impl Issuer {
    /// At a port of its own.
    ///
    /// # Panics
    /// Where loopback has no port, or there is no randomness.
    pub fn start() -> Self {
        let authority = Authority::new();
        let acceptor = authority.issue("localhost").acceptor(&["http/1.1"], Versions::All);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("sockets can be that");
        let keys = Arc::new(Keys::generate(1));
        let site = Arc::new(Mutex::new(Site { keys, requests: Vec::new(), is_broken: false }));
        let (running, ended) = oneshot::channel();
        let shown = (format!("https://localhost:{}", address.port()), Arc::clone(&site));
        std::thread::spawn(move || serve(listener, acceptor, &shown, ended));
        Self { address, authority, site, _running: running }
    }

    /// As in `iss`.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// Where its keys are.
    pub fn jwks_url(&self) -> String {
        format!("{}{KEYS}", self.url())
    }

    /// The certificate that vouches for its server.
    pub fn root_der(&self) -> Vec<u8> {
        self.authority.der().to_vec()
    }

    /// What an enclave is told of it: its name in rules, and the audience that its tokens are for. Roles are in `roles`.
    pub fn settings(&self, name: &str, audience: &str) -> TokenIssuer {
        TokenIssuer {
            name: name.to_owned(),
            issuer: self.url(),
            audience: audience.to_owned(),
            roles_claim: "roles".to_owned(),
            jwks: None,
            roots: vec![STANDARD.encode(self.authority.der())],
        }
    }

    /// A token signed with ES256. `iss` is this issuer's, and `exp` in five minutes, where `claims` does not say otherwise.
    pub fn token(&self, claims: Value) -> String {
        self.token_by(TokenSignature::Es256, claims)
    }

    /// A token with whatever protection.
    pub fn token_by(&self, signature: TokenSignature, claims: Value) -> String {
        let mut all = json!({ "iss": self.url(), "exp": seconds_from_now(300), "iat": seconds_from_now(0) });
        if let (Value::Object(all), Value::Object(claims)) = (&mut all, claims) {
            all.extend(claims);
        }
        let keys = Arc::clone(&self.lock().keys);
        keys.sign(signature, &all)
    }

    /// A token that expired ten minutes ago.
    pub fn expired_token(&self, mut claims: Value) -> String {
        claims["exp"] = json!(seconds_from_now(-600));
        claims["iat"] = json!(seconds_from_now(-1200));
        self.token(claims)
    }

    /// From now on it signs with new keys under new names, and publishes these alone.
    pub fn rotate(&self) {
        let generation = self.lock().keys.generation + 1;
        let keys = Arc::new(Keys::generate(generation));
        self.lock().keys = keys;
    }

    /// From now on it answers every request with status 500.
    pub fn break_down(&self) {
        self.lock().is_broken = true;
    }

    /// From now on it answers again.
    pub fn recover(&self) {
        self.lock().is_broken = false;
    }

    /// The paths that were asked for so far.
    pub fn requests(&self) -> Vec<String> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Site> {
        lock(&self.site)
    }
}

/// A time as tokens have it: seconds since 1970, so many from now.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    i64::try_from(now).unwrap_or(0) + seconds
}

/// One of each kind.
struct Keys {
    generation: u32,
    es256: Ecdsa<P256>,
    es384: Ecdsa<P384>,
    eddsa: Ed25519SigningKey,
    rsa: Rsa,
    stranger: Ecdsa<P256>,
}

impl Keys {
    fn generate(generation: u32) -> Self {
        Self {
            generation,
            es256: Ecdsa::generate().expect("randomness"),
            es384: Ecdsa::generate().expect("randomness"),
            eddsa: Ed25519SigningKey::generate().expect("randomness"),
            rsa: Rsa::generate(KeySize::Rsa2048).expect("randomness"),
            stranger: Ecdsa::generate().expect("randomness"),
        }
    }

    fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.generation)
    }

    /// RFC 7517, section 5.
    fn set(&self) -> Value {
        let p256 = point(&self.es256_public(), "P-256", "ES256", self.name("es256"));
        let p384 = point(
            &last::<97>(self.es384.to_spki_der(&mut [0; 256]).expect("it fits")),
            "P-384",
            "ES384",
            self.name("es384"),
        );
        let (modulus, exponent) = self.rsa_public();
        let rsa = |algorithm: &str, kid: String| json!({"kty": "RSA", "use": "sig", "alg": algorithm, "kid": kid, "n": encode(&modulus), "e": encode(&exponent)});
        let eddsa = json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.name("eddsa"),
            "x": encode(&self.eddsa.public_key().as_bytes()),
        });
        json!({ "keys": [p256, p384, rsa("RS256", self.name("rs256")), rsa("PS256", self.name("ps256")), eddsa] })
    }

    fn sign(&self, signature: TokenSignature, claims: &Value) -> String {
        let (algorithm, kid) = match signature {
            TokenSignature::Es256 | TokenSignature::Stranger => ("ES256", self.name("es256")),
            TokenSignature::Es384 => ("ES384", self.name("es384")),
            TokenSignature::Rs256 => ("RS256", self.name("rs256")),
            TokenSignature::Ps256 => ("PS256", self.name("ps256")),
            TokenSignature::EdDsa => ("EdDSA", self.name("eddsa")),
            TokenSignature::None => ("none", self.name("es256")),
            TokenSignature::PublicKeyAsSecret => ("HS256", self.name("es256")),
            TokenSignature::UnknownKey => ("ES256", self.name("unknown")),
        };
        let header = json!({ "alg": algorithm, "kid": kid, "typ": "JWT" });
        let signed =
            format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
        let message = signed.as_bytes();
        let buffer = &mut [0; 256];
        let made = match signature {
            TokenSignature::Es256 => self.es256.sign::<Sha256>(&[message], buffer),
            TokenSignature::Stranger | TokenSignature::UnknownKey => {
                self.stranger.sign::<Sha256>(&[message], buffer)
            }
            TokenSignature::Es384 => self.es384.sign::<Sha384>(&[message], buffer),
            TokenSignature::Rs256 => self.rsa.sign_pkcs1_sha256(buffer, message),
            TokenSignature::Ps256 => self.rsa.sign_pss_sha256(buffer, message),
            TokenSignature::EdDsa => return with_signature(&signed, &self.eddsa.sign(message)),
            TokenSignature::None => return with_signature(&signed, &[]),
            TokenSignature::PublicKeyAsSecret => {
                let mut mac = Hmac::<Sha256>::new(self.es256_public());
                mac.update(message);
                return with_signature(&signed, mac.finish().as_ref());
            }
        };
        with_signature(&signed, made.expect("it fits"))
    }

    /// SEC 1, section 2.3.3.
    fn es256_public(&self) -> [u8; 65] {
        last(self.es256.to_spki_der(&mut [0; 256]).expect("it fits"))
    }

    /// Modulus and exponent out of the `RSAPublicKey` of RFC 8017, section A.1.1: two integers, the lengths of 2048 bits.
    fn rsa_public(&self) -> (Vec<u8>, Vec<u8>) {
        let buffer = &mut [0; 512];
        let der = self.rsa.public_key().to_pkcs1_der(buffer).expect("it fits");
        // A sequence and an integer, each with a length of two bytes, and a zero before the first bit that is set.
        let (modulus, exponent) = der[9..].split_at(256);
        (modulus.to_vec(), exponent[2..].to_vec())
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").field("generation", &self.generation).finish_non_exhaustive()
    }
}

fn point(uncompressed: &[u8], curve: &str, algorithm: &str, kid: String) -> Value {
    let (x, y) = uncompressed[1..].split_at(uncompressed.len() / 2);
    json!({"kty": "EC", "crv": curve, "use": "sig", "alg": algorithm, "kid": kid, "x": encode(x), "y": encode(y)})
}

/// A key stands at the end of its SubjectPublicKeyInfo.
fn last<const LENGTH: usize>(spki: &[u8]) -> [u8; LENGTH] {
    *spki.last_chunk().expect("a key is that long")
}

fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", encode(signature))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn lock(site: &Mutex<Site>) -> MutexGuard<'_, Site> {
    site.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    (url, site): &(String, Arc<Mutex<Site>>),
    ended: oneshot::Receiver<Infallible>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("threads");
    runtime.block_on(async {
        let listener = TcpListener::from_std(listener).expect("it is a socket");
        let accepting = async {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer_all(stream, acceptor.clone(), url.clone(), Arc::clone(site)));
            }
        };
        tokio::select! {
            () = accepting => {}
            _ = ended => {}
        }
    });
}

async fn answer_all(stream: TcpStream, acceptor: TlsAcceptor, url: String, site: Arc<Mutex<Site>>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(request.uri().path(), &url, &mut lock(&site));
        async move { Ok::<_, Infallible>(answer) }
    });
    // A client that goes is a result of its own.
    let _ended =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn answer(path: &str, url: &str, site: &mut Site) -> Response<Full<Bytes>> {
    site.requests.push(path.to_owned());
    let (status, body) = match path {
        _ if site.is_broken => (500, Value::Null),
        DISCOVERY => (200, json!({ "issuer": url, "jwks_uri": format!("{url}{KEYS}") })),
        KEYS => (200, site.keys.set()),
        _ => (404, Value::Null),
    };
    let answer = Response::builder().status(status).header(CONTENT_TYPE, "application/json");
    answer.body(Full::new(body.to_string().into())).expect("it is a response")
}

/// OpenID Connect Discovery 1.0, section 4.
const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_tokens::{Issuers, TokenError};
    use std::time::Duration;

    fn claims() -> Value {
        json!({ "sub": "alice", "aud": "cloister", "roles": ["doctor"] })
    }

    #[tokio::test]
    async fn tokens_of_each_kind() {
        let issuer = Issuer::start();
        let readers = Issuers::new(&[issuer.settings("clinic", "cloister")]).unwrap();
        let verify = async |token: String| readers.verify(&token, SystemTime::now()).await;
        for good in [
            TokenSignature::Es256,
            TokenSignature::Es384,
            TokenSignature::Rs256,
            TokenSignature::Ps256,
            TokenSignature::EdDsa,
        ] {
            let verified = verify(issuer.token_by(good, claims())).await.unwrap();
            assert_eq!(
                (&*verified.subject, verified.roles),
                ("alice", vec!["doctor".to_owned()]),
                "{good:?}"
            );
        }
        let clinic = || "clinic".to_owned();
        for (bad, expected) in [
            (TokenSignature::None, TokenError::Unsigned),
            (TokenSignature::PublicKeyAsSecret, TokenError::SharedSecret),
            (TokenSignature::Stranger, TokenError::Signature { issuer: clinic() }),
            (TokenSignature::UnknownKey, TokenError::UnknownKey { issuer: clinic() }),
        ] {
            assert_eq!(verify(issuer.token_by(bad, claims())).await.unwrap_err(), expected);
        }
        assert_eq!(verify(issuer.expired_token(claims())).await.unwrap_err(), TokenError::Expired);
        let other = issuer.token(json!({ "sub": "alice", "aud": "other" }));
        assert_eq!(verify(other).await.unwrap_err(), TokenError::Audience);
        assert_eq!(issuer.requests(), [DISCOVERY, KEYS, DISCOVERY, KEYS]);
    }

    #[tokio::test]
    async fn new_keys_are_found_and_old_ones_are_used_while_it_is_down() {
        let issuer = Issuer::start();
        let readers = Issuers::new(&[issuer.settings("clinic", "cloister")]).unwrap();
        let later = |seconds| SystemTime::now() + Duration::from_secs(seconds);
        let lasting = || json!({ "sub": "alice", "aud": "cloister", "exp": seconds_from_now(3600) });
        let old = issuer.token(lasting());
        readers.verify(&old, later(0)).await.unwrap();
        issuer.break_down();
        // Long enough for the keys to be fetched again.
        readers.verify(&old, later(700)).await.unwrap();
        issuer.recover();
        issuer.rotate();
        readers.verify(&issuer.token(lasting()), later(720)).await.unwrap();
        let error = readers.verify(&old, later(720)).await.unwrap_err();
        assert_eq!(error, TokenError::UnknownKey { issuer: "clinic".into() });
    }
}
