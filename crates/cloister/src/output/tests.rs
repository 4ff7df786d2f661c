use super::*;
use cloister_api::{
    AppDescription, AppSummary, AssetsDescription, CallerPolicy, ConfigurationState, Directory,
    ExportDescription, ExtensionDescription, FunctionCounters, KeyDescription, KeyFingerprint, Limits,
    NetworkPolicy, ParameterDescription, TokenIssuer, Upgrade,
};
use std::collections::BTreeMap;

fn summary(name: &str, size: u64) -> AppSummary {
    AppSummary { name: name.parse().unwrap(), code_hash: "ab".repeat(32), size, owner: "cd".repeat(32) }
}

fn app() -> AppDescription {
    let counters = FunctionCounters {
        calls: 2,
        errors: 1,
        fuel_min: 1_000,
        fuel_max: 3_000,
        fuel_total: 4_000,
        wall_us_min: 10,
        wall_us_max: 2_000,
        wall_us_total: 2_010,
    };
    AppDescription {
        summary: summary("hello", 2_048),
        wit: "package a:b;".into(),
        limits: Limits::default(),
        environment: vec!["KEY".into()],
        config: vec![],
        directories: vec![],
        network: NetworkPolicy::default(),
        sends_plaintext: false,
        roots: None,
        quote_roots: None,
        callers: CallerPolicy::default(),
        issuers: vec![],
        upgrade: Upgrade::Owner,
        configuration: ConfigurationState::NotNeeded,
        configure_with: None,
        extensions: vec![],
        keys: vec![],
        assets: None,
        serves_http: false,
        runs: false,
        imports: vec!["wasi:random/random@0.2.0".into()],
        exports: vec![
            ExportDescription {
                name: "greet".into(),
                parameters: vec![ParameterDescription { name: "name".into(), ty: "string".into() }],
                result: Some("string".into()),
                not_callable: None,
            },
            ExportDescription { name: "ping".into(), parameters: vec![], result: None, not_callable: None },
            ExportDescription {
                name: "open".into(),
                parameters: vec![],
                result: Some("own<file>".into()),
                not_callable: Some("it returns a resource".into()),
            },
        ],
        code_bytes: 65_536,
        compile_ms: 20,
        storage: StorageUsage { bytes: 8_192, files: 1, keys: 1_200, key_bytes: 30_720 },
        total: counters.clone(),
        functions: BTreeMap::from([("greet".to_owned(), counters)]),
    }
}

#[test]
fn apps_are_a_table() {
    let list = AppList { apps: vec![summary("hello", 2_048), summary("a", 12 << 20)] };
    let hash = "ab".repeat(32);
    assert_eq!(
        apps(&list),
        format!(
            "NAME   SIZE    CODE HASH{}OWNER\nhello  2 KiB   {hash}  cdcdcdcdcdcdcdcd\n\
             a      12 MiB  {hash}  cdcdcdcdcdcdcdcd\n",
            " ".repeat(57)
        )
    );
    assert_eq!(apps(&AppList { apps: vec![] }), "no apps; `cloister deploy FILE` makes one\n");
}

#[test]
fn a_description_shows_functions_limits_and_counters() {
    let expected = format!(
        "hello\n  code hash    {}\n  size         2 KiB\n  owner        {}\n  \
         native code  64 KiB, compiled in 20.0 ms\n  \
         limits       fuel 10,000,000, memory 64 MiB, time 30.00 s, result 1 MiB, log 64 KiB, storage 256 MiB, \
         files 10,000\n  storage      1 file (8 KiB) and 1,200 keys (30 KiB)\n  \
         environment  KEY (values are secret)\n  imports      wasi:random/random@0.2.0\n  \
         callers      *=owner\n  upgrade      by its owner\n  network      none: it opens no connections\n\
         functions\n  greet(name: string) -> string\n      \
         2 calls, 1 errors; fuel 1,000 to 3,000, mean 2,000; time 10 µs to 2.0 ms, mean 1.0 ms\n  ping()\n  open() -> own<file>\n      cannot be called: it returns a resource\n\
         all calls\n  2 calls, 1 errors; fuel 1,000 to 3,000, mean 2,000; time 10 µs to 2.0 ms, mean 1.0 ms\n",
        "ab".repeat(32),
        "cd".repeat(32)
    );
    assert_eq!(description(&app(), Paint::PLAIN), expected);
}

#[test]
fn a_description_shows_who_may_call_and_what_may_follow() {
    let key = KeyFingerprint::from_hash([7; 32]);
    let issuer = TokenIssuer {
        name: "staff".into(),
        issuer: "https://id.example.com".into(),
        audience: "app\x1b".into(),
        roles_claim: "groups".into(),
        jwks: None,
        roots: vec![],
    };
    let app = AppDescription {
        callers: CallerPolicy::new(vec!["*=owner".parse().unwrap(), "greet=token:staff".parse().unwrap()])
            .unwrap(),
        issuers: vec![issuer],
        upgrade: Upgrade::endorsed(1, vec![key]).unwrap(),
        ..app()
    };
    let text = description(&app, Paint::PLAIN);
    let expected = format!(
        "  callers      *=owner\n               greet=token:staff\n  upgrade      by its owner, endorsed by 1 of\n               {key}\n  \
         issuer       staff: https://id.example.com, audience app\\u{{1b}}, roles in groups\n"
    );
    assert!(text.contains(&expected), "{text}");
    let frozen = description(&AppDescription { upgrade: Upgrade::Frozen, ..app }, Paint::PLAIN);
    assert!(frozen.contains("  upgrade      frozen: no other code gets its data\n"), "{frozen}");
}

#[test]
fn a_description_shows_network_files_and_kind() {
    let app = AppDescription {
        config: vec!["limit".into()],
        directories: vec![Directory { path: "/data".into(), guest: ".".into(), read_only: true }],
        network: NetworkPolicy::new(vec!["http://a.com".parse().unwrap()]).unwrap(),
        sends_plaintext: true,
        roots: Some("ee".repeat(32)),
        assets: Some(AssetsDescription {
            hash: "a5".repeat(32),
            bytes: 2_048,
            files: 3,
            at: "/assets".into(),
        }),
        serves_http: true,
        runs: true,
        ..app()
    };
    let text = description(&app, Paint::PLAIN);
    for line in [
        "  config       limit (values are secret)\n",
        "  directory    /data as ., read-only\n",
        &format!("  assets       {} at /assets, 3 files (2 KiB)\n", "a5".repeat(32)),
        &format!("  roots        {} (its own certificates for https)\n", "ee".repeat(32)),
        "  kind         a web service and a command\n",
        "  network      http://a.com\n               MAY SEND PLAINTEXT THROUGH THE HOST\n",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let text = deployed(&app, "deployed", Paint::PLAIN);
    assert!(
        text.contains("  MAY SEND PLAINTEXT THROUGH THE HOST\n") && text.contains("at /assets\n"),
        "{text}"
    );
}

#[test]
fn a_description_shows_configuration_extensions_and_keys() {
    let key = |name: &str, kind: Option<&str>, in_memory, persisted, uses: &[(&str, u64)]| KeyDescription {
        name: name.into(),
        kind: kind.map(str::to_owned),
        in_memory,
        persisted,
        uses: uses.iter().map(|(operation, count)| ((*operation).to_owned(), *count)).collect(),
    };
    let app = AppDescription {
        configuration: ConfigurationState::Awaited,
        configure_with: Some("configure".into()),
        quote_roots: Some("20".repeat(32)),
        extensions: vec![ExtensionDescription {
            oid: "1.3.6.1.4.1.65230.3.5.7".into(),
            bytes: 91,
            hash: "ee".repeat(32),
        }],
        keys: vec![
            key("audit", Some("ecdsa-p256-sha256"), true, true, &[("sign", 1_200), ("verify", 2)]),
            key("fresh\u{1b}", Some("aes-256-gcm"), true, false, &[]),
            key("kept", Some("hmac-sha256"), false, true, &[]),
            key("old", None, false, false, &[("encrypt", 3)]),
        ],
        ..app()
    };
    let text = description(&app, Paint::PLAIN);
    for line in [
        "  configured   NO: it answers configure alone, and that to you\n",
        &format!("  quote roots  {} (beside Intel's)\n", "20".repeat(32)),
        &format!("  extension    1.3.6.1.4.1.65230.3.5.7, 91 B: {}\n", "ee".repeat(32)),
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let (_, keys) = text.split_once("\nkeys ").unwrap();
    let keys = keys.lines().take(5).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(
        Vec::from_iter(keys),
        [
            "KIND WHERE USED",
            "audit ecdsa-p256-sha256 in memory and persisted sign 1,200, verify 2",
            "fresh\\u{1b} aes-256-gcm in memory never",
            "kept hmac-sha256 persisted never",
            "old - gone encrypt 3",
        ]
    );
    let text = deployed(&app, "deployed", Paint::PLAIN);
    assert!(text.contains("  awaits its configuration: cloister call hello configure …\n"), "{text}");
    let configured = AppDescription { configuration: ConfigurationState::Complete, ..app };
    assert!(description(&configured, Paint::PLAIN).contains("  configured   yes, by configure\n"));
    assert!(!deployed(&configured, "deployed", Paint::PLAIN).contains("awaits"));
}

#[test]
fn text_in_pieces_has_whole_characters() {
    let mut pieces = TextPieces::default();
    assert_eq!(pieces.push("aä".as_bytes().split_at(2).0), "a");
    assert_eq!(pieces.push("aä".as_bytes().split_at(2).1), "ä");
    assert_eq!(pieces.push(b"x\xffy\xe6\xbc"), "x\u{fffd}y");
    assert_eq!(pieces.push(b"z"), "\u{fffd}z");
}

#[test]
fn a_run_has_a_cost() {
    let end = RunEnd { exit_code: 3, fuel: 12_345, wall_us: 850, code_hash: "ab".into(), epoch: Some(7) };
    assert_eq!(run_cost(&end), "exit code 3, fuel 12,345, 850 µs, epoch 7, code ab");
}

#[test]
fn deploying_shows_the_hash_and_the_functions() {
    let shown =
        |callers: CallerPolicy| deployed(&AppDescription { callers, ..app() }, "deployed", Paint::PLAIN);
    let hash = "ab".repeat(32);
    assert_eq!(
        shown(CallerPolicy::public()),
        format!(
            "deployed hello (2 KiB, compiled in 20.0 ms)\n  code hash {hash}\n  greet(name: string) -> string\n  ping()\n"
        )
    );
    assert_eq!(
        shown(CallerPolicy::default()),
        format!(
            "deployed hello (2 KiB, compiled in 20.0 ms)\n  code hash {hash}\n  answers its owner alone, who shows the key; \
             --public and --caller admit others\n  greet(name: string) -> string\n  ping()\n"
        )
    );
}

#[test]
fn results_are_wave_or_json() {
    let response =
        |result| CallResponse { result, fuel: 12_345, wall_us: 850, code_hash: "ab".repeat(32), epoch: None };
    assert_eq!(result(&response(serde_json::json!("\"hi\""))), "\"hi\"\n");
    assert_eq!(result(&response(serde_json::json!(null))), "");
    assert_eq!(json_result(&response(serde_json::json!("hi"))), "\"hi\"\n");
    assert_eq!(json_result(&response(serde_json::json!({"a": 1}))), "{\n  \"a\": 1\n}\n");
    assert_eq!(json_result(&response(serde_json::json!(null))), "null\n");
    assert_eq!(
        cost(&response(serde_json::json!(1))),
        format!("fuel 12,345, 850 µs, code {}", "ab".repeat(32))
    );
    let stored = CallResponse { epoch: Some(1042), ..response(serde_json::json!(1)) };
    assert_eq!(cost(&stored), format!("fuel 12,345, 850 µs, epoch 1042, code {}", "ab".repeat(32)));
}

#[test]
fn removing_says_what_went() {
    let removal = Removal { name: "hello".parse().unwrap(), files: 12, bytes: 1_536 << 10, keys: 1 };
    assert_eq!(removed(&removal), "removed hello, with 12 files (1.5 MiB) and 1 key\n");
}

#[test]
fn the_volume_is_fields_and_a_table() {
    let usage = StorageUsage { bytes: 8_192, files: 3, keys: 2, key_bytes: 40 };
    let mut statistics = VolumeStatistics {
        epoch: 1042,
        root: "ab".repeat(32),
        freshness: FreshnessSetting::None,
        disk_bytes: 4 << 20,
        used_bytes: 3 << 20,
        free_bytes: 1 << 20,
        dirty_bytes: 0,
        commits: 1_200,
        cache_hits: 900,
        cache_misses: 100,
        apps: BTreeMap::from([("hello".parse().unwrap(), usage)]),
    };
    let expected = format!(
        "epoch      1042\nroot       {}\n\
         freshness  none: nothing keeps an older disk from being put back at a restart\n\
         disk       4 MiB, of which 3 MiB used and 1 MiB free\nunwritten  0 B\n\
         commits    1,200 since the enclave started\ncache      90 % of 1,000 blocks were in memory\n\n\
         APP    FILES  SIZE   KEYS  SIZE\nhello  3      8 KiB  2     40 B\n",
        "ab".repeat(32)
    );
    assert_eq!(volume(&statistics), expected);
    statistics.apps.clear();
    (statistics.cache_hits, statistics.cache_misses) = (0, 0);
    assert!(volume(&statistics).ends_with("cache      0 % of 0 blocks were in memory\n"));
}

#[test]
fn text_from_outside_is_made_harmless() {
    assert_eq!(printable("a\tb\nc"), "a\tb\nc");
    assert_eq!(printable("\x1b]0;x\x07"), "\\u{1b}]0;x\\u{7}");
    assert_eq!(printable("a\u{202e}b\u{9b}"), "a\\u{202e}b\\u{9b}");
    assert_eq!(printable("äöü 漢字"), "äöü 漢字");
}

#[test]
fn colour_is_for_terminals_unless_it_is_asked_for() {
    assert_eq!(Paint::choose(Color::Always, false).red("x"), "\x1b[1;31mx\x1b[0m");
    assert_eq!(Paint::choose(Color::Never, true).red("x"), "x");
    assert_eq!(Paint::choose(Color::Auto, false), Paint::PLAIN);
}
