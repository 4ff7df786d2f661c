//! Every way for a command to begin, to talk and to end.

/// How a command is started, and how it has to end.
pub(super) struct Command {
    pub(super) component: &'static str,
    pub(super) arguments: &'static [&'static str],
    pub(super) stdin: fn() -> Vec<u8>,
    status: Status,
    stdout: Output,
    stderr: Output,
}

/// How a command ended.
pub(super) struct Ended {
    pub(super) status: Status,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Exit(u8),
    /// Any code but 0: which one depends on the guest's standard library.
    Failure,
    Trap,
}

/// What a command writes.
#[derive(Clone, Copy, Debug)]
enum Output {
    Text(&'static str),
    /// This among other text.
    With(&'static str),
    /// So many bytes.
    Bytes(usize),
}

impl Command {
    const fn new(component: &'static str, arguments: &'static [&'static str]) -> Self {
        let (stdout, stderr) = (Output::Text(""), Output::Text(""));
        Self { component, arguments, stdin: Vec::new, status: Status::Exit(0), stdout, stderr }
    }

    const fn by_hand(arguments: &'static [&'static str]) -> Self {
        Self::new("command", arguments)
    }

    const fn by_std(arguments: &'static [&'static str]) -> Self {
        Self::new("std-command", arguments)
    }

    const fn with_input(mut self, stdin: fn() -> Vec<u8>) -> Self {
        self.stdin = stdin;
        self
    }

    const fn ends(mut self, status: Status) -> Self {
        self.status = status;
        self
    }

    const fn says(mut self, stdout: Output) -> Self {
        self.stdout = stdout;
        self
    }

    const fn complains(mut self, stderr: Output) -> Self {
        self.stderr = stderr;
        self
    }

    /// What is not as it has to be.
    pub(super) fn differences(&self, ended: &Ended) -> Vec<String> {
        let mut differences = Vec::new();
        let as_expected = match (self.status, ended.status) {
            (Status::Failure, Status::Exit(code)) => code != 0,
            (expected, actual) => expected == actual,
        };
        if !as_expected {
            differences
                .push(format!("{:?}: ended with {:?}, not {:?}", self.arguments, ended.status, self.status));
        }
        for (stream, expected, actual) in
            [("stdout", self.stdout, &ended.stdout), ("stderr", self.stderr, &ended.stderr)]
        {
            if !expected.is_met_by(actual) {
                let actual = String::from_utf8_lossy(&actual[..actual.len().min(200)]);
                differences.push(format!("{:?}: {stream} is {actual:?}, not {expected:?}", self.arguments));
            }
        }
        differences
    }
}

impl Output {
    fn is_met_by(self, actual: &[u8]) -> bool {
        match self {
            Self::Text(text) => actual == text.as_bytes(),
            Self::With(text) => String::from_utf8_lossy(actual).contains(text),
            Self::Bytes(count) => actual.len() == count,
        }
    }
}

/// All of them.
pub(super) const COMMANDS: &[Command] = &[
    Command::by_hand(&["return-ok"]),
    Command::by_hand(&["return-err"]).ends(Status::Exit(1)),
    Command::by_hand(&["exit-ok"]),
    Command::by_hand(&["exit-err"]).ends(Status::Exit(1)),
    Command::by_hand(&["exit-with-code", "0"]),
    Command::by_hand(&["exit-with-code", "1"]).ends(Status::Exit(1)),
    Command::by_hand(&["exit-with-code", "7"]).ends(Status::Exit(7)),
    Command::by_hand(&["exit-with-code", "255"]).ends(Status::Exit(255)),
    Command::by_hand(&["exit-after-output"])
        .ends(Status::Exit(7))
        .says(Output::Text("said before the end\n")),
    Command::by_hand(&["trap"]).ends(Status::Trap).complains(Output::With("")),
    Command::by_hand(&["panic"]).ends(Status::Trap).complains(Output::With("as asked")),
    Command::by_hand(&[]).ends(Status::Exit(1)),
    Command::by_hand(&["no-such-instruction"]).ends(Status::Exit(1)),
    Command::by_hand(&["arguments"]).says(Output::Text("[]\n")),
    Command::by_hand(&["arguments", "a b", "", "grüße", "--flag=1"])
        .says(Output::Text("[\"a b\", \"\", \"grüße\", \"--flag=1\"]\n")),
    Command::by_hand(&["program"]).says(Output::With("\n")),
    Command::by_hand(&["environment"]).says(Output::Text("EMPTY=\nGREETING=hello\nUNICODE=grüße-世界\n")),
    Command::by_hand(&["copy"]),
    Command::by_hand(&["copy"]).with_input(|| b"some input".to_vec()).says(Output::Text("some input")),
    Command::by_hand(&["copy-to-stderr"]).with_input(|| "grüße\n".into()).complains(Output::Text("grüße\n")),
    Command::by_hand(&["copy"]).with_input(|| vec![b'x'; 300_000]).says(Output::Bytes(300_000)),
    Command::by_hand(&["count"]).says(Output::Text("0\n")),
    Command::by_hand(&["count"]).with_input(|| vec![0; 1 << 20]).says(Output::Text("1048576\n")),
    Command::by_hand(&["return-ok"]).with_input(|| vec![0; 1 << 20]),
    Command::by_hand(&["fill-stdout", "0"]),
    Command::by_hand(&["fill-stdout", "1000000"]).says(Output::Bytes(1_000_000)),
    Command::by_hand(&["fill-stderr", "1000000"]).complains(Output::Bytes(1_000_000)),
    Command::by_hand(&["both"])
        .says(Output::Text("out\nout\nout\n"))
        .complains(Output::Text("err\nerr\nerr\n")),
    Command::by_std(&["success"]),
    Command::by_std(&["failure"]).ends(Status::Exit(1)),
    Command::by_std(&["code", "3"]).ends(Status::Failure),
    Command::by_std(&["exit", "0"]),
    Command::by_std(&["exit", "4"]).ends(Status::Failure),
    Command::by_std(&["panic"]).ends(Status::Trap).complains(Output::With("as asked")),
    Command::by_std(&["arguments", "x", "y z"]).says(Output::Text("[\"x\", \"y z\"]\n")),
    Command::by_std(&["variable", "GREETING"]).says(Output::Text("Ok(\"hello\")\n")),
    Command::by_std(&["variable", "EMPTY"]).says(Output::Text("Ok(\"\")\n")),
    Command::by_std(&["variable", "MISSING"]).says(Output::Text("Err(NotPresent)\n")),
    Command::by_std(&["upper-case"]).with_input(|| "grüße\n".into()).says(Output::Text("GRÜSSE\n")),
    Command::by_std(&["file"]).says(Output::Text("a file\n")),
    Command::by_std(&["errors"]).complains(Output::Text("on standard error\n")),
];
