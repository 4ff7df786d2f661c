//! What every component of the suite is made of: cases, and how one fails.
//!
//! A case is a function that returns an [`Outcome`]. It says what it expects with [`same`], [`holds`] and [`fails`],
//! and `?` makes every other error of a WASI function the case's failure.

use std::fmt::Debug;
use std::panic::Location;

/// Whether a case passed.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Why a case did not pass, and the line that says so.
pub struct Failure {
    text: String,
    at: &'static Location<'static>,
}

impl Failure {
    /// A failure of the calling line.
    #[track_caller]
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), at: Location::caller() }
    }

    /// Puts what was being done before the text.
    pub fn while_doing(self, what: impl AsRef<str>) -> Self {
        Self { text: format!("{}: {}", what.as_ref(), self.text), at: self.at }
    }
}

/// An error that the case did not expect.
impl<E: Debug> From<E> for Failure {
    #[track_caller]
    fn from(error: E) -> Self {
        Self::new(format!("unexpected {error:?}"))
    }
}

/// Passes where both are the same.
#[track_caller]
pub fn same<A: PartialEq<B> + Debug, B: Debug>(actual: A, expected: B) -> Outcome {
    if actual == expected { Ok(()) } else { Err(Failure::new(format!("{actual:?} instead of {expected:?}"))) }
}

/// Passes where the claim is true.
#[track_caller]
pub fn holds(claim: &str, is_true: bool) -> Outcome {
    if is_true { Ok(()) } else { Err(Failure::new(format!("not so: {claim}"))) }
}

/// Passes where `result` is that error.
#[track_caller]
pub fn fails<T, E: PartialEq + Debug>(result: Result<T, E>, expected: E) -> Outcome {
    match result {
        Ok(_) => Err(Failure::new(format!("success instead of {expected:?}"))),
        Err(error) => same(error, expected),
    }
}

/// Passes where `result` is one of these errors: where the standard leaves the choice.
#[track_caller]
pub fn fails_with_one_of<T, E: PartialEq + Debug>(result: Result<T, E>, expected: &[E]) -> Outcome {
    match result {
        Ok(_) => Err(Failure::new(format!("success instead of one of {expected:?}"))),
        Err(error) if expected.contains(&error) => Ok(()),
        Err(error) => Err(Failure::new(format!("{error:?} instead of one of {expected:?}"))),
    }
}

/// What a function that has to trap is followed by.
#[track_caller]
pub fn came_back() -> Outcome {
    Err(Failure::new("it came back"))
}

/// A function and its name, as [`functions`] lists them.
pub type Named<F> = (&'static str, F);

/// All cases of a component.
#[derive(Default)]
pub struct Cases(Vec<Case>);

struct Case {
    name: String,
    run: Box<dyn Fn() -> Outcome>,
}

impl Cases {
    /// Adds functions, of which each is a case of `area`. [`functions`] lists them.
    #[must_use]
    pub fn with(mut self, area: &str, functions: &[Named<fn() -> Outcome>]) -> Self {
        for &(function, run) in functions {
            self.add(area, function, run);
        }
        self
    }

    /// Adds one case. Its name is `area/name`.
    pub fn add(&mut self, area: &str, name: &str, run: impl Fn() -> Outcome + 'static) {
        let name = format!("{area}/{}", name.replace('_', "-"));
        self.0.push(Case { name, run: Box::new(run) });
    }

    /// What `cases` exports.
    pub fn names(self) -> Vec<String> {
        self.0.into_iter().map(|case| case.name).collect()
    }

    /// What `check` exports.
    ///
    /// # Errors
    /// The case's failure, for people.
    pub fn check(self, name: &str) -> Result<(), String> {
        let Some(case) = self.0.into_iter().find(|case| case.name == name) else {
            return Err(format!("there is no case {name}"));
        };
        (case.run)().map_err(|Failure { text, at }| format!("{}:{}: {text}", at.file(), at.line()))
    }
}

/// Functions with their names: `functions![one, two]`.
#[macro_export]
macro_rules! functions {
    ($($function:ident),+ $(,)?) => { &[$((stringify!($function), $function)),+] };
}

/// Makes a component of a function that gives its [`Cases`], and for `observer` worlds of one that gives facts.
#[macro_export]
macro_rules! component {
    ($cases:path) => {
        struct Component;

        impl Guest for Component {
            $crate::component!(@suite $cases);
        }

        export!(Component);
    };
    ($cases:path, observing $observe:path) => {
        struct Component;

        impl Guest for Component {
            $crate::component!(@suite $cases);

            fn observe() -> Vec<(String, String)> {
                $observe()
            }
        }

        export!(Component);
    };
    (@suite $cases:path) => {
        fn cases() -> Vec<String> {
            $cases().names()
        }

        fn check(name: String) -> Result<(), String> {
            $cases().check(&name)
        }
    };
}
