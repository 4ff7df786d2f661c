//! Wasmtime's own command line.

use anyhow::{Context as _, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The program.
#[derive(Debug)]
pub(crate) struct Wasmtime(PathBuf);

impl Wasmtime {
    pub(crate) fn given() -> Self {
        Self(cloister_tests::given("CLOISTER_WASMTIME"))
    }

    pub(crate) fn version(&self) -> Result<String> {
        Ok(self.run(&["--version"])?.0.trim().trim_start_matches("wasmtime ").to_owned())
    }

    /// Compiles a component to a file; says how long the program ran.
    pub(crate) fn compile(&self, component: &Path, output: &Path, settings: &[&str]) -> Result<Duration> {
        let (component, output) = (text(component)?, text(output)?);
        let arguments = [&["compile"], settings, &["-o", output, component]].concat();
        Ok(self.run(&arguments)?.1)
    }

    /// Calls an export of a compiled component; says what it answered and how long the program ran.
    pub(crate) fn invoke(
        &self,
        compiled: &Path,
        call: &str,
        settings: &[&str],
    ) -> Result<(String, Duration)> {
        let compiled = text(compiled)?;
        self.run(&[&["run", "--allow-precompiled"], settings, &["--invoke", call, compiled]].concat())
    }

    /// Serves a `wasi:http` component on a loopback port, with a fresh instance for each request.
    pub(crate) fn serve(&self, component: &Path) -> Result<Server> {
        let mut child = Command::new(&self.0)
            .args(["serve", "--addr", "127.0.0.1:0", "-S", "cli", "--max-instance-reuse-count", "1"])
            .arg(component)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start wasmtime serve")?;
        match first_address(&mut child) {
            Ok(address) => Ok(Server { child, address }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<(String, Duration)> {
        let began = Instant::now();
        let output = Command::new(&self.0).args(arguments).output().context("cannot start wasmtime")?;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "wasmtime {arguments:?}: {}: {said}", output.status);
        Ok((String::from_utf8(output.stdout)?, took))
    }
}

/// A running `wasmtime serve`. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// From the line `Serving HTTP on http://127.0.0.1:1234/`.
fn first_address(child: &mut Child) -> Result<SocketAddr> {
    let output = child.stderr.take().context("wasmtime serve has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
    let address = address.and_then(|address| address.trim().parse().ok());
    address.with_context(|| format!("wasmtime serve says {line:?} and no address"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path is not UTF-8")
}

/// What the image asks of Wasmtime: fuel, no signals, no reserved address space, canonical NaNs.
pub(crate) const RESTRAINED: [&str; 14] = [
    "-W",
    "fuel=1000000000000000",
    "-O",
    "signals-based-traps=n",
    "-O",
    "memory-reservation=0",
    "-O",
    "memory-guard-size=0",
    "-O",
    "memory-reservation-for-growth=1048576",
    "-O",
    "memory-init-cow=n",
    "-W",
    "nan-canonicalization=y",
];
