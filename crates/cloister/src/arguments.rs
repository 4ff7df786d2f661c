//! The command line's grammar: commands, options, their help and where each falls back to the environment.

mod access;
mod deploy;
mod directories;
mod examples;
mod freshness;
mod hardware;
mod image;
mod pairs;
mod policy;
mod project;
mod proxy;
mod upgrade;
mod verify;
mod volume;

pub(crate) use access::{AccessArguments, AuthorityArguments, EndorseArguments, IssuerArgument};
pub(crate) use deploy::{AppArguments, DeployArguments, LimitArguments, ReplaceArguments};
pub(crate) use directories::{AllowArgument, AssetsArgument, AssetsPin, DirectoryArgument};
pub(crate) use freshness::FreshnessArgument;
pub(crate) use hardware::{
    CollateralCommand, CollateralFetchArguments, DoctorArguments, PccsArguments, QuotingArguments,
    QuotingChoice,
};
pub(crate) use image::{
    ImageAttachArguments, ImageCommand, ImageDigestArguments, ImageIdentityArguments, ImageSignArguments,
    TokenArguments,
};
pub(crate) use pairs::{EnvironmentArgument, Pin};
pub(crate) use policy::{PolicyCommand, PolicyFileArguments, PolicyInitArguments};
pub(crate) use project::{BuildArguments, Language, NewArguments};
pub(crate) use proxy::ProxyArguments;
pub(crate) use upgrade::UpgradeArguments;
pub(crate) use verify::{ExpectedValue, ExtensionPin, VerifyArguments};
pub(crate) use volume::{BackupArguments, RestoreArguments, VolumeCommand};

use crate::quantity::{Digest, Size, Span};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use cloister_api::AppName;
use cloister_host::TpmPath;
use examples::*;
use std::path::PathBuf;

/// Run WebAssembly components inside SGX enclaves, and verify them before you trust them with data.
#[derive(Debug, Parser)]
#[command(name = "cloister", version, propagate_version = true, max_term_width = 100)]
#[command(arg_required_else_help = true, subcommand_required = true)]
#[command(after_help = OVERVIEW, after_long_help = OVERVIEW_LONG)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: GlobalArguments,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command. A flag wins over its environment variable, that over the profile.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct GlobalArguments {
    /// The enclave's address [default: 127.0.0.1:8443]
    #[arg(long, global = true, env = "CLOISTER_HOST", value_name = "HOST[:PORT]", help_heading = TRUST)]
    pub(crate) host: Option<String>,
    /// Your private key, as `cloister keygen` makes it
    #[arg(long, global = true, env = "CLOISTER_KEY", value_name = "FILE", help_heading = TRUST)]
    pub(crate) key: Option<PathBuf>,
    /// A file with a token of an OpenID Connect issuer, to be shown once the enclave is verified; `-` reads standard input
    #[arg(long, global = true, env = "CLOISTER_TOKEN_FILE", value_name = "FILE|-", help_heading = TRUST)]
    pub(crate) token: Option<PathBuf>,
    /// A policy file (TOML) that says all of what you accept, in the place of the options below: `cloister policy` makes one
    #[arg(long, global = true, env = "CLOISTER_POLICY", value_name = "FILE", help_heading = TRUST)]
    pub(crate) policy: Option<PathBuf>,
    /// An enclave image that you accept; repeat it to accept several
    #[arg(long, global = true, env = "CLOISTER_MRENCLAVE", value_name = "HEX", help_heading = TRUST)]
    #[arg(value_delimiter = ',')]
    pub(crate) mrenclave: Vec<Digest>,
    /// The only enclave that you accept, of all that are alike: the fingerprint of its TLS key, as `cloister verify` shows it
    #[arg(long, global = true, env = "CLOISTER_IDENTITY", value_name = "HEX", help_heading = TRUST)]
    pub(crate) identity: Option<Digest>,
    /// The only code that you accept for the app: SHA-256 of its .wasm
    #[arg(long, global = true, env = "CLOISTER_CODE_HASH", value_name = "HEX", help_heading = TRUST)]
    pub(crate) code_hash: Option<Digest>,
    /// Accept SIMULATED hardware, which protects nothing, if its platform root has this fingerprint
    #[arg(long, global = true, env = "CLOISTER_ALLOW_SIMULATED", value_name = "ROOT_FINGERPRINT")]
    #[arg(help_heading = TRUST)]
    pub(crate) allow_simulated: Option<Digest>,
    /// Collateral for verifying the quote offline (JSON); the enclave's own is used otherwise
    #[arg(long, global = true, env = "CLOISTER_COLLATERAL", value_name = "FILE", help_heading = TRUST)]
    pub(crate) collateral: Option<PathBuf>,
    /// The oldest state of the enclave's volume that you accept: an epoch, as `cloister call` and `verify` show it
    #[arg(long, global = true, env = "CLOISTER_MIN_EPOCH", value_name = "N", help_heading = TRUST)]
    pub(crate) min_epoch: Option<u64>,
    /// The only state of the enclave's volume that you accept: its root, as `cloister verify` shows it
    #[arg(long, global = true, env = "CLOISTER_VOLUME_ROOT", value_name = "HEX", help_heading = TRUST)]
    pub(crate) volume_root: Option<Digest>,
    /// What has to keep the operator from putting back an older disk: `tpm` (any TPM's counter), `tpm:IDENTITY` (that
    /// of one TPM), `none` (nothing), `any` [default: any]
    #[arg(long, global = true, env = "CLOISTER_FRESHNESS", value_name = "ANCHOR", help_heading = TRUST)]
    pub(crate) freshness: Option<FreshnessArgument>,
    /// Profile to take defaults from [default: the one called `default`, if there is one]
    #[arg(long, global = true, env = "CLOISTER_PROFILE", value_name = "NAME", help_heading = TRUST)]
    pub(crate) profile: Option<String>,
    /// The profile file [default: $XDG_CONFIG_HOME/cloister/config.toml]
    #[arg(long, global = true, env = "CLOISTER_CONFIG", value_name = "FILE", help_heading = TRUST)]
    pub(crate) config: Option<PathBuf>,
    /// How results and errors are written
    #[arg(long, global = true, env = "CLOISTER_FORMAT", value_enum, default_value_t, help_heading = OUTPUT)]
    pub(crate) format: Format,
    /// Results and errors only: no progress, no hints
    #[arg(long, short, global = true, help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// When to use colour
    #[arg(long, global = true, env = "CLOISTER_COLOR", value_enum, default_value_t, help_heading = OUTPUT)]
    #[arg(value_name = "WHEN")]
    pub(crate) color: Color,
}

/// How results and errors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON text on standard output; an error is one JSON text on standard error.
    Json,
}

/// When to use colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a project of a new app: source that builds, its interfaces, a test
    #[command(after_help = NEW_EXAMPLES)]
    New(NewArguments),
    /// Build the app of a project, and check that an enclave will take it
    #[command(after_help = BUILD_EXAMPLES)]
    Build(BuildArguments),
    /// Start an enclave on this machine and serve it until Ctrl-C
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(ServeArguments),
    /// Upload a component as a new app
    #[command(after_help = DEPLOY_EXAMPLES)]
    Deploy(DeployArguments),
    /// Upload a component in the place of an app's present one
    ///
    /// Calls under way finish on the old code, the next ones see the new. Limits, environment, directories, network and
    /// assets are set anew: those that are not given are the defaults.
    #[command(after_help = REPLACE_EXAMPLES)]
    Replace(ReplaceArguments),
    /// Sign what an app is to become, where its replacements have to be endorsed
    ///
    /// --key FILE names the endorser's key. What is signed is what the evidence will say of the new app: its code, name and
    /// owner, limits, network rules, assets, callers and upgrade policy. So the options are those of the `cloister replace`
    /// that it is for.
    #[command(after_help = ENDORSE_EXAMPLES)]
    Endorse(EndorseArguments),
    /// Call an app's function
    ///
    /// Arguments are WAVE, one for each parameter: numbers as they are, strings with their quotes, lists as [1, 2],
    /// records as {name: "x", age: 3}.
    #[command(after_help = CALL_EXAMPLES)]
    Call(CallArguments),
    /// Run an app that is a command, and end with its exit code
    ///
    /// What it writes goes to standard output and error as it is. Standard input is passed on unless it is a terminal.
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArguments),
    /// List the apps
    #[command(after_help = APPS_EXAMPLES)]
    Apps,
    /// Show what an app is: its functions, limits, code hash and counters
    #[command(after_help = DESCRIBE_EXAMPLES)]
    Describe(DescribeArguments),
    /// Remove an app with its files and keys
    #[command(after_help = REMOVE_EXAMPLES)]
    Remove(RemoveArguments),
    /// Verify an enclave, and show what was proven and what was not
    #[command(after_help = VERIFY_EXAMPLES)]
    Verify(VerifyArguments),
    /// Open a local port that speaks plain HTTP to programs and browsers, and verified TLS to the enclave
    ///
    /// curl, a browser and any other program reach the enclave at http://localhost:8080, and an app that is a web service at
    /// http://APP.localhost:8080. Nothing is sent before the enclave was verified. http://localhost:8080/.cloister/ is a page that
    /// shows what was verified, and calls functions.
    #[command(after_help = PROXY_EXAMPLES)]
    Proxy(ProxyArguments),
    /// Print the last of what an app's calls wrote to standard output and error
    #[command(after_help = LOGS_EXAMPLES)]
    Logs(LogsArguments),
    /// List the last requests that an app sent
    #[command(after_help = EGRESS_EXAMPLES)]
    Egress(EgressArguments),
    /// Print the enclave's counters as Prometheus text
    #[command(after_help = METRICS_EXAMPLES)]
    Metrics,
    /// Look at the enclave's sealed volume, check it, back it up or restore it
    #[command(subcommand, after_help = VOLUME_EXAMPLES)]
    Volume(VolumeCommand),
    /// Hand the volume of a running enclave to another image, as the rule that it was founded with allows
    ///
    /// --key FILE names the operator's key. Starts the new image beside the old one, on the same machine, has the one hand the
    /// volume's key to the other, and writes the file with which the new image is started then. The old one goes on serving
    /// until it is stopped.
    #[command(after_help = UPGRADE_EXAMPLES)]
    Upgrade(UpgradeArguments),
    /// Make a private key and print its fingerprint
    #[command(after_help = KEYGEN_EXAMPLES)]
    Keygen(KeygenArguments),
    /// Print the SHA-256 of a file, to pin it with --code-hash
    #[command(after_help = HASH_EXAMPLES)]
    Hash(HashArguments),
    /// Print the hash of a directory as an app's assets, to compare it with what `cloister verify` shows
    #[command(after_help = ASSETS_HASH_EXAMPLES)]
    AssetsHash(AssetsHashArguments),
    /// Fetch what quotes are verified with
    #[command(subcommand, after_help = COLLATERAL_EXAMPLES)]
    Collateral(CollateralCommand),
    /// Say what this machine has and lacks for an enclave
    ///
    /// Ends with 0 where `cloister serve` can work in the mode that is asked for, and with 1 where something is lacking.
    #[command(after_help = DOCTOR_EXAMPLES)]
    Doctor(DoctorArguments),
    /// Check and sign enclave images
    #[command(subcommand, after_help = IMAGE_EXAMPLES)]
    Image(ImageCommand),
    /// Write, check and explain policy files: what you accept before you send data
    #[command(subcommand, after_help = POLICY_EXAMPLES)]
    Policy(PolicyCommand),
    /// Show or change the profile file
    #[command(subcommand, after_help = PROFILE_EXAMPLES)]
    Profile(ProfileCommand),
    /// Print a completion script for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArguments {
    /// The enclave image [default: cloister.sgxs beside this program, or target/image/cloister.sgxs]
    #[arg(long, env = "CLOISTER_IMAGE", value_name = "FILE.sgxs")]
    pub(crate) image: Option<PathBuf>,
    /// The image's signature structure [default: the image's name with .sigstruct]
    #[arg(long, env = "CLOISTER_SIGSTRUCT", value_name = "FILE")]
    pub(crate) sigstruct: Option<PathBuf>,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, env = "CLOISTER_LISTEN", value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    pub(crate) listen: std::net::SocketAddr,
    /// Folder for the platform's and the enclave's state [default: $XDG_STATE_HOME/cloister]
    #[arg(long, env = "CLOISTER_STATE", value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
    /// Where to run the enclave
    #[arg(long, env = "CLOISTER_DEVICE", value_enum, default_value_t)]
    pub(crate) device: DeviceChoice,
    /// How long calls under way may go on after Ctrl-C, in seconds or with a unit
    #[arg(long, value_name = "SECONDS", default_value = "10")]
    pub(crate) grace: Span,
    /// Connections held at once
    #[arg(long, value_name = "N")]
    pub(crate) max_connections: Option<u32>,
    /// Calls under way at once
    #[arg(long, value_name = "N")]
    pub(crate) max_calls: Option<u32>,
    /// The file of the sealed volume [default: `volume` in the state folder]
    #[arg(long, env = "CLOISTER_VOLUME", value_name = "FILE")]
    pub(crate) volume: Option<PathBuf>,
    /// How far that file may grow [default: 16GiB]
    #[arg(long, value_name = "SIZE")]
    pub(crate) volume_size: Option<Size>,
    /// Anchor the volume's freshness in a counter of this TPM 2.0: a device such as /dev/tpmrm0, or unix:SOCKET. Older
    /// disks are refused from then on
    #[arg(long, env = "CLOISTER_TPM", value_name = "PATH")]
    pub(crate) tpm: Option<TpmPath>,
    /// Accept an older volume of exactly this epoch once: a backup that you restored
    #[arg(long, value_name = "N")]
    pub(crate) accept_epoch: Option<u64>,
    /// Take over the volume of another image: the file that `cloister upgrade` wrote. For the first start alone
    #[arg(long, value_name = "FILE")]
    pub(crate) adopt: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) authority: AuthorityArguments,
    #[command(flatten)]
    pub(crate) quoting: QuotingArguments,
}

/// Where to run the enclave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceChoice {
    /// SGX hardware where this machine has it, software otherwise.
    #[default]
    Auto,
    /// SGX in software: everything works, nothing is protected.
    Soft,
    /// /dev/sgx_enclave, or fail.
    Sgx,
}

#[derive(Debug, Args)]
pub(crate) struct CallArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// `function`, or `namespace:package/interface@version#function`
    #[arg(value_name = "EXPORT")]
    pub(crate) export: String,
    /// WAVE values, one for each parameter
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// Arguments as one JSON text: an object by parameter name or an array by position; `-` reads standard input,
    /// `@FILE` reads a file. The result is JSON too
    #[arg(long, value_name = "JSON|-|@FILE", conflicts_with = "arguments", allow_hyphen_values = true)]
    pub(crate) json: Option<String>,
    /// Print fuel, time and code hash to standard error even where it is not a terminal
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// Arguments of the command; those that begin with `-` go after `--`
    #[arg(value_name = "ARGS", allow_negative_numbers = true)]
    pub(crate) arguments: Vec<String>,
    /// An environment variable for this run, beside those that the app was deployed with; `KEY` alone takes the value
    /// from this shell's
    #[arg(long = "env", value_name = "KEY[=VALUE]")]
    pub(crate) environment: Vec<EnvironmentArgument>,
    /// Print fuel, time and code hash to standard error at the end
    #[arg(long)]
    pub(crate) stats: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DescribeArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// Print the component's WIT and nothing else
    #[arg(long)]
    pub(crate) wit: bool,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
    /// Go on with what comes, until Ctrl-C
    #[arg(long, short)]
    pub(crate) follow: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EgressArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    #[arg(value_name = "APP")]
    pub(crate) app: AppName,
}

#[derive(Debug, Args)]
pub(crate) struct KeygenArguments {
    /// Where to write the key, readable by you alone; a file that exists is never overwritten
    /// [default: $XDG_CONFIG_HOME/cloister/key.pem]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// What kind of key
    #[arg(long, value_enum, default_value_t, value_name = "KIND")]
    pub(crate) algorithm: AlgorithmChoice,
}

/// Kinds of keys that enclaves know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AlgorithmChoice {
    /// ECDSA on P-256.
    #[default]
    P256,
    Ed25519,
}

#[derive(Debug, Args)]
pub(crate) struct HashArguments {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct AssetsHashArguments {
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Write the options given on this command line into a profile
    ///
    /// What is not given stays as it is; environment variables are not written.
    #[command(after_help = PROFILE_EXAMPLES)]
    Set(ProfileSetArguments),
    /// Print a profile, or all of them
    Show {
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ProfileSetArguments {
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    /// Pin an app's code: its name and the SHA-256 of its .wasm
    #[arg(long, value_name = "APP=HEX")]
    pub(crate) pin: Vec<Pin>,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    pub(crate) shell: Shell,
}

const TRUST: &str = "Connection and trust";
const OUTPUT: &str = "Output";

#[cfg(test)]
mod tests;
