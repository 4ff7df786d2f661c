/// An example, and what is asked of it.
#[derive(Debug)]
pub(crate) struct Example {
    pub(crate) name: &'static str,
    /// What builds it, with everything that its README says left out.
    pub(crate) build: &'static str,
    /// How a reader would write what is asked.
    pub(crate) asked: &'static str,
    /// Asked once before anything is measured.
    pub(crate) before: Option<Question>,
    pub(crate) question: Question,
    /// What the answer holds.
    pub(crate) answer: &'static str,
}

/// What is asked of an app, by the way that leads to it.
#[derive(Debug)]
pub(crate) enum Question {
    /// Of an export, with arguments as JSON.
    Call {
        export: &'static str,
        arguments: &'static str,
    },
    Run {
        arguments: &'static [&'static str],
        stdin: &'static str,
    },
    /// `GET`
    Request {
        path: &'static str,
    },
}

/// The quick ones first.
pub(crate) const EXAMPLES: [Example; 9] = [
    Example {
        name: "rust",
        build: CARGO,
        asked: "call greet",
        before: None,
        question: Question::Call { export: "greet", arguments: r#"["world"]"# },
        answer: "Hello, world!",
    },
    Example {
        name: "files",
        build: CARGO,
        asked: "call get",
        before: Some(Question::Call { export: "put", arguments: r#"["/diary/monday", "rain"]"# }),
        question: Question::Call { export: "get", arguments: r#"["/diary/monday"]"# },
        answer: "rain",
    },
    Example {
        name: "job-rust",
        build: CARGO,
        asked: "run < letter",
        before: None,
        question: Question::Run { arguments: &[], stdin: "call me\n" },
        answer: "call me",
    },
    Example {
        name: "web-rust",
        build: CARGO,
        asked: "GET /hello",
        before: None,
        question: Question::Request { path: "/hello" },
        answer: "Hello, world!",
    },
    Example {
        name: "c",
        build: "zig cc",
        asked: "call check-card",
        before: None,
        question: Question::Call { export: "check-card", arguments: r#"["4111111111111111"]"# },
        answer: "true",
    },
    Example {
        name: "go",
        build: "go build",
        asked: "run list",
        before: Some(Question::Run { arguments: &["add", "door opened"], stdin: "" }),
        question: Question::Run { arguments: &["list"], stdin: "" },
        answer: "door opened",
    },
    Example {
        name: "python",
        build: "componentize-py",
        asked: "call summarize",
        before: Some(Question::Call { export: "add", arguments: r#"["glucose", 5.5]"# }),
        question: Question::Call { export: "summarize", arguments: r#"["glucose"]"# },
        answer: "5.5",
    },
    Example {
        name: "javascript",
        build: COMPONENTIZE_JS,
        asked: "call canonicalize",
        before: None,
        question: Question::Call { export: "canonicalize", arguments: r#"["[1.0, true]"]"# },
        answer: "[1,true]",
    },
    Example {
        name: "web-javascript",
        build: COMPONENTIZE_JS,
        asked: "GET /",
        before: None,
        question: Question::Request { path: "/" },
        answer: "Guest book",
    },
];

const CARGO: &str = "cargo build";
const COMPONENTIZE_JS: &str = "componentize-js";
