//! What a guest asks for, and what redirects lead to.

use cloister_egress::{Protection, Target};
use http::Uri;
use http::uri::{PathAndQuery, Scheme};
use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::MAX_URL_BYTES;
use super::error::FetchError;

/// An https URL that a request can go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    target: Target,
    /// Begins with a slash.
    path: PathAndQuery,
}

impl Url {
    /// Reads an absolute URL. RFC 3986, with what else people write in URLs percent-encoded, as browsers do.
    pub(super) fn parse(text: &str) -> Result<Self, FetchError> {
        check(text)?;
        let Some((scheme, rest)) = split_scheme(text) else {
            return Err(FetchError::Url("it does not begin with https://"));
        };
        if !scheme.eq_ignore_ascii_case("https") {
            return Err(FetchError::Scheme(format!("{scheme}:")));
        }
        let rest = rest.strip_prefix("//").ok_or(FetchError::Url("it does not begin with https://"))?;
        Self::after_slashes(rest)
    }

    /// What a reference in a response of this URL means: RFC 3986, section 5.2.
    pub(super) fn join(&self, reference: &str) -> Result<Self, FetchError> {
        check(reference)?;
        if split_scheme(reference).is_some() {
            return Self::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Self::after_slashes(rest);
        }
        let reference = without_fragment(reference);
        let base = self.path.path();
        let joined = match reference.chars().next() {
            None => return Ok(self.clone()),
            Some('?') => format!("{base}{reference}"),
            Some('/') => without_dots(reference),
            Some(_) => {
                let folder = base.rsplit_once('/').map_or("", |(folder, _)| folder);
                without_dots(&format!("{folder}/{reference}"))
            }
        };
        Ok(Self { target: self.target.clone(), path: path_and_query(&joined)? })
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// For people: host and port, without the port that all https has.
    pub(super) fn server(&self) -> String {
        let (host, port) = (self.target.host(), self.target.port());
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if port == 443 { host } else { format!("{host}:{port}") }
    }

    pub(super) fn uri(&self) -> Result<Uri, FetchError> {
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(self.target.authority().clone());
        uri.path_and_query(self.path.clone()).build().map_err(|_| INVALID)
    }

    /// Bytes of what a server gets of it.
    pub(super) fn len(&self) -> usize {
        self.target.authority().as_str().len() + self.path.as_str().len()
    }

    fn after_slashes(rest: &str) -> Result<Self, FetchError> {
        let rest = without_fragment(rest);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(FetchError::Url("it has user information before the host"));
        }
        if !authority.is_ascii() {
            return Err(FetchError::Url("its host is not ASCII; write it as xn--…"));
        }
        let target = Target::new(Protection::Tls, authority);
        let target = target.map_err(|_| FetchError::Url("it names no host that can be connected to"))?;
        Ok(Self { target, path: path_and_query(&without_dots(path))? })
    }
}

fn check(text: &str) -> Result<(), FetchError> {
    if text.len() > MAX_URL_BYTES {
        return Err(FetchError::UrlTooLong(text.len()));
    }
    // Some read a backslash as a slash, and others do not: they would disagree on the host.
    if text.contains(|it: char| it.is_control() || it == '\\') {
        return Err(FetchError::Url("it has control characters or backslashes"));
    }
    Ok(())
}

/// RFC 3986, section 3.1.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let begins = scheme.starts_with(|first: char| first.is_ascii_alphabetic());
    let goes_on = scheme.chars().all(|it| it.is_ascii_alphanumeric() || ['+', '-', '.'].contains(&it));
    (begins && goes_on).then_some((scheme, rest))
}

fn without_fragment(text: &str) -> &str {
    text.split('#').next().unwrap_or(text)
}

/// The path with its query, without `.` and `..` in the path: RFC 3986, section 5.2.4.
fn without_dots(text: &str) -> String {
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let mut kept: Vec<&str> = Vec::new();
    let mut pieces = path.split('/').skip(1).peekable();
    while let Some(piece) = pieces.next() {
        let last = pieces.peek().is_none();
        match piece {
            "." | ".." => {
                if piece == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            piece => kept.push(piece),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

fn path_and_query(text: &str) -> Result<PathAndQuery, FetchError> {
    let (path, query) = text.split_at(text.find('?').unwrap_or(text.len()));
    let path = utf8_percent_encode(path, PATH);
    let query = utf8_percent_encode(query, QUERY);
    PathAndQuery::try_from(format!("{path}{query}")).map_err(|_| INVALID)
}

const INVALID: FetchError = FetchError::Url("it is not valid");
/// What a query cannot have, beside what is not ASCII: the WHATWG's URL standard, section 1.3.
const QUERY: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\'');
/// What a path cannot have.
const PATH: &AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'^');

#[cfg(test)]
mod tests {
    use super::*;

    fn text(url: &Url) -> String {
        url.uri().unwrap().to_string()
    }

    #[test]
    fn urls_that_can_be_fetched() {
        let cases = [
            ("https://example.com", "https://example.com/"),
            ("HTTPS://Example.COM/", "https://Example.COM/"),
            ("https://example.com?q", "https://example.com/?q"),
            ("https://example.com/a#secret", "https://example.com/a"),
            ("https://example.com#secret", "https://example.com/"),
            ("https://example.com:8443/a/b?c=d&e", "https://example.com:8443/a/b?c=d&e"),
            ("https://[::1]:1/", "https://[::1]:1/"),
            ("https://example.com/a/../b/./c/..", "https://example.com/b/"),
            ("https://example.com/../..", "https://example.com/"),
            ("https://example.com/ä b?ü=\"", "https://example.com/%C3%A4%20b?%C3%BC=%22"),
            ("https://example.com/%2e%41?%zz", "https://example.com/%2e%41?%zz"),
            ("https://example.com//double//", "https://example.com//double//"),
        ];
        for (given, expected) in cases {
            assert_eq!(text(&Url::parse(given).unwrap()), expected, "{given}");
        }
    }

    #[test]
    fn urls_that_cannot() {
        for scheme in ["http", "ftp", "file", "data", "javascript", "HTTP", "ws+x"] {
            let error = Url::parse(&format!("{scheme}://example.com/")).unwrap_err();
            assert_eq!(error, FetchError::Scheme(format!("{scheme}:")));
            assert!(error.to_string().contains(&format!("{scheme}:")), "{error}");
        }
        for given in [
            "",
            "example.com",
            "//example.com/",
            "/path",
            "https:example.com",
            "https:/example.com",
            "https:///path",
            "https://",
            "https://user@example.com/",
            "https://user:password@example.com/",
            "https://example.com\\@other.example/",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://exam ple.com/",
            "https://exämple.com/",
            "https://example.com/a\nb",
            "https://example.com/a\rb",
            "https://127.1/",
            "https://0x7f000001/",
            "https://[::1",
            "https://[fe80::1%25eth0]/",
            " https://example.com/",
        ] {
            assert!(matches!(Url::parse(given), Err(FetchError::Url(_))), "{given:?}");
        }
        let long = format!("https://example.com/{}", "p".repeat(MAX_URL_BYTES));
        assert_eq!(Url::parse(&long), Err(FetchError::UrlTooLong(long.len())));
    }

    /// Those of RFC 3986, section 5.4, as far as they are about paths.
    #[test]
    fn what_a_redirect_leads_to() {
        let base = Url::parse("https://a/b/c/d;p?q").unwrap();
        let cases = [
            ("g", "https://a/b/c/g"),
            ("./g", "https://a/b/c/g"),
            ("g/", "https://a/b/c/g/"),
            ("/g", "https://a/g"),
            ("//g", "https://g/"),
            ("?y", "https://a/b/c/d;p?y"),
            ("g?y", "https://a/b/c/g?y"),
            ("#s", "https://a/b/c/d;p?q"),
            ("g#s", "https://a/b/c/g"),
            (";x", "https://a/b/c/;x"),
            ("", "https://a/b/c/d;p?q"),
            (".", "https://a/b/c/"),
            ("./", "https://a/b/c/"),
            ("..", "https://a/b/"),
            ("../g", "https://a/b/g"),
            ("../..", "https://a/"),
            ("../../../g", "https://a/g"),
            ("/../g", "https://a/g"),
            ("g.", "https://a/b/c/g."),
            ("..g", "https://a/b/c/..g"),
            ("./../g", "https://a/b/g"),
            ("g?y/../x", "https://a/b/c/g?y/../x"),
            ("https://other.example/x", "https://other.example/x"),
            ("a/b:c", "https://a/b/c/a/b:c"),
        ];
        for (reference, expected) in cases {
            assert_eq!(text(&base.join(reference).unwrap()), expected, "{reference}");
        }
        assert_eq!(base.join("http://a/"), Err(FetchError::Scheme("http:".to_owned())));
        assert!(base.join("//user@g/").is_err());
        assert!(base.join("/a\nb").is_err());
    }
}
