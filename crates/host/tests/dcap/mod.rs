//! A stand-in for Intel's DCAP quote library: a library in C with its functions, compiled here, and a soft platform that answers.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use cloister_soft_sgx::SoftPlatform;

/// What a function returns, and what it writes.
pub(crate) type Answer = (u32, Vec<u8>);

/// Compiles the library into this folder, and answers it until the test ends: what `twist` makes of the right answer to `t`
/// (TARGETINFO), `s` (size) or `q` (quote); `None` is none, ever.
pub(crate) fn library(
    folder: &Path,
    platform: SoftPlatform,
    twist: impl Fn(char, Answer) -> Option<Answer> + Send + 'static,
) -> PathBuf {
    let socket = folder.join("dcap.socket");
    let listener = UnixListener::bind(&socket).unwrap();
    thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut what = [0];
            if stream.read_exact(&mut what).is_err() {
                continue;
            }
            let right = match what[0] {
                b't' => (0, platform.target_info().to_vec()),
                b's' => (0, 8192_u32.to_le_bytes().to_vec()),
                _ => {
                    let mut report = [0; 432];
                    stream.read_exact(&mut report).unwrap();
                    platform.quote(&report).map_or((0xe015, Vec::new()), |quote| (0, quote))
                }
            };
            match twist(char::from(what[0]), right) {
                None => held.push(stream),
                Some((code, bytes)) => {
                    let head = [code.to_le_bytes(), (bytes.len() as u32).to_le_bytes()].concat();
                    let _ = stream.write_all(&[head, bytes].concat());
                }
            }
        }
    });
    compiled(folder, &[&format!("-DSOCKET=\"{}\"", socket.display())])
}

/// The library with these options of the compiler.
pub(crate) fn compiled(folder: &Path, options: &[&str]) -> PathBuf {
    let library = folder.join("libsgx_dcap_ql.so.1");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dcap/stand_in.c");
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(source)
        .args(options)
        .status()
        .unwrap();
    assert!(done.success(), "the library compiles");
    library
}
