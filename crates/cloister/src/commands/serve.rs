//! `serve`: an enclave on this machine.

use super::{keys, quoting, upgrade};
use crate::arguments::{AuthorityArguments, DeviceChoice, ServeArguments};
use crate::failure::Failure;
use crate::output::{Paint, Printer};
use crate::quantity::Digest;
use crate::settings::default_state_path;
use cloister_api::{
    Configuration, FreshnessSetting, ImageUpgrade, KeyFingerprint, TokenIssuer, token_principal,
};
use cloister_host::{
    DeviceKind, DiskSettings, Exit, HostError, Launch, LogSink, PROVIDER_CONFIGURATION, VOLUME_NAME,
    install_signal_handlers,
};
use serde::Serialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

/// Starts the enclave, says where it is, and serves until a signal comes.
pub(crate) fn serve(arguments: &ServeArguments, printer: &Printer) -> Result<(), Failure> {
    let authority = Authority::of(&arguments.authority)?;
    let image = image(arguments.image.as_deref(), &image_places())?;
    let sigstruct = arguments.sigstruct.clone().unwrap_or_else(|| image.with_extension("sigstruct"));
    let state = match &arguments.state {
        Some(state) => state.clone(),
        None => default_state_path()?,
    };
    let adopt = arguments.adopt.as_deref().map(upgrade::adoption).transpose()?;
    let configuration = Configuration { adopt, ..configuration(arguments, &authority) };
    let configuration =
        serde_json::to_vec(&configuration).map_err(|error| Failure::Internal(error.to_string()))?;
    let device = device(arguments.device);
    let quoting = quoting::settings(&arguments.quoting, device, Path::new(PROVIDER_CONFIGURATION))?;
    let disk = disk(arguments, &state);
    let volume = disk.path.clone();
    let launch = Launch {
        image,
        sigstruct,
        device,
        state: state.clone(),
        listen: arguments.listen,
        configuration,
        disk,
        tpm: arguments.tpm.clone(),
        quoting,
        log: LogSink::stderr(),
        grace: arguments.grace.0 + LAST_COMMIT,
        interference: None,
    };
    let running = launch.start().map_err(failure)?;
    install_signal_handlers(running.stopper()).map_err(failure)?;
    let address = match running.local_addr(START_TIMEOUT) {
        Ok(address) => address,
        // The way it ended says more than that it did.
        Err(HostError::EndedEarly) => return ended(running.wait(), Stage::Starting),
        Err(error) => return Err(failure(error)),
    };
    let ready = Ready {
        mrenclave: Digest(running.mrenclave()),
        address,
        device: name(device),
        simulated_root: running.soft_root_fingerprint().map(Digest),
        volume,
        owners: authority.owners,
        operator: authority.operator,
    };
    printer.result(&ready, || ready.text(&state, printer.paint))?;
    ended(running.wait(), Stage::Serving)
}

/// How far the enclave came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Starting,
    Serving,
}

/// The end of the enclave as an end of the command: one that was asked for is none of its failures.
fn ended(end: Result<Exit, HostError>, stage: Stage) -> Result<(), Failure> {
    let why = match (end.map_err(failure)?, stage) {
        (Exit::Success | Exit::Forced, Stage::Serving) | (Exit::Forced, Stage::Starting) => return Ok(()),
        (Exit::Success, Stage::Starting) => "the enclave ended before it listened".to_owned(),
        (Exit::Failure { message: Some(message) }, _) => format!("the enclave failed: {message}"),
        (Exit::Failure { message: None }, _) => {
            "the enclave failed; its last lines above may say why".to_owned()
        }
    };
    Err(Failure::Enclave { what: why, help: None })
}

pub(super) fn failure(error: HostError) -> Failure {
    let what = error.to_string();
    match error {
        HostError::Read { .. } | HostError::Sigstruct { .. } => Failure::usage(what),
        HostError::VolumeInUse(_) => Failure::Enclave {
            what,
            help: Some("--volume FILE names another volume, and --state DIR another folder for it".to_owned()),
        },
        HostError::Tpm { .. } => Failure::Enclave {
            what,
            help: Some(
                "--tpm names another device, or unix:SOCKET of a software TPM; /dev/tpmrm0 is readable for the group tss"
                    .to_owned(),
            ),
        },
        HostError::Listen { .. } => Failure::Enclave {
            what,
            help: Some(
                "another program may use the port; --listen names another, port 0 takes a free one"
                    .to_owned(),
            ),
        },
        HostError::NoDevice(_) | HostError::Load(_) => Failure::Enclave {
            what,
            help: Some(
                "`cloister doctor --device sgx` says what is lacking; --device soft runs the image without SGX, and SIMULATED"
                    .to_owned(),
            ),
        },
        _ => Failure::Enclave { what, help: None },
    }
}

pub(super) fn device(choice: DeviceChoice) -> DeviceKind {
    match choice {
        DeviceChoice::Auto => DeviceKind::detect(),
        DeviceChoice::Soft => DeviceKind::Soft,
        DeviceChoice::Sgx => DeviceKind::Hardware,
    }
}

/// As `--device` spells it.
fn name(device: DeviceKind) -> &'static str {
    match device {
        DeviceKind::Soft => "soft",
        DeviceKind::Hardware => "sgx",
    }
}

/// What is printed once the enclave answers.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename = "ready")]
struct Ready {
    mrenclave: Digest,
    address: SocketAddr,
    device: &'static str,
    /// Of a soft platform: the fingerprint of its root.
    #[serde(skip_serializing_if = "Option::is_none")]
    simulated_root: Option<Digest>,
    volume: PathBuf,
    owners: Vec<KeyFingerprint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<KeyFingerprint>,
}

impl Ready {
    fn text(&self, state: &Path, paint: Paint) -> String {
        let owners = match self.owners.len() {
            0 => "none: nobody may deploy; name keys with --owner".to_owned(),
            n => n.to_string(),
        };
        let mut text = format!(
            "{} on https://{}\n  mrenclave  {}\n  device     {}\n  state      {}\n  volume     {}\n  owners     {owners}\n",
            paint.green("Cloister is ready"),
            self.address,
            self.mrenclave,
            self.device,
            state.display(),
            self.volume.display(),
        );
        let mut accept = format!("--host {} --mrenclave {}", self.address, self.mrenclave);
        if let Some(root) = self.simulated_root {
            text.push_str(&format!(
                "\n{}: no hardware protects this enclave, and whoever runs this machine can read\neverything in it. \
                 It is for trying things out. Platform root: {root}\n",
                paint.yellow("SIMULATED")
            ));
            accept.push_str(&format!(" --allow-simulated {root}"));
        }
        text.push_str(&format!("\nTo accept it as a client:\n  cloister profile set default {accept}\n"));
        text
    }
}

/// Where an image is looked for: beside the program, then where the build puts it.
pub(super) fn image_places() -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(IMAGE_NAME)));
    beside.into_iter().chain([Path::new("target/image").join(IMAGE_NAME)]).collect()
}

pub(super) fn image(given: Option<&Path>, places: &[PathBuf]) -> Result<PathBuf, Failure> {
    let found = match given {
        Some(path) => path.is_file().then(|| path.to_owned()),
        None => places.iter().find(|place| place.is_file()).cloned(),
    };
    found.ok_or_else(|| {
        let looked: Vec<String> = match given {
            Some(path) => vec![path.display().to_string()],
            None => places.iter().map(|place| place.display().to_string()).collect(),
        };
        Failure::Usage {
            what: format!("there is no enclave image at {}", looked.join(" or ")),
            help: Some("build one with `cargo xtask image`, or name it with --image FILE.sgxs".to_owned()),
        }
    })
}

/// Whom the enclave obeys, and what may follow its image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Authority {
    owners: Vec<KeyFingerprint>,
    operator: Option<KeyFingerprint>,
    issuers: Vec<TokenIssuer>,
    image_upgrade: ImageUpgrade,
}

impl Authority {
    fn of(arguments: &AuthorityArguments) -> Result<Self, Failure> {
        let issuers = super::upload::issuers(&arguments.issuers)?;
        let keys = arguments.owner.iter().map(|owner| keys::named("--owner", owner));
        let subjects = arguments.owner_tokens.iter().map(|owner| {
            let name = &owner.issuer;
            let issuer =
                issuers.iter().find(|issuer| issuer.name == *name).ok_or_else(|| Failure::Usage {
                    what: format!("--owner-token names the issuer '{name}', and no --issuer has this name"),
                    help: Some(format!("add --issuer {name}=URL,audience=AUD")),
                })?;
            Ok(token_principal(&issuer.issuer, &owner.subject))
        });
        Ok(Self {
            owners: keys.chain(subjects).collect::<Result<_, _>>()?,
            operator: arguments.operator.as_deref().map(|key| keys::named("--operator", key)).transpose()?,
            image_upgrade: arguments.image_upgrade.clone().unwrap_or_default(),
            issuers,
        })
    }
}

fn configuration(arguments: &ServeArguments, authority: &Authority) -> Configuration {
    let default = Configuration::default();
    let cores =
        thread::available_parallelism().map_or(MIN_WORKERS, |n| u16::try_from(n.get()).unwrap_or(u16::MAX));
    Configuration {
        listen: arguments.listen.to_string(),
        owners: authority.owners.clone(),
        operator: authority.operator,
        issuers: authority.issuers.clone(),
        image_upgrade: authority.image_upgrade.clone(),
        workers: cores.max(MIN_WORKERS),
        max_connections: arguments.max_connections.unwrap_or(default.max_connections),
        max_concurrent_calls: arguments.max_calls.unwrap_or(default.max_concurrent_calls),
        grace_ms: arguments.grace.milliseconds(),
        freshness: if arguments.tpm.is_some() { FreshnessSetting::Tpm } else { FreshnessSetting::None },
        accept_epoch: arguments.accept_epoch,
        ..default
    }
}

fn disk(arguments: &ServeArguments, state: &Path) -> DiskSettings {
    let path = arguments.volume.clone().unwrap_or_else(|| state.join(VOLUME_NAME));
    let max_bytes = arguments.volume_size.map_or(DiskSettings::DEFAULT_MAX_BYTES, |size| size.0);
    DiskSettings { path, max_bytes }
}

/// An image boots in seconds; one with a large heap on a busy machine may take a while.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(120);
/// After the time for calls under way the enclave writes what it still has to keep.
const LAST_COMMIT: Duration = Duration::from_secs(5);
const IMAGE_NAME: &str = "cloister.sgxs";
/// One thread that waits for a guest must not be all there are.
const MIN_WORKERS: u16 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Cli, Command};
    use clap::Parser;
    use cloister_host::TpmPath;

    fn ready(simulated_root: Option<Digest>) -> Ready {
        Ready {
            mrenclave: Digest([0xaa; 32]),
            address: "127.0.0.1:8443".parse().unwrap(),
            device: "soft",
            simulated_root,
            volume: "/s/volume".into(),
            owners: vec![KeyFingerprint::from_hash([0xbb; 32])],
            operator: None,
        }
    }

    #[test]
    fn owners_are_keys_and_subjects_of_tokens() {
        let (key, operator) = ("bb".repeat(32), "cc".repeat(32));
        let issuer = "staff=https://id.example.com,audience=cloister";
        let options = ["--owner", &key, "--owner-token", "staff=alice", "--operator", &operator];
        let upgrade = ["--image-upgrade", "operator"];
        let arguments = serve_arguments(&[&options[..], &["--issuer", issuer], &upgrade].concat());
        let made = configuration(&arguments, &Authority::of(&arguments.authority).unwrap());
        assert_eq!(made.owners, [key.parse().unwrap(), token_principal("https://id.example.com", "alice")]);
        assert_eq!((made.operator, made.issuers.len()), (Some(operator.parse().unwrap()), 1));
        assert_eq!(made.image_upgrade, ImageUpgrade::Operator);
        let failure = Authority::of(&serve_arguments(&options).authority).unwrap_err().to_string();
        assert!(failure.contains("the issuer 'staff'"), "{failure}");
    }

    #[test]
    fn ready_is_one_json_line() {
        let (m, r, o) = ("aa".repeat(32), "cc".repeat(32), "bb".repeat(32));
        assert_eq!(
            serde_json::to_string(&ready(Some(Digest([0xcc; 32])))).unwrap(),
            format!(
                "{{\"event\":\"ready\",\"mrenclave\":\"{m}\",\"address\":\"127.0.0.1:8443\",\"device\":\"soft\",\
                 \"simulated_root\":\"{r}\",\"volume\":\"/s/volume\",\"owners\":[\"{o}\"]}}"
            )
        );
        assert!(!serde_json::to_string(&ready(None)).unwrap().contains("simulated"));
    }

    #[test]
    fn a_soft_platform_says_so_and_hardware_does_not() {
        let text = ready(Some(Digest([0xcc; 32]))).text(Path::new("/s"), Paint::PLAIN);
        assert!(text.starts_with("Cloister is ready on https://127.0.0.1:8443\n"), "{text}");
        assert!(
            text.contains("SIMULATED") && text.contains(&format!("--allow-simulated {}", "cc".repeat(32))),
            "{text}"
        );
        let text = ready(None).text(Path::new("/s"), Paint::PLAIN);
        assert!(!text.to_lowercase().contains("simulated"), "{text}");
    }

    #[test]
    fn without_owners_the_operator_is_told() {
        let text = Ready { owners: vec![], ..ready(None) }.text(Path::new("/s"), Paint::PLAIN);
        assert!(text.contains("nobody may deploy"), "{text}");
    }

    #[test]
    fn an_image_that_is_not_there_says_where_it_was_looked_for() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a.sgxs"), folder.path().join("b.sgxs"));
        let places = [first.clone(), second.clone()];
        let failure = image(None, &places).unwrap_err().to_string();
        assert!(failure.contains("a.sgxs") && failure.contains("b.sgxs"), "{failure}");
        std::fs::write(&second, "").unwrap();
        assert_eq!(image(None, &places).unwrap(), second);
        assert!(image(Some(&first), &places).is_err(), "the one that was named, or none");
    }

    #[test]
    fn an_end_that_was_asked_for_is_no_failure() {
        assert!(ended(Ok(Exit::Success), Stage::Serving).is_ok());
        assert!(ended(Ok(Exit::Forced), Stage::Serving).is_ok());
        assert!(ended(Ok(Exit::Success), Stage::Starting).is_err());
        let failed = || Ok(Exit::Failure { message: Some("no quote".into()) });
        let failure = ended(failed(), Stage::Serving).unwrap_err();
        assert!(failure.to_string().contains("no quote"), "{failure}");
        assert_eq!(failure.exit(), crate::failure::Exit::Internal);
    }

    #[test]
    fn options_reach_the_configuration() {
        let arguments = serve_arguments(&["--listen", "[::1]:9", "--grace", "3", "--max-calls", "5"]);
        let authority =
            Authority { owners: vec![KeyFingerprint::from_hash([1; 32])], ..Authority::default() };
        let made = configuration(&arguments, &authority);
        assert_eq!((made.listen.as_str(), made.grace_ms, made.max_concurrent_calls), ("[::1]:9", 3_000, 5));
        assert_eq!(made.max_connections, Configuration::default().max_connections);
        assert_eq!(made.owners.len(), 1);
        assert!(made.workers >= MIN_WORKERS);
        assert_eq!((made.freshness, made.accept_epoch), (FreshnessSetting::None, None));
        let arguments = serve_arguments(&["--tpm", "/dev/tpmrm0", "--accept-epoch", "41"]);
        let made = configuration(&arguments, &Authority::default());
        assert_eq!((made.freshness, made.accept_epoch), (FreshnessSetting::Tpm, Some(41)));
    }

    fn serve_arguments(options: &[&str]) -> ServeArguments {
        let Command::Serve(arguments) =
            Cli::try_parse_from([&["cloister", "serve"], options].concat()).unwrap().command
        else {
            panic!("not serve")
        };
        arguments
    }

    #[test]
    fn the_volume_is_in_the_state_folder_until_another_is_named() {
        let made = disk(&serve_arguments(&[]), Path::new("/s"));
        assert_eq!(made, DiskSettings::in_folder(Path::new("/s")));
        let named = serve_arguments(&["--volume", "/v/file", "--volume-size", "2GiB", "--tpm", "unix:/t"]);
        let made = disk(&named, Path::new("/s"));
        assert_eq!(made, DiskSettings { path: "/v/file".into(), max_bytes: 2 << 30 });
        assert_eq!(named.tpm, Some(TpmPath::Socket("/t".into())));
    }
}
