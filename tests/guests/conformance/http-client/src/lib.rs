//! `wasi:http`: fields, messages, and outgoing requests to a server of whoever runs the suite.

mod bodies;
mod errors;
mod exchange;
mod fields;
mod handler;
mod messages;
mod responses;
mod timing;

use conformance_suite::Cases;

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/http-client", generate_all });

conformance_suite::component!(cases);

fn cases() -> Cases {
    let cases = Cases::default();
    let cases = fields::cases(cases);
    let cases = messages::cases(cases);
    let cases = bodies::cases(cases);
    let cases = handler::cases(cases);
    let cases = responses::cases(cases);
    let cases = timing::cases(cases);
    errors::cases(cases)
}
