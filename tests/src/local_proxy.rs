use crate::{Machine, error, status};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

/// `cloister proxy` in a process of its own.
#[derive(Debug)]
pub struct LocalProxy {
    child: Child,
    port: u16,
}

impl LocalProxy {
    /// A proxy before a machine's enclave, at a port of its own, with more arguments.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let fixed = ["proxy", "--listen", "127.0.0.1:0", "--format", "json"];
        let mut command = machine.cloister(&[&fixed[..], arguments].concat());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it can be run");
        let mut line = String::new();
        let output = child.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("it is text");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        let address = ready["address"].as_str().and_then(|address| address.rsplit_once(':'));
        let port = address.and_then(|(_, port)| port.parse().ok());
        Self { child, port: port.unwrap_or_else(|| panic!("no port in {ready}")) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The address of a path on a host name, such as `localhost`.
    pub fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.port)
    }

    /// Curl, for which every name is this machine.
    pub fn curl(&self) -> Command {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--max-time", "600", "--noproxy", "*"])
            .args(["--connect-to", &format!("::127.0.0.1:{}", self.port)])
            .stdin(Stdio::null());
        curl
    }

    /// The body that curl gets, and the status.
    ///
    /// # Panics
    /// Where it gets none.
    pub fn get(&self, arguments: &[&str]) -> (u16, String) {
        let output: Output =
            self.curl().args(["--write-out", "\n%{http_code}"]).args(arguments).output().expect("curl");
        assert_eq!(status(&output), 0, "{arguments:?}: {}", error(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (body, code) = text.rsplit_once('\n').expect("curl writes the status");
        (code.parse().expect("a status"), body.to_owned())
    }

    /// The answer to a call of an app's export, with its status.
    ///
    /// # Panics
    /// Where it is not JSON.
    pub fn call(&self, app: &str, export: &str, arguments: &Value) -> (u16, Value) {
        let url = self.url("localhost", &format!("/v1/apps/{app}/calls/{export}"));
        let (code, body) = self.get(&["--json", &arguments.to_string(), &url]);
        (code, serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}")))
    }

    /// The most memory that the process ever held, in bytes.
    ///
    /// # Panics
    /// Where it has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says so");
        line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
    }
}

impl Drop for LocalProxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
