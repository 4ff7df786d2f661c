//! What each command does.

mod admin;
mod build;
mod call;
mod collateral;
mod doctor;
mod endorse;
mod image;
mod input;
mod keys;
mod local;
mod new;
mod policy;
mod proxy;
mod quoting;
mod restore;
mod run;
mod serve;
mod session;
mod upgrade;
mod upload;
mod verify;
mod volume;

use crate::arguments::{Cli, CollateralCommand, Command, GlobalArguments, PolicyCommand, VolumeCommand};
use crate::failure::Failure;
use crate::output::Printer;
use crate::settings::Settings;
use std::process::ExitCode;

pub(crate) use build::BuildError;

/// Does what the command line asks. `typed` are its options without the environment. The code is that of success, or of a
/// command that ran.
pub(crate) fn run(cli: &Cli, typed: &GlobalArguments, printer: &Printer) -> Result<ExitCode, Failure> {
    let done = match &cli.command {
        Command::New(arguments) => new::new(arguments, printer),
        Command::Build(arguments) => build::build(arguments, printer),
        Command::Serve(arguments) => serve::serve(arguments, printer),
        Command::Keygen(arguments) => keys::keygen(arguments, printer),
        Command::Hash(arguments) => local::hash(arguments, printer),
        Command::AssetsHash(arguments) => local::assets_hash(arguments, printer),
        Command::Endorse(arguments) => {
            Settings::load(&cli.global).and_then(|settings| endorse::endorse(arguments, &settings, printer))
        }
        Command::Image(command) => image::image(command, typed, printer),
        Command::Doctor(arguments) => return doctor::doctor(arguments, printer),
        Command::Profile(command) => local::profile(command, &cli.global, typed, printer),
        Command::Volume(VolumeCommand::Restore(arguments)) => restore::restore(arguments, printer),
        Command::Policy(command) => match policy::local(command, printer) {
            Some(done) => done,
            None => return remote(cli, printer),
        },
        Command::Completions(arguments) => local::completions(arguments, printer),
        _ => return remote(cli, printer),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// The commands that talk to an enclave.
fn remote(cli: &Cli, printer: &Printer) -> Result<ExitCode, Failure> {
    let mut global = cli.global.clone();
    if let Command::Verify(arguments) = &cli.command
        && arguments.address.is_some()
    {
        global.host.clone_from(&arguments.address);
    }
    let settings = Settings::load(&global)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Internal(format!("cannot start: {error}")))?;
    runtime.block_on(async {
        let done = match &cli.command {
            Command::Run(arguments) => return run::run(arguments, &settings, printer).await,
            Command::Deploy(arguments) => admin::deploy(arguments, &settings, printer).await,
            Command::Replace(arguments) => admin::replace(arguments, &settings, printer).await,
            Command::Apps => admin::apps(&settings, printer).await,
            Command::Describe(arguments) => admin::describe(arguments, &settings, printer).await,
            Command::Remove(arguments) => admin::remove(arguments, &settings, printer).await,
            Command::Logs(arguments) => admin::logs(&settings, arguments, printer).await,
            Command::Upgrade(arguments) => upgrade::upgrade(arguments, &settings, printer).await,
            Command::Metrics => admin::metrics(&settings, printer).await,
            Command::Volume(VolumeCommand::Stats) => volume::stats(&settings, printer).await,
            Command::Volume(VolumeCommand::Check) => volume::check(&settings, printer).await,
            Command::Volume(VolumeCommand::Backup(arguments)) => {
                volume::backup(arguments, &settings, printer).await
            }
            Command::Call(arguments) => call::call(arguments, &settings, printer).await,
            Command::Verify(arguments) => verify::verify(arguments, &settings, printer).await,
            Command::Collateral(CollateralCommand::Fetch(arguments)) => {
                collateral::fetch(arguments, &settings, printer).await
            }
            Command::Policy(PolicyCommand::Init(arguments)) => {
                policy::init(arguments, &settings, printer).await
            }
            Command::Proxy(arguments) => proxy::proxy(arguments, &settings, printer).await,
            Command::Egress(arguments) => admin::egress(&settings, arguments, printer).await,
            other => Err(Failure::Internal(format!("{other:?} is no command of an enclave"))),
        };
        done.map(|()| ExitCode::SUCCESS)
    })
}
