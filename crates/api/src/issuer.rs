use crate::KeyFingerprint;
use crate::access::is_issuer_name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// An OpenID Connect issuer whose tokens are accepted.
///
/// What JSON gives was [checked](Self::check); what is made otherwise may not be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct TokenIssuer {
    /// What rules call it: 1 to 32 of `a-z`, `0-9` and `-`.
    pub name: String,
    /// An https URL, byte for byte as it stands in the tokens' `iss`.
    pub issuer: String,
    /// What has to be among the tokens' `aud`.
    pub audience: String,
    /// The top-level claim that holds the roles: a string, or an array of strings.
    pub roles_claim: String,
    /// Where the keys are, an https URL; absent where the issuer's own `/.well-known/openid-configuration` says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<String>,
    /// Certificates that vouch for the servers of these URLs, DER in base64. None: Mozilla's; else these and no other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roots: Vec<String>,
}

impl TokenIssuer {
    /// # Errors
    /// [`InvalidTokenIssuer`] where a part is malformed or longer than is allowed. Certificates are only counted here.
    pub fn check(&self) -> Result<(), InvalidTokenIssuer> {
        if !is_issuer_name(&self.name) {
            return Err(InvalidTokenIssuer::Name(self.name.chars().take(SHOWN).collect()));
        }
        let fault = |part, text: &str| InvalidTokenIssuer::Url {
            name: self.name.clone(),
            part,
            text: text.chars().take(SHOWN).collect(),
        };
        if !is_https(&self.issuer) {
            return Err(fault("issuer", &self.issuer));
        }
        if let Some(jwks) = self.jwks.as_deref().filter(|jwks| !is_https(jwks)) {
            return Err(fault("jwks", jwks));
        }
        if !is_word(&self.audience) {
            return Err(InvalidTokenIssuer::Audience { name: self.name.clone() });
        }
        if !is_word(&self.roles_claim) {
            return Err(InvalidTokenIssuer::RolesClaim { name: self.name.clone() });
        }
        let bytes = self.roots.iter().map(String::len).sum::<usize>();
        if self.roots.len() > MAX_ISSUER_ROOTS || bytes > MAX_ISSUER_ROOTS_TEXT {
            return Err(InvalidTokenIssuer::Roots { name: self.name.clone() });
        }
        Ok(())
    }
}

/// Checks a list of issuers: each by itself, how many they are, and that no two have one name.
///
/// # Errors
/// [`InvalidTokenIssuer`].
pub fn check_issuers(issuers: &[TokenIssuer]) -> Result<(), InvalidTokenIssuer> {
    if issuers.len() > MAX_ISSUERS {
        return Err(InvalidTokenIssuer::TooMany(issuers.len()));
    }
    issuers.iter().try_for_each(TokenIssuer::check)?;
    for (i, issuer) in issuers.iter().enumerate() {
        if issuers[..i].iter().any(|other| other.name == issuer.name) {
            return Err(InvalidTokenIssuer::Twice(issuer.name.clone()));
        }
    }
    Ok(())
}

/// Who the subject of an issuer's tokens is, as an owner: SHA-256 of `cloister token subject v1`, a zero byte, the length of
/// the issuer's URL (u32, little-endian), the URL and the subject.
///
/// It stands where keys' fingerprints do, and is none: no key has it.
pub fn token_principal(issuer: &str, subject: &str) -> KeyFingerprint {
    let length = u32::try_from(issuer.len()).unwrap_or(u32::MAX);
    let mut hash = Sha256::new();
    hash.update(b"cloister token subject v1\0");
    hash.update(length.to_le_bytes());
    hash.update(issuer.as_bytes());
    hash.update(subject.as_bytes());
    KeyFingerprint::from_hash(hash.finalize().into())
}

/// The value is not an issuer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTokenIssuer {
    #[error("'{}' is not the name of an issuer: that is 1 to 32 of a-z, 0-9 and '-'", .0.escape_debug())]
    Name(String),
    #[error("the {part} of the issuer '{name}' is not an https URL of at most {MAX_ISSUER_URL} bytes, without query and fragment: '{}'", .text.escape_debug())]
    Url { name: String, part: &'static str, text: String },
    #[error("the audience of the issuer '{name}' is not 1 to {MAX_ISSUER_WORD} visible ASCII characters")]
    Audience { name: String },
    #[error("the roles claim of the issuer '{name}' is not 1 to {MAX_ISSUER_WORD} visible ASCII characters")]
    RolesClaim { name: String },
    #[error(
        "the issuer '{name}' has more than {MAX_ISSUER_ROOTS} root certificates, or ones of together more than {MAX_ISSUER_ROOTS_TEXT} bytes in base64"
    )]
    Roots { name: String },
    #[error("there are at most {MAX_ISSUERS} issuers, and these are {0}")]
    TooMany(usize),
    #[error("two issuers have the name '{0}'")]
    Twice(String),
}

/// Most issuers that an app has, and that an enclave's owners have.
pub const MAX_ISSUERS: usize = 4;
/// The claim that holds a token's roles if nothing else is said.
pub const DEFAULT_ROLES_CLAIM: &str = "roles";
/// Most root certificates of one issuer.
pub const MAX_ISSUER_ROOTS: usize = 8;
/// Most bytes that they have together, in base64.
pub const MAX_ISSUER_ROOTS_TEXT: usize = 16 << 10;
/// Longest URL of an issuer, in bytes.
pub const MAX_ISSUER_URL: usize = 512;
/// Longest audience, and longest name of the roles claim, in bytes.
pub const MAX_ISSUER_WORD: usize = 256;

/// As JSON gives it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    name: String,
    issuer: String,
    audience: String,
    #[serde(default = "default_roles_claim")]
    roles_claim: String,
    #[serde(default)]
    jwks: Option<String>,
    #[serde(default)]
    roots: Vec<String>,
}

impl TryFrom<Unchecked> for TokenIssuer {
    type Error = InvalidTokenIssuer;

    fn try_from(unchecked: Unchecked) -> Result<Self, InvalidTokenIssuer> {
        let Unchecked { name, issuer, audience, roles_claim, jwks, roots } = unchecked;
        let issuer = Self { name, issuer, audience, roles_claim, jwks, roots };
        issuer.check().map(|()| issuer)
    }
}

fn default_roles_claim() -> String {
    DEFAULT_ROLES_CLAIM.to_owned()
}

/// A URL with a host; without user, query and fragment, which OpenID Connect Discovery 1.0, section 4, excludes.
fn is_https(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("https://") else { return false };
    let host = rest.split('/').next().unwrap_or(rest);
    text.len() <= MAX_ISSUER_URL
        && !host.is_empty()
        && !host.contains('@')
        && rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\\"<>".contains(&b))
}

fn is_word(text: &str) -> bool {
    (1..=MAX_ISSUER_WORD).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Characters of a bad text that its error repeats.
const SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(name: &str) -> TokenIssuer {
        TokenIssuer {
            name: name.into(),
            issuer: "https://id.example.com/realm".into(),
            audience: "hospital".into(),
            roles_claim: "roles".into(),
            jwks: None,
            roots: Vec::new(),
        }
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        let text = r#"{"name":"staff","issuer":"https://id.example.com/realm","audience":"hospital"}"#;
        assert_eq!(serde_json::from_str::<TokenIssuer>(text).unwrap(), issuer("staff"));
        let full = TokenIssuer {
            jwks: Some("https://id.example.com:8443/keys".into()),
            roots: vec!["MIIB".into()],
            ..issuer("staff")
        };
        let text = serde_json::to_string(&full).unwrap();
        assert_eq!(serde_json::from_str::<TokenIssuer>(&text).unwrap(), full);
        assert!(serde_json::from_str::<TokenIssuer>(&text.replace("jwks", "keys")).is_err());
    }

    #[test]
    fn malformed_parts_are_refused_with_their_names() {
        for (change, expected) in [
            (TokenIssuer { name: "Staff".into(), ..issuer("a") }, "not the name of an issuer"),
            (TokenIssuer { issuer: "http://a".into(), ..issuer("a") }, "the issuer of the issuer 'a'"),
            (TokenIssuer { issuer: "https://".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: "https:///x".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: "https://u@a/".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: "https://a/?b".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: "https://a/#b".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: "https://a b".into(), ..issuer("a") }, "https URL"),
            (TokenIssuer { issuer: format!("https://{}", "a".repeat(512)), ..issuer("a") }, "https URL"),
            (TokenIssuer { jwks: Some("ftp://a".into()), ..issuer("a") }, "the jwks of the issuer 'a'"),
            (TokenIssuer { audience: String::new(), ..issuer("a") }, "the audience"),
            (TokenIssuer { roles_claim: "r r".into(), ..issuer("a") }, "the roles claim"),
            (TokenIssuer { roots: vec![String::new(); 9], ..issuer("a") }, "root certificates"),
            (TokenIssuer { roots: vec!["A".repeat(17 << 10)], ..issuer("a") }, "root certificates"),
        ] {
            let error = change.check().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(serde_json::from_value::<TokenIssuer>(serde_json::to_value(&change).unwrap()).is_err());
        }
    }

    #[test]
    fn a_list_is_bounded_and_names_are_distinct() {
        let four: Vec<_> = ["a", "b", "c", "d"].map(issuer).into();
        assert_eq!(check_issuers(&four), Ok(()));
        let five = [four.clone(), vec![issuer("e")]].concat();
        assert_eq!(check_issuers(&five), Err(InvalidTokenIssuer::TooMany(5)));
        assert_eq!(
            check_issuers(&[issuer("a"), issuer("b"), issuer("a")]),
            Err(InvalidTokenIssuer::Twice("a".into()))
        );
        assert!(check_issuers(&[issuer("A")]).is_err());
    }

    /// Computed with another implementation of SHA-256.
    #[test]
    fn a_subject_is_a_principal_by_issuer_and_name() {
        let principal = token_principal("https://id.example.com", "alice");
        assert_eq!(principal.to_string(), "5b9d97025c3a40613c43e01cc051ae8627c11385eb7e555e4f40a2802b84c1a2");
        // The length keeps what belongs to the URL apart from what belongs to the subject.
        assert_ne!(
            token_principal("https://id.example.com/a", "b"),
            token_principal("https://id.example.com/", "ab")
        );
    }
}
