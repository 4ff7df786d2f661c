use super::*;
use cloister_api::TrapFrame;

const PLAIN: Paint = Paint::PLAIN;

#[test]
fn every_problem_has_its_exit_code() {
    for code in Code::ALL {
        let expected = match code.as_str() {
            "guest-trapped" | "out-of-fuel" | "limit-exceeded" | "result-too-large" | "timed-out"
            | "guest-exited" => 6,
            "internal"
            | "busy"
            | "evidence-unavailable"
            | "issuer-unavailable"
            | "code-pool-full"
            | "too-many-apps"
            | "no-response"
            | "storage-unavailable"
            | "storage-full"
            | "app-damaged" => 7,
            "code-changed" => 4,
            _ => 5,
        };
        let failure = Failure::problem(Problem::new(*code, "x"));
        assert_eq!(failure.exit() as u8, expected, "{}", code.as_str());
    }
}

#[test]
fn a_command_that_the_guest_ends_badly_has_a_code_of_its_own() {
    for (code, exit) in [
        (Code::GuestTrapped, 134),
        (Code::OutOfFuel, 134),
        (Code::TimedOut, 134),
        (Code::StorageUnavailable, 7),
        (Code::Busy, 7),
    ] {
        let failure = Failure::ended(Box::new(Problem::new(code, "it did")), None);
        assert_eq!(failure.exit() as u8, exit, "{}", code.as_str());
        assert!(failure.text(PLAIN).starts_with(&format!("error[{}]: it did", code.as_str())));
        let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
        assert_eq!(json["exit_code"], exit);
    }
}

#[test]
fn every_other_failure_has_its_exit_code() {
    let host = || "h:1".to_owned();
    for (failure, expected) in [
        (Failure::Internal("x".into()), 1),
        (Failure::Enclave { what: "x".into(), help: None }, 1),
        (Failure::usage("x"), 2),
        (Failure::Profile(ProfileError::EmptyName), 2),
        (Failure::File { action: FileAction::Read, path: "f".into(), source: io::Error::other("x") }, 2),
        (Failure::Connect { host: host(), reason: "x".into() }, 3),
        (Failure::Unpinned { host: host() }, 4),
        (Failure::Refused { host: host(), reasons: vec![], help: None }, 4),
        (Failure::OtherCode { reason: "x".into() }, 4),
        (Failure::Protocol { host: host(), reason: "x".into() }, 7),
        (Failure::Lost { host: host(), reason: "x".into() }, 7),
        (Failure::Damaged { places: 2 }, 7),
    ] {
        assert_eq!(failure.exit() as u8, expected, "{failure}");
    }
}

#[test]
fn a_refused_request_says_what_to_do() {
    let problem = Problem::new(Code::UnknownApp, "no app 'helo'").with_suggestions(vec!["hello".into()]);
    assert_eq!(
        Failure::problem(problem).text(PLAIN),
        "error[unknown-app]: no app 'helo'\n  did you mean: hello\n  help: `cloister apps` lists what is deployed\n"
    );
}

#[test]
fn a_trap_shows_reason_fuel_and_backtrace() {
    let trap = Trap {
        reason: "wasm trap: integer divide by zero".into(),
        fuel: 1234,
        backtrace: vec![
            TrapFrame { function: Some("calc::divide".into()), index: 12, offset: Some(0x1a2b) },
            TrapFrame { function: None, index: 3, offset: None },
        ],
    };
    let problem = Problem::new(Code::GuestTrapped, "'divide' of 'calc' trapped").with_trap(trap);
    assert_eq!(
        Failure::problem(problem).text(PLAIN),
        "error[guest-trapped]: 'divide' of 'calc' trapped\n  reason: wasm trap: integer divide by zero\n  \
         fuel: 1,234\n  backtrace, innermost first:\n     0: calc::divide  (function 12, offset 0x1a2b)\n     \
         1: <unnamed>  (function 3)\n"
    );
}

#[test]
fn a_refused_enclave_lists_every_reason() {
    let failure = Failure::Refused {
        host: "h:1".into(),
        reasons: vec!["MRENCLAVE is a, not b".into(), "simulated".into()],
        help: Some("one\ntwo".into()),
    };
    assert_eq!(
        failure.text(PLAIN),
        "error[verification-refused]: h:1 is refused, and nothing was sent to it\n  ✗ MRENCLAVE is a, not b\n  \
         ✗ simulated\n  help: one\n        two\n"
    );
    let json: serde_json::Value = serde_json::from_str(&failure.json()).unwrap();
    assert_eq!(json["reasons"][1], "simulated");
    assert_eq!(json["exit_code"], 4);
}

#[test]
fn nothing_pinned_says_how_to_pin() {
    let text = Failure::Unpinned { host: "h:1".into() }.text(PLAIN);
    assert!(text.contains("--mrenclave HEX") && text.contains("cloister verify"), "{text}");
}

#[test]
fn json_errors_are_problem_details() {
    let problem = Problem::new(Code::UnknownExport, "no 'f'").with_suggestions(vec!["g".into()]);
    assert_eq!(
        Failure::problem(problem).json(),
        "{\"type\":\"urn:cloister:problem:unknown-export\",\"title\":\"No such export\",\"status\":404,\
         \"detail\":\"no 'f'\",\"code\":\"unknown-export\",\"exit_code\":5,\"suggestions\":[\"g\"],\
         \"help\":\"`cloister describe APP` lists the functions\"}"
    );
    assert_eq!(
        Failure::usage("no").json(),
        "{\"type\":\"urn:cloister:problem:usage\",\"title\":\"Wrong usage\",\"detail\":\"no\",\"code\":\"usage\",\
         \"exit_code\":2}"
    );
}

#[test]
fn text_from_outside_cannot_drive_the_terminal() {
    let problem = Problem::new(Code::UnknownApp, "a\x1b[2Jb").with_suggestions(vec!["\x07".into()]);
    let text = Failure::problem(problem).text(PLAIN);
    assert!(!text.contains('\x1b') && !text.contains('\x07'), "{text:?}");
}

#[test]
fn near_names_are_near() {
    let known = ["hello", "help", "publish", "calculator"];
    assert_eq!(near("helo", known.into_iter()), ["hello", "help"]);
    assert_eq!(near("calcluator", known.into_iter()), ["calculator"]);
    assert!(near("zzzzzz", known.into_iter()).is_empty());
}
