//! What quotes are made and verified with, and what a machine is asked.

use super::DeviceChoice;
use super::examples::COLLATERAL_EXAMPLES;
use clap::{Args, Subcommand, ValueEnum};
use cloister_host::TpmPath;
use std::path::PathBuf;

/// Where quotes come from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct QuotingArguments {
    /// How the quoting enclave is reached
    #[arg(long, env = "CLOISTER_QUOTING", value_enum, default_value_t)]
    pub(crate) quoting: QuotingChoice,
    /// The socket of the AESM service [default: /var/run/aesmd/aesm.socket]
    #[arg(long, env = "CLOISTER_AESM_SOCKET", value_name = "PATH")]
    pub(crate) aesm_socket: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pccs: PccsArguments,
}

/// Where collateral comes from.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct PccsArguments {
    /// Fetch what quotes are verified with from this Provisioning Certificate Caching Service, or from Intel's
    #[arg(long, env = "CLOISTER_PCCS", value_name = "URL")]
    pub(crate) pccs: Option<String>,
    /// Certificates (PEM) that show that it is this service: its own, or authorities'. Otherwise those that Mozilla trusts
    #[arg(long, env = "CLOISTER_PCCS_CERTIFICATES", value_name = "FILE")]
    pub(crate) pccs_certificates: Option<PathBuf>,
}

/// How the quoting enclave is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum QuotingChoice {
    /// Through the DCAP library where it loads and answers, else through AESM. Software SGX quotes by itself.
    #[default]
    Auto,
    /// The AESM service's socket.
    Aesm,
    /// libsgx_dcap_ql.so.1.
    Dcap,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CollateralCommand {
    /// Fetch the collateral of a quote from a PCCS, so that it can be verified without a network
    #[command(after_help = COLLATERAL_EXAMPLES)]
    Fetch(CollateralFetchArguments),
}

#[derive(Debug, Args)]
pub(crate) struct CollateralFetchArguments {
    /// The quote; otherwise that of the enclave at --host
    #[arg(value_name = "QUOTE")]
    pub(crate) quote: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pccs: PccsArguments,
    /// Where to write the collateral (JSON), for --collateral
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Where the enclave is to run; `auto` is what `cloister serve` would take
    #[arg(long, env = "CLOISTER_DEVICE", value_enum, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// The enclave image [default: where `cloister serve` finds it]
    #[arg(long, env = "CLOISTER_IMAGE", value_name = "FILE.sgxs")]
    pub(crate) image: Option<PathBuf>,
    /// The image's signature structure [default: the image's name with .sigstruct]
    #[arg(long, env = "CLOISTER_SIGSTRUCT", value_name = "FILE")]
    pub(crate) sigstruct: Option<PathBuf>,
    /// Folder for the platform's and the enclave's state [default: $XDG_STATE_HOME/cloister]
    #[arg(long, env = "CLOISTER_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The TPM that is to anchor the volume's freshness
    #[arg(long, env = "CLOISTER_TPM", value_name = "PATH")]
    pub(crate) tpm: Option<TpmPath>,
    #[command(flatten)]
    pub(crate) quoting: QuotingArguments,
}
