//! Guests that are programs: `cloister run` and `cloister logs --follow`.

use cloister_tests::{Machine, error, given, status};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_job_reads_its_input_writes_its_output_and_ends_with_its_own_code() {
    let machine = with_redact();
    let text = "call 0171234567890\nor write to ada@example.com\nnothing here\n";
    let redacted = run(&machine, &["run", "redact"], text);
    assert_eq!(status(&redacted), 0, "{}", error(&redacted));
    let output = String::from_utf8(redacted.stdout).unwrap();
    assert_eq!(output.lines().count(), 3, "{output}");
    assert!(!output.contains("0171234567890") && !output.contains("ada@example.com"), "{output}");
    assert!(output.ends_with("nothing here\n"), "{output}");
    assert!(String::from_utf8(redacted.stderr).unwrap().contains("3 lines, 2 numbers and addresses"));

    assert_eq!(status(&run(&machine, &["run", "redact", "--", "--check"], text)), 1);
    assert_eq!(status(&run(&machine, &["run", "redact", "--", "--check"], "nothing here\n")), 0);
    let usage = run(&machine, &["run", "redact", "--", "--frobnicate"], "");
    assert_eq!(status(&usage), 1);
    assert!(String::from_utf8(usage.stderr).unwrap().contains("usage: redact"));
    // What it wrote to its log file is there for the next run, and the runs are counted as calls.
    assert_eq!(machine.json(&["describe", "redact"])["total"]["calls"], 4);
    assert!(machine.json(&["describe", "redact"])["storage"]["files"].as_u64().unwrap() >= 1);
}

#[test]
fn a_job_answers_line_by_line_while_its_input_is_open() {
    let machine = with_redact();
    let mut child = machine
        .cloister(&["run", "redact"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // More than any buffer on the way holds: the guest reads while more is written.
    let line = "x".repeat(1023) + "\n";
    let writer = std::thread::spawn(move || {
        (0..LINES).for_each(|_| input.write_all(line.as_bytes()).unwrap());
    });
    let output = BufReader::new(child.stdout.take().unwrap());
    assert_eq!(
        output.lines().map(|line| line.unwrap().len()).filter(|length| *length == 1023).count(),
        LINES
    );
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_log_is_followed() {
    let machine = with_redact();
    let mut following =
        machine.cloister(&["logs", "redact", "--follow"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(following.stdout.take().unwrap()).lines();
    let began = Instant::now();
    for round in 1..=3 {
        run(&machine, &["run", "redact"], &"text\n".repeat(round));
        let wanted = format!("{round} lines, 0 numbers and addresses");
        let found = lines.by_ref().map(Result::unwrap).find(|line| line.contains("numbers and addresses"));
        assert_eq!(found.as_deref(), Some(wanted.as_str()));
    }
    assert!(began.elapsed() < Duration::from_secs(600));
    following.kill().unwrap();
    following.wait().unwrap();
}

fn with_redact() -> Machine {
    let machine = Machine::start();
    let component = given("CLOISTER_EXAMPLES").join("job-rust.wasm");
    machine.succeeds(&["deploy", component.to_str().unwrap(), "--name", "redact", "--fuel", "10G"]);
    machine
}

fn run(machine: &Machine, arguments: &[&str], input: &str) -> Output {
    let mut child = machine
        .cloister(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A job that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// Of 1 KiB.
const LINES: usize = 8 << 10;
