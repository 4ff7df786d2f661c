//! Who sends a request: nobody in particular, the holder of a key, the subject of a token.
//!
//! `docs/design/authorization.md` is who may do what, as a table.

use crate::clock::Clock;
use crate::state::{Enclave, Holder};
use cloister_api::{Code, Configuration, KeyFingerprint, Problem, token_principal};
use cloister_attestation::key_fingerprint;
use cloister_runtime::platform::{self, CallerId, TokenSubject};
use cloister_tokens::{Issuers, TokenError};
use http::{HeaderMap, header};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a connection and a request show of who sends it. The key is verified, the token is not.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    key: Option<KeyFingerprint>,
    token: Shown,
}

impl Caller {
    /// From the certificates that the client proved to hold the key of, its own first.
    pub(crate) fn from_certificates(certificates: Option<&[CertificateDer<'_>]>) -> Self {
        let key = certificates
            .and_then(|chain| chain.first())
            .and_then(|own| key_fingerprint(own).ok())
            .map(KeyFingerprint::from_hash);
        Self { key, token: Shown::Nothing }
    }

    /// The same caller with the token of one request.
    pub(crate) fn with_token_of(&self, headers: &HeaderMap) -> Self {
        Self { key: self.key, token: Shown::in_headers(headers) }
    }

    /// The holder of this key.
    #[cfg(test)]
    pub(crate) fn with_key(key: KeyFingerprint) -> Self {
        Self { key: Some(key), token: Shown::Nothing }
    }

    /// Nobody in particular.
    #[cfg(test)]
    pub(crate) fn unknown() -> Self {
        Self { key: None, token: Shown::Nothing }
    }

    /// The key that the caller showed.
    pub(crate) fn key(&self) -> Option<KeyFingerprint> {
        self.key
    }

    /// Whom the request's token is about, where it has one, as each of these lists of issuers vouches.
    ///
    /// # Errors
    /// [`Code::InvalidToken`] where there is a token and none of them does, [`Code::IssuerUnavailable`] where its issuer gives no keys to
    /// find that out.
    pub(crate) async fn subjects<const N: usize>(
        &self,
        issuers: [&Issuers; N],
        clock: &Clock,
    ) -> Result<[Option<Subject>; N], Problem> {
        let mut subjects = [const { None }; N];
        let token = match &self.token {
            Shown::Nothing => return Ok(subjects),
            Shown::Unreadable => return Err(invalid("the header 'authorization' is not one bearer token")),
            Shown::Bearer(token) => token,
        };
        let mut why = TokenError::UnknownIssuer;
        for (subject, issuers) in subjects.iter_mut().zip(issuers) {
            match issuers.verify(token, clock.now()).await {
                Ok(verified) => *subject = Some(Subject::try_from(verified)?),
                Err(TokenError::UnknownIssuer) => {}
                Err(error) => why = error,
            }
        }
        if subjects.iter().all(Option::is_none) {
            return Err(refusal(&why));
        }
        Ok(subjects)
    }

    /// Who it is, for requests about the enclave and its apps.
    ///
    /// # Errors
    /// As [`subjects`](Self::subjects) of the enclave's issuers.
    pub(crate) async fn identify(&self, enclave: &Enclave) -> Result<Requester, Problem> {
        let [subject] = self.subjects([&enclave.issuers], enclave.attestor.clock()).await?;
        Ok(Requester { key: self.key, subject: subject.map(|subject| subject.principal()) })
    }
}

/// What the header `authorization` of a request holds.
#[derive(Clone)]
enum Shown {
    /// No token; perhaps something of another scheme.
    Nothing,
    Bearer(Arc<Zeroizing<String>>),
    /// Several tokens, or one that is no text.
    Unreadable,
}

impl Shown {
    /// RFC 6750, section 2.1; a scheme's name has no case (RFC 9110, section 11.1).
    fn in_headers(headers: &HeaderMap) -> Self {
        let mut tokens = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
            let (scheme, rest) = value.as_bytes().split_at_checked(SCHEME.len())?;
            let is_bearer = scheme.eq_ignore_ascii_case(SCHEME) && rest.first().is_none_or(|b| *b == b' ');
            is_bearer.then_some(rest)
        });
        let (Some(token), more) = (tokens.next(), tokens.next()) else { return Self::Nothing };
        match str::from_utf8(token) {
            Ok(token) if more.is_none() => Self::Bearer(Arc::new(Zeroizing::new(token.trim().to_owned()))),
            _ => Self::Unreadable,
        }
    }
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Bearer(_) => "Bearer",
            Self::Unreadable => "Unreadable",
        })
    }
}

/// Whom a verified token is about.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// The name of its issuer, as rules have it.
    pub(crate) issuer: String,
    pub(crate) roles: Vec<String>,
    id: TokenSubject,
    principal: KeyFingerprint,
}

impl Subject {
    /// How it is named as an owner.
    pub(crate) fn principal(&self) -> KeyFingerprint {
        self.principal
    }

    /// As guests are told.
    pub(crate) fn for_guest(self) -> platform::Caller {
        platform::Caller { id: CallerId::Token(self.id), roles: self.roles }
    }
}

impl TryFrom<cloister_tokens::VerifiedToken> for Subject {
    type Error = Problem;

    fn try_from(token: cloister_tokens::VerifiedToken) -> Result<Self, Problem> {
        let principal = token_principal(&token.issuer_url, &token.subject);
        let id = TokenSubject::new(token.issuer_url, token.subject)
            .ok_or_else(|| invalid("the token's subject is not 1 to 255 bytes without control characters"))?;
        Ok(Self { issuer: token.issuer, roles: token.roles, id, principal })
    }
}

/// Who asks about the enclave or its apps. All of it is verified.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requester {
    key: Option<KeyFingerprint>,
    /// Of the subject of a token.
    subject: Option<KeyFingerprint>,
}

impl Requester {
    /// The holder of this key.
    #[cfg(test)]
    pub(crate) fn with_key(key: KeyFingerprint) -> Self {
        Self { key: Some(key), subject: None }
    }

    /// Which owners of the enclave it is.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`] where it showed nothing, [`Code::Forbidden`] where it is none.
    pub(crate) fn owner(&self, configuration: &Configuration) -> Result<Owners, Problem> {
        self.owners(configuration).ok_or_else(|| match (self.subject, self.key) {
            (Some(subject), _) => Problem::new(
                Code::Forbidden,
                format!(
                    "the subject of this token is not one of this enclave's owners; start it with --owner {subject}"
                ),
            ),
            (None, Some(key)) => Problem::new(
                Code::Forbidden,
                format!("the key {key} is not one of this enclave's owners; start it with --owner {key}"),
            ),
            (None, None) => self.shows_nothing("an owner of this enclave"),
        })
    }

    /// As [`owner`](Self::owner); `None` where it is the operator alone.
    ///
    /// # Errors
    /// [`Code::Unauthenticated`], [`Code::Forbidden`].
    pub(crate) fn owner_or_operator(&self, configuration: &Configuration) -> Result<Option<Owners>, Problem> {
        match self.owner(configuration) {
            Ok(owners) => Ok(Some(owners)),
            Err(_) if self.is_operator(configuration) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// # Errors
    /// [`Code::Unauthenticated`] where it showed nothing, [`Code::Forbidden`] where it is not the operator.
    pub(crate) fn operator(&self, configuration: &Configuration) -> Result<(), Problem> {
        if self.is_operator(configuration) {
            return Ok(());
        }
        if self.key.is_none() && self.subject.is_none() {
            return Err(self.shows_nothing("the operator of this enclave"));
        }
        let why = match configuration.operator {
            Some(_) => "this is for the operator of this enclave, and the request shows another key",
            None => "this is for the operator of this enclave, and it was started without one",
        };
        Err(Problem::new(Code::Forbidden, why))
    }

    pub(crate) fn is_operator(&self, configuration: &Configuration) -> bool {
        configuration.operator.is_some() && self.key == configuration.operator
    }

    fn owners(&self, configuration: &Configuration) -> Option<Owners> {
        let mut owners =
            [self.subject, self.key].into_iter().flatten().filter(|who| configuration.owners.contains(who));
        let first = owners.next()?;
        Some(Owners { first, second: owners.next() })
    }

    fn shows_nothing(&self, who: &str) -> Problem {
        Problem::new(
            Code::Unauthenticated,
            format!("this request needs a TLS client certificate with the key of {who}, or a token of one"),
        )
    }
}

/// The owners that one request comes from: by its token, by its key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owners {
    first: KeyFingerprint,
    second: Option<KeyFingerprint>,
}

impl Owners {
    /// Whether this owner is one of them.
    pub(crate) fn include(&self, owner: &KeyFingerprint) -> bool {
        self.first == *owner || self.second.as_ref() == Some(owner)
    }

    /// As whom they do something about a name: as its owner, else as who may come to be it.
    pub(crate) fn acting_on(&self, holder: Holder) -> KeyFingerprint {
        match holder {
            Holder::Owner(owner) if self.include(&owner) => owner,
            _ => self.first,
        }
    }
}

fn refusal(error: &TokenError) -> Problem {
    match error {
        TokenError::Keys { .. } => Problem::new(Code::IssuerUnavailable, error.to_string()),
        _ => invalid(&error.to_string()),
    }
}

fn invalid(why: &str) -> Problem {
    Problem::new(Code::InvalidToken, why)
}

/// What begins a header with a token.
const SCHEME: &[u8] = b"Bearer";

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn shown(values: &[&[u8]]) -> Shown {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        Shown::in_headers(&headers)
    }

    #[test]
    fn a_token_is_what_follows_bearer() {
        for value in [&b"Bearer a.b.c"[..], b"bearer  a.b.c ", b"BEARER a.b.c"] {
            assert!(matches!(shown(&[value]), Shown::Bearer(token) if **token == "a.b.c"));
        }
        assert!(matches!(shown(&[b"Bearer"]), Shown::Bearer(token) if token.is_empty()));
        for other in [&b"Basic a.b.c"[..], b"Bearers a", b"Bear", b"\xff\xff\xff\xff\xff\xff\xff"] {
            assert!(matches!(shown(&[other]), Shown::Nothing), "{other:?}");
        }
        assert!(matches!(shown(&[b"Basic a", b"Bearer b"]), Shown::Bearer(token) if **token == "b"));
        assert!(matches!(shown(&[b"Bearer a", b"Bearer b"]), Shown::Unreadable));
        assert!(matches!(shown(&[b"Bearer \xff"]), Shown::Unreadable));
        assert!(!format!("{:?}", shown(&[b"Bearer secret"])).contains("secret"));
    }

    #[test]
    fn owners_are_known_by_either_and_the_operator_is_none() {
        let [key, subject, other, operator] = [1, 2, 3, 4].map(|byte| KeyFingerprint::from_hash([byte; 32]));
        let configuration = Configuration {
            owners: vec![key, subject],
            operator: Some(operator),
            ..Configuration::default()
        };
        let asks = |key, subject| Requester { key, subject };
        let both = asks(Some(key), Some(subject)).owner(&configuration).unwrap();
        assert!(both.include(&key) && both.include(&subject) && !both.include(&other));
        assert_eq!(both.acting_on(Holder::Nobody), subject);
        assert_eq!(both.acting_on(Holder::Owner(key)), key);
        assert_eq!(both.acting_on(Holder::Owner(other)), subject);
        let one = asks(Some(key), Some(other)).owner(&configuration).unwrap();
        assert!(one.include(&key) && !one.include(&other));
        let code = |asked: Result<Owners, Problem>| asked.unwrap_err().code;
        assert_eq!(code(asks(None, None).owner(&configuration)), Code::Unauthenticated);
        assert_eq!(code(asks(Some(other), None).owner(&configuration)), Code::Forbidden);
        assert_eq!(code(asks(None, Some(other)).owner(&configuration)), Code::Forbidden);
        assert_eq!(code(asks(Some(operator), None).owner(&configuration)), Code::Forbidden);
        assert!(asks(Some(operator), None).owner_or_operator(&configuration).unwrap().is_none());
        assert!(asks(Some(operator), None).operator(&configuration).is_ok());
        // The operator is a key: no token has its name.
        for not in [asks(None, Some(operator)), asks(Some(key), None), asks(Some(other), None)] {
            assert_eq!(not.operator(&configuration).unwrap_err().code, Code::Forbidden);
        }
        assert_eq!(asks(None, None).operator(&configuration).unwrap_err().code, Code::Unauthenticated);
        let without = Configuration { operator: None, ..configuration };
        assert_eq!(asks(None, None).operator(&without).unwrap_err().code, Code::Unauthenticated);
        assert_eq!(asks(Some(operator), None).operator(&without).unwrap_err().code, Code::Forbidden);
    }
}
