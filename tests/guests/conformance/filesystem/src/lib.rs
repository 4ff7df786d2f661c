//! `wasi:filesystem`: every function of `types` and `preopens`.
//!
//! Nearly every case has a directory of its own, which is empty before and gone after it. Two preopens are
//! expected: `/`, for reading and writing, and `/fixed`, for reading, which is the directory `fixed` of the first.

mod directories;
mod files;
mod hard_links;
mod limits;
mod open;
mod paths;
mod preopens;
mod read_only;
mod rename;
mod scratch;
mod stat;
mod streams;
mod symlinks;
mod unlink;

use conformance_suite::Cases;

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/filesystem", generate_all });

conformance_suite::component!(cases);

fn cases() -> Cases {
    let mut cases = preopens::cases(Cases::default());
    open::add_to(&mut cases);
    files::add_to(&mut cases);
    streams::add_to(&mut cases);
    directories::add_to(&mut cases);
    stat::add_to(&mut cases);
    hard_links::add_to(&mut cases);
    symlinks::add_to(&mut cases);
    rename::add_to(&mut cases);
    unlink::add_to(&mut cases);
    paths::add_to(&mut cases);
    read_only::add_to(&mut cases);
    limits::add_to(&mut cases);
    cases
}
