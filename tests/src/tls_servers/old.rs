//! Servers that speak TLS 1.1 and nothing newer.

use super::Identity;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// `openssl s_server`, in a process of its own.
#[derive(Debug)]
pub struct OpensslServer {
    child: Child,
    pub address: SocketAddr,
    /// Dropped last: the process has its certificate from it.
    folder: TempDir,
}

impl OpensslServer {
    /// Speaks TLS 1.1 alone.
    ///
    /// # Panics
    /// Where there is no `openssl`.
    pub fn tls11(identity: &Identity) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (certificate, key) = (folder.path().join("certificate.der"), folder.path().join("key.der"));
        std::fs::write(&certificate, identity.der()).expect("the folder is writable");
        std::fs::write(&key, identity.pkcs8()).expect("the folder is writable");
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-tls1_1", "-cipher", WEAK, "-www"])
            .args(["-certform", "DER", "-keyform", "DER"])
            .arg("-cert")
            .arg(&certificate)
            .arg("-key")
            .arg(&key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl can be run");
        let output = child.stdout.take().expect("it is piped");
        let address = BufReader::new(output)
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("ACCEPT ").and_then(|address| address.trim().parse().ok()))
            .expect("s_server says where it listens");
        Self { child, address, folder }
    }

    /// What a client that speaks TLS 1.1 gets to know: the version that was agreed on.
    ///
    /// # Panics
    /// Where there is no `openssl`.
    pub fn version_for_an_old_client(&self) -> String {
        let output = Command::new("openssl")
            .args(["s_client", "-connect", &self.address.to_string(), "-tls1_1", "-cipher", WEAK])
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl can be run");
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.lines().find_map(|line| line.trim().strip_prefix("Protocol"));
        version.unwrap_or_default().trim_matches([' ', ':']).to_owned()
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that answers every hello with one of TLS 1.1, whatever the client speaks.
#[derive(Debug)]
pub struct HandWrittenTls11 {
    pub address: SocketAddr,
}

impl HandWrittenTls11 {
    /// On a thread that ends with the process.
    ///
    /// # Panics
    /// Where loopback has no port.
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        std::thread::spawn(move || listener.incoming().flatten().for_each(answer_hello));
        Self { address }
    }
}

fn answer_hello(mut stream: TcpStream) {
    let mut buffer = [0; 4096];
    if matches!(stream.read(&mut buffer), Ok(1..)) {
        // A client that goes is the result that is wanted, and so is its alert.
        let _ = stream.write_all(&server_hello());
        let _ = stream.read(&mut buffer);
    }
}

/// RFC 4346, sections 6.2.1, 7.4 and 7.4.1.3: one record with a `ServerHello`.
fn server_hello() -> Vec<u8> {
    let mut hello = TLS11.to_vec();
    hello.extend([7; 32]);
    // No session, TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    hello.extend([0, 0x00, 0x2f, 0]);
    let mut message = vec![2, 0, 0, hello.len() as u8];
    message.extend(hello);
    let mut record = vec![22, TLS11[0], TLS11[1], 0, message.len() as u8];
    record.extend(message);
    record
}

const TLS11: [u8; 2] = [3, 2];
/// TLS 1.1 needs SHA-1, which OpenSSL's usual level of security refuses.
const WEAK: &str = "ALL:@SECLEVEL=0";
