//! Notes, streams and a clock as a web service: a guest in Rust that exports `wasi:http/incoming-handler`.
//!
//! Each request gets an instance of its own. Whatever should outlive it goes into a file. Bodies pass through in pieces, so their
//! size does not matter.

mod answer;
mod bodies;
mod notes;

use wasip2::exports::http::incoming_handler::Guest;
use wasip2::http::types::{IncomingRequest, Method, ResponseOutparam};

use answer::text;

wasip2::http::proxy::export!(Component);

struct Component;

impl Guest for Component {
    fn handle(request: IncomingRequest, answer: ResponseOutparam) {
        let target = request.path_with_query().unwrap_or_default();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (request.method(), segments.as_slice()) {
            (Method::Get, [""]) => text(answer, 200, HELP),
            (Method::Get, ["hello"]) => text(answer, 200, "Hello, world!\n"),
            (Method::Get, ["notes"]) => notes::list(answer),
            (Method::Post, ["notes"]) => notes::create(&request, answer),
            (Method::Get, ["notes", name]) => notes::read(name, answer),
            (Method::Put, ["notes", name]) => notes::write(name, &request, answer),
            (Method::Delete, ["notes", name]) => notes::remove(name, answer),
            (Method::Post, ["echo"]) => bodies::echo(&request, answer),
            (Method::Post, ["count"]) => bodies::count(&request, answer),
            (Method::Get, ["stream"]) => match parameter(query, "bytes") {
                Some(bytes) => bodies::stream(bytes, answer),
                None => text(answer, 400, "how many? /stream?bytes=N\n"),
            },
            (Method::Get, ["clock"]) => bodies::clock(parameter(query, "ticks").unwrap_or(10), answer),
            (_, ["" | "hello" | "notes" | "echo" | "count" | "stream" | "clock"] | ["notes", _]) => {
                text(answer, 405, "not like this: / lists what there is\n");
            }
            _ => text(answer, 404, "nothing here: / lists what there is\n"),
        }
    }
}

/// A number in a query string.
fn parameter(query: &str, name: &str) -> Option<u64> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name)?.1.parse().ok())
}

const HELP: &str = "\
GET    /hello            a greeting
GET    /notes            all names
POST   /notes            keeps the body under a random name
GET    /notes/NAME       what was kept
PUT    /notes/NAME       keeps the body
DELETE /notes/NAME       forgets it
POST   /echo             sends the body back while it comes
POST   /count            counts the body's bytes
GET    /stream?bytes=N   sends N bytes
GET    /clock?ticks=N    the time, each second, as server-sent events
";
