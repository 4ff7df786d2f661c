mod rules;

use super::*;
use cloister_api::{CallerPolicy, Limits, NetworkPolicy};
use proptest::prelude::*;

#[test]
fn claims_survive_encoding() {
    for claims in [example(), Claims { volume: None, apps: Vec::new(), owners: Vec::new(), ..example() }] {
        let encoded = claims.encode().unwrap();
        assert_eq!(Claims::decode(&encoded), Ok(claims));
    }
}

/// The annotated example of `docs/design/evidence.md`, byte for byte.
#[test]
fn the_documented_example_is_what_is_encoded() {
    let page = include_str!("../../../../docs/design/evidence.md");
    let (_, example_block) = page.split_once("```cbor-hex\n").unwrap();
    let (example_block, _) = example_block.split_once("```").unwrap();
    let documented: String = example_block
        .lines()
        .flat_map(|line| line.split('#').next().unwrap_or("").chars())
        .filter(|c| !c.is_whitespace())
        .collect();
    assert_eq!(documented, hex::encode(example().encode().unwrap()));
    let app = &example().apps[0];
    let hashes = [
        sha256(&example().encode().unwrap()),
        app.hash().unwrap(),
        app.endorsement_hash().unwrap(),
        example().apps_hash(),
    ];
    for hash in hashes.map(hex::encode) {
        assert!(page.contains(&hash), "the page states {hash}");
    }
}

#[test]
fn report_data_is_the_hash_and_zeroes() {
    let data = report_data(b"abc");
    assert_eq!(data[..32], sha256(b"abc"));
    assert_eq!(data[32..], [0; 32]);
}

#[test]
fn the_environment_hash_ignores_order() {
    assert_eq!(environment_hash(["B", "A"]), environment_hash(["A", "B"]));
    assert_ne!(environment_hash(["AB"]), environment_hash(["A", "B"]));
    assert_eq!(environment_hash([]), sha256(&[0x80]));
}

#[test]
fn every_prefix_and_every_longer_input_is_refused() {
    let encoded = example().encode().unwrap();
    for length in 0..encoded.len() {
        assert!(Claims::decode(&encoded[..length]).is_err(), "{length} bytes");
    }
    assert_eq!(Claims::decode(&[encoded, vec![0]].concat()), Err(ClaimsError::Length));
}

/// A byte that was changed is refused, or it is the value of a claim and the change is seen in it.
#[test]
fn every_changed_byte_is_noticed() {
    let original = example();
    let encoded = original.encode().unwrap();
    for at in 0..encoded.len() {
        for value in 0..=u8::MAX {
            let mut changed = encoded.clone();
            changed[at] = value;
            if let Ok(claims) = Claims::decode(&changed) {
                assert_eq!(claims.encode().unwrap(), changed);
                assert_eq!(claims == original, changed == encoded);
            }
        }
    }
}

#[test]
fn other_versions_are_named() {
    let mut encoded = example().encode().unwrap();
    for other in [1, 2, 3, 4, 6] {
        encoded[2] = other;
        assert_eq!(Claims::decode(&encoded), Err(ClaimsError::Version(other.into())));
    }
}

#[test]
fn unknown_claims_are_refused() {
    let mut encoded = example().encode().unwrap();
    encoded[0] += 1;
    encoded.extend_from_slice(&[15, 0]);
    assert!(matches!(Claims::decode(&encoded), Err(ClaimsError::Shape { .. })));
}

#[test]
fn unknown_freshness_anchors_are_refused() {
    let claims = Claims { freshness: Freshness::None, ..example() };
    let encoded = claims.encode().unwrap();
    let at = encoded.windows(3).position(|window| window == [7, 0, 8]).unwrap() + 1;
    let identity = [&[0x58, 32][..], &[0x79; 32]].concat();
    let with = |anchor: &[u8]| [&encoded[..at], anchor, &encoded[at + 1..]].concat();
    let tpm = Claims { freshness: Freshness::Tpm { identity: [0x79; 32] }, ..example() };
    assert_eq!(Claims::decode(&with(&[&[0x82, 1], &identity[..]].concat())), Ok(tpm));
    for bad in [
        vec![1],
        vec![0xf6],
        vec![0x81, 1],
        vec![0x82, 0, 0x58, 0],
        [&[0x82, 2], &identity[..]].concat(),
        [&[0x81, 1], &identity[..]].concat(),
        [&[0x83, 1], &identity[..], &[0]].concat(),
        [&[0x82, 1, 0x58, 31], &[0x79; 31][..]].concat(),
    ] {
        assert!(matches!(Claims::decode(&with(&bad)), Err(ClaimsError::Shape { .. })), "{bad:02x?}");
    }
}

#[test]
fn lists_out_of_order_are_neither_encoded_nor_decoded() {
    let swapped = Claims { owners: vec![[2; 32], [1; 32]], ..example() };
    assert_eq!(swapped.encode(), Err(ClaimsError::Order("owners")));
    let twice = Claims { apps: vec![app("a"), app("a")], ..example() };
    assert_eq!(twice.encode(), Err(ClaimsError::Order("apps")));

    let mut encoded = Claims { owners: vec![[1; 32], [2; 32]], ..example() }.encode().unwrap();
    let first = encoded.windows(32).position(|window| window == [1; 32]).unwrap();
    encoded[first..first + 32].fill(3);
    assert_eq!(Claims::decode(&encoded), Err(ClaimsError::Order("owners")));
}

/// Each text has to be the canonical one, in its place, once, and the whole a policy.
#[test]
fn network_rules_are_canonical_or_refused() {
    let texts = |rules: &[&str]| {
        let mut writer = Writer::default();
        writer.array(rules.len());
        rules.iter().for_each(|rule| writer.text(rule));
        writer.finish()
    };
    let encoded = example().encode().unwrap();
    let present = texts(&["https://example.com"]);
    let at = encoded.windows(present.len()).position(|window| window == present).unwrap();
    let with = |rules: &[&str]| {
        Claims::decode(&[&encoded[..at], &texts(rules), &encoded[at + present.len()..]].concat())
    };
    let good = with(&["https://a.com", "tcp://10.0.0.0/8:1-2"]).unwrap();
    assert_eq!(good.apps[0].network.rules().len(), 2);
    for bad in [&["https://b.com", "https://a.com"][..], &["https://a.com", "https://a.com"]] {
        assert_eq!(with(bad), Err(ClaimsError::Order("network rules")), "{bad:?}");
    }
    let many: Vec<_> = (10..43).map(|port| format!("tcp://*:{port}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert!(with(&many[1..]).is_ok());
    for bad in [&["https://A.com"][..], &["https://a.com:443"], &["anything"], &[""], &many] {
        assert!(matches!(with(bad), Err(ClaimsError::Shape { .. })), "{bad:?}");
    }
}

/// A map of the numbers in their place, each once, and no more than an app may have.
#[test]
fn extensions_are_canonical_or_refused() {
    let encoded = example().encode().unwrap();
    let map = |extensions: &[(u64, usize)]| {
        let mut writer = Writer::default();
        writer.map(extensions.len() as u64);
        extensions.iter().for_each(|(suffix, length)| writer.key(*suffix).bytes(&vec![0xee; *length]));
        writer.finish()
    };
    let present = map(&[(1, 32)]);
    let at = encoded.windows(present.len()).position(|window| window == present).unwrap();
    let with = |extensions: &[(u64, usize)]| {
        Claims::decode(&[&encoded[..at], &map(extensions), &encoded[at + present.len()..]].concat())
    };
    let widest = with(&[(0, 32), (24, 32), (u32::MAX.into(), 32)]).unwrap();
    assert_eq!(widest.apps[0].extensions.len(), 3);
    let most: Vec<_> = (0..17).map(|suffix| (suffix, 32)).collect();
    assert_eq!(with(&most[1..]).unwrap().apps[0].extensions.len(), MAX_EXTENSIONS);
    assert_eq!(with(&most), Err(ClaimsError::TooManyExtensions(17)));
    for bad in [[(2, 32), (1, 32)], [(1, 32), (1, 32)]] {
        assert_eq!(with(&bad), Err(ClaimsError::Order("extensions of an app")), "{bad:?}");
    }
    for bad in [(1 << 32, 32), (1, 31), (1, 33)] {
        assert!(matches!(with(&[bad]), Err(ClaimsError::Shape { .. })), "{bad:?}");
    }
}

#[test]
fn extensions_that_cannot_be_are_not_encoded() {
    let with = |extensions| AppClaims { extensions, ..app("a") };
    let unordered = with(vec![(2, [1; 32]), (1, [1; 32])]);
    assert_eq!(unordered.encode(), Err(ClaimsError::Order("extensions of an app")));
    assert_eq!(unordered.hash(), Err(ClaimsError::Order("extensions of an app")));
    let many = with((0..17).map(|suffix| (suffix, [1; 32])).collect());
    assert_eq!(many.encode(), Err(ClaimsError::TooManyExtensions(17)));
    let claims = Claims { apps: vec![many], ..example() };
    assert_eq!(claims.encode(), Err(ClaimsError::TooManyExtensions(17)));
}

#[test]
fn states_of_configuration_are_known_or_refused() {
    let encoded = example().encode().unwrap();
    let at = encoded.windows(4).position(|window| window == [12, 2, 13, 0xf6]).unwrap() + 1;
    let with = |state| {
        let mut encoded = encoded.clone();
        encoded[at] = state;
        Claims::decode(&encoded).map(|claims| claims.apps[0].configuration)
    };
    for (state, configuration) in [
        (0, ConfigurationClaim::NotNeeded),
        (1, ConfigurationClaim::Awaited),
        (2, ConfigurationClaim::Complete),
    ] {
        assert_eq!(with(state), Ok(configuration));
        let state = cloister_api::ConfigurationState::from(configuration);
        assert_eq!(ConfigurationClaim::from(state), configuration);
    }
    for unknown in [3, 0x17, 0xf6, 0xf5] {
        assert!(matches!(with(unknown), Err(ClaimsError::Shape { .. })), "{unknown:02x}");
    }
}

#[test]
fn an_apps_entry_is_what_the_claims_have_of_it() {
    let claims = example();
    let entry = claims.apps[0].encode().unwrap();
    assert!(claims.encode().unwrap().windows(entry.len()).any(|window| window == entry));
    assert_eq!(claims.apps[0].hash(), Ok(sha256(&entry)));
}

/// A value in its place in the encoding is replaced by others.
fn replaced(claims: &Claims, present: &[u8], other: &[u8]) -> Result<Claims, ClaimsError> {
    let encoded = claims.encode().unwrap();
    let mut found = encoded.windows(present.len()).enumerate().filter(|(_, window)| *window == present);
    let (at, _) = found.next().expect("the value is there");
    assert!(found.next().is_none(), "the value is there once");
    Claims::decode(&[&encoded[..at], other, &encoded[at + present.len()..]].concat())
}

fn is_shape<T: std::fmt::Debug>(result: Result<T, ClaimsError>) -> bool {
    matches!(result, Err(ClaimsError::Shape { .. }))
}

/// What the app says itself later is nothing that its endorsers could have known.
#[test]
fn an_endorsement_is_of_the_app_as_it_is_deployed() {
    let deployed = AppClaims { configuration: ConfigurationClaim::Awaited, ..app("a") };
    let configured = AppClaims {
        configuration: ConfigurationClaim::Complete,
        extensions: vec![(1, [1; 32])],
        ..deployed.clone()
    };
    assert_eq!(configured.endorsement_hash(), deployed.hash());
    assert_eq!(deployed.endorsement_hash(), deployed.hash());
    assert_eq!(app("a").endorsement_hash(), app("a").hash());
    assert_ne!(app("a").endorsement_hash(), deployed.endorsement_hash());
    for other in [
        AppClaims { code_hash: [1; 32], ..deployed.clone() },
        AppClaims { owner: [1; 32], ..deployed.clone() },
        AppClaims { callers: CallerPolicy::public(), ..deployed.clone() },
        AppClaims { upgrade: UpgradePolicy::Frozen, ..deployed.clone() },
        AppClaims { issuers: vec![issuer("a")], ..deployed.clone() },
    ] {
        assert_ne!(other.endorsement_hash(), deployed.endorsement_hash());
    }
}

#[test]
fn an_app_vouches_for_what_it_shows_alone() {
    let app = AppClaims { extensions: vec![(3, sha256(b"abc"))], ..app("a") };
    assert!(app.vouches_for(3, b"abc"));
    assert!(!app.vouches_for(3, b"abd") && !app.vouches_for(4, b"abc"));
    assert_eq!((app.extension(3), app.extension(4)), (Some(&sha256(b"abc")), None));
}

#[test]
fn the_hash_of_all_apps_is_over_names_and_code() {
    let two = Claims { apps: vec![app("a"), app("b")], ..example() };
    let bytes = [b"a\0", &[0xc0; 32][..], b"b\0", &[0xc0; 32]].concat();
    assert_eq!(two.apps_hash(), sha256(&bytes));
    assert_eq!(Claims { apps: Vec::new(), ..example() }.apps_hash(), sha256(b""));
}

#[test]
fn roots_are_hashed_in_order_and_once() {
    assert_eq!(roots_hash([&[2][..], &[1], &[2]]), roots_hash([&[1][..], &[2]]));
    assert_eq!(roots_hash([&[1][..]]), sha256(&[0x81, 0x41, 1]));
}

#[test]
fn claims_that_do_not_fit_a_certificate_are_refused() {
    let apps = (100..999).map(|number| app(&format!("app-{number}"))).collect();
    assert!(matches!(Claims { apps, ..example() }.encode(), Err(ClaimsError::TooLong(_))));
    assert_eq!(Claims::decode(&vec![0; MAX_CLAIMS + 1]), Err(ClaimsError::TooLong(MAX_CLAIMS + 1)));
}

#[test]
fn as_many_apps_as_an_enclave_holds_fit_with_a_rule_and_assets_each() {
    let with = |callers: CallerPolicy| {
        let app = |number| AppClaims {
            callers: callers.clone(),
            quote_roots: None,
            ..full_app(&format!("app-{number}"))
        };
        Claims { apps: (100..228).map(app).collect(), ..example() }.encode()
    };
    assert!(with(CallerPolicy::default()).is_ok(), "{:?}", with(CallerPolicy::default()));
    // With more to say of each, fewer fit.
    let by_key = format!("*=key:{}", "a5".repeat(32));
    assert!(matches!(with(callers(&[&by_key])), Err(ClaimsError::TooLong(_))));
}

proptest! {
    #[test]
    fn any_claims_survive_encoding(claims in any_claims()) {
        let encoded = claims.encode().unwrap();
        prop_assert_eq!(Claims::decode(&encoded), Ok(claims));
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(claims) = Claims::decode(&bytes) {
            prop_assert_eq!(claims.encode().unwrap(), bytes);
        }
    }

    #[test]
    fn mutated_claims_are_refused_or_canonical(
        claims in any_claims(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = claims.encode().unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(claims) = Claims::decode(&bytes) {
            prop_assert_eq!(claims.encode().unwrap(), bytes);
        }
    }
}

fn any_claims() -> impl Strategy<Value = Claims> {
    let owners = proptest::collection::btree_set(any::<[u8; 32]>(), 0..4);
    let volume = proptest::option::of((any::<u64>(), any::<[u8; 32]>()));
    let apps = proptest::collection::btree_map(
        "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        (any_limits(), any::<bool>(), any_extensions()),
        0..4,
    );
    let anchor = proptest::option::of(any::<[u8; 32]>());
    let times = any::<[u64; 3]>();
    (any::<[u8; 32]>(), any::<[u8; 16]>(), times, owners, volume, anchor, apps, any_image_upgrade()).prop_map(
        |(hash, id, [told_time, counter, made], owners, volume, anchor, apps, image_upgrade)| Claims {
            tls_key: hash,
            session_key: [hash[0]; POINT_LEN],
            boot: Boot { id, told_time, counter },
            operator: (made % 2 == 0).then_some(hash),
            image_upgrade,
            made,
            platform: if told_time % 2 == 0 { PlatformClaim::Hardware } else { PlatformClaim::Simulated },
            lineage: [[1; 32], [0; 32]].into_iter().take((counter % 3) as usize).collect(),
            issuers: ["a", "b"].into_iter().take((counter % 3) as usize).map(issuer).collect(),
            configuration: hash,
            owners: owners.into_iter().collect(),
            volume: volume.map(|(epoch, root)| Volume { epoch, root }),
            freshness: anchor.map_or(Freshness::None, |identity| Freshness::Tpm { identity }),
            apps: apps
                .into_iter()
                .map(|(name, (limits, full, extensions))| AppClaims {
                    extensions,
                    ..any_app(&name, limits, full)
                })
                .collect(),
        },
    )
}

fn any_image_upgrade() -> impl Strategy<Value = ImageUpgradeClaim> {
    let images = proptest::collection::btree_set(any::<[u8; 32]>(), 1..=16);
    prop_oneof![
        Just(ImageUpgradeClaim::Never),
        Just(ImageUpgradeClaim::Operator),
        images.prop_map(|images| ImageUpgradeClaim::Listed(images.into_iter().collect())),
        (any::<[u8; 32]>(), any::<[u16; 2]>()).prop_map(|(mrsigner, [product, minimum_svn])| {
            ImageUpgradeClaim::Signer { mrsigner, product, minimum_svn }
        }),
    ]
}

fn any_extensions() -> impl Strategy<Value = Vec<(u32, [u8; 32])>> {
    let extensions = proptest::collection::btree_map(any::<u32>(), any::<[u8; 32]>(), 0..=MAX_EXTENSIONS);
    extensions.prop_map(|extensions| extensions.into_iter().collect())
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (any::<[u64; 8]>(), any::<[u32; 2]>()).prop_map(|(wide, narrow)| Limits {
        fuel: wide[0],
        memory: wide[1],
        table_elements: wide[2],
        instances: narrow[0],
        handles: narrow[1],
        result: wide[3],
        log: wide[4],
        wall_time_ms: wide[5],
        storage: wide[6],
        files: wide[7],
    })
}

fn app(name: &str) -> AppClaims {
    AppClaims {
        name: name.parse().unwrap(),
        code_hash: [0xc0; 32],
        owner: [0x0a; 32],
        limits: Limits::default(),
        environment: environment_hash([]),
        upgrade: UpgradePolicy::Owner,
        network: NetworkPolicy::default(),
        roots: None,
        assets: None,
        config: environment_hash([]),
        extensions: Vec::new(),
        configuration: ConfigurationClaim::NotNeeded,
        quote_roots: None,
        callers: CallerPolicy::default(),
        issuers: Vec::new(),
    }
}

fn callers(rules: &[&str]) -> CallerPolicy {
    CallerPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect()).unwrap()
}

fn issuer(name: &str) -> IssuerClaim {
    IssuerClaim {
        name: name.to_owned(),
        issuer: "https://id.example.com".to_owned(),
        audience: "cloister".to_owned(),
        roles_claim: "roles".to_owned(),
        jwks: None,
        roots: Some([0x22; 32]),
    }
}

fn any_app(name: &str, limits: Limits, full: bool) -> AppClaims {
    let app = if full { full_app(name) } else { app(name) };
    AppClaims { limits, ..app }
}

fn full_app(name: &str) -> AppClaims {
    AppClaims {
        network: NetworkPolicy::new(vec!["https://example.com".parse().unwrap()]).unwrap(),
        roots: Some([0x20; 32]),
        assets: Some(AssetsClaim { at: "/assets".to_owned(), hash: [0xa5; 32] }),
        extensions: vec![(1, [0xee; 32])],
        configuration: ConfigurationClaim::Complete,
        quote_roots: Some([0x21; 32]),
        callers: callers(&["*=owner", "greet=public"]),
        ..app(name)
    }
}

fn example() -> Claims {
    let mut session_key = [0x5e; POINT_LEN];
    session_key[0] = 4;
    Claims {
        tls_key: [0x71; 32],
        session_key,
        boot: Boot { id: [0xb0; 16], told_time: 1_800_000_000, counter: 7 },
        configuration: [0xcf; 32],
        owners: vec![[0x0a; 32]],
        volume: Some(Volume { epoch: 300, root: [0x40; 32] }),
        freshness: Freshness::Tpm { identity: [0x79; 32] },
        apps: vec![AppClaims {
            roots: None,
            quote_roots: None,
            upgrade: UpgradePolicy::Endorsed { threshold: 1, keys: vec![[0xed; 32]] },
            callers: callers(&["*=owner", "greet=token:corp/staff"]),
            issuers: vec![IssuerClaim { roots: None, ..issuer("corp") }],
            ..full_app("hello")
        }],
        operator: Some([0x09; 32]),
        image_upgrade: ImageUpgradeClaim::Listed(vec![[0xe2; 32]]),
        made: 1_800_000_060,
        platform: PlatformClaim::Hardware,
        issuers: Vec::new(),
        lineage: vec![[0x1d; 32]],
    }
}
