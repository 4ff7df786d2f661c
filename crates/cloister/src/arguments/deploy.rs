//! What `deploy` and `replace` take.

use super::{AccessArguments, AssetsArgument, DirectoryArgument, EnvironmentArgument};
use crate::quantity::{Fuel, Size, Span};
use clap::Args;
use cloister_api::{AppName, NetworkRule};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct DeployArguments {
    /// The component
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The app's name: a-z, 0-9 and '-' [default: the file's name, made valid]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<AppName>,
    #[command(flatten)]
    pub(crate) app: AppArguments,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceArguments {
    #[command(flatten)]
    pub(crate) deploy: DeployArguments,
    /// A file with an endorsement of the new app, as `cloister endorse` makes it for the same component and options; repeat it
    /// for several
    #[arg(long = "endorsement", value_name = "FILE")]
    pub(crate) endorsements: Vec<PathBuf>,
}

/// What a deployer decides about an app.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct AppArguments {
    /// An environment variable of the guest; `KEY` alone takes the value from this shell's, which keeps it out of the
    /// process list
    #[arg(long = "env", value_name = "KEY[=VALUE]")]
    pub(crate) environment: Vec<EnvironmentArgument>,
    /// A value that the guest reads over wasi:config; `KEY` alone takes it from this shell's environment
    #[arg(long = "config-var", value_name = "KEY[=VALUE]")]
    pub(crate) config_var: Vec<EnvironmentArgument>,
    /// The export that configures the app, as `cloister call` names it. Until the app says that it is configured, it answers
    /// nothing else, and this to you alone
    #[arg(long, value_name = "EXPORT")]
    pub(crate) configure_with: Option<String>,
    #[command(flatten)]
    pub(crate) files: FileArguments,
    #[command(flatten)]
    pub(crate) network: NetworkArguments,
    #[command(flatten)]
    pub(crate) access: AccessArguments,
    #[command(flatten)]
    pub(crate) limits: LimitArguments,
}

/// What a guest finds in its directories.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Files")]
pub(crate) struct FileArguments {
    /// A directory of the app that is open when the guest starts, and the guest's name of it; `:ro` for reading only.
    /// Repeat it for several [default: all of the app's tree as `/`]
    #[arg(long = "dir", value_name = "PATH[::GUEST][:ro]")]
    pub(crate) directories: Vec<DirectoryArgument>,
    /// Upload this directory as the files that the new app begins with; a replacement keeps those that are there
    #[arg(long, value_name = "DIR")]
    pub(crate) files: Option<PathBuf>,
    /// Upload this directory as read-only files that belong to the code and that evidence names [default for GUEST:
    /// /assets]
    #[arg(long, value_name = "DIR[::GUEST]")]
    pub(crate) assets: Option<AssetsArgument>,
}

/// What a guest may do on the network.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArguments {
    /// One thing that the guest may do, such as https://api.example.com, https://*.example.com:8443, http://HOST,
    /// tcp://10.0.0.0/8:5432, udp://ADDRESS:PORT, tcp-listen://ADDRESS:PORT, udp-listen://ADDRESS:PORT, lookup://NAME.
    /// Repeat it for several; all else is denied. All but https and lookup go through the host in plaintext
    #[arg(long = "allow", value_name = "RULE")]
    pub(crate) allow: Vec<NetworkRule>,
    /// Trust these certificates for https and no others [default: those that Mozilla trusts]
    #[arg(long, value_name = "FILE.pem")]
    pub(crate) roots: Option<PathBuf>,
    /// A root that the quotes of other enclaves may end in beside Intel's, where the guest asks for one in its https
    /// requests: a certificate in PEM or DER, such as that of a soft platform. Repeat it for several
    #[arg(long = "quote-root", value_name = "FILE")]
    pub(crate) quote_roots: Vec<PathBuf>,
}

/// Bounds of one call, and of what the app keeps; the defaults are those of `cloister_api::Limits`.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Limits of one call, and of what the app keeps")]
pub(crate) struct LimitArguments {
    /// Fuel units [default: 10M]
    #[arg(long, value_name = "N")]
    pub(crate) fuel: Option<Fuel>,
    /// Linear memory [default: 64MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory: Option<Size>,
    /// Wall time [default: 30s]
    #[arg(long, value_name = "TIME")]
    pub(crate) timeout: Option<Span>,
    /// Encoded result [default: 1MiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) result_size: Option<Size>,
    /// Standard output and error that are kept [default: 64KiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) log_size: Option<Size>,
    /// Table elements [default: 100000]
    #[arg(long, value_name = "N")]
    pub(crate) table_elements: Option<u64>,
    /// Core instances, memories and tables, each [default: 64]
    #[arg(long, value_name = "N")]
    pub(crate) instances: Option<u32>,
    /// Resource handles at once [default: 10000]
    #[arg(long, value_name = "N")]
    pub(crate) handles: Option<u32>,
    /// Files and keys that the app keeps, together [default: 256MiB]
    #[arg(long = "max-storage", value_name = "SIZE")]
    pub(crate) storage: Option<Size>,
    /// Files, directories and symbolic links that the app keeps [default: 10000]
    #[arg(id = "max_files", long = "max-files", value_name = "N")]
    pub(crate) files: Option<u64>,
}
