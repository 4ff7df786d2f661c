//! Component values to and from JSON and WAVE.
//!
//! The component's own types direct both ways: what does not fit is refused with the place, what was expected there
//! and what was given. `docs/design/values.md` has the mapping of each type. Arguments come from anyone, so their
//! cost is bounded by [`argument_cost`] and their nesting by the parsers; results are bounded by the caller's limit.
#![forbid(unsafe_code)]

mod bounded;
mod decode;
mod error;
mod json;
mod json_result;
mod types;
mod wave;

pub use decode::{MAX_ARGUMENT_COST, argument_cost};
pub use error::{ArgumentError, EncodeError, UnsupportedType};
pub use json::arguments_from_json;
pub use json_result::result_to_json;
pub use types::{MAX_TYPE_NAME, check_type, type_name};
pub use wave::{arguments_from_wave, result_to_wave};

/// One parameter of a function.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// The name as WIT has it, in kebab-case.
    pub name: &'a str,
    pub ty: &'a wasmtime::component::Type,
}
