//! Fields that are between neighbours only.

use http::header::{
    CONNECTION, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

/// Removes what concerns this neighbour alone (RFC 9110, section 7.6.1), and what the enclave would take for its own.
/// The origin, which is this proxy's, becomes the one that the server knows itself by.
pub(crate) fn of_request(headers: &mut HeaderMap, server_name: &str) {
    let trailers = headers.get(TE).is_some_and(|te| te.to_str().unwrap_or_default().contains("trailers"));
    hop_by_hop(headers);
    for name in [HOST, EXPECT, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    if headers.remove(ORIGIN).is_some()
        && let Ok(own) = HeaderValue::try_from(format!("https://{server_name}"))
    {
        headers.insert(ORIGIN, own);
    }
}

/// Removes what concerns this neighbour alone. A redirect to the server's own name leads back to this proxy.
pub(crate) fn of_response(headers: &mut HeaderMap, server_name: &str, authority: &str) {
    hop_by_hop(headers);
    headers.remove(PROXY_AUTHENTICATE);
    let own = headers.get(LOCATION).and_then(|location| {
        let rest = location.to_str().ok()?.strip_prefix("https://")?.strip_prefix(server_name)?;
        let path = rest.is_empty() || rest.starts_with(['/', '?', '#']);
        HeaderValue::try_from(format!("http://{authority}{}", path.then_some(rest)?)).ok()
    });
    if let Some(own) = own {
        headers.insert(LOCATION, own);
    }
}

fn hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

const HOP_BY_HOP: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_between_neighbours_goes() {
        let mut request = headers(&[
            ("connection", "close, X-Own"),
            ("x-own", "1"),
            ("keep-alive", "5"),
            ("proxy-authorization", "secret"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("te", "gzip, trailers"),
            ("expect", "100-continue"),
            ("host", "localhost"),
            ("authorization", "Bearer x"),
            ("origin", "http://web.localhost:8080"),
        ]);
        of_request(&mut request, "web.localhost");
        let expected =
            [("authorization", "Bearer x"), ("te", "trailers"), ("origin", "https://web.localhost")];
        assert_eq!(request, headers(&expected));
    }

    #[test]
    fn redirects_to_the_server_itself_lead_to_the_proxy() {
        for (location, expected) in [
            ("https://web.localhost/a?b", "http://web.localhost:8080/a?b"),
            ("https://web.localhost", "http://web.localhost:8080"),
            ("https://web.localhost.evil.example/", "https://web.localhost.evil.example/"),
            ("https://other.example/", "https://other.example/"),
            ("/a", "/a"),
        ] {
            let mut response = headers(&[("location", location), ("connection", "close")]);
            of_response(&mut response, "web.localhost", "web.localhost:8080");
            assert_eq!(response, headers(&[("location", expected)]), "{location}");
        }
    }
}
