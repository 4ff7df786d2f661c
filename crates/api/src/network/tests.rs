use super::*;

fn rule(text: &str) -> NetworkRule {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn policy(texts: &[&str]) -> NetworkPolicy {
    NetworkPolicy::new(texts.iter().map(|text| rule(text)).collect()).unwrap()
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn canonical_texts_survive() {
    for text in [
        "https://example.com",
        "https://example.com:8443",
        "https://*.example.com:*",
        "https://*",
        "https://10.0.0.1",
        "https://[2001:db8::1]:8000-8099",
        "http://*:*",
        "http://my_service:80-81",
        "tcp://*:*",
        "tcp://10.0.0.0/8:5432",
        "tcp://[::1]:6379",
        "tcp://[2001:db8::]/32:1-1024",
        "tcp://0.0.0.0/0:1",
        "udp://192.0.2.1:53",
        "tcp-listen://127.0.0.1:8080",
        "tcp-listen://*:*",
        "tcp-listen://0.0.0.0:1-65535",
        "udp-listen://[::]:0",
        "lookup://*",
        "lookup://*.example.com",
        "lookup://localhost",
    ] {
        assert_eq!(rule(text).to_string(), text);
    }
}

#[test]
fn other_texts_become_the_canonical_one() {
    for (text, canonical) in [
        ("https://EXAMPLE.com:443", "https://example.com"),
        ("https://example.com:443-443", "https://example.com"),
        ("http://example.com:80", "http://example.com"),
        ("https://example.com:1-65535", "https://example.com:*"),
        ("tcp://10.0.0.1/32:80-80", "tcp://10.0.0.1:80"),
        ("tcp://[0:0:0:0:0:0:0:1]/128:80", "tcp://[::1]:80"),
        ("tcp-listen://*:0-65535", "tcp-listen://*:*"),
        ("udp://*:0053", "udp://*:53"),
    ] {
        assert_eq!(rule(text).to_string(), canonical, "{text}");
        assert_eq!(rule(text), rule(canonical));
    }
}

#[test]
fn what_is_no_rule_is_refused_with_the_reason() {
    use RuleFault::{Address, BitsBeyondPrefix, Host, Mapped, PortOfLookup, Ports, Prefix, Scheme};
    for (text, why) in [
        ("", Scheme),
        ("example.com", Scheme),
        ("ftp://example.com", Scheme),
        ("HTTPS://example.com", Scheme),
        ("https://", Host),
        ("https://example.com/", Host),
        ("https://example.com.", Host),
        ("https://user@example.com", Host),
        ("https://exa mple.com", Host),
        ("https://-a.com", Host),
        ("https://a*.com", Host),
        ("https://*.*", Host),
        ("https://*.10.0.0.1", Host),
        ("https://127.1", Host),
        ("https://0x7f000001", Host),
        ("https://ä.com", Host),
        ("https://::1", Host),
        ("https://[::1", Host),
        ("https://[::ffff:1.2.3.4]", Mapped),
        ("https://example.com:", Ports),
        ("https://example.com:0", Ports),
        ("https://example.com:65536", Ports),
        ("https://example.com:9-8", Ports),
        ("https://example.com:+1", Ports),
        ("https://example.com:1-2-3", Ports),
        ("tcp://10.0.0.1", Ports),
        ("tcp://*:0", Ports),
        ("tcp://example.com:80", Address),
        ("tcp://::1:80", Address),
        ("tcp://10.0.0.0/33:80", Prefix),
        ("tcp://10.0.0.0/:80", Prefix),
        ("tcp://[::]/129:80", Prefix),
        ("tcp://[::]/+1:80", Prefix),
        ("tcp://10.0.0.1/8:80", BitsBeyondPrefix("10.0.0.0/8".to_owned())),
        ("tcp://[::ffff:10.0.0.1]:80", Mapped),
        ("lookup://example.com:80", PortOfLookup),
        ("lookup://10.0.0.1", Host),
        ("lookup://[::1]", Host),
    ] {
        let error = text.parse::<NetworkRule>().unwrap_err();
        assert_eq!(error.why, why, "{text}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let long = format!("https://{}", "a.".repeat(1 << 16));
    assert!(long.parse::<NetworkRule>().unwrap_err().to_string().len() < 300);
}

#[test]
fn nothing_is_allowed_by_no_rule() {
    let none = NetworkPolicy::default();
    assert!(!none.allows_https("example.com", 443) && !none.allows_http("example.com", 80));
    assert!(!none.allows_tcp_connect(at("127.0.0.1:1")) && !none.allows_tcp_listen(at("127.0.0.1:1")));
    assert!(!none.allows_udp_peer(at("127.0.0.1:1")) && !none.allows_udp_bind(at("127.0.0.1:0")));
    assert!(!none.allows_lookup("localhost") && !none.uses_tcp() && !none.uses_udp());
    assert!(!none.is_plaintext() && none.is_empty());
}

#[test]
fn requests_are_allowed_by_host_and_port() {
    let policy = policy(&["https://example.com", "https://*.example.org:8443", "http://[::1]:*"]);
    assert!(policy.allows_https("example.com", 443));
    assert!(policy.allows_https("Example.COM.", 443));
    assert!(!policy.allows_https("example.com", 444) && !policy.allows_http("example.com", 80));
    assert!(!policy.allows_https("www.example.com", 443) && !policy.allows_https("", 443));
    assert!(policy.allows_https("a.b.example.org", 8443));
    for other in ["example.org", ".example.org", "badexample.org", "example.org.evil.com"] {
        assert!(!policy.allows_https(other, 8443), "{other}");
    }
    assert!(policy.allows_http("[::1]", 1) && policy.allows_http("0:0::1", 65535));
    assert!(!policy.allows_http("[::2]", 1) && !policy.allows_http("[::1]", 0));
}

#[test]
fn a_star_allows_names_and_addresses() {
    let policy = policy(&["https://*", "lookup://*"]);
    assert!(policy.allows_https("example.com", 443) && policy.allows_https("10.0.0.1", 443));
    assert!(!policy.allows_https("", 443) && !policy.allows_https(".", 443));
    assert!(!policy.allows_https("[::ffff:10.0.0.1]", 443));
    assert!(policy.allows_lookup("example.com") && !policy.allows_lookup(""));
}

#[test]
fn sockets_are_allowed_by_block_and_port() {
    let policy =
        policy(&["tcp://10.0.0.0/8:5432", "udp://[2001:db8::]/32:53", "tcp-listen://127.0.0.1:8080"]);
    assert!(policy.allows_tcp_connect(at("10.255.0.1:5432")));
    assert!(
        !policy.allows_tcp_connect(at("11.0.0.1:5432")) && !policy.allows_tcp_connect(at("10.0.0.1:5433"))
    );
    assert!(!policy.allows_tcp_connect(at("[::ffff:10.0.0.1]:5432")));
    assert!(policy.allows_udp_peer(at("[2001:db8:ffff::1]:53")));
    assert!(!policy.allows_udp_peer(at("[2001:db9::1]:53")) && !policy.allows_udp_peer(at("10.0.0.1:53")));
    assert!(policy.allows_tcp_listen(at("127.0.0.1:8080")));
    assert!(!policy.allows_tcp_listen(at("0.0.0.0:8080")) && !policy.allows_tcp_listen(at("127.0.0.1:8081")));
    assert!(policy.uses_tcp() && policy.uses_udp());
    assert!(policy.allows_udp_bind(at("0.0.0.0:0")) && !policy.allows_udp_bind(at("0.0.0.0:53")));
}

#[test]
fn a_star_of_addresses_is_both_families() {
    let policy = policy(&["tcp://*:*", "tcp-listen://*:*", "udp-listen://*:*", "tcp://0.0.0.0/0:1"]);
    for there in ["10.0.0.1:1", "[2001:db8::1]:65535"] {
        assert!(policy.allows_tcp_connect(at(there)) && policy.allows_tcp_listen(at(there)));
        assert!(policy.allows_udp_bind(at(there)) && !policy.allows_udp_peer(at(there)));
    }
    assert!(!policy.allows_tcp_connect(at("10.0.0.1:0")) && policy.allows_tcp_listen(at("10.0.0.1:0")));
    assert!(!policy.allows_tcp_connect(at("[::ffff:10.0.0.1]:1")));
}

#[test]
fn plaintext_is_what_the_host_reads() {
    assert!(!policy(&["https://*:*", "lookup://*"]).is_plaintext());
    for text in ["http://a", "tcp://*:1", "udp://*:1", "tcp-listen://*:1", "udp-listen://*:1"] {
        assert!(rule(text).is_plaintext() && policy(&["https://a", text]).is_plaintext(), "{text}");
    }
}

#[test]
fn a_policy_is_sorted_by_text_and_has_nothing_twice() {
    let policy = policy(&["tcp://*:1", "https://b", "https://a", "https://b:443", "http://z"]);
    let texts: Vec<_> = policy.rules().iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["http://z", "https://a", "https://b", "tcp://*:1"]);
    let json = serde_json::to_string(&policy).unwrap();
    assert_eq!(json, r#"["http://z","https://a","https://b","tcp://*:1"]"#);
    assert_eq!(serde_json::from_str::<NetworkPolicy>(&json).unwrap(), policy);
    let shuffled = r#"["https://b:443","tcp://*:1","https://a","http://z","https://a"]"#;
    assert_eq!(serde_json::from_str::<NetworkPolicy>(shuffled).unwrap(), policy);
    assert!(serde_json::from_str::<NetworkPolicy>(r#"["https://a/"]"#).is_err());
}

#[test]
fn a_policy_is_bounded() {
    let many: Vec<_> = (1..=33).map(|port| rule(&format!("tcp://*:{port}"))).collect();
    assert_eq!(NetworkPolicy::new(many.clone()), Err(InvalidNetworkPolicy::TooMany(33)));
    assert!(NetworkPolicy::new(many[..32].to_vec()).is_ok());
    let name = vec!["x".repeat(63); 3].join(".");
    let long: Vec<_> = (0..11).map(|i| rule(&format!("https://a{i:02}.{name}"))).collect();
    assert_eq!(NetworkPolicy::new(long.clone()), Err(InvalidNetworkPolicy::TooLong(11 * (8 + 4 + 191))));
    assert!(NetworkPolicy::new(long[..10].to_vec()).is_ok());
}

#[test]
fn rules_that_no_text_gives_are_refused() {
    let ports = PortRange { first: 443, last: 443 };
    let https = |name: &str| NetworkRule::Https(HostRule { host: HostPattern::Name(name.into()), ports });
    let block = |base: &str, prefix| {
        let addresses = AddressRange::Network { base: base.parse().unwrap(), prefix };
        NetworkRule::Tcp(AddressRule { addresses, ports })
    };
    for bad in [https("A.com"), https("*"), https("10.0.0.1"), block("10.0.0.1", 8), block("10.0.0.0", 33)] {
        assert!(matches!(NetworkPolicy::new(vec![bad]), Err(InvalidNetworkPolicy::NotARule(_))));
    }
}

#[test]
fn what_goes_beyond_a_policy_is_named() {
    let most = policy(&[
        "https://*.example.com:*",
        "tcp://10.0.0.0/8:1-100",
        "udp://*:53",
        "lookup://*",
        "tcp-listen://*:*",
    ]);
    let within = [
        "https://a.example.com",
        "https://*.b.example.com:8443",
        "https://*.example.com",
        "tcp://10.1.0.0/16:5-6",
        "tcp://10.1.1.1:100",
        "udp://[::1]:53",
        "lookup://x",
        "tcp-listen://127.0.0.1:0",
    ];
    assert!(most.beyond(&policy(&within)).is_empty());
    assert!(most.beyond(&most).is_empty() && most.beyond(&NetworkPolicy::default()).is_empty());
    for outside in [
        "https://example.com",
        "https://*",
        "http://a.example.com",
        "https://10.0.0.1",
        "tcp://10.0.0.0/7:5",
        "tcp://*:5",
        "tcp://10.0.0.1:100-101",
        "udp://*:*",
        "udp-listen://*:53",
    ] {
        assert_eq!(most.beyond(&policy(&[outside, "lookup://x"])), [&rule(outside)], "{outside}");
    }
}
