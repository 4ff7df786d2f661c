//! `cloister upgrade`.

use super::DeviceChoice;
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct UpgradeArguments {
    /// The new image
    #[arg(long, value_name = "FILE.sgxs")]
    pub(crate) image: PathBuf,
    /// The new image's signature structure [default: the image's name with .sigstruct]
    #[arg(long, value_name = "FILE")]
    pub(crate) sigstruct: Option<PathBuf>,
    /// The state folder of the enclave that runs: the new image has to be on the same platform
    /// [default: $XDG_STATE_HOME/cloister]
    #[arg(long, env = "CLOISTER_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Where to run the new image: where the old one runs
    #[arg(long, env = "CLOISTER_DEVICE", value_enum, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// The file to write, for `cloister serve --adopt`
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    pub(crate) force: bool,
}
