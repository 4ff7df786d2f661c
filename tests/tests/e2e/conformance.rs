//! The conformance suite of `tests/guests/conformance`: every case in the image, and under Wasmtime, which shows that
//! the cases are about the standard and not about us.

mod commands;
mod reference;

use bytes::Bytes;
use cloister_api::{AppName, Code, DeploySettings, Directory, EnvironmentVariable, Limits, RunRequest};
use cloister_client::{ClientError, RunOutput, Session};
use cloister_tests::{for_everybody, given, name, shared};
use commands::{COMMANDS, Command, Ended, Status};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn io_conforms() {
    all_cases_pass("io").await.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_conform() {
    let app = all_cases_pass("clocks").await;
    let (earlier, later) = (app.observe().await, app.observe().await);
    let number = |observed: &Observed, fact: &str| observed[fact].parse::<u64>().expect("it is a number");
    let monotonic = |observed| number(observed, "monotonic-clock.now");
    assert!(monotonic(&later) >= monotonic(&earlier), "the clock goes back from call to call");
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("it is after 1970").as_secs();
    assert!(number(&later, "wall-clock.now").abs_diff(now) < 60, "{later:?} at {now}");
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_conforms() {
    let app = all_cases_pass("random").await;
    let (one, other) = (app.observe().await, app.observe().await);
    for (fact, value) in &one {
        assert_ne!(other.get(fact), Some(value), "two instances have the same {fact}");
    }
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn filesystem_conforms() {
    all_cases_pass("filesystem").await.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cli_conforms() {
    all_cases_pass("cli").await.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keyvalue_conforms() {
    all_cases_pass("keyvalue").await.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn config_conforms() {
    all_cases_pass("config").await.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_conforms() {
    let app = all_cases_pass("logging").await;
    let log = app.session.logs(&app.name()).await.unwrap();
    for level in ["trace", "debug", "info", "warn", "error", "critical"] {
        assert!(log.contains(&format!("a message at level {level}")), "{level} is not in the log");
    }
    app.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_conform() {
    for component in ["command", "std-command"] {
        let app = App::deploy(component).await;
        let mut failures = Vec::new();
        let commands: Vec<_> = COMMANDS.iter().filter(|command| command.component == component).collect();
        for command in &commands {
            failures.extend(command.differences(&app.run(command).await));
        }
        report(component, commands.len(), &failures);
        app.remove().await;
    }
}

/// An app made of a component of the suite.
struct App {
    session: Session,
    component: &'static str,
}

/// Facts by their names.
type Observed = BTreeMap<String, String>;

impl App {
    async fn deploy(component: &'static str) -> Self {
        let app = Self { session: shared().owner().await, component };
        let wasm = Bytes::from(std::fs::read(component_path(component)).expect("the suite was built"));
        // The enclave takes two deploys at a time, and other tests deploy, too.
        loop {
            match app.session.deploy(&app.name(), wasm.clone(), &settings(component), |_| {}).await {
                Err(ClientError::Problem(problem)) if problem.code == Code::Busy => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                deployed => {
                    deployed.unwrap();
                    return app;
                }
            }
        }
    }

    fn name(&self) -> AppName {
        name(&format!("conformance-{}", self.component))
    }

    async fn cases(&self) -> Vec<String> {
        let answer = self.session.call_json(&self.name(), "cases", &json!([])).await.unwrap();
        serde_json::from_value(answer.result).expect("it is a list of names")
    }

    async fn observe(&self) -> Observed {
        let answer = self.session.call_json(&self.name(), "observe", &json!([])).await.unwrap();
        let facts: Vec<(String, String)> =
            serde_json::from_value(answer.result).expect("it is a list of facts");
        facts.into_iter().collect()
    }

    /// Why a case does not pass.
    async fn check(&self, case: &str) -> Option<String> {
        let outcome = match self.session.call_json(&self.name(), "check", &json!([case])).await {
            Ok(answer) if answer.result.get("ok").is_some() => Ok(()),
            Ok(answer) => Err(answer.result["err"].as_str().unwrap_or("no reason").to_owned()),
            Err(ClientError::Problem(problem))
                if is_trap_case(case) && problem.code == Code::GuestTrapped =>
            {
                return None;
            }
            Err(error) => Err(error.to_string()),
        };
        failure(case, outcome)
    }

    async fn run(&self, command: &Command) -> Ended {
        let request = RunRequest {
            arguments: command.arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            ..RunRequest::default()
        };
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let stdin = Bytes::from((command.stdin)()).into();
        let mut run = self.session.run(&self.name(), &request, stdin).await.unwrap();
        let status = loop {
            match run.next().await {
                Ok(RunOutput::Stdout(bytes)) => stdout.extend_from_slice(&bytes),
                Ok(RunOutput::Stderr(bytes)) => stderr.extend_from_slice(&bytes),
                Ok(RunOutput::Ended(end)) => break Status::Exit(end.exit_code),
                Err(ClientError::Problem(problem)) if problem.code == Code::GuestTrapped => {
                    break Status::Trap;
                }
                Err(error) => panic!("{:?}: {error}", command.arguments),
            }
        };
        Ended { status, stdout, stderr }
    }

    async fn remove(&self) {
        self.session.remove(&self.name()).await.unwrap();
    }
}

/// Deploys a component and runs all its cases, one after the other.
///
/// # Panics
/// Where cases fail: with all of them.
async fn all_cases_pass(component: &'static str) -> App {
    let app = App::deploy(component).await;
    let cases = app.cases().await;
    let mut failures = Vec::new();
    for case in &cases {
        failures.extend(app.check(case).await);
    }
    report(component, cases.len(), &failures);
    app
}

/// Prints how many cases there are.
///
/// # Panics
/// Where some failed: with all of them.
fn report(component: &str, cases: usize, failures: &[String]) {
    println!("conformance: {component}: {} of {cases} cases pass", cases - failures.len());
    assert!(failures.is_empty(), "{component}: {} cases fail:\n{}", failures.len(), failures.join("\n"));
}

/// What is to be said of a case that returned.
fn failure(case: &str, outcome: Result<(), String>) -> Option<String> {
    match outcome {
        Ok(()) if is_trap_case(case) => Some(format!("{case}: it did not trap")),
        Ok(()) => None,
        Err(reason) => Some(format!("{case}: {reason}")),
    }
}

/// Whether a case passes when its call traps.
fn is_trap_case(case: &str) -> bool {
    case.starts_with("traps/")
}

/// Where a component of the suite lies.
fn component_path(component: &str) -> PathBuf {
    given("CLOISTER_CONFORMANCE").join(component).with_extension("wasm")
}

/// What the cases expect of their app.
fn settings(component: &str) -> DeploySettings {
    let variables = |pairs: &[(&str, &str)]| {
        let variable = |(name, value): &(&str, &str)| EnvironmentVariable {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        pairs.iter().map(variable).collect()
    };
    let directory =
        |path: &str, read_only| Directory { path: path.to_owned(), guest: path.to_owned(), read_only };
    let directories = match component {
        "filesystem" => vec![directory("/", false), directory("/fixed", true)],
        _ => Vec::new(),
    };
    DeploySettings {
        limits: Limits {
            fuel: 10_000_000_000,
            wall_time_ms: 120_000,
            storage: 16 << 20,
            files: 2_000,
            ..Limits::default()
        },
        environment: variables(&ENVIRONMENT),
        config: variables(&CONFIG),
        directories,
        ..for_everybody()
    }
}

/// What the apps' environment is.
const ENVIRONMENT: [(&str, &str); 3] = [("GREETING", "hello"), ("EMPTY", ""), ("UNICODE", "grüße-世界")];

/// What `wasi:config` gives.
const CONFIG: [(&str, &str); 3] = [("greeting", "hello"), ("empty", ""), ("unicode", "grüße-世界")];
