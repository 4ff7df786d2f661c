use super::*;
use crate::quantity::Fuel;
use clap::CommandFactory;
use cloister_api::EnvironmentVariable;
use cloister_client::FreshnessDemand;

fn parse(line: &[&str]) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(std::iter::once("cloister").chain(line.iter().copied()))
}

#[test]
fn the_grammar_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_shows_an_example() {
    for command in Cli::command().get_subcommands() {
        let help = command.clone().render_long_help().to_string();
        assert!(help.contains(&format!("cloister {}", command.get_name())), "{help}");
    }
}

#[test]
fn the_help_lists_every_exit_code() {
    let help = Cli::command().render_long_help().to_string();
    for code in 0..=7 {
        assert!(help.contains(&format!("\n  {code}  ")), "{code} is missing in {help}");
    }
}

#[test]
fn deploy_takes_limits_and_environment() {
    let cli = parse(&[
        "deploy",
        "a.wasm",
        "--name",
        "a",
        "--fuel",
        "5M",
        "--memory",
        "1MiB",
        "--timeout",
        "2s",
        "--result-size",
        "1KiB",
        "--max-storage",
        "2GiB",
        "--max-files",
        "70",
        "--env",
        "A=b=c",
        "--env",
        "PATH",
    ])
    .unwrap();
    let Command::Deploy(deploy) = cli.command else { panic!("not deploy: {:?}", cli.command) };
    assert_eq!(deploy.name.unwrap().as_str(), "a");
    assert_eq!(deploy.app.limits.fuel, Some(Fuel(5_000_000)));
    assert_eq!(deploy.app.limits.memory, Some(Size(1 << 20)));
    assert_eq!(deploy.app.limits.timeout.unwrap().milliseconds(), 2_000);
    assert_eq!(deploy.app.limits.result_size, Some(Size(1024)));
    assert_eq!(deploy.app.limits.storage, Some(Size(2 << 30)));
    assert_eq!(deploy.app.limits.files, Some(70));
    assert_eq!(
        deploy.app.environment,
        [
            EnvironmentArgument::Set(EnvironmentVariable { name: "A".into(), value: "b=c".into() }),
            EnvironmentArgument::Inherit("PATH".into()),
        ]
    );
}

#[test]
fn call_takes_negative_numbers_as_arguments() {
    let cli = parse(&["call", "calc", "add", "-3", "-4.5", "--stats"]).unwrap();
    let Command::Call(call) = cli.command else { panic!("not call") };
    assert_eq!(call.arguments, ["-3", "-4.5"]);
    assert!(call.stats);
}

#[test]
fn call_takes_wave_or_json_but_not_both() {
    assert!(parse(&["call", "a", "f", "--json", "-"]).is_ok());
    assert!(parse(&["call", "a", "f", "--json", "-5"]).is_ok());
    assert!(parse(&["call", "a", "f", "1", "--json", "-"]).is_err());
}

#[test]
fn names_and_digests_are_checked_where_they_are_typed() {
    assert!(parse(&["call", "Not_A_Name", "f"]).is_err());
    assert!(parse(&["apps", "--mrenclave", "abc"]).is_err());
    assert!(parse(&["deploy", "a.wasm", "--memory", "64M"]).is_err());
}

#[test]
fn global_options_may_follow_the_command() {
    let a = "aa".repeat(32);
    let b = "bb".repeat(32);
    let cli = parse(&[
        "apps",
        "--mrenclave",
        &a,
        "--mrenclave",
        &b,
        "--host",
        "h:1",
        "--format",
        "json",
        "--color",
        "never",
    ])
    .unwrap();
    assert_eq!(cli.global.mrenclave.len(), 2);
    assert_eq!(cli.global.host.as_deref(), Some("h:1"));
    assert_eq!((cli.global.format, cli.global.color), (Format::Json, Color::Never));
    let cli = parse(&["--quiet", "apps"]).unwrap();
    assert!(cli.global.quiet);
}

#[test]
fn serve_has_defaults() {
    let cli = parse(&["serve"]).unwrap();
    let Command::Serve(serve) = cli.command else { panic!("not serve") };
    assert_eq!(serve.listen.to_string(), "127.0.0.1:8443");
    assert_eq!(serve.grace.milliseconds(), 10_000);
    assert_eq!(serve.device, DeviceChoice::Auto);
    assert!(parse(&["serve", "--listen", "nowhere"]).is_err());
}

#[test]
fn the_volume_is_pinned_on_every_command() {
    let root = "ab".repeat(32);
    let tpm = format!("tpm:{root}");
    let line = ["call", "a", "f", "--min-epoch", "9", "--volume-root", &root, "--freshness", &tpm];
    let global = parse(&line).unwrap().global;
    assert_eq!((global.min_epoch, global.volume_root), (Some(9), Some(Digest([0xab; 32]))));
    let identity = Some([0xab; 32]);
    assert_eq!(global.freshness, Some(FreshnessArgument(FreshnessDemand::Tpm { identity })));
    assert!(parse(&["apps", "--min-epoch", "-1"]).is_err());
    assert!(parse(&["apps", "--freshness", "always"]).is_err());
}

#[test]
fn an_enclave_is_pinned_on_every_command() {
    let identity = "ab".repeat(32);
    let global = parse(&["call", "a", "f", "--identity", &identity]).unwrap().global;
    assert_eq!(global.identity, Some(Digest([0xab; 32])));
    assert!(parse(&["apps", "--identity", "abc"]).is_err());
}

#[test]
fn a_backup_goes_to_a_file_and_comes_back_to_a_folder_or_a_file() {
    let command = |line: &[&str]| match parse(line).unwrap().command {
        Command::Volume(command) => command,
        other => panic!("{other:?}"),
    };
    let VolumeCommand::Backup(backup) = command(&["volume", "backup", "--out", "b"]) else { panic!() };
    assert_eq!((backup.out.to_str(), backup.force), (Some("b"), false));
    let VolumeCommand::Restore(restore) = command(&["volume", "restore", "b", "--volume", "v", "--force"])
    else {
        panic!()
    };
    assert!(restore.force && restore.state.is_none() && restore.volume.is_some());
    assert!(parse(&["volume", "backup"]).is_err(), "a name is needed");
}

#[test]
fn deploy_takes_directories_network_and_assets() {
    let line = [
        "deploy",
        "a.wasm",
        "--dir",
        "/data::/d:ro",
        "--dir",
        ".",
        "--files",
        "seed",
        "--assets",
        "public::/www",
        "--config-var",
        "K=V",
        "--allow",
        "https://a.example:443",
        "--allow",
        "tcp://10.0.0.0/8:5432",
        "--roots",
        "ca.pem",
    ];
    let Command::Replace(replace) = parse(&[&["replace"], &line[1..]].concat()).unwrap().command else {
        panic!()
    };
    assert_eq!(replace.deploy.app.files.directories.len(), 2);
    assert_eq!(replace.deploy.app.files.files.as_deref(), Some(std::path::Path::new("seed")));
    assert_eq!(replace.deploy.app.files.assets.unwrap().at.as_deref(), Some("/www"));
    assert_eq!(replace.deploy.app.network.allow[0].to_string(), "https://a.example");
    assert_eq!((replace.deploy.app.network.allow.len(), replace.deploy.app.config_var.len()), (2, 1));
    assert!(replace.deploy.app.network.roots.is_some() && replace.deploy.app.limits.files.is_none());
    let error = parse(&["deploy", "a.wasm", "--allow", "tcp://10.0.0.1/8:1"]).unwrap_err().to_string();
    assert!(error.contains("10.0.0.0/8"), "{error}");
}

#[test]
fn run_takes_arguments_after_two_dashes() {
    let cli = parse(&["run", "tool", "--env", "A=1", "--stats", "--", "--verbose", "-x", "file"]).unwrap();
    let Command::Run(run) = cli.command else { panic!("not run") };
    assert_eq!(
        (run.arguments, run.environment.len(), run.stats),
        (vec!["--verbose".to_owned(), "-x".to_owned(), "file".to_owned()], 1, true)
    );
    let Command::Run(run) = parse(&["run", "tool", "file", "-3"]).unwrap().command else { panic!("not run") };
    assert_eq!(run.arguments, ["file", "-3"]);
}

#[test]
fn demands_on_an_app_need_its_name() {
    let hash = "ab".repeat(32);
    assert!(parse(&["verify", "--allow", "none"]).is_err());
    assert!(parse(&["verify", "--assets", &hash]).is_err());
    let cli = parse(&["verify", "--app", "a", "--assets", &hash, "--allow", "https://a.com"]).unwrap();
    let Command::Verify(verify) = cli.command else { panic!("not verify") };
    assert_eq!((verify.assets.unwrap().at.as_str(), verify.allow.len()), ("/assets", 1));
}

#[test]
fn what_an_app_shows_can_be_demanded() {
    let hash = "ab".repeat(32);
    let pins = [format!("1={hash}"), "7=@key.der".to_owned()];
    assert!(parse(&["verify", "--extension", &pins[0]]).is_err());
    assert!(parse(&["verify", "--allow-unconfigured"]).is_err());
    let options = ["--extension", &pins[0], "--extension", &pins[1], "--allow-unconfigured"];
    let cli = parse(&[&["verify", "--app", "a", "--certificate", "a.pem"], &options[..]].concat()).unwrap();
    let Command::Verify(verify) = cli.command else { panic!("not verify") };
    let numbers: Vec<_> = verify.extensions.iter().map(|pin| pin.suffix).collect();
    assert_eq!((numbers, verify.allow_unconfigured), (vec![1, 7], true));
    assert_eq!(verify.certificate.unwrap().to_str(), Some("a.pem"));
    assert!(parse(&["verify", "--certificate", "a.pem"]).is_ok());
    let error = parse(&["verify", "--app", "a", "--extension", &hash]).unwrap_err().to_string();
    assert!(error.contains("SUFFIX=HEX or SUFFIX=@FILE"), "{error}");
}

#[test]
fn an_app_can_be_deployed_to_be_configured() {
    let roots = ["--quote-root", "a.pem", "--quote-root", "b.der"];
    let cli =
        parse(&[&["deploy", "a.wasm", "--configure-with", "x:y/z#set-up"], &roots[..]].concat()).unwrap();
    let Command::Deploy(deploy) = cli.command else { panic!("not deploy") };
    assert_eq!(deploy.app.configure_with.as_deref(), Some("x:y/z#set-up"));
    assert_eq!(deploy.app.network.quote_roots.len(), 2);
}

#[test]
fn callers_issuers_and_upgrades_are_checked_where_they_are_typed() {
    let (key, other) = ("ab".repeat(32), "cd".repeat(32));
    let upgrade = format!("endorsed:2:{key},{other}");
    let line = [
        "replace",
        "a.wasm",
        "--caller",
        "greet=token:staff/nurse",
        "--caller",
        &format!("*=key:{key}"),
        "--issuer",
        "staff=https://id.example.com,audience=a",
        "--upgrade",
        &upgrade,
        "--endorsement",
        "a.json",
        "--endorsement",
        "b.json",
    ];
    let Command::Replace(replace) = parse(&line).unwrap().command else { panic!("not replace") };
    let access = &replace.deploy.app.access;
    assert_eq!((access.callers.len(), access.issuers.len(), replace.endorsements.len()), (2, 1, 2));
    assert_eq!(access.upgrade.as_ref().unwrap().to_string(), upgrade);
    for bad in [["--caller", "*=all"], ["--upgrade", "sealed"], ["--issuer", "a=https://i"]] {
        assert!(parse(&[&["deploy", "a.wasm"], &bad[..]].concat()).is_err(), "{bad:?}");
    }
    assert!(parse(&["deploy", "a.wasm", "--endorsement", "a.json"]).is_err(), "nothing is replaced");
    let Command::Deploy(deploy) = parse(&["deploy", "a.wasm", "--public"]).unwrap().command else { panic!() };
    assert!(deploy.app.access.public);
    assert!(parse(&["deploy", "a.wasm", "--public", "--caller", "*=owner"]).is_err(), "which of them?");
}

#[test]
fn an_endorsement_takes_the_options_of_the_replacement() {
    let line =
        ["endorse", "hello", "v2.wasm", "--fuel", "5M", "--owner", "o.pem", "--key", "k.pem", "-o", "e.json"];
    let cli = parse(&line).unwrap();
    let Command::Endorse(endorse) = cli.command else { panic!("not endorse") };
    assert_eq!((endorse.name.as_str(), endorse.owner.as_str()), ("hello", "o.pem"));
    assert_eq!(endorse.app.limits.fuel, Some(Fuel(5_000_000)));
    assert!(parse(&line[..line.len() - 2]).is_err(), "it has to be written somewhere");
}

#[test]
fn serve_takes_owners_operator_and_what_may_follow() {
    let hash = "ab".repeat(32);
    let image = format!("signer:{hash},1,2");
    let line = [
        "serve",
        "--owner",
        &hash,
        "--owner-token",
        "staff=alice",
        "--issuer",
        "staff=https://id.example.com,audience=cloister",
        "--operator",
        &hash,
        "--image-upgrade",
        &image,
    ];
    let Command::Serve(serve) = parse(&line).unwrap().command else { panic!("not serve") };
    let authority = serve.authority;
    assert_eq!((authority.owner.len(), authority.owner_tokens.len(), authority.issuers.len()), (1, 1, 1));
    assert_eq!(authority.image_upgrade.unwrap().to_string(), image);
    assert!(parse(&["serve", "--image-upgrade", "always"]).is_err());
}

#[test]
fn a_token_and_a_kind_of_key_are_named() {
    assert_eq!(parse(&["apps", "--token", "-"]).unwrap().global.token, Some("-".into()));
    let Command::Keygen(keygen) = parse(&["keygen", "--algorithm", "ed25519"]).unwrap().command else {
        panic!()
    };
    assert_eq!(keygen.algorithm, AlgorithmChoice::Ed25519);
    assert!(parse(&["keygen", "--algorithm", "rsa"]).is_err());
}
