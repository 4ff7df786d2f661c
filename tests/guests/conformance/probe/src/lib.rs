//! A component that does what it is told: one export for each thing that an app can do, so that tests see what comes of it.

mod address;
mod clocks;
mod files;
mod http;
mod keys;
mod lookup;
mod tcp;
mod udp;

use wasi::cli::environment::get_environment;
use wasi::cli::{stderr::get_stderr, stdout::get_stdout};
use wasi::config::store as configuration;
use wasi::io::streams::StreamError;
use wasi::logging::logging::{self, Level};

wit_bindgen::generate!({ path: "../wit", world: "cloister:conformance/probe", generate_all });

struct Probe;

export!(Probe);

impl Guest for Probe {
    fn env(name: String) -> Option<String> {
        get_environment().into_iter().find(|(variable, _)| *variable == name).map(|(_, value)| value)
    }

    fn env_names() -> Vec<String> {
        get_environment().into_iter().map(|(name, _)| name).collect()
    }

    fn config(key: String) -> Result<Option<String>, String> {
        configuration::get(&key).map_err(configuration_error)
    }

    fn config_all() -> Result<Vec<(String, String)>, String> {
        configuration::get_all().map_err(configuration_error)
    }

    fn preopens() -> Vec<String> {
        files::preopens()
    }

    fn write_file(path: String, text: String) -> Result<(), String> {
        files::write(&path, &text).map_err(files::name)
    }

    fn read_file(path: String) -> Result<String, String> {
        files::read(&path).map_err(files::name)
    }

    fn remove_file(path: String) -> Result<(), String> {
        files::remove(&path).map_err(files::name)
    }

    fn list_files(path: String) -> Result<Vec<String>, String> {
        files::list(&path).map_err(files::name)
    }

    fn make_temp(prefix: String, text: String) -> Result<String, String> {
        files::make_temporary(&prefix, &text).map_err(files::name)
    }

    fn temp_names() -> Result<Vec<String>, String> {
        files::temporary_names().map_err(files::name)
    }

    fn set_key(bucket: String, key: String, value: String) -> Result<(), String> {
        keys::set(&bucket, &key, &value).map_err(keys::name)
    }

    fn get_key(bucket: String, key: String) -> Result<Option<String>, String> {
        keys::get(&bucket, &key).map_err(keys::name)
    }

    fn list_keys(bucket: String) -> Result<Vec<String>, String> {
        keys::list(&bucket).map_err(keys::name)
    }

    fn increment(bucket: String, key: String, by: u64) -> Result<u64, String> {
        keys::increment(&bucket, &key, by).map_err(keys::name)
    }

    fn write_log(text: String) {
        logging::log(Level::Info, "probe", &text);
        let line = format!("{text}\n");
        for output in [get_stdout(), get_stderr()] {
            line.as_bytes().chunks(4_096).for_each(|chunk| {
                // Whether it arrived is what the test looks at.
                let _ = output.blocking_write_and_flush(chunk);
            });
        }
    }

    fn tcp_roundtrip(address: String, bytes: Vec<u8>) -> Result<Vec<u8>, String> {
        tcp::roundtrip(&address, &bytes)
    }

    fn tcp_read_to_end(address: String) -> Result<u64, String> {
        tcp::read_to_end(&address)
    }

    fn tcp_bind(address: String) -> Result<String, String> {
        tcp::bind(&address)
    }

    fn tcp_listen(address: String) -> Result<String, String> {
        tcp::listen(&address)
    }

    fn tcp_accept(address: String) -> Result<(String, Vec<u8>), String> {
        tcp::accept(&address)
    }

    fn tcp_addresses(address: String) -> Result<(String, String), String> {
        tcp::addresses(&address)
    }

    fn tcp_options(address: String) -> Result<Vec<(String, u64)>, String> {
        tcp::options(&address)
    }

    fn udp_options(address: String) -> Result<Vec<(String, u64)>, String> {
        udp::options(&address)
    }

    fn udp_bind(address: String) -> Result<String, String> {
        udp::bind(&address)
    }

    fn udp_roundtrip(address: String, bytes: Vec<u8>, patience: u64) -> Result<Vec<u8>, String> {
        udp::roundtrip(&address, bytes, udp::Peer::NamedInDatagram, patience)
    }

    fn udp_roundtrip_with_peer(address: String, bytes: Vec<u8>, patience: u64) -> Result<Vec<u8>, String> {
        udp::roundtrip(&address, bytes, udp::Peer::SetOnSocket, patience)
    }

    fn udp_roundtrip_after_peer(address: String, bytes: Vec<u8>, patience: u64) -> Result<Vec<u8>, String> {
        udp::roundtrip(&address, bytes, udp::Peer::ForgottenBySocket, patience)
    }

    fn lookup(name: String) -> Result<Vec<String>, String> {
        lookup::lookup(&name)
    }

    fn http_get(url: String) -> Result<u16, String> {
        http::get(&url)
    }

    fn now() -> u64 {
        wasi::clocks::monotonic_clock::now()
    }

    fn wall_now() -> (u64, u32) {
        clocks::wall_now()
    }

    fn sleep(milliseconds: u64) -> u64 {
        clocks::sleep(milliseconds)
    }

    fn clock_series(readings: u32) -> Vec<u64> {
        (0..readings).map(|_| wasi::clocks::monotonic_clock::now()).collect()
    }

    fn wall_series(readings: u32) -> Vec<(u64, u32)> {
        (0..readings).map(|_| clocks::wall_now()).collect()
    }
}

fn configuration_error(error: configuration::Error) -> String {
    match error {
        configuration::Error::Upstream(text) => format!("upstream: {text}"),
        configuration::Error::Io(text) => format!("io: {text}"),
    }
}

/// The name of a stream's error, and what else is known.
fn stream_error(error: StreamError) -> String {
    match error {
        StreamError::Closed => "closed".to_owned(),
        StreamError::LastOperationFailed(error) => {
            format!("last-operation-failed: {}", error.to_debug_string())
        }
    }
}
