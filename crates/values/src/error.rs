/// Why arguments were refused. Says what the caller sent, so it goes to that caller and nowhere else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// The body is not the JSON that a call needs.
    #[error("the arguments are malformed at line {line}, column {column}: {detail}")]
    Malformed { line: usize, column: usize, detail: String },
    /// One argument is not WAVE. Line and column count in that argument's own text.
    #[error(
        "argument `{parameter}` is malformed at line {line}, column {column}: {detail}; expected {expected} in WAVE"
    )]
    MalformedWave { parameter: String, expected: String, line: usize, column: usize, detail: String },
    /// A value does not fit its type.
    #[error("argument `{path}`: expected {expected}, given {given}")]
    Wrong {
        parameter: String,
        /// Where it stands, such as `person.tags[3]`.
        path: String,
        expected: String,
        /// The kind of what was given and no more than 60 characters of it.
        given: String,
    },
    /// A parameter whose type is no option has no argument.
    #[error("argument `{parameter}` is missing; expected {expected}")]
    Missing { parameter: String, expected: String },
    /// The function has no parameter of this name.
    #[error("there is no parameter {name:?}{}", DidYouMean(.suggestions))]
    Unknown { name: String, suggestions: Vec<String> },
    /// More positions than parameters.
    #[error("too many arguments: the function takes {expected_count}, given {given_count}")]
    TooMany { expected_count: usize, given_count: usize },
    /// The values would cost more than [`argument_cost`](crate::argument_cost) of their text.
    #[error("the arguments are too large: their values cost more than {limit} bytes of memory")]
    TooLarge { limit: usize },
}

impl ArgumentError {
    /// Whether the text itself could not be read. Otherwise it could, and does not fit the function.
    pub fn is_malformed(&self) -> bool {
        matches!(self, Self::Malformed { .. } | Self::MalformedWave { .. })
    }

    /// The parameter at fault, where it is a single one.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::MalformedWave { parameter, .. }
            | Self::Wrong { parameter, .. }
            | Self::Missing { parameter, .. } => Some(parameter),
            Self::Malformed { .. } | Self::Unknown { .. } | Self::TooMany { .. } | Self::TooLarge { .. } => {
                None
            }
        }
    }

    /// Parameter names near the one that does not exist.
    pub fn suggestions(&self) -> &[String] {
        match self {
            Self::Unknown { suggestions, .. } => suggestions,
            _ => &[],
        }
    }
}

/// Why a result was not encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Encoding stopped as soon as the text was longer than `limit` bytes.
    #[error("the result is larger than {limit} bytes")]
    TooLarge { limit: usize },
    /// The result holds a handle, which means nothing outside its instance.
    #[error("the result holds a {kind}, which a call cannot carry")]
    Unsupported { kind: &'static str },
}

/// A type of which no value can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a call cannot carry a {kind}{}", At(.path))]
pub struct UnsupportedType {
    /// Where it stands in the type that was checked, such as `.tags[].handle`; empty where it is that type itself.
    pub path: String,
    /// `resource`, `future`, `stream` or `error-context`.
    pub kind: &'static str,
}

/// `; did you mean …?`, or nothing.
pub(crate) struct DidYouMean<'a>(pub(crate) &'a [String]);

impl std::fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (i, name) in self.0.iter().enumerate() {
            write!(f, "{}`{name}`", if i == 0 { "; did you mean " } else { " or " })?;
        }
        f.write_str(if self.0.is_empty() { "" } else { "?" })
    }
}

struct At<'a>(&'a str);

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ", which stands at `{}`", self.0) }
    }
}
