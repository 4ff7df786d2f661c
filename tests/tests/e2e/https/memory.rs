//! What a hostile server makes the host process hold.

use super::fetcher::{Fetch, at};
use cloister_tests::tls_servers::{Authority, Behavior, Misbehavior, Service};
use cloister_tests::{Machine, given};

#[tokio::test(flavor = "multi_thread")]
async fn a_gigabyte_costs_no_more_than_the_bound_of_a_body() {
    let authority = Authority::new();
    let identity = authority.issue("localhost");
    let mut urls = Vec::new();
    for how in [Misbehavior::Gigabyte, Misbehavior::GigabyteInChunks, Misbehavior::EndlessHeaders] {
        let server = Service::that(Behavior::Misbehaves(how)).start(&identity).await;
        urls.push(at("localhost", server.port()));
    }
    let good = Service::default().start(&identity).await;
    urls.push(at("localhost", good.port()));

    let machine = tokio::task::spawn_blocking(Machine::start).await.unwrap();
    let component = given("CLOISTER_PLATFORM_GUESTS").join("platform.wasm");
    let mut deploy = vec!["deploy", component.to_str().unwrap(), "--name", "app", "--fuel", "100G"];
    deploy.extend(["--timeout", "2m", "--memory", "128MiB"]);
    for url in &urls {
        deploy.extend(["--allow", url]);
    }
    tokio::task::block_in_place(|| machine.succeeds(&deploy));
    let fetch = |url: &str| {
        let argument = Fetch::get(url).trusting(&[authority.der()]).json();
        tokio::task::block_in_place(|| {
            machine.json(&["call", "app", "fetch-length", "--json", &format!("[{argument}]")])
        })
    };
    // What the longest response needs does not count.
    let longest = format!("{}/bytes/{}", urls[3], 8 << 20);
    for _ in 0..3 {
        assert_eq!(fetch(&longest)["result"]["ok"][1], 8 << 20);
    }
    let before = machine.peak_memory();
    for url in &urls[..3] {
        for _ in 0..3 {
            let answer = fetch(url);
            assert!(answer["result"]["err"].is_string(), "{url}: {answer}");
        }
    }
    let grown = machine.peak_memory().saturating_sub(before);
    println!("the host process's peak memory grew by {} KiB", grown >> 10);
    assert!(grown < 64 << 20, "{grown}");
    assert_eq!(fetch(&longest)["result"]["ok"][1], 8 << 20);
}
