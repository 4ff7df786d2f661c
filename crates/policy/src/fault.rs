use std::fmt;

/// A policy file that cannot be used, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidPolicy {
    /// In the order of the file, what is missing after what is wrong. Never empty, at most [`MAX_FAULTS`].
    pub faults: Vec<Fault>,
}

impl fmt::Display for InvalidPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.faults.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong with a policy file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1. Of what is missing, the line of the table that it is missing from.
    pub line: usize,
    /// With its tables before it: `apps.hello.code`. Empty where the text is no TOML.
    pub key: String,
    pub kind: FaultKind,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, kind } = self;
        if let FaultKind::Syntax(_) | FaultKind::TooLong(_) = kind {
            return write!(f, "line {line}: {kind}");
        }
        write!(f, "line {line}: {key} {kind}")
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultKind {
    /// The text is no TOML.
    #[error("this is not TOML: {0}")]
    Syntax(String),
    /// The text is longer than any policy is.
    #[error("the file is {0} bytes long, and {max} is the most", max = crate::MAX_POLICY)]
    TooLong(usize),
    /// A decision that nobody made.
    #[error("is missing. It decides {decides}. It takes {takes}")]
    Missing { decides: &'static str, takes: &'static str },
    /// A decision that a template leaves open.
    #[error("is not decided yet. It decides {decides}. It takes {takes}")]
    Undecided { decides: &'static str, takes: &'static str },
    /// A key or a table that no policy has.
    #[error("is nothing that a policy decides{}", suggestion(.near))]
    Unknown {
        /// What was perhaps meant.
        near: Option<String>,
    },
    /// A value that its key does not take.
    #[error("is {found}, which it does not take: {expected}")]
    Value { found: String, expected: String },
}

fn suggestion(near: &Option<String>) -> String {
    near.as_ref().map(|near| format!("; did you mean {near}?")).unwrap_or_default()
}

/// Faults that are told at once.
pub const MAX_FAULTS: usize = 100;
