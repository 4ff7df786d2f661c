use std::sync::Arc;
use std::time::SystemTime;

use cloister_api::TokenIssuer;

use crate::claims::Claims;
use crate::documents::Servers;
use crate::issuer::Issuer;
use crate::jws::Jws;
use crate::settings::{Settings, client};
use crate::{Documents, InvalidIssuer, TokenError};

/// The issuers whose tokens are accepted. It keeps their keys, so keep it.
#[derive(Debug, Default)]
pub struct Issuers(Vec<Issuer>);

/// What a token says, once it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The name of the issuer: [`TokenIssuer::name`].
    pub issuer: String,
    /// Its URL, as in `iss`.
    pub issuer_url: String,
    /// `sub`: never another one's at the same issuer.
    pub subject: String,
    /// As the issuer's claim with roles says, in its order.
    pub roles: Vec<String>,
    /// `exp`. The token was accepted up to a minute later.
    pub expires: SystemTime,
}

impl Issuers {
    /// Issuers whose keys are fetched over https once a token needs them.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(issuers: &[TokenIssuer]) -> Result<Self, InvalidIssuer> {
        let clients = issuers.iter().map(client);
        let settings = Settings::of_all(issuers)?;
        let issuer = |(settings, client): (Settings, Result<_, _>)| {
            client.map(|client| Issuer::new(settings, Arc::new(Servers(client))))
        };
        settings.into_iter().zip(clients).map(issuer).collect::<Result<_, _>>().map(Self)
    }

    /// Issuers whose documents come from elsewhere: for tests, from [`FixedDocuments`](crate::FixedDocuments).
    ///
    /// # Errors
    /// Settings that cannot be used. Roots are not looked at.
    pub fn with_documents(
        issuers: &[TokenIssuer],
        documents: Arc<dyn Documents>,
    ) -> Result<Self, InvalidIssuer> {
        let issuer = |settings| Issuer::new(settings, Arc::clone(&documents));
        Ok(Self(Settings::of_all(issuers)?.into_iter().map(issuer).collect()))
    }

    /// Whether there are none, so that no token is accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Verifies a token, the text after `Bearer `. `now` decides whether it has expired and how old keys are.
    ///
    /// It waits for the issuer where keys are needed, at most [`FETCH_TIMEOUT`](crate::FETCH_TIMEOUT) and as long as somebody
    /// else waits for the same, and has to be called from within a Tokio runtime.
    ///
    /// # Errors
    /// Any: why the token is not accepted.
    pub async fn verify(&self, token: &str, now: SystemTime) -> Result<VerifiedToken, TokenError> {
        let jws = Jws::parse(token)?;
        let claims = Claims::parse(&jws.payload)?;
        // Whose keys are to be used, and nothing more, is what an unverified token decides.
        let url = claims.issuer()?;
        let issuer = self.0.iter().find(|issuer| issuer.settings.url == url);
        issuer.ok_or(TokenError::UnknownIssuer)?.verify(&jws, &claims, now).await
    }
}
