//! The examples, compiled inside the image: what they compute, and that files, the clock and randomness reach them.
//!
//! Large ones have an enclave of their own each: compiling them takes up to a minute, in which no other app can be deployed, and
//! all of them together do not fit into one image's pool for native code.

use crate::web::Service;
use cloister_api::{AppName, DeployEvent, DeploySettings, EnvironmentVariable, Limits, RunRequest};
use cloister_client::{DeployProgress, RunOutput, Session};
use cloister_tests::{Enclave, RawTls, Setup, code_hash, example, for_everybody, name, shared};
use serde_json::{Value, json};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant, SystemTime};

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_example_runs() {
    let app = App::deploy(shared(), "rust", &for_everybody()).await;
    let greeting = app.session.call_wave(&app.name, "greet", &["\"Ada\"".into()]).await.unwrap();
    assert_eq!(greeting.code_hash, hex::encode(code_hash(&example("rust"))));
    assert!(greeting.result.as_str().unwrap().contains("Ada"), "{greeting:?}");
    let attic = json!([
        { "sensor": "attic", "at": 1, "measurement": { "temperature": 3.5 } },
        { "sensor": "attic", "at": 2, "measurement": { "temperature": 4.5 } },
    ]);
    let door = json!([
        { "sensor": "door", "at": 3, "measurement": { "contact": "open" } },
        { "sensor": "door", "at": 4, "measurement": "nothing" },
    ]);
    assert_eq!(app.call("summarize", json!([[]])).await, json!({ "err": "empty" }));
    assert_eq!(app.ok("keep", json!([attic])).await, json!(2));
    assert_eq!(app.ok("keep", json!([door])).await, json!(4));
    let summary = app.ok("summarize-kept", json!([])).await;
    assert_eq!(summary["readings"], json!(4), "{summary}");
    assert_eq!(summary["temperature"]["mean"], json!(4.0), "{summary}");
    assert_eq!(summary["left-open"], json!(["door"]), "{summary}");

    let throw = async || app.ok("roll-dice", json!([100, 6])).await;
    let dice: Vec<u64> = serde_json::from_value(throw().await).unwrap();
    assert!(dice.len() == 100 && dice.iter().all(|die| (1..=6).contains(die)), "{dice:?}");
    assert_ne!(throw().await, json!(dice));
    assert_is_now(app.call("now", json!([])).await["seconds"].as_u64().unwrap());
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_example_runs() {
    let app = App::deploy(shared(), "c", &for_everybody()).await;
    assert_eq!(app.call("check-card", json!(["4111111111111111"])).await, json!(true));
    assert_eq!(app.call("check-card", json!(["4111111111111112"])).await, json!(false));
    // The check value of CRC-32/ISO-HDLC.
    assert_eq!(app.call("crc32", json!([b"123456789".to_vec()])).await, json!(0xcbf4_3926_u32));
    let account = app.ok("check-iban", json!(["GB82 WEST 1234 5698 7654 32"])).await;
    assert_eq!(account["country"], json!("GB"), "{account}");
    let wrong = app.call("check-iban", json!(["GB82 WEST 1234 5698 7654 33"])).await;
    assert_eq!(wrong, json!({ "err": "checksum" }));

    let one = app.ok("issue-card", json!(["4000"])).await;
    let other = app.ok("issue-card", json!(["4000"])).await;
    assert_ne!(one["number"], other["number"]);
    assert_eq!(app.call("check-card", json!([one["number"]])).await, json!(true));
    assert_is_now(other["issued"].as_u64().unwrap());
    assert_eq!(app.ok("issued-cards", json!([])).await, json!([one, other]));
    app.remove().await;
}

/// `storage.rs` has the rest: everything that programs do with files.
#[tokio::test(flavor = "multi_thread")]
async fn the_files_example_runs() {
    let app = App::deploy(shared(), "files", &for_everybody()).await;
    app.ok("put", json!(["/diary/monday", "rain"])).await;
    app.ok("append", json!(["/diary/monday", ", then sun"])).await;
    assert_eq!(app.ok("get", json!(["/diary/monday"])).await, json!("rain, then sun"));
    assert_eq!(app.ok("names", json!(["/diary"])).await, json!(["monday"]));
    assert_is_now(app.ok("stat", json!(["/diary/monday"])).await["modified"].as_u64().unwrap());
    app.ok("set-key", json!(["greeting", "hello"])).await;
    assert_eq!(app.ok("get-key", json!(["greeting"])).await, json!("hello"));
    assert_eq!(app.ok("count", json!(["visits", 2])).await, json!(2));
    assert_eq!(app.ok("count", json!(["visits", 3])).await, json!(5));
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_job_runs() {
    let log = EnvironmentVariable { name: "REDACT_LOG".into(), value: "/runs.csv".into() };
    let settings = DeploySettings { environment: vec![log], ..for_everybody() };
    let app = App::deploy(shared(), "job-rust", &settings).await;
    let text = "call 0171234567890\nor write to ada@example.com\n";
    let one = app.run(&[], text).await;
    assert_eq!((one.exit_code, one.stderr.trim()), (0, "2 lines, 2 numbers and addresses"));
    assert!(!one.stdout.contains("0171234567890") && !one.stdout.contains("ada"), "{}", one.stdout);
    // Tags are random for each run, so that nobody can compare two.
    assert_ne!(app.run(&[], text).await.stdout, one.stdout);
    assert_eq!(app.run(&["--check"], text).await.exit_code, 1);

    // The next version of the app finds the files of this one.
    let reader = for_everybody();
    app.session.replace(&app.name, example("files"), &reader, |_| {}).await.unwrap();
    let runs = app.ok("get", json!(["/runs.csv"])).await;
    let runs: Vec<_> = runs.as_str().unwrap().lines().map(|run| run.split_once(',').unwrap()).collect();
    assert_eq!(runs.len(), 3);
    for (seconds, rest) in runs {
        assert_is_now(seconds.parse().unwrap());
        assert!(rest.starts_with("2,2,"), "{rest}");
    }
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rust_web_example_runs() {
    let app = App::deploy(shared(), "web-rust", &for_everybody()).await;
    assert_eq!(app.request("GET", "/hello", "").await, (200, "Hello, world!\n".to_owned()));
    assert_eq!(app.request("PUT", "/notes/letter", "Dear Ada").await.0, 200);
    assert_eq!(app.request("GET", "/notes/letter", "").await, (200, "Dear Ada".to_owned()));
    let (one, other) = (app.request("POST", "/notes", "1").await, app.request("POST", "/notes", "2").await);
    assert_eq!((one.0, other.0), (201, 201));
    assert_ne!(one.1, other.1);
    let mut names = [one.1, other.1, "letter\n".to_owned()];
    names.sort();
    assert_eq!(app.request("GET", "/notes", "").await.1, names.concat());
    assert_eq!(app.request("DELETE", "/notes/letter", "").await.0, 200);
    assert_eq!(app.request("GET", "/notes/letter", "").await.0, 404);
    let (_, events) = app.request("GET", "/clock?ticks=2", "").await;
    let seconds = |event: &str| event.strip_prefix("data: ")?.split_once('.')?.0.parse().ok();
    let ticks: Vec<u64> = events.lines().filter_map(seconds).collect();
    assert!(ticks.len() == 2 && ticks[1] > ticks[0], "{events}");
    ticks.into_iter().for_each(assert_is_now);
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_go_example_runs() {
    let enclave = Setup::new().start();
    let app = App::deploy(&enclave, "go", &fuel(1_000_000_000)).await;
    assert_eq!(app.run(&["add", "door", "opened"], "").await.said(), "");
    assert_eq!(app.run(&["import"], "door closed\nlight off\n").await.said(), "2 entries added\n");
    assert_eq!(app.run(&["verify"], "").await.said(), "3 entries, none changed\n");
    let list = app.run(&["list"], "").await;
    let entries: Vec<Vec<&str>> = list.said().lines().map(|line| line.splitn(3, "  ").collect()).collect();
    let texts: Vec<_> = entries.iter().map(|entry| entry[2]).collect();
    assert_eq!(texts, ["door opened", "door closed", "light off"]);
    assert_ne!(entries[0][1], entries[1][1]);
    entries.iter().for_each(|entry| assert_is_now_in_text(&entry[0].replace(' ', "T")));
    let unknown = app.run(&["frobnicate"], "").await;
    assert!(unknown.exit_code == 1 && unknown.stderr.contains("usage: journal"), "{}", unknown.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_runs() {
    let enclave = Setup::new().start();
    let app = App::deploy(&enclave, "python", &fuel(1_000_000_000)).await;
    let one = app.ok("add", json!(["glucose", 5.5])).await;
    let other = app.ok("add", json!(["glucose", 6.5])).await;
    assert_ne!(one["id"], other["id"]);
    assert_is_now_in_text(other["at"].as_str().unwrap());
    assert_eq!(app.call("names", json!([])).await, json!(["glucose"]));
    let summary = app.ok("summarize", json!(["glucose"])).await;
    assert_eq!((&summary["count"], &summary["mean"]), (&json!(2), &json!(6.0)), "{summary}");
    let table = app.ok("table", json!(["glucose"])).await;
    let ids: Vec<_> =
        table.as_str().unwrap().lines().skip(1).map(|line| line.split_once(',').unwrap().0).collect();
    assert_eq!(json!(ids), json!([one["id"], other["id"]]));
    let mut drawn: Vec<f64> = serde_json::from_value(app.ok("sample", json!(["glucose", 5])).await).unwrap();
    drawn.sort_by(f64::total_cmp);
    assert_eq!(drawn, [5.5, 6.5]);
    app.ok("forget", json!(["glucose"])).await;
    assert_eq!(app.call("names", json!([])).await, json!([]));
}

/// Other calls are answered while it compiles.
#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_example_runs_and_others_go_on_while_it_compiles() {
    let enclave = Arc::new(Setup::new().start());
    crate::apps::deploy(&enclave.owner().await, "meanwhile", "toolbox").await;
    let over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicU32::new(0));
    let others = tokio::spawn({
        let (enclave, over, answered) = (Arc::clone(&enclave), Arc::clone(&over), Arc::clone(&answered));
        async move {
            let session = enclave.caller().await;
            while !over.load(Ordering::Relaxed) {
                session.call_json(&name("meanwhile"), "add", &json!([1, 2])).await.unwrap();
                answered.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    });
    let mut compiling = 0;
    let app = App::deploy_and_watch(&enclave, "javascript", &fuel(1_000_000_000), |progress| {
        compiling += u32::from(matches!(progress, DeployProgress::Enclave(DeployEvent::Compiling { .. })));
    })
    .await;
    over.store(true, Ordering::Relaxed);
    others.await.unwrap();
    assert!(compiling >= 2, "progress was shown {compiling} times");
    assert!(answered.load(Ordering::Relaxed) >= 5, "{answered:?}");

    let canonical = app.ok("canonicalize", json!(["{\"b\": 1, \"a\": [true, 1.0]}"])).await;
    assert_eq!(canonical, json!("{\"a\":[true,1],\"b\":1}"));
    let words = app.call("analyze", json!(["one two two", 1])).await;
    assert_eq!((&words["words"], &words["frequent"]), (&json!(3), &json!([["two", 2]])), "{words}");
    let one = app.ok("keep", json!(["[1, 2]"])).await;
    let other = app.ok("keep", json!(["[3]"])).await;
    assert_ne!(one["id"], other["id"]);
    assert_is_now_in_text(other["at"].as_str().unwrap());
    assert_eq!(app.ok("kept", json!([one["id"]])).await, json!("[1,2]"));
    let mut ids = [one["id"].as_str().unwrap(), other["id"].as_str().unwrap()];
    ids.sort_unstable();
    assert_eq!(app.ok("ids", json!([])).await, json!(ids));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_web_example_runs_for_curl_and_in_a_browser() {
    let service = Service::start("web-javascript", &["--fuel", "1G"]).await;
    let sign = |message: &str| {
        let entry = json!({ "name": "Ada", "message": message }).to_string();
        service.json(&["--data", &entry, &service.url("/entries")])
    };
    let (one, other) = (sign("hello"), sign("hello again"));
    assert_ne!(one["id"], other["id"]);
    assert_is_now_in_text(other["at"].as_str().unwrap());
    assert_eq!(service.json(&[&service.url("/entries")]), json!([other, one]));
    let page = service.browse("/");
    assert!(page.contains("<h1>Guest book</h1>"), "{page}");
    // The page's own script has fetched the entries.
    assert!(page.contains("hello again</li>"), "{page}");
}

/// An example that is deployed.
struct App<'a> {
    enclave: &'a Enclave,
    session: Session,
    name: AppName,
}

impl<'a> App<'a> {
    async fn deploy(enclave: &'a Enclave, example: &str, settings: &DeploySettings) -> Self {
        Self::deploy_and_watch(enclave, example, settings, |_| {}).await
    }

    async fn deploy_and_watch(
        enclave: &'a Enclave,
        built: &str,
        settings: &DeploySettings,
        progress: impl FnMut(DeployProgress) + Send,
    ) -> Self {
        let app = Self { enclave, session: enclave.owner().await, name: name(&format!("{built}-example")) };
        let began = Instant::now();
        let deployed = app.session.deploy(&app.name, example(built), settings, progress).await.unwrap();
        println!(
            "{built}: {} bytes deployed in {:.1} s, {} bytes of native code",
            deployed.summary.size,
            began.elapsed().as_secs_f64(),
            deployed.code_bytes
        );
        app
    }

    async fn call(&self, export: &str, arguments: Value) -> Value {
        let answer = self.session.call_json(&self.name, export, &arguments).await;
        answer.unwrap_or_else(|error| panic!("{export}: {error}")).result
    }

    /// The `ok` of an export's result.
    async fn ok(&self, export: &str, arguments: Value) -> Value {
        let result = self.call(export, arguments).await;
        result.get("ok").unwrap_or_else(|| panic!("{export}: {result}")).clone()
    }

    async fn run(&self, arguments: &[&str], stdin: &str) -> Finished {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let request = RunRequest { arguments, ..RunRequest::default() };
        let stdin = bytes::Bytes::copy_from_slice(stdin.as_bytes()).into();
        let mut run = self.session.run(&self.name, &request, stdin).await.unwrap();
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let exit_code = loop {
            match run.next().await.unwrap() {
                RunOutput::Stdout(bytes) => stdout.extend_from_slice(&bytes),
                RunOutput::Stderr(bytes) => stderr.extend_from_slice(&bytes),
                RunOutput::Ended(end) => break end.exit_code,
            }
        };
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Finished { exit_code, stdout: text(stdout), stderr: text(stderr) }
    }

    /// Sends a request to a web service, and gives the answer's status and body.
    async fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let target = format!("/apps/{}{path}", self.name);
        let length = body.len();
        // HTTP/1.0, to which bodies come without chunks.
        let request = format!(
            "{method} {target} HTTP/1.0\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        let mut connection = RawTls::connect(self.enclave.address(), "localhost").await.unwrap();
        let answer = connection.send(request.as_bytes(), Duration::from_secs(60)).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("{answer:?}")), body.to_owned())
    }

    async fn remove(self) {
        self.session.remove(&self.name).await.unwrap();
    }
}

/// What a job did.
struct Finished {
    exit_code: u8,
    stdout: String,
    stderr: String,
}

impl Finished {
    /// The output of a job that has to succeed.
    #[track_caller]
    fn said(&self) -> &str {
        assert_eq!(self.exit_code, 0, "{}", self.stderr);
        &self.stdout
    }
}

fn fuel(fuel: u64) -> DeploySettings {
    DeploySettings { limits: Limits { fuel, ..Limits::default() }, ..for_everybody() }
}

/// Seconds since 1970.
#[track_caller]
fn assert_is_now(seconds: u64) {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(seconds.abs_diff(now) < 60, "{seconds} at {now}");
}

/// The beginning of an ISO 8601 text, in UTC.
#[track_caller]
fn assert_is_now_in_text(text: &str) {
    let date = |when: &str| {
        let output = Command::new("date").args(["--utc", "--date", when, "+%FT%T"]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (earliest, latest) = (date("1 minute ago"), date("1 minute"));
    assert!(
        (earliest.as_str()..latest.as_str()).contains(&text),
        "{text} is not after {earliest} and before {latest}"
    );
}
