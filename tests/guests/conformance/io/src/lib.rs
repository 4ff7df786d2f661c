//! `wasi:io`: poll, streams and errors, over timers, files and the standard streams.

mod errors;
mod input;
mod output;
mod poll;
mod scratch;
mod splice;

use conformance_suite::Cases;

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/io", generate_all });

conformance_suite::component!(cases);

fn cases() -> Cases {
    let cases = Cases::default();
    let cases = poll::cases(cases);
    let cases = input::cases(cases);
    let cases = output::cases(cases);
    let cases = splice::cases(cases);
    errors::cases(cases)
}
