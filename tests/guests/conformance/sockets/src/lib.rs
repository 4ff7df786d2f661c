//! `wasi:sockets`: TCP, UDP and name lookup, over the loopback interface.

mod ends;
mod lookup;
mod tcp_addresses;
mod tcp_connections;
mod tcp_options;
mod tcp_states;
mod tcp_streams;
mod udp_addresses;
mod udp_options;
mod udp_streams;

use conformance_suite::Cases;
use ends::{connect, loopback, read_to_end};
use wasi::sockets::network::IpAddressFamily;

wit_bindgen::generate!({
    path: "../wit",
    world: "cloister:conformance/sockets",
    generate_all,
    features: ["network-error-code"],
});

struct Component;

impl Guest for Component {
    conformance_suite::component!(@suite cases);

    fn slow_read(port: u16) -> u64 {
        let Ok(connection) = connect(loopback(IpAddressFamily::Ipv4, port)) else {
            panic!("there is no connection");
        };
        match read_to_end(&connection.input) {
            Ok(bytes) => bytes.len() as u64,
            Err(_) => panic!("the connection fails"),
        }
    }
}

export!(Component);

fn cases() -> Cases {
    let cases = Cases::default();
    let cases = tcp_states::cases(cases);
    let cases = tcp_addresses::cases(cases);
    let cases = tcp_connections::cases(cases);
    let cases = tcp_streams::cases(cases);
    let cases = tcp_options::cases(cases);
    let cases = udp_addresses::cases(cases);
    let cases = udp_streams::cases(cases);
    let cases = udp_options::cases(cases);
    lookup::cases(cases)
}
