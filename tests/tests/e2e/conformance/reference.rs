//! The same cases under Wasmtime, which shows that they ask for the standard and not for us.

use super::commands::{COMMANDS, Command, Ended, Status};
use super::{CONFIG, ENVIRONMENT, component_path, failure, is_trap_case, report};
use cloister_tests::given;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{self, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use tempfile::TempDir;

#[test]
fn wasmtime_passes_the_same_cases() {
    for component in COMPONENTS {
        let reference = Reference::of(component);
        let cases = reference.cases();
        let asked: Vec<_> = cases.iter().filter(|case| !differs(component, case)).collect();
        let failures = in_parallel(&asked, |case| reference.check(case));
        report(&format!("{component} under wasmtime"), asked.len(), &failures);
    }
}

#[test]
fn wasmtime_runs_the_same_commands() {
    for component in ["command", "std-command"] {
        let reference = Reference::of(component);
        let commands: Vec<_> = COMMANDS.iter().filter(|command| command.component == component).collect();
        let failures = in_parallel(&commands, |command| {
            let differences = command.differences(&reference.run(command));
            (!differences.is_empty()).then(|| differences.join("\n"))
        });
        report(&format!("{component} under wasmtime"), commands.len(), &failures);
    }
}

/// A component, compiled by Wasmtime, and the directory that it sees.
struct Reference {
    folder: TempDir,
}

impl Reference {
    fn of(component: &str) -> Self {
        let reference = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        std::fs::create_dir_all(reference.root().join("fixed")).expect("it can be written");
        let compiled = process::Command::new(given("CLOISTER_WASMTIME"))
            .arg("compile")
            .arg(component_path(component))
            .arg("-o")
            .arg(reference.compiled())
            .status();
        assert!(compiled.expect("wasmtime can be run").success(), "{component} does not compile");
        reference
    }

    fn cases(&self) -> Vec<String> {
        let output = self.wasmtime(&["--invoke", "cases()"], &[], Vec::new());
        serde_json::from_slice(&output.stdout).expect("it is a list of names")
    }

    /// Why a case does not pass.
    fn check(&self, case: &str) -> Option<String> {
        let output = self.wasmtime(&["--invoke", &format!("check(\"{case}\")")], &[], Vec::new());
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match (is_trap_case(case), output.status.success()) {
            (true, false) => None,
            (false, true) if stdout.trim_end().ends_with("ok") => None,
            (_, true) => failure(case, Err(stdout.lines().last().unwrap_or_default().to_owned())),
            (false, false) => failure(case, Err(stderr.into_owned())),
        }
    }

    fn run(&self, command: &Command) -> Ended {
        let output = self.wasmtime(&[], command.arguments, (command.stdin)());
        // Wasmtime ends by SIGABRT, or with its code, where the guest traps.
        let status = match (output.status.code(), output.status.signal()) {
            (Some(ABORTED), _) | (None, Some(_)) => Status::Trap,
            (code, _) => Status::Exit(code.and_then(|code| code.try_into().ok()).expect("it has a code")),
        };
        // Of a trap, Wasmtime says more than the guest.
        Ended { status, stdout: output.stdout, stderr: output.stderr }
    }

    fn wasmtime(&self, options: &[&str], arguments: &[&str], stdin: Vec<u8>) -> process::Output {
        let mut wasmtime = process::Command::new(given("CLOISTER_WASMTIME"));
        wasmtime.args(["run", "--allow-precompiled", "-S", "cli,config,keyvalue"]);
        for (name, value) in ENVIRONMENT {
            wasmtime.args(["--env", &format!("{name}={value}")]);
        }
        for (name, value) in CONFIG {
            wasmtime.args(["-S", &format!("config-var={name}={value}")]);
        }
        let root = self.root();
        wasmtime.arg("--dir").arg(format!("{}::/", root.display()));
        wasmtime.arg("--dir").arg(format!("{}::/fixed", root.join("fixed").display()));
        wasmtime.args(options).arg(self.compiled()).args(arguments);
        wasmtime.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = wasmtime.spawn().expect("wasmtime can be run");
        let mut input = child.stdin.take().expect("it is piped");
        // The guest may not want its input.
        let writer = thread::spawn(move || drop(input.write_all(&stdin)));
        let output = child.wait_with_output().expect("it is our child");
        writer.join().expect("writing does not panic");
        output
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn compiled(&self) -> PathBuf {
        self.folder.path().join("component.cwasm")
    }
}

/// What a function says of each item, on as many threads as there are processors.
fn in_parallel<T: Sync>(items: &[T], check: impl Fn(&T) -> Option<String> + Sync) -> Vec<String> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let failure = check(item);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).extend(failure);
                }
            });
        }
    });
    failures.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether Wasmtime is known not to pass a case.
fn differs(component: &str, case: &str) -> bool {
    DIFFERENCES.iter().any(|(of, beginning)| *of == component && case.starts_with(beginning))
}

/// All but `logging`, which Wasmtime has not.
const COMPONENTS: [&str; 7] = ["io", "clocks", "random", "filesystem", "cli", "keyvalue", "config"];

/// Beginnings of cases that Wasmtime does not pass. The suite's `README.md` says why we do.
const DIFFERENCES: [(&str, &str); 12] = [
    ("io", "traps/write-beyond-the-permit"),
    ("filesystem", "read-only/"),
    ("filesystem", "limits/"),
    ("filesystem", "rights/flags-of-a-directory"),
    ("filesystem", "remove-directory-at/removes-with-a-trailing-slash"),
    ("filesystem", "stat-at/of-a-file-with-a-trailing-slash"),
    ("filesystem", "stat-at/of-a-symlink-with-a-trailing-slash"),
    ("filesystem", "set-times/nanoseconds-of-a-second-and-more"),
    ("filesystem", "rename-at/a-file-to-a-name-with-a-trailing-slash"),
    ("keyvalue", "store.get/what-another-handle-set"),
    ("keyvalue", "store.get/after-the-bucket-is-opened-again"),
    ("keyvalue", "atomics.increment/is-kept"),
];

/// 128 and the number of SIGABRT.
const ABORTED: i32 = 134;
