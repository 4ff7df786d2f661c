//! Documents that are held to the code: promises name tests that exist, the protocol's page and `openapi.json` name
//! every route, code and field, and links lead somewhere.
#![forbid(unsafe_code)]

use cloister_api::{
    AppDescription, AppList, AppSummary, AssetsDescription, CallResponse, CallerPolicy, CheckEvent, Code,
    ConfigurationState, DeployEvent, DeploySettings, Directory, EgressLog, EgressRequest, Endorsement,
    EnvironmentVariable, EvidenceRequest, EvidenceResponse, ExportDescription, ExtensionDescription,
    FreshnessSetting, FunctionCounters, HandOver, HandOverOffer, HandOverRequest, KeyDescription, Limits,
    NetworkPolicy, ParameterDescription, Problem, Removal, RunEnd, RunRequest, StorageUsage, TokenIssuer,
    Trap, TrapFrame, Upgrade, VolumeAdoption, VolumeState, VolumeStatistics,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn promises_are_numbered_without_a_gap_and_each_names_a_test() {
    let promises = promises();
    assert!(promises.len() >= 50, "{} promises were understood", promises.len());
    for (expected, promise) in (1..).zip(&promises) {
        assert_eq!(
            promise.number, expected,
            "{SPECIFICATION}: promise {expected} is missing or out of place"
        );
        assert!(!promise.tests.is_empty(), "{SPECIFICATION}: promise {expected} names no test");
        let distinct: BTreeSet<_> = promise.tests.iter().collect();
        assert_eq!(
            distinct.len(),
            promise.tests.len(),
            "{SPECIFICATION}: promise {expected} names a test twice"
        );
    }
}

#[test]
fn every_named_test_exists_and_is_not_ignored() {
    let mut wrong = Vec::new();
    for promise in promises() {
        for test in &promise.tests {
            if let Err(why) = check_test(test) {
                wrong.push(format!("promise {}: `{test}`: {why}", promise.number));
            }
        }
    }
    assert!(wrong.is_empty(), "{SPECIFICATION} names tests that do not hold it:\n{}", wrong.join("\n"));
}

#[test]
fn tests_are_told_from_what_only_looks_like_them() {
    let source = "#[test]\nfn plain() {}\n\n/// Words.\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn waits() {}\n\n\
        #[test]\n#[ignore]\nfn skipped() {}\n\nfn helper() {}\n\nmacro_rules! many {\n    ($($test:ident: $n:expr,)*) => {\n        \
        $(\n            #[test]\n            fn $test() {}\n        )*\n    };\n}\n\nmany! {\n    listed: 1,\n}\n\nother! {\n    \
        elsewhere: 1,\n}\n";
    assert_eq!(find_test(source, "plain"), Ok(()));
    assert_eq!(find_test(source, "waits"), Ok(()));
    assert_eq!(find_test(source, "listed"), Ok(()));
    assert_eq!(find_test(source, "skipped"), Err("it is ignored"));
    assert_eq!(find_test(source, "helper"), Err("it is a function and no test"));
    assert_eq!(find_test(source, "elsewhere"), Err("there is no such test in the file"));
    assert_eq!(find_test(source, "plai"), Err("there is no such test in the file"));
}

#[test]
fn every_problem_code_is_documented() {
    let documented: BTreeSet<(String, String)> = table_rows(&read(PROTOCOL))
        .filter_map(|cells| match cells.as_slice() {
            [code, status, _] if status.parse::<u16>().is_ok() => Some((quoted(code)?, status.clone())),
            _ => None,
        })
        .collect();
    let existing =
        Code::ALL.iter().map(|code| (code.as_str().to_owned(), code.status().to_string())).collect();
    assert_same(
        &documented,
        &existing,
        "codes and statuses in docs/design/protocol.md",
        "those of cloister_api::Code",
    );

    let api = openapi();
    let listed: BTreeSet<String> = strings(&schema(&api, "Problem")["properties"]["code"]["enum"]);
    let existing = Code::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_same(&listed, &existing, "codes in docs/openapi.json", "those of cloister_api::Code");
}

#[test]
fn every_route_is_described() {
    let documented: BTreeSet<String> = table_rows(&read(PROTOCOL))
        .filter_map(|cells| cells.first().and_then(|cell| quoted(cell)))
        .filter(|request| request.contains(" /v1/"))
        .collect();
    assert!(documented.len() >= 10, "{documented:?}");
    let api = openapi();
    let mut described = BTreeSet::new();
    let mut operations = BTreeSet::new();
    for (path, item) in api["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("a path item") {
            if method == "parameters" {
                continue;
            }
            described.insert(format!("{} {path}", method.to_uppercase()));
            let id = operation["operationId"]
                .as_str()
                .unwrap_or_else(|| panic!("{method} {path} has no operationId"));
            assert!(operations.insert(id.to_owned()), "two operations are called {id}");
            let problem = &operation["responses"]["default"]["$ref"];
            assert_eq!(problem, "#/components/responses/Problem", "{method} {path} says nothing of problems");
        }
    }
    assert_same(
        &documented,
        &described,
        "requests in docs/design/protocol.md",
        "operations in docs/openapi.json",
    );
}

#[test]
fn schemas_have_the_fields_of_the_types() {
    let api = openapi();
    for (name, example) in examples() {
        for (number, example) in example.into_iter().enumerate() {
            let fields: BTreeSet<String> = example.as_object().expect(name).keys().cloned().collect();
            let schema = match name {
                "DeployEvent" | "CheckEvent" => event(&api, name, &example),
                _ => schema(&api, name).clone(),
            };
            let described = properties(&api, &schema);
            if number == 0 {
                assert_same(
                    &described,
                    &fields,
                    &format!("fields of {name} in docs/openapi.json"),
                    "those of the type",
                );
            }
            for required in required(&api, &schema) {
                assert!(
                    fields.contains(&required),
                    "{name}: docs/openapi.json requires '{required}', the type does not"
                );
            }
        }
    }
    let defaults = serde_json::to_value(Limits::default()).expect("limits are JSON");
    for (limit, default) in defaults.as_object().expect("an object") {
        let described = &schema(&api, "Limits")["properties"][limit]["default"];
        assert_eq!(described, default, "the default of '{limit}' in docs/openapi.json");
    }
}

#[test]
fn references_in_the_description_lead_somewhere() {
    let api = openapi();
    assert_eq!(api["openapi"], "3.1.0");
    let mut references = Vec::new();
    collect_references(&api, &mut references);
    assert!(references.len() > 20);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leaves the file"));
        assert!(api.pointer(pointer).is_some(), "docs/openapi.json has no {reference}");
    }
}

#[test]
fn relative_links_lead_somewhere() {
    let mut wrong = Vec::new();
    let mut links = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
        for link in links_of(&text) {
            links += 1;
            let (target, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = match target {
                "" => page.clone(),
                target => page.parent().expect("a page is in a folder").join(target),
            };
            let found = target.exists()
                && (anchor.is_empty()
                    || fs::read_to_string(&target).is_ok_and(|text| anchors_of(&text).contains(anchor)));
            if !found {
                wrong.push(format!("{}: {link}", page.strip_prefix(root()).unwrap_or(&page).display()));
            }
        }
    }
    assert!(links >= 10, "only {links} links were understood");
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

/// One numbered sentence and the tests under it.
struct Promise {
    number: u32,
    tests: Vec<String>,
}

fn promises() -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    for line in read(SPECIFICATION).lines() {
        let number = line.split_once(". ").and_then(|(number, _)| number.parse().ok());
        if let Some(number) = number {
            promises.push(Promise { number, tests: Vec::new() });
        }
        let tests = line.split('`').skip(1).step_by(2).filter(|code| code.contains(".rs::"));
        for test in tests {
            let promise = promises.last_mut().unwrap_or_else(|| panic!("`{test}` stands before any promise"));
            promise.tests.push(test.to_owned());
        }
    }
    promises
}

fn check_test(test: &str) -> Result<(), String> {
    let (path, name) = test.split_once("::").ok_or("it is no `path::name`")?;
    let source = fs::read_to_string(root().join(path)).map_err(|error| error.to_string())?;
    find_test(&source, name).map_err(str::to_owned)
}

/// A test is a function under `#[test]` or `#[tokio::test]`, or an entry of a macro of the same file that makes such
/// functions of its entries.
fn find_test(source: &str, name: &str) -> Result<(), &'static str> {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}");
    let is_head = |line: &&str| {
        line.split_once(&head).is_some_and(|(before, after)| {
            after.starts_with(['(', '<'])
                && before.split_whitespace().all(|word| ["pub", "async"].contains(&word))
        })
    };
    if let Some(at) = lines.iter().position(is_head) {
        let above =
            lines[..at].iter().rev().take_while(|line| line.starts_with("#[") || line.starts_with("//"));
        let attributes: Vec<_> = above.filter(|line| line.starts_with("#[")).collect();
        if attributes.iter().any(|line| line.starts_with("#[ignore")) {
            return Err("it is ignored");
        }
        return match attributes.iter().any(|line| is_test_attribute(line)) {
            true => Ok(()),
            false => Err("it is a function and no test"),
        };
    }
    let entry = format!("{name}:");
    let listed = test_macros(source).iter().any(|makes_tests| {
        let call = format!("{makes_tests}! {{");
        let mut calls = source.split(&call).skip(1).filter_map(|after| after.split_once("\n}"));
        calls.any(|(entries, _)| entries.lines().any(|line| line.trim().starts_with(&entry)))
    });
    if listed { Ok(()) } else { Err("there is no such test in the file") }
}

/// Macros of the file that make tests, and no ignored ones.
fn test_macros(source: &str) -> Vec<&str> {
    let definitions = source.split("macro_rules! ").skip(1);
    definitions
        .filter_map(|after| {
            let (name, rest) = after.split_once(" {")?;
            let (body, _) = rest.split_once("\n}")?;
            let attributes: Vec<_> =
                body.lines().map(str::trim).filter(|line| line.starts_with("#[")).collect();
            let tests = attributes.iter().any(|line| is_test_attribute(line));
            (tests && !attributes.iter().any(|line| line.starts_with("#[ignore"))).then_some(name)
        })
        .collect()
}

fn is_test_attribute(line: &str) -> bool {
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

/// One or more values of each type that the protocol carries; the first has every field.
fn examples() -> Vec<(&'static str, Vec<Value>)> {
    let trap = Trap { reason: "r".into(), fuel: 1, backtrace: Vec::new() };
    let problem = || Problem::new(Code::Internal, "d");
    let full = problem().with_suggestions(vec!["s".into()]).with_trap(trap.clone());
    let hash = || "00".repeat(32);
    let text = || "MAA=".to_owned();
    let summary =
        AppSummary { name: "a".parse().expect("a name"), code_hash: hash(), size: 1, owner: hash() };
    let parameter = ParameterDescription { name: "p".into(), ty: "u8".into() };
    let export = ExportDescription {
        name: "f".into(),
        parameters: vec![parameter.clone()],
        result: Some("u8".into()),
        not_callable: Some("why".into()),
    };
    let callable = ExportDescription { not_callable: None, ..export.clone() };
    let assets = AssetsDescription { hash: hash(), bytes: 1, files: 1, at: "/a".into() };
    let extension = ExtensionDescription { oid: "1.2".into(), bytes: 1, hash: hash() };
    let key = KeyDescription {
        name: "k".into(),
        kind: Some("aes-256-gcm".into()),
        in_memory: true,
        persisted: true,
        uses: [("encrypt".to_owned(), 1)].into(),
    };
    let gone = KeyDescription { kind: None, in_memory: false, persisted: false, ..key.clone() };
    let callers = CallerPolicy::new(vec!["@run=owner".parse().expect("a rule")]).expect("a policy");
    let issuer = TokenIssuer {
        name: "i".into(),
        issuer: "https://i".into(),
        audience: "a".into(),
        roles_claim: "roles".into(),
        jwks: Some("https://i/keys".into()),
        roots: vec!["MAA=".into()],
    };
    let plain = TokenIssuer { jwks: None, roots: Vec::new(), ..issuer.clone() };
    let app = AppDescription {
        summary: summary.clone(),
        wit: String::new(),
        limits: Limits::default(),
        environment: Vec::new(),
        config: Vec::new(),
        directories: Vec::new(),
        network: NetworkPolicy::default(),
        sends_plaintext: false,
        roots: Some(hash()),
        quote_roots: Some(hash()),
        callers: callers.clone(),
        issuers: vec![issuer.clone()],
        upgrade: Upgrade::Frozen,
        configuration: ConfigurationState::Awaited,
        configure_with: Some("f".into()),
        extensions: vec![extension.clone()],
        keys: vec![key.clone()],
        assets: Some(assets.clone()),
        serves_http: false,
        runs: false,
        imports: Vec::new(),
        exports: vec![export.clone()],
        code_bytes: 1,
        compile_ms: 1,
        storage: StorageUsage::default(),
        total: FunctionCounters::default(),
        functions: Default::default(),
    };
    let variable = EnvironmentVariable { name: "K".into(), value: "V".into() };
    let directory = Directory { path: "/".into(), guest: ".".into(), read_only: true };
    let settings = DeploySettings {
        config: vec![variable.clone()],
        directories: vec![directory.clone()],
        network: NetworkPolicy::new(vec!["lookup://*".parse().expect("a rule")]).expect("a policy"),
        roots: vec!["MAA=".into()],
        quote_roots: vec!["MAA=".into()],
        configure_with: Some("f".into()),
        assets_at: Some("/a".into()),
        callers,
        issuers: vec![issuer.clone()],
        upgrade: Upgrade::Frozen,
        ..DeploySettings::default()
    };
    let run = RunRequest { arguments: vec!["a".into()], environment: vec![variable.clone()] };
    let end = RunEnd { exit_code: 0, fuel: 1, wall_us: 1, code_hash: hash(), epoch: Some(1) };
    let sent = EgressRequest {
        time_ms: 1,
        method: "GET".into(),
        scheme: "https".into(),
        host: "h".into(),
        port: 1,
        status: Some(200),
        error: Some("e".into()),
        bytes_sent: 1,
        bytes_received: 1,
        duration_us: 1,
        tls: Some("TLSv1.3".into()),
        peer: Some(hash()),
    };
    let call = CallResponse { result: json!(1), fuel: 1, wall_us: 1, code_hash: hash(), epoch: Some(1) };
    let volume = VolumeState { epoch: 1, root: hash() };
    let evidence = EvidenceResponse {
        claims: String::new(),
        quote: String::new(),
        signature: String::new(),
        volume: Some(volume.clone()),
        collateral: None,
    };
    let removal = Removal { name: "a".parse().expect("a name"), files: 1, bytes: 1, keys: 1 };
    let statistics = VolumeStatistics {
        epoch: 1,
        root: hash(),
        freshness: FreshnessSetting::None,
        disk_bytes: 1,
        used_bytes: 1,
        free_bytes: 1,
        dirty_bytes: 1,
        commits: 1,
        cache_hits: 1,
        cache_misses: 1,
        apps: Default::default(),
    };
    let mut examples = vec![
        ("Problem", vec![json!(full), json!(problem())]),
        ("Trap", vec![json!(trap)]),
        ("TrapFrame", vec![json!(TrapFrame { function: None, index: 1, offset: None })]),
        ("AppSummary", vec![json!(summary)]),
        ("AppList", vec![json!(AppList { apps: vec![summary] })]),
        ("AppDescription", vec![json!(app)]),
        ("ExportDescription", vec![json!(export), json!(callable)]),
        ("ParameterDescription", vec![json!(parameter)]),
        ("FunctionCounters", vec![json!(FunctionCounters::default())]),
        ("Limits", vec![json!(Limits::default())]),
        ("EnvironmentVariable", vec![json!(variable)]),
        ("DeploySettings", vec![json!(settings)]),
        ("Directory", vec![json!(directory)]),
        ("TokenIssuer", vec![json!(issuer), json!(plain)]),
        ("HandOverOffer", vec![json!(HandOverOffer { version: 1, target_info: text(), key: hash() })]),
        ("HandOverRequest", vec![json!(HandOverRequest { version: 1, report: text(), key: hash() })]),
        ("HandOver", vec![json!(HandOver { version: 1, report: text(), volume: hash(), sealed: text() })]),
        (
            "VolumeAdoption",
            vec![json!(VolumeAdoption {
                version: 1,
                volume: hash(),
                from: hash(),
                to: hash(),
                adoption: text()
            })],
        ),
        ("Endorsement", vec![json!(Endorsement { key: "MAA=".into(), signature: "MAA=".into() })]),
        ("AssetsDescription", vec![json!(assets)]),
        ("ExtensionDescription", vec![json!(extension)]),
        ("KeyDescription", vec![json!(key), json!(gone)]),
        ("RunRequest", vec![json!(run)]),
        ("RunEnd", vec![json!(end)]),
        ("EgressLog", vec![json!(EgressLog { dropped: 1, requests: vec![sent.clone()] })]),
        ("EgressRequest", vec![json!(sent)]),
        ("CallResponse", vec![json!(call)]),
        ("EvidenceRequest", vec![json!(EvidenceRequest { nonce: hash() })]),
        ("EvidenceResponse", vec![json!(evidence)]),
        ("Removal", vec![json!(removal)]),
        ("VolumeState", vec![json!(volume)]),
        ("StorageUsage", vec![json!(StorageUsage::default())]),
        ("VolumeStatistics", vec![json!(statistics)]),
    ];
    let damaged = |place: Option<u64>| CheckEvent::Damaged {
        app: place.map(|_| "a".parse().expect("a name")),
        object: place,
        offset: place,
        what: "w".into(),
    };
    for event in [
        vec![CheckEvent::Progress { done: 1, total: 1 }],
        vec![damaged(Some(1)), damaged(None)],
        vec![CheckEvent::Done { blocks: 1, damaged: 1, epoch: 1 }],
        vec![CheckEvent::Failed { problem: problem() }],
    ] {
        examples.push(("CheckEvent", event.iter().map(|event| json!(event)).collect()));
    }
    for event in [
        DeployEvent::Received { bytes: 1, code_hash: hash() },
        DeployEvent::Queued,
        DeployEvent::Compiling { functions: 1, elapsed_ms: 1 },
        DeployEvent::Deployed { app: Box::new(app) },
        DeployEvent::Failed { problem: problem() },
    ] {
        examples.push(("DeployEvent", vec![json!(event)]));
    }
    examples
}

fn openapi() -> Value {
    serde_json::from_str(&read(OPENAPI)).unwrap_or_else(|error| panic!("{OPENAPI}: {error}"))
}

fn schema<'a>(api: &'a Value, name: &str) -> &'a Value {
    let schemas = &api["components"]["schemas"];
    schemas.get(name).unwrap_or_else(|| panic!("{OPENAPI} has no schema {name}"))
}

/// The schema of the event that `example` is.
fn event(api: &Value, name: &str, example: &Value) -> Value {
    let kinds = schema(api, name)["oneOf"].as_array().expect("events are one of several");
    let found = kinds.iter().find(|kind| kind["properties"]["event"]["const"] == example["event"]);
    found.unwrap_or_else(|| panic!("{OPENAPI} has no event {}", example["event"])).clone()
}

fn properties(api: &Value, schema: &Value) -> BTreeSet<String> {
    let own = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned());
    own.chain(parts(api, schema).iter().flat_map(|part| properties(api, part))).collect()
}

fn required(api: &Value, schema: &Value) -> BTreeSet<String> {
    let mut all = strings(&schema["required"]);
    all.extend(parts(api, schema).iter().flat_map(|part| required(api, part)));
    all
}

/// What a schema is all of.
fn parts(api: &Value, schema: &Value) -> Vec<Value> {
    let resolved = |part: &Value| match part["$ref"].as_str().and_then(|name| name.strip_prefix('#')) {
        Some(pointer) => api.pointer(pointer).unwrap_or(&Value::Null).clone(),
        None => part.clone(),
    };
    schema["allOf"].as_array().into_iter().flatten().map(resolved).collect()
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_references(field, found));
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, found)),
        _ => {}
    }
}

fn strings(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The cells of every row of every table.
fn table_rows(text: &str) -> impl Iterator<Item = Vec<String>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(|cell| cell.trim().to_owned()).collect())
}

/// The text between a cell's first two backquotes.
fn quoted(cell: &str) -> Option<String> {
    cell.split('`').nth(1).map(str::to_owned)
}

/// README and every page under `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![root().join("README.md")];
    for folder in ["docs", "docs/design"] {
        let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
        let paths = entries.map(|entry| entry.expect("a readable folder").path());
        pages.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "md")));
    }
    pages
}

/// Targets of `[text](target)` inside the repository.
fn links_of(text: &str) -> Vec<String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let relative = targets.filter(|target| !target.contains("://") && !target.contains(char::is_whitespace));
    relative.map(str::to_owned).collect()
}

/// Anchors of headings, as Markdown's renderers make them.
fn anchors_of(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let titles = headings.map(|line| line.trim_start_matches('#').trim());
    let kept = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    titles.map(|title| title.to_lowercase().chars().filter_map(kept).collect()).collect()
}

fn assert_same<T: Ord + std::fmt::Debug>(
    left: &BTreeSet<T>,
    right: &BTreeSet<T>,
    left_name: &str,
    right_name: &str,
) {
    let only_left: Vec<_> = left.difference(right).collect();
    let only_right: Vec<_> = right.difference(left).collect();
    assert!(
        only_left.is_empty() && only_right.is_empty(),
        "{left_name} are not {right_name}: only the former have {only_left:?}, only the latter {only_right:?}"
    );
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the repository")
}

const SPECIFICATION: &str = "docs/SPECIFICATION.md";
const PROTOCOL: &str = "docs/design/protocol.md";
const OPENAPI: &str = "docs/openapi.json";
