//! Settings of an issuer, checked.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloister_api::{TokenIssuer, check_issuers};
use cloister_egress::{Client, InvalidRoots, Protection, Roots, Target};
use http::Uri;
use rustls_pki_types::CertificateDer;

use crate::InvalidIssuer;

/// What is known of an issuer before it is asked anything.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// As in `iss`.
    pub(crate) url: String,
    pub(crate) audience: String,
    pub(crate) roles_claim: String,
    /// None: what the issuer's own description says.
    pub(crate) key_set: Option<String>,
}

impl Settings {
    pub(crate) fn of_all(issuers: &[TokenIssuer]) -> Result<Vec<Self>, InvalidIssuer> {
        check_issuers(issuers)?;
        let mut urls = BTreeSet::new();
        // Which of them a token is of could not be told.
        if let Some(twice) = issuers.iter().find(|issuer| !urls.insert(&issuer.issuer)) {
            return Err(InvalidIssuer::SameUrl(twice.name.clone()));
        }
        issuers.iter().map(Self::of).collect()
    }

    /// OpenID Connect Discovery 1.0, section 4.1: where the issuer describes itself.
    pub(crate) fn discovery(&self) -> String {
        format!("{}/.well-known/openid-configuration", self.url.strip_suffix('/').unwrap_or(&self.url))
    }

    fn of(issuer: &TokenIssuer) -> Result<Self, InvalidIssuer> {
        let TokenIssuer { name, issuer: url, audience, roles_claim, jwks, .. } = issuer;
        for url in [Some(url), jwks.as_ref()].into_iter().flatten() {
            check_url(url).map_err(|why| InvalidIssuer::Url { name: name.clone(), why })?;
        }
        Ok(Self {
            name: name.clone(),
            url: url.clone(),
            audience: audience.clone(),
            roles_claim: roles_claim.clone(),
            key_set: jwks.clone(),
        })
    }
}

/// Sends requests to an issuer, under the roots that it has to be below.
pub(crate) fn client(issuer: &TokenIssuer) -> Result<Client, InvalidIssuer> {
    let name = || issuer.name.clone();
    let root = |(index, text): (usize, &String)| match STANDARD.decode(text) {
        Ok(der) => Ok(CertificateDer::from(der)),
        Err(error) => Err(InvalidIssuer::Root { name: name(), index, why: error.to_string() }),
    };
    let roots = if issuer.roots.is_empty() {
        Roots::Mozilla
    } else {
        Roots::These(issuer.roots.iter().enumerate().map(root).collect::<Result<_, _>>()?)
    };
    Client::new(roots).map_err(|error| match error {
        InvalidRoots::Certificate { index, source } => {
            InvalidIssuer::Root { name: name(), index, why: source.to_string() }
        }
        InvalidRoots::Tls(error) => InvalidIssuer::Tls { name: name(), why: error.to_string() },
    })
}

/// An https URL that can be fetched, and where it leads to.
pub(crate) fn check_url(url: &str) -> Result<(Uri, Target), &'static str> {
    if url.len() > MAX_URL {
        return Err("it is longer than 1024 bytes");
    }
    if !url.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Err("it has characters that URLs cannot have");
    }
    if url.contains('#') {
        return Err("it has a fragment");
    }
    let rest = url.strip_prefix("https://").ok_or("it does not begin with https://")?;
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let target = Target::new(Protection::Tls, authority);
    let target = target.map_err(|_| "it names no host that can be connected to")?;
    let uri = url.parse().map_err(|_| "it is not valid")?;
    Ok((uri, target))
}

/// Bytes of a URL that an issuer's description names.
const MAX_URL: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer() -> TokenIssuer {
        TokenIssuer {
            name: "clinic".into(),
            issuer: "https://login.example/realms/clinic".into(),
            audience: "cloister".into(),
            roles_claim: "roles".into(),
            jwks: None,
            roots: Vec::new(),
        }
    }

    #[test]
    fn where_an_issuer_describes_itself() {
        let end = "/.well-known/openid-configuration";
        for url in ["https://a.example", "https://a.example/b", "https://a.example:444/b/"] {
            let [settings] =
                &Settings::of_all(&[TokenIssuer { issuer: url.into(), ..issuer() }]).unwrap()[..]
            else {
                panic!("one issuer")
            };
            assert_eq!(settings.discovery(), format!("{}{end}", url.trim_end_matches('/')));
        }
    }

    #[test]
    fn urls_that_cannot_be_fetched() {
        for (url, why) in [
            ("http://login.example", "does not begin with https://"),
            ("HTTPS://login.example", "does not begin with https://"),
            ("login.example", "does not begin with https://"),
            ("", "does not begin with https://"),
            ("https://", "names no host"),
            ("https:///path", "names no host"),
            ("https://user@login.example", "names no host"),
            ("https://user:password@login.example", "names no host"),
            ("https://login.example:0", "names no host"),
            ("https://127.1", "names no host"),
            ("https://login.example/#top", "has a fragment"),
            ("https://login.example/\\", "characters that URLs cannot have"),
            ("https://lögin.example", "characters that URLs cannot have"),
            ("https://login.example /", "characters that URLs cannot have"),
        ] {
            let refused = check_url(url).unwrap_err();
            assert!(refused.contains(why), "{url}: {refused}");
        }
        let long = format!("https://login.example/{}", "a".repeat(MAX_URL));
        assert!(check_url(&long).unwrap_err().contains("longer than 1024"));
        let (uri, target) = check_url("https://Login.example:8443/keys?tenant=1").unwrap();
        assert_eq!(uri.path_and_query().unwrap(), "/keys?tenant=1");
        assert_eq!((target.host(), target.port()), ("login.example", 8443));
    }

    #[test]
    fn settings_that_are_refused() {
        let refused = |issuer: TokenIssuer| Settings::of_all(&[issuer]).unwrap_err();
        let http = refused(TokenIssuer { issuer: "http://login.example".into(), ..issuer() });
        assert!(matches!(http, InvalidIssuer::Settings(_)), "{http}");
        for url in ["https://127.1", "https://login.example:0"] {
            let nowhere = refused(TokenIssuer { issuer: url.into(), ..issuer() });
            assert!(matches!(nowhere, InvalidIssuer::Url { .. }), "{nowhere}");
            let nowhere = refused(TokenIssuer { jwks: Some(url.into()), ..issuer() });
            assert!(matches!(nowhere, InvalidIssuer::Url { .. }), "{nowhere}");
        }
        let other = TokenIssuer { name: "other".into(), ..issuer() };
        let same = Settings::of_all(&[issuer(), other]).unwrap_err();
        assert_eq!(same, InvalidIssuer::SameUrl("other".into()));
        let many = Settings::of_all(&vec![issuer(); 5]).unwrap_err();
        assert!(matches!(many, InvalidIssuer::Settings(_)), "{many}");
    }

    #[test]
    fn roots_are_certificates() {
        for (roots, why) in [
            (vec!["not base64".to_owned()], "root 0"),
            (vec![STANDARD.encode("not a certificate")], "root 0"),
        ] {
            let error = client(&TokenIssuer { roots, ..issuer() }).unwrap_err().to_string();
            assert!(error.contains("'clinic'") && error.contains(why), "{error}");
        }
        assert!(client(&issuer()).is_ok());
    }
}
