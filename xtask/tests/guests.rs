//! The example guests do what their WIT says, outside the enclave, under wasmtime's own command line.
//!
//! `cargo xtask test` builds them first and sets `CLOISTER_EXAMPLES` and `CLOISTER_WASMTIME`.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Calls an export with WAVE arguments and returns the result in WAVE.
fn invoke(guest: &str, call: &str) -> String {
    finish(guest, wasmtime().args(["--invoke", call]).arg(component(guest)))
}

/// The same where the guest has files.
fn invoke_with_files(files: &Files, guest: &str, call: &str) -> String {
    finish(guest, wasmtime().args(files.given()).args(["--invoke", call]).arg(component(guest)))
}

/// Runs a job and returns its exit status and what it wrote to standard output.
fn run(files: &Files, guest: &str, arguments: &[&str], input: &str) -> (i32, String) {
    let mut job = wasmtime();
    job.args(files.given()).arg(component(guest)).args(arguments);
    let mut job = job.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    job.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = job.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn finish(guest: &str, command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} on {guest}: {said}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn wasmtime() -> Command {
    let mut command = Command::new(place("CLOISTER_WASMTIME"));
    command.arg("run");
    command
}

fn component(guest: &str) -> PathBuf {
    place("CLOISTER_EXAMPLES").join(guest).with_extension("wasm")
}

/// A directory of the machine that a guest calls `/`.
struct Files(PathBuf);

impl Files {
    fn new(test: &str) -> Self {
        let path = env::temp_dir().join(format!("cloister-guests-{test}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn given(&self) -> [String; 2] {
        ["--dir".to_owned(), format!("{}::/", self.0.display())]
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn place(variable: &str) -> PathBuf {
    env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set: run `cargo xtask test`")).into()
}

#[test]
fn rust_greets() {
    assert_eq!(invoke("rust", r#"greet("Grüße, 🌍")"#), r#""Hello, Grüße, 🌍!""#);
}

#[test]
fn rust_summarizes_readings() {
    let readings = r#"[
        {sensor: "attic", at: 1, measurement: temperature(20)},
        {sensor: "attic", at: 2, measurement: temperature(23)},
        {sensor: "door", at: 5, measurement: contact(open)},
        {sensor: "door", at: 3, measurement: contact(closed)},
        {sensor: "cellar", at: 4, measurement: nothing}
    ]"#;
    let said = invoke("rust", &format!("summarize({readings})"));
    let wanted = r#"ok({readings: 5, sensors: ["attic", "cellar", "door"], temperature: some({lowest: 20, mean: 21.5, highest: 23}), "#;
    assert!(said.starts_with(wanted), "{said}");
    assert!(said.contains(r#"left-open: ["door"]"#), "{said}");
}

#[test]
fn rust_refuses_what_cannot_be_summarized() {
    assert_eq!(invoke("rust", "summarize([])"), "err(empty)");
    let said = invoke("rust", r#"summarize([{sensor: "attic", at: 1, measurement: humidity(101)}])"#);
    assert_eq!(said, r#"err(implausible(("attic", 101)))"#);
}

#[test]
fn rust_throws_dice() {
    let said = invoke("rust", "roll-dice(600, 6)");
    let numbers = said.strip_prefix("ok([").and_then(|rest| rest.strip_suffix("])")).unwrap();
    let numbers: Vec<u16> = numbers.split(", ").map(|number| number.parse().unwrap()).collect();
    assert_eq!(numbers.len(), 600);
    // Each face misses 600 throws with a probability of 3e-48.
    for face in 1..=6 {
        assert!(numbers.contains(&face), "no {face} in {said}");
    }
    assert!(numbers.iter().all(|number| (1..=6).contains(number)), "{said}");
    assert_ne!(said, invoke("rust", "roll-dice(600, 6)"));
    assert!(invoke("rust", "roll-dice(1, 0)").starts_with("err("));
}

#[test]
fn rust_reads_the_clock() {
    let said = invoke("rust", "now()");
    let seconds: u64 =
        said.strip_prefix("{seconds: ").and_then(|rest| rest.split(',').next()).unwrap().parse().unwrap();
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(seconds.abs_diff(here) < 60, "{said}");
}

#[test]
fn rust_keeps_readings() {
    let files = Files::new("readings");
    let door = r#"keep([{sensor: "the door", at: 5, measurement: contact(open)}])"#;
    assert_eq!(invoke_with_files(&files, "rust", door), "ok(1)");
    assert_eq!(invoke_with_files(&files, "rust", door), "ok(2)");
    let said = invoke_with_files(&files, "rust", "summarize-kept()");
    assert!(said.starts_with(r#"ok({readings: 2, sensors: ["the door"], "#), "{said}");
    assert!(invoke("rust", door).starts_with("err(file("));
}

#[test]
fn a_job_in_rust_replaces_numbers_and_addresses() {
    let files = Files::new("redact");
    let (status, text) = run(&files, "job-rust", &[], "call 030 1234-5678\nor ada@example.org\n");
    assert_eq!(status, 0);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("call [") && !text.contains("1234"), "{text}");
    assert!(lines[1].starts_with("or [") && !text.contains("ada"), "{text}");
    assert_eq!(run(&files, "job-rust", &["--check"], "call 030 1234-5678\n").0, 1);
    assert_eq!(run(&files, "job-rust", &["--check"], "call me\n"), (0, String::new()));
    let log = fs::read_to_string(files.0.join("redact/log.csv")).unwrap();
    assert_eq!(log.lines().count(), 3, "{log}");
}

#[test]
fn a_job_in_go_sees_what_was_changed() {
    let files = Files::new("journal");
    assert_eq!(run(&files, "go", &["add", "door", "opened"], ""), (0, String::new()));
    assert_eq!(run(&files, "go", &["import"], "one\ntwo\n"), (0, "2 entries added\n".to_owned()));
    assert_eq!(run(&files, "go", &["verify"], ""), (0, "3 entries, none changed\n".to_owned()));
    let path = files.0.join("journal/entries.jsonl");
    let changed = fs::read_to_string(&path).unwrap().replace("one", "won");
    fs::write(&path, changed).unwrap();
    assert_eq!(run(&files, "go", &["verify"], "").0, 1);
    assert_eq!(run(&files, "go", &["what"], "").0, 1);
}

// One test, so that wasmtime compiles the 19 MB once and finds them in its cache after that.
#[test]
fn python_keeps_values_and_their_statistics() {
    let files = Files::new("laboratory");
    for value in ["5.5", "4.5", "6.5"] {
        let said = invoke_with_files(&files, "python", &format!(r#"add("glucose", {value})"#));
        assert!(said.starts_with("ok({id: "), "{said}");
    }
    let said = invoke_with_files(&files, "python", r#"summarize("glucose")"#);
    let wanted = "ok({count: 3, lowest: 4.5, median: 5.5, mean: 5.5, highest: 6.5, deviation: some(1)})";
    assert_eq!(said, wanted);
    let sample = invoke_with_files(&files, "python", r#"sample("glucose", 3)"#);
    assert!(["4.5", "5.5", "6.5"].iter().all(|value| sample.contains(value)), "{sample}");
    assert_eq!(invoke_with_files(&files, "python", r#"forget("glucose")"#), "ok");
    assert_eq!(invoke_with_files(&files, "python", "names()"), "[]");
    assert!(invoke_with_files(&files, "python", r#"table("../glucose")"#).starts_with("err("));
}

#[test]
fn benchmark_computes() {
    // SHA-256 of 32 zero bytes, three times over, by another implementation.
    let digest = "[18, 119, 19, 85, 228, 108, 212, 124, 113, 237, 23, 33, 253, 83, 25, 179, 131, 204, 163, 161, 249, 252, 227, 170, 28, 140, 211, 189, 55, 175, 32, 215]";
    assert_eq!(invoke("benchmark", "sha256-rounds(3)"), digest);
    assert_eq!(invoke("benchmark", "add(4294967295, 2)"), "1");
    assert_eq!(invoke("benchmark", "fibonacci(20)"), "6765");
    assert_eq!(invoke("benchmark", "sort(1)"), "1015568748");
    assert_eq!(invoke("benchmark", "matrix(1)"), "24");
}

#[test]
fn c_takes_account_numbers_apart() {
    let said = invoke("c", r#"check-iban("de89 3704 0044 0532 0130 00")"#);
    assert_eq!(said, r#"ok({country: "DE", check-digits: 89, number: "370400440532013000"})"#);
    assert_eq!(invoke("c", r#"check-iban("DE89 3704 0044 0532 0130 01")"#), "err(checksum)");
    assert_eq!(invoke("c", r#"check-iban("DE89")"#), "err(length)");
    assert_eq!(invoke("c", r#"check-iban("89DE370400440532013000")"#), "err(character)");
}

#[test]
fn c_checks_card_numbers() {
    assert_eq!(invoke("c", r#"check-card("4111 1111 1111 1111")"#), "true");
    assert_eq!(invoke("c", r#"check-card("4111 1111 1111 1112")"#), "false");
    assert_eq!(invoke("c", r#"check-card("")"#), "false");
}

#[test]
fn c_computes_crc32() {
    // The check value of CRC-32/ISO-HDLC: "123456789".
    assert_eq!(invoke("c", "crc32([49, 50, 51, 52, 53, 54, 55, 56, 57])"), 0xCBF4_3926_u32.to_string());
}

#[test]
fn c_issues_cards_that_pass_the_check() {
    let files = Files::new("cards");
    let said = invoke_with_files(&files, "c", r#"issue-card("4000")"#);
    let number = said.strip_prefix("ok({number: \"").and_then(|rest| rest.split('"').next()).unwrap();
    assert!(number.starts_with("4000") && number.len() == 16, "{said}");
    assert_eq!(invoke("c", &format!(r#"check-card("{number}")"#)), "true");
    let issued = invoke_with_files(&files, "c", "issued-cards()");
    assert!(issued.contains(number), "{issued}");
    assert!(invoke_with_files(&files, "c", r#"issue-card("x")"#).starts_with("err("));
}

// One test, so that wasmtime compiles the 12 MB once and finds them in its cache after that.
#[test]
fn javascript_counts_words_and_canonicalizes() {
    let said = invoke("javascript", r#"analyze("To be, or not to be.\nThat is it", 2)"#);
    let wanted = r#"{characters: 31, words: 9, lines: 2, longest-word: some("That"), frequent: [("be", 2), ("to", 2)]}"#;
    assert_eq!(said, wanted);

    // From RFC 8785, section 3.2.2, shortened.
    let json = r#"{\"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3], \"literals\": [null, true]}"#;
    let said = invoke("javascript", &format!("canonicalize(\"{json}\")"));
    assert_eq!(said, r#"ok("{\"literals\":[null,true],\"numbers\":[333333333.3333333,1e+30,4.5,0.002]}")"#);
    assert!(invoke("javascript", r#"canonicalize("{")"#).starts_with(r#"err("not JSON"#));

    let files = Files::new("documents");
    let said = invoke_with_files(&files, "javascript", r#"keep("[2, 1e2]")"#);
    let id = said.strip_prefix("ok({id: \"").and_then(|rest| rest.split('"').next()).unwrap();
    assert_eq!(invoke_with_files(&files, "javascript", &format!(r#"kept("{id}")"#)), r#"ok("[2,100]")"#);
    assert_eq!(invoke_with_files(&files, "javascript", "ids()"), format!(r#"ok(["{id}"])"#));
}
