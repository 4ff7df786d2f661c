//! The page: one document with its style and script in it, which loads nothing and is told everything by this proxy.

use crate::answers::{Answer, of_type};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The page, with a policy under which nothing but its own style and script has any effect.
pub(crate) fn document() -> Response<Answer> {
    let mut response = of_type(StatusCode::OK, "text/html; charset=utf-8", PAGE.document.clone());
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, PAGE.policy.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(CROSS_ORIGIN_OPENER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

struct Page {
    document: String,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let document = DOCUMENT.replacen("{{style}}", STYLE, 1).replacen("{{script}}", SCRIPT, 1);
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; img-src data:; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
        source(SCRIPT),
        source(STYLE)
    );
    // The hashes are base64 and the rest is above.
    let policy =
        HeaderValue::try_from(policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"));
    Page { document, policy }
});

/// A hash source (Content Security Policy Level 3, section 6.7.2.3).
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = concat!(include_str!("page/forms.js"), "\n", include_str!("page/script.js"));
const CROSS_ORIGIN_OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_and_its_policy_fits_it() {
        let policy = PAGE.policy.to_str().unwrap();
        for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
            let inside = PAGE.document.split_once(&format!("<{tag}>")).unwrap().1;
            let inside = inside.split_once(&format!("</{tag}>")).unwrap().0;
            assert!(policy.contains(&format!("{directive} '{}'", source(inside))), "{tag}");
            assert_eq!(PAGE.document.matches(&format!("<{tag}")).count(), 1);
        }
        for outside in ["src=", "http://", "https://", "url(", "@import"] {
            assert!(!PAGE.document.contains(outside), "{outside}");
        }
        assert!(!policy.contains("unsafe"));
    }

    #[test]
    fn nothing_is_set_as_markup() {
        for sink in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
        {
            assert!(!SCRIPT.contains(sink), "{sink}");
        }
    }
}
