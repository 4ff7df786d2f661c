//! A service whose behaviour is what the request's path names. Whoever runs the suite asks it, and judges.

mod answers;
mod failures;
mod reports;

use exports::wasi::http::incoming_handler::Guest;
use wasi::http::types::{IncomingRequest, ResponseOutparam};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/http-server", generate_all });

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, outparam: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().trim_start_matches('/');
        let (name, argument) = path.split_once('/').unwrap_or((path, ""));
        let number = argument.parse().unwrap_or(0);
        match name {
            "request" => reports::request(request, outparam),
            "rules" => reports::rules(request, outparam),
            "count" => reports::count(request, outparam),
            "first" => reports::first(request, outparam, number),
            "trailers-of-request" => reports::trailers(request, outparam),
            "echo" => answers::echo(request, outparam),
            "status" => answers::status(outparam, number),
            "bytes" => answers::bytes(outparam, number),
            "length" => answers::length(outparam, number),
            "headers" => answers::headers(outparam),
            "many-headers" => answers::many_headers(outparam, number),
            "trailers" => answers::trailers(outparam),
            "stream" => answers::stream(outparam, number),
            "slow-head" => answers::slow_head(outparam, number),
            "no-body" => answers::no_body(outparam),
            "before-the-request" => answers::before_the_request(request, outparam),
            "after-the-response" => answers::after_the_response(outparam),
            "error" => failures::error(outparam, argument),
            "no-outparam" => drop((request, outparam)),
            "trap" => panic!("on purpose"),
            "trap-in-body" => failures::trap_in_body(outparam),
            "never" => failures::never(request, outparam),
            "unfinished" => failures::unfinished(outparam),
            "unfinished-at-once" => failures::unfinished_at_once(outparam),
            "too-short" => failures::too_short(outparam),
            "too-long" => failures::too_long(outparam),
            "spin" => failures::spin(),
            _ => answers::status(outparam, 404),
        }
    }
}

export!(Component);
