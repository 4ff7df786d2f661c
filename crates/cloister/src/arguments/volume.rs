//! `cloister volume` and what follows it.

use super::examples::*;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum VolumeCommand {
    /// Show the volume's epoch, root and sizes, and what your apps keep in it
    #[command(after_help = VOLUME_EXAMPLES)]
    Stats,
    /// Have the enclave read and verify every block, and list what is damaged
    ///
    /// Ends with 7 where something is damaged. What is intact stays usable.
    #[command(after_help = VOLUME_EXAMPLES)]
    Check,
    /// Write a sealed copy of the volume to a file, while the enclave runs
    ///
    /// It is the volume as it was after one commit, and sealed as on the operator's disk: only the same image on the
    /// same CPU can read it. The file is there when it is whole, and not before.
    #[command(after_help = VOLUME_EXAMPLES)]
    Backup(BackupArguments),
    /// Put a backup in the place of the volume, while no enclave runs on it
    ///
    /// On the machine of the enclave. With a freshness anchor the enclave refuses the older volume until it is started
    /// once with --accept-epoch.
    #[command(after_help = VOLUME_EXAMPLES)]
    Restore(RestoreArguments),
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file where it exists
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    /// The file that `cloister volume backup` wrote
    #[arg(value_name = "BACKUP")]
    pub(crate) backup: PathBuf,
    /// The enclave's state folder, in which the volume is called `volume` [default: $XDG_STATE_HOME/cloister]
    #[arg(long, env = "CLOISTER_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// The file of the volume, where `cloister serve --volume` names one
    #[arg(long, env = "CLOISTER_VOLUME", value_name = "FILE")]
    pub(crate) volume: Option<PathBuf>,
    /// Replace the volume that is there; it is kept beside the restored one
    #[arg(long)]
    pub(crate) force: bool,
}
