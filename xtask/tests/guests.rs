//! The example guests do what their WIT says, outside the enclave, under wasmtime's own command line.
//!
//! `cargo xtask test` builds them first and sets `CLOISTER_EXAMPLES` and `CLOISTER_WASMTIME`.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Calls an export with WAVE arguments and returns the result in WAVE.
fn invoke(guest: &str, call: &str) -> String {
    let component = place("CLOISTER_EXAMPLES").join(guest).with_extension("wasm");
    let output = Command::new(place("CLOISTER_WASMTIME"))
        .args(["run", "--invoke", call])
        .arg(&component)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{call} on {}: {said}", component.display());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
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
}
