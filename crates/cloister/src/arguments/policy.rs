//! What the commands about policy files take.

use super::examples::POLICY_EXAMPLES;
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Write a policy file to read, decide and relax: from an enclave as it is, or from nothing with --template
    ///
    /// The enclave is verified first, by the options that say what you accept. What is written accepts it as it was found
    /// and nothing else.
    #[command(after_help = POLICY_EXAMPLES)]
    Init(PolicyInitArguments),
    /// Say what is wrong with a policy file, and what each of its decisions gives up
    #[command(after_help = POLICY_EXAMPLES)]
    Check(PolicyFileArguments),
    /// Say in words what a policy file accepts, and what that leaves to trust
    #[command(after_help = POLICY_EXAMPLES)]
    Explain(PolicyFileArguments),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyInitArguments {
    /// Without any enclave, and with every decision left open that nobody can make for you
    #[arg(long)]
    pub(crate) template: bool,
    /// Where to write it [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "out")]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyFileArguments {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}
