use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no quote. Each says what to install or to start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QuotingError {
    /// neither way leads to a quoting enclave
    #[error("no quoting enclave can be reached: {dcap}; and {aesm}")]
    Neither {
        /// Why not through the DCAP library.
        dcap: Box<QuotingError>,
        /// Why not through the AESM service.
        aesm: Box<QuotingError>,
    },
    /// the library is not there
    #[error(
        "the DCAP quote library {} cannot be loaded ({reason}): install libsgx-dcap-ql and \
         libsgx-dcap-default-qpl of Intel's SGX repository",
        path.display()
    )]
    NoLibrary {
        /// What was looked for.
        path: PathBuf,
        /// The loader's reason.
        reason: String,
    },
    /// the library refuses
    #[error("the DCAP quote library cannot {doing}: {error}")]
    Dcap {
        /// What was asked of it, as a verb.
        doing: &'static str,
        /// Its code.
        error: DcapError,
    },
    /// the service is not there
    #[error("the AESM service cannot be reached at {}: {source}; install sgx-aesm-service and start aesmd", path.display())]
    NoAesm {
        /// The socket.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// the service refuses
    #[error("the AESM service cannot {doing}: error {code}{}", aesm_advice(*code))]
    Aesm {
        /// What was asked of it, as a verb.
        doing: &'static str,
        /// Its code (`aesm_error.h` of Intel's SGX SDK).
        code: u32,
    },
    /// it offers no key of the kind
    #[error(
        "the AESM service has no ECDSA attestation key: install libsgx-aesm-quote-ex-plugin and \
         libsgx-aesm-ecdsa-plugin, and start aesmd anew"
    )]
    NoEcdsa,
    /// it takes too long
    #[error("the {who} did not {doing} within {after:?}")]
    TimedOut {
        /// Which one.
        who: &'static str,
        /// What was asked of it, as a verb.
        doing: &'static str,
        /// How long it was waited for.
        after: Duration,
    },
    /// the answer is not one
    #[error("the {who} answered what is no answer when asked to {doing}: {reason}")]
    Malformed {
        /// Which one.
        who: &'static str,
        /// What was asked of it, as a verb.
        doing: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// what came is no quote over the report
    #[error("the quoting enclave's quote is not one of this enclave: {0}")]
    Quote(&'static str),
}

/// A code of the DCAP quote library (`quote3_error_t` of `sgx_ql_lib_common.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DcapError(pub u32);

impl std::fmt::Display for DcapError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(code) = self;
        let said = match code {
            0xe001 => "unexpected error",
            0xe002 => "invalid parameter",
            0xe003 => "out of memory",
            0xe006 => {
                "a file cannot be read or written, mostly that of the stored attestation key: see the rights of its folder"
            }
            0xe00d => {
                "the quoting enclave cannot be loaded: see the rights of /dev/sgx_enclave and /dev/sgx_provision"
            }
            0xe00e => {
                "there is no library that has the platform's certificate: install libsgx-dcap-default-qpl"
            }
            0xe00f => "the attestation key was not certified",
            0xe011 => {
                "nobody has the platform's certificate: register the machine with Intel, and name a PCCS that has it in \
                 /etc/sgx_default_qcnl.conf"
            }
            0xe012 => "the enclaves' memory (EPC) is used up",
            0xe013 | 0xe015 => "the report is refused",
            0xe014 => "the quoting enclave lost its memory: the machine slept; start anew",
            0xe016 => {
                "the enclaves cannot be loaded: install libsgx-ae-qe3, libsgx-ae-id-enclave and libsgx-ae-pce, and see the \
                 rights of /dev/sgx_enclave and /dev/sgx_provision"
            }
            0xe019 => "the PCCS cannot be reached: see /etc/sgx_default_qcnl.conf",
            _ => "see sgx_ql_lib_common.h",
        };
        write!(f, "error {code:#x} ({said})")
    }
}

fn aesm_advice(code: u32) -> &'static str {
    match code {
        1 => " (unexpected: see the log of aesmd)",
        2 | 24 | 25 => " (it finds no SGX device: is aesmd in the group sgx_prv?)",
        12..=14 => " (it has no network: see /etc/sgx_default_qcnl.conf)",
        16 => " (the platform could not be provisioned: see the log of aesmd)",
        18 | 19 => " (it is busy: try again)",
        27 | 30 => " (it lacks the plugin: install libsgx-aesm-ecdsa-plugin and libsgx-aesm-quote-ex-plugin)",
        29 => " (the enclaves' memory is used up)",
        _ => " (see aesm_error.h)",
    }
}
