//! An enclave with owners, an operator and an issuer, and everybody who asks it for something.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use cloister_api::{AppDescription, DeploySettings, KeyFingerprint, TokenIssuer, token_principal};
use cloister_client::{Client, Identity, KeyAlgorithm, Session};
use cloister_tests::{Enclave, Issuer, Setup, TokenSignature, guest, name};
use graviola::signing::ecdsa::{P384, SigningKey};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// All of it; the enclave ends with it.
pub(super) struct World {
    pub(super) enclave: Enclave,
    issuer: Issuer,
    /// By column, as far as it has one.
    fingerprints: BTreeMap<&'static str, String>,
    /// By the key that they show; the empty name is that of nobody.
    sessions: BTreeMap<&'static str, Session>,
    /// By column.
    tokens: BTreeMap<&'static str, String>,
    /// Shows the token of an owner.
    owner_by_token: Session,
}

/// One column of a table.
pub(super) struct Caller<'a> {
    pub(super) session: &'a Session,
    pub(super) token: Option<&'a str>,
    /// They are asked about apps that they deployed with a token.
    pub(super) owns_by_token: bool,
}

impl World {
    pub(super) async fn start() -> Self {
        let issuer = Issuer::start();
        let mut identities = BTreeMap::from([
            ("stranger-key", p256()),
            ("caller-key-p256", p256()),
            ("caller-key-p384", p384()),
            ("caller-key-ed25519", Identity::generate_for(KeyAlgorithm::Ed25519).expect("randomness")),
            ("other-owner-key", p256()),
            ("operator-key", p256()),
        ]);
        let mut setup = Setup::new();
        let fingerprint = |identity: &Identity| -> KeyFingerprint {
            identity.fingerprint().parse().expect("it is a fingerprint")
        };
        setup.configuration.owners.push(fingerprint(&identities["other-owner-key"]));
        setup.configuration.owners.push(token_principal(&issuer.url(), OWNER));
        setup.configuration.operator = Some(fingerprint(&identities["operator-key"]));
        setup.configuration.issuers = vec![issuer.settings(IDP, AUDIENCE)];
        let enclave = setup.start();

        let pem = enclave.identity().to_pem().expect("a key is PEM");
        identities.insert("owner-key", Identity::from_pem(&pem).expect("and back"));
        let fingerprints =
            identities.iter().map(|(column, identity)| (*column, identity.fingerprint())).collect();
        let mut sessions = BTreeMap::from([("", enclave.caller().await)]);
        for (column, identity) in identities {
            let client = Client::new(enclave.policy()).with_identity(identity);
            let session = client.connect(&enclave.endpoint()).await.unwrap_or_else(|error| panic!("{error}"));
            sessions.insert(column, session);
        }
        let tokens = tokens(&issuer);
        let client = Client::new(enclave.policy()).with_token(tokens["owner-token"].clone().into());
        let owner_by_token =
            client.connect(&enclave.endpoint()).await.unwrap_or_else(|error| panic!("{error}"));
        Self { enclave, issuer, fingerprints, sessions, tokens, owner_by_token }
    }

    /// Who a column is about.
    pub(super) fn caller(&self, column: &str) -> Caller<'_> {
        let token = match column {
            "owner-key-with-token-expired" => Some("token-expired"),
            column => Some(column),
        };
        let token = token.and_then(|column| self.tokens.get(column)).map(String::as_str);
        let key = match column {
            "owner-key-with-token-expired" => "owner-key",
            "nobody" => "",
            _ if token.is_some() => "",
            column => column,
        };
        let session = self.sessions.get(key).unwrap_or_else(|| panic!("the page has a column '{column}'"));
        Caller { session, token, owns_by_token: column == "owner-token" }
    }

    /// The name of a column's key.
    pub(super) fn fingerprint(&self, column: &str) -> &str {
        &self.fingerprints[column]
    }

    /// The issuer, as settings have it.
    pub(super) fn issuer(&self) -> TokenIssuer {
        self.issuer.settings(IDP, AUDIENCE)
    }

    /// Deploys the app for the owner who shows a key, and `NAME-by-token` for the one who shows a token; what is there stays.
    pub(super) async fn deploy(&self, app: &str, settings: &DeploySettings) -> AppDescription {
        let owners = [
            (format!("{app}-by-token"), &self.owner_by_token),
            (app.to_owned(), &self.sessions["owner-key"]),
        ];
        let mut last = None;
        for (app, owner) in owners {
            let app = name(&app);
            last = Some(match owner.describe(&app).await {
                Ok(there) => there,
                Err(_) => owner
                    .deploy(&app, guest("entries"), settings, |_| {})
                    .await
                    .unwrap_or_else(|error| panic!("{app}: {error}")),
            });
        }
        last.expect("there are two owners")
    }
}

fn tokens(issuer: &Issuer) -> BTreeMap<&'static str, String> {
    let claims = |subject: &str, roles: &[&str]| json!({ "sub": subject, "aud": AUDIENCE, "roles": roles });
    // Long enough for all that is asked.
    let lasting = |mut claims: Value| {
        claims["exp"] = json!(cloister_tests::seconds_from_now(3_600));
        issuer.token(claims)
    };
    let elsewhere = json!({ "sub": "guest", "aud": "elsewhere", "roles": [ROLE] });
    BTreeMap::from([
        ("token", lasting(claims("guest", &[ROLE]))),
        ("token-role", lasting(claims("guest", &["writer", ROLE]))),
        ("token-no-role", lasting(claims("guest", &["writer"]))),
        ("token-expired", issuer.expired_token(claims("guest", &[ROLE]))),
        ("token-wrong-audience", lasting(elsewhere)),
        ("token-unsigned", issuer.token_by(TokenSignature::None, claims("guest", &[ROLE]))),
        ("owner-token", lasting(claims(OWNER, &[]))),
    ])
}

fn p256() -> Identity {
    Identity::generate().expect("randomness")
}

fn p384() -> Identity {
    let mut der = [0; 256];
    let key = SigningKey::<P384>::generate().expect("randomness");
    let der = BASE64_STANDARD.encode(key.to_pkcs8_der(&mut der).expect("it fits"));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
    Identity::from_pem(&pem).expect("it is a key")
}

/// The subject of the owner's tokens.
const OWNER: &str = "olive";
/// As the page calls the issuer and the role.
const IDP: &str = "idp";
const ROLE: &str = "reader";
const AUDIENCE: &str = "cloister";
