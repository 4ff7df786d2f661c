//! What apps keep: through restarts, kills, a lying disk, an older disk, backup and removal.

use crate::apps::code;
use cloister_api::{Code, DeploySettings, EnvironmentVariable, Limits};
use cloister_client::{ClientError, Session};
use cloister_tests::{Machine, Setup, SoftTpm, example, for_everybody, guest, name, shared, status};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub(crate) async fn deploy_files(session: &Session, app: &str) {
    let environment = vec![EnvironmentVariable { name: "PLANTED".into(), value: "PlantedValue".into() }];
    let limits = Limits { fuel: 10_000_000_000, wall_time_ms: 120_000, ..Limits::default() };
    let settings = DeploySettings { limits, environment, ..for_everybody() };
    session.deploy(&name(app), example("files"), &settings, |_| {}).await.unwrap();
}

/// The `ok` of an export's result.
pub(crate) async fn ok(session: &Session, app: &str, export: &str, arguments: Value) -> Value {
    let answer = session.call_json(&name(app), export, &arguments).await;
    let answer = answer.unwrap_or_else(|error| panic!("{app} {export}: {error}"));
    answer.result.get("ok").unwrap_or_else(|| panic!("{app} {export}: {}", answer.result)).clone()
}

fn disk_of(state: &Path) -> PathBuf {
    state.join("volume")
}

#[track_caller]
fn assert_absent(haystack: &[u8], marker: &str, place: &str) {
    let found = haystack.windows(marker.len()).any(|window| window.eq_ignore_ascii_case(marker.as_bytes()));
    assert!(!found, "{marker:?} is in {place}");
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_files_and_keys_survive_a_restart_and_the_host_sees_none_of_them() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    for app in ["planted-one", "planted-two"] {
        deploy_files(&session, app).await;
        ok(
            &session,
            app,
            "put",
            json!([format!("PlantedName/{app}.txt"), format!("PlantedContent of {app}")]),
        )
        .await;
        ok(&session, app, "set-key", json!(["PlantedKey", format!("PlantedSecret of {app}")])).await;
    }
    session.deploy(&name("third"), guest("toolbox"), &for_everybody(), |_| {}).await.unwrap();
    session.call_json(&name("third"), "add", &json!([1, 2])).await.unwrap();
    let described = session.describe(&name("planted-one")).await.unwrap();
    assert_eq!(described.environment, ["PLANTED"]);
    assert!(described.storage.files >= 2 && described.storage.bytes > 0, "{:?}", described.storage);
    assert_eq!(described.storage.keys, 1);
    let before = (session.volume().unwrap().epoch, session.claims().tls_key);
    let metrics = session.metrics().await.unwrap();
    assert!(metrics.contains("cloister_components_compiled_total 3"), "{metrics}");
    drop(session);

    let setup = enclave.stop_and_keep();
    let state = setup.state().to_owned();
    let disk = fs::read(disk_of(&state)).unwrap();
    let enclave = setup.start();
    let session = enclave.owner().await;
    let metrics = session.metrics().await.unwrap();
    assert!(metrics.contains("cloister_components_compiled_total 0"), "{metrics}");
    assert!(metrics.contains("cloister_components_restored_total 3"), "{metrics}");
    for app in ["planted-one", "planted-two"] {
        let text = ok(&session, app, "get", json!([format!("PlantedName/{app}.txt")])).await;
        assert_eq!(text, json!(format!("PlantedContent of {app}")));
        let value = ok(&session, app, "get-key", json!(["PlantedKey"])).await;
        assert_eq!(value, json!(format!("PlantedSecret of {app}")));
    }
    assert_eq!(session.call_json(&name("third"), "add", &json!([1, 2])).await.unwrap().result, json!(3));
    let third = session.describe(&name("third")).await.unwrap();
    assert_eq!(third.total.calls, 2, "counters go on");
    assert!(session.volume().unwrap().epoch > before.0);
    assert_eq!(session.claims().tls_key, before.1, "the enclave's identity stays");

    let log = enclave.log().concat().into_bytes();
    for marker in ["Planted", "third"] {
        assert_absent(&disk, marker, "the host's disk");
        assert_absent(&log, marker, "the host's log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_uses_files_as_any_program_does() {
    let session = shared().owner().await;
    deploy_files(&session, "exercise").await;
    let steps = ok(&session, "exercise", "exercise", json!([])).await;
    assert!(steps.as_array().unwrap().len() >= 15, "{steps}");
    assert_eq!(ok(&session, "exercise", "names", json!(["/"])).await, json!([]), "it leaves nothing behind");
    session.remove(&name("exercise")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn apps_with_the_same_names_never_see_each_others_data() {
    let session = shared().owner().await;
    for app in ["same-a", "same-b"] {
        deploy_files(&session, app).await;
    }
    ok(&session, "same-a", "put", json!(["notes", "of a"])).await;
    ok(&session, "same-a", "set-key", json!(["key", "of a"])).await;
    assert_eq!(ok(&session, "same-b", "names", json!(["/"])).await, json!([]));
    assert_eq!(ok(&session, "same-b", "get-key", json!(["key"])).await, Value::Null);
    ok(&session, "same-b", "put", json!(["notes", "of b"])).await;
    ok(&session, "same-b", "set-key", json!(["key", "of b"])).await;
    for way_out in ["../same-a/notes", "/../notes", "../../app:same-a/notes"] {
        let answer = session.call_json(&name("same-b"), "get", &json!([way_out])).await.unwrap();
        assert!(answer.result.get("err").is_some(), "{way_out}: {}", answer.result);
    }
    let removal = session.remove(&name("same-b")).await.unwrap();
    assert_eq!((removal.name, removal.keys), (name("same-b"), 1));
    assert!(removal.files >= 1 && removal.bytes > 0);
    assert_eq!(ok(&session, "same-a", "get", json!(["notes"])).await, json!("of a"));
    assert_eq!(ok(&session, "same-a", "get-key", json!(["key"])).await, json!("of a"));

    deploy_files(&session, "same-b").await;
    assert_eq!(ok(&session, "same-b", "names", json!(["/"])).await, json!([]), "removed is removed");
    assert_eq!(ok(&session, "same-b", "list-keys", json!([])).await, json!([]));
    for app in ["same-a", "same-b"] {
        session.remove(&name(app)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replacement_keeps_the_data() {
    let session = shared().owner().await;
    deploy_files(&session, "kept").await;
    ok(&session, "kept", "put", json!(["a/b", "text"])).await;
    ok(&session, "kept", "set-key", json!(["k", "v"])).await;
    let settings = DeploySettings {
        limits: Limits { fuel: 100_000_000, storage: 64 << 10, files: 4, ..Limits::default() },
        ..for_everybody()
    };
    session.replace(&name("kept"), example("files"), &settings, |_| {}).await.unwrap();
    assert_eq!(ok(&session, "kept", "get", json!(["a/b"])).await, json!("text"));
    assert_eq!(ok(&session, "kept", "get-key", json!(["k"])).await, json!("v"));
    let full = session.call_json(&name("kept"), "put", &json!(["big", "x".repeat(200 << 10)])).await.unwrap();
    assert!(full.result.get("err").is_some(), "no quota of bytes: {}", full.result);
    ok(&session, "kept", "remove", json!(["big"])).await;
    ok(&session, "kept", "put", json!(["third", ""])).await;
    ok(&session, "kept", "put", json!(["fourth", ""])).await;
    let many = session.call_json(&name("kept"), "put", &json!(["fifth", ""])).await.unwrap();
    let why = many.result["err"].as_str().unwrap_or_else(|| panic!("no quota of files: {}", many.result));
    assert!(why.to_lowercase().contains("quota"), "{why}");
    assert_eq!(ok(&session, "kept", "get", json!(["a/b"])).await, json!("text"));
    session.remove(&name("kept")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_without_storage_commits_nothing_and_one_with_storage_says_in_which_epoch() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    deploy_files(&session, "epochs").await;
    session.deploy(&name("plain"), guest("toolbox"), &for_everybody(), |_| {}).await.unwrap();
    let plain = session.call_json(&name("plain"), "add", &json!([1, 2])).await.unwrap();
    assert_eq!(plain.epoch, None);
    let first = session.call_json(&name("epochs"), "put", &json!(["f", "1"])).await.unwrap().epoch.unwrap();
    let second = session.call_json(&name("epochs"), "put", &json!(["f", "2"])).await.unwrap().epoch.unwrap();
    assert!(second > first, "{first} {second}");
    assert_eq!(session.latest_epoch(), Some(second));
    let statistics = session.volume_statistics().await.unwrap();
    assert!(statistics.epoch >= second);
    assert!(statistics.apps.contains_key(&name("epochs")));
    let now = enclave.caller().await.volume().unwrap();
    assert!(now.epoch >= second, "a new session's evidence has the present epoch");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_disk_is_seen_by_whoever_pinned_the_epoch() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    deploy_files(&session, "rolled").await;
    ok(&session, "rolled", "put", json!(["balance", "100"])).await;
    drop(session);
    let setup = enclave.stop_and_keep();
    let disk = disk_of(setup.state());
    let old = fs::read(&disk).unwrap();

    let enclave = setup.start();
    let session = enclave.owner().await;
    ok(&session, "rolled", "put", json!(["balance", "0"])).await;
    let pinned = session.latest_epoch().unwrap();
    let again = enclave.connect(enclave.policy().with_minimum_epoch(pinned)).await.unwrap();
    assert_eq!(ok(&again, "rolled", "get", json!(["balance"])).await, json!("0"));
    drop((session, again));
    let setup = enclave.stop_and_keep();
    fs::write(&disk, &old).unwrap();

    let enclave = setup.start();
    let refused = enclave.connect(enclave.policy().with_minimum_epoch(pinned)).await.unwrap_err();
    assert!(matches!(refused, ClientError::Refused { .. }), "{refused:?}");
    assert!(refused.to_string().contains("older disk"), "{refused}");
    let unpinned = enclave.owner().await;
    assert_eq!(ok(&unpinned, "rolled", "get", json!(["balance"])).await, json!("100"));
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_on_the_disk_is_told_and_the_rest_goes_on() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    deploy_files(&session, "hurt").await;
    deploy_files(&session, "well").await;
    ok(&session, "hurt", "write-large", json!(["big", 8 << 20, 7])).await;
    ok(&session, "well", "put", json!(["note", "intact"])).await;
    drop(session);
    let setup = enclave.stop_and_keep();
    let disk = disk_of(setup.state());
    let before = fs::read(&disk).unwrap();
    // Most of the disk is the large file: a block in the middle is one of its own, with all but certainty.
    let mut bytes = before.clone();
    let at = bytes.len() / 2 / 4096 * 4096;
    assert!(bytes[at..at + 4096].iter().any(|&byte| byte != 0));
    bytes[at + 100] ^= 1;
    fs::write(&disk, &bytes).unwrap();

    let enclave = setup.start();
    let session = enclave.owner().await;
    assert_eq!(ok(&session, "well", "get", json!(["note"])).await, json!("intact"));
    let mut damaged = Vec::new();
    let check = session.check_volume(|event| damaged.push(format!("{event:?}"))).await.unwrap();
    assert!(check.damaged >= 1, "{check:?}");
    assert!(damaged.iter().any(|line| line.contains("Damaged") && line.contains("hurt")), "{damaged:?}");
    let read = session.call_json(&name("hurt"), "check-large", &json!(["big", 8 << 20, 7])).await.unwrap();
    assert!(read.result.get("err").is_some(), "damaged data was served: {}", read.result);
    ok(&session, "hurt", "remove", json!(["big"])).await;
    ok(&session, "hurt", "put", json!(["new", "text"])).await;
    assert_eq!(ok(&session, "hurt", "get", json!(["new"])).await, json!("text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_taken_under_load_is_a_volume() {
    let enclave = Arc::new(Setup::new().start());
    let session = enclave.owner().await;
    deploy_files(&session, "saved").await;
    ok(&session, "saved", "write-large", json!(["big", 4 << 20, 3])).await;
    ok(&session, "saved", "put", json!(["note", "before"])).await;
    let writer = {
        let enclave = Arc::clone(&enclave);
        tokio::spawn(async move {
            let session = enclave.caller().await;
            for i in 0..50 {
                ok(&session, "saved", "put", json!([format!("later-{i}"), "x".repeat(20_000)])).await;
            }
        })
    };
    let mut image = Vec::new();
    let mut backup = session.backup().await.unwrap();
    let epoch = backup.epoch();
    while let Some(chunk) = backup.next_chunk().await.unwrap() {
        let at = usize::try_from(chunk.block).unwrap() * 4096;
        image.resize(image.len().max(at + chunk.bytes.len()), 0);
        image[at..at + chunk.bytes.len()].copy_from_slice(&chunk.bytes);
    }
    drop(backup);
    writer.await.unwrap();
    assert_absent(&image, "before", "the backup");
    drop(session);

    let enclave = Arc::into_inner(enclave).unwrap();
    let setup = enclave.stop_and_keep();
    fs::write(disk_of(setup.state()), &image).unwrap();
    let enclave = setup.start();
    let session = enclave.owner().await;
    assert_eq!(ok(&session, "saved", "get", json!(["note"])).await, json!("before"));
    assert_eq!(ok(&session, "saved", "check-large", json!(["big", 4 << 20, 3])).await, json!(true));
    let check = session.check_volume(|_| {}).await.unwrap();
    assert_eq!(check.damaged, 0, "{check:?}");
    assert!(session.volume().unwrap().epoch > epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_platform_cannot_open_the_disk() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    deploy_files(&session, "bound").await;
    drop(session);
    let setup = enclave.stop_and_keep();
    let other = Setup::new();
    fs::copy(disk_of(setup.state()), disk_of(other.state())).unwrap();
    let stolen = fs::read(disk_of(other.state())).unwrap();
    let folder = other.state().to_owned();
    let refused = other.try_start().unwrap_err();
    drop(refused);
    assert!(!folder.exists() || fs::read(disk_of(&folder)).unwrap() == stolen, "the disk was overwritten");
    let enclave = setup.start();
    ok(&enclave.owner().await, "bound", "names", json!(["/"])).await;
}

#[test]
fn what_clients_were_told_survives_kill_after_kill() {
    let rounds = 6;
    let mut folder = tempfile::tempdir().unwrap();
    let files = cloister_tests::given("CLOISTER_EXAMPLES").join("files.wasm");
    let told: [AtomicU64; 3] = Default::default();
    for round in 0..rounds {
        let machine = Machine::start_in(folder, &[]);
        if round == 0 {
            let files = files.to_str().unwrap();
            machine.succeeds(&["deploy", files, "--name", "ledger", "--fuel", "1G"]);
        }
        for (writer, told) in told.iter().enumerate() {
            let acknowledged = told.load(Ordering::SeqCst);
            let kept = machine.json(&["call", "ledger", "get-key", "--json", &format!("[\"w{writer}\"]")]);
            let kept = kept["result"]["ok"].as_str().unwrap_or("0").parse::<u64>().unwrap();
            assert!(kept >= acknowledged, "writer {writer}: told {acknowledged}, kept {kept}");
            let file = machine.json(&["call", "ledger", "get", "--json", &format!("[\"log-{writer}\"]")]);
            let lines = file["result"]["ok"].as_str().unwrap_or("").lines().count() as u64;
            assert!(lines >= acknowledged, "writer {writer}: told {acknowledged}, {lines} lines kept");
            told.store(kept.max(lines), Ordering::SeqCst);
        }
        let check = machine.json(&["volume", "check"]);
        assert_eq!(check["damaged"], 0, "{check}");
        let stop = std::sync::atomic::AtomicBool::new(false);
        let before = told.each_ref().map(|told| told.load(Ordering::SeqCst));
        std::thread::scope(|scope| {
            for (writer, told) in told.iter().enumerate() {
                let (machine, stop) = (&machine, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        let next = told.load(Ordering::SeqCst) + 1;
                        let line = format!("[\"log-{writer}\",\"line {next}\\n\"]");
                        let key = format!("[\"w{writer}\",\"{next}\"]");
                        let appended = machine.run(&["call", "ledger", "append", "--json", &line]);
                        let set = machine.run(&["call", "ledger", "set-key", "--json", &key]);
                        if !(appended.status.success() && set.status.success()) {
                            break;
                        }
                        told.store(next, Ordering::SeqCst);
                    }
                });
            }
            let began = Instant::now();
            let writes =
                || told.iter().zip(before).all(|(told, before)| told.load(Ordering::SeqCst) > before);
            while !writes() && began.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::thread::sleep(Duration::from_millis(100 + 230 * round));
            // The writers go on until the process is gone under them.
            machine.signal("KILL");
            std::thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::SeqCst);
        });
        folder = machine.kill();
    }
    assert!(
        told.iter().all(|told| told.load(Ordering::SeqCst) >= rounds),
        "hardly anything was written: {told:?}"
    );
}

#[test]
fn the_command_line_checks_backs_up_and_restores() {
    let machine = Machine::start();
    let files = cloister_tests::given("CLOISTER_EXAMPLES").join("files.wasm");
    let files = files.to_str().unwrap();
    machine.succeeds(&[
        "deploy",
        files,
        "--name",
        "notes",
        "--fuel",
        "1G",
        "--max-storage",
        "1MiB",
        "--max-files",
        "50",
    ]);
    machine.succeeds(&["call", "notes", "put", "--json", "[\"todo\",\"restore me\"]"]);
    assert_eq!(machine.json(&["describe", "notes"])["limits"]["files"], 50);
    let statistics = machine.json(&["volume", "stats"]);
    assert!(statistics["epoch"].as_u64().unwrap() > 0, "{statistics}");
    assert!(machine.succeeds(&["volume", "stats"]).contains("notes"));
    assert_eq!(machine.json(&["volume", "check"])["damaged"], 0);
    let backup = machine.folder().join("copy.backup");
    let backup = backup.to_str().unwrap().to_owned();
    machine.succeeds(&["volume", "backup", "--out", &backup]);
    machine.succeeds(&["call", "notes", "put", "--json", "[\"todo\",\"newer\"]"]);
    let verified = machine.succeeds(&["verify"]);
    assert!(verified.contains("epoch"), "{verified}");
    let volume = machine.folder().join("state/volume");
    let volume = volume.to_str().unwrap().to_owned();
    let in_use = machine.run(&["volume", "restore", &backup, "--volume", &volume, "--force"]);
    assert_ne!(status(&in_use), 0, "a volume in use was replaced");

    let (ended, folder) = machine.terminate();
    assert_eq!(ended.code(), Some(0));
    let machine = Machine::start_in(folder, &[]);
    let now = machine.json(&["call", "notes", "get", "--json", "[\"todo\"]"]);
    assert_eq!(now["result"]["ok"], "newer");
    let (_, folder) = machine.terminate();
    let restored = Machine::command(&folder, &["volume", "restore", &backup, "--volume", &volume, "--force"]);
    assert_eq!(status(&restored), 0, "{}", cloister_tests::error(&restored));
    let machine = Machine::start_in(folder, &[]);
    let then = machine.json(&["call", "notes", "get", "--json", "[\"todo\"]"]);
    assert_eq!(then["result"]["ok"], "restore me");
    let pinned = machine.run(&["call", "notes", "get", "--json", "[\"todo\"]", "--min-epoch", "1000000"]);
    assert_eq!(status(&pinned), 4, "{}", cloister_tests::error(&pinned));
    let removed = machine.succeeds(&["remove", "notes"]);
    assert!(removed.contains("file"), "{removed}");
}

/// The enclave's own TPM, in software: what it protects against is shown, though a host could rewind this one.
#[test]
fn with_a_tpm_an_older_disk_is_refused_with_an_explanation() {
    let folder = tempfile::tempdir().unwrap();
    let tpm = SoftTpm::start();
    let argument = tpm.argument();
    let with_tpm = ["--tpm", argument.as_str()];
    let machine = Machine::start_in(folder, &with_tpm);
    let files = cloister_tests::given("CLOISTER_EXAMPLES").join("files.wasm");
    machine.succeeds(&["deploy", files.to_str().unwrap(), "--name", "ledger", "--fuel", "1G"]);
    machine.succeeds(&["call", "ledger", "put", "--json", "[\"balance\",\"100\"]"]);
    let verified = machine.succeeds(&["verify", "--freshness", "tpm"]);
    assert!(verified.contains("TPM"), "{verified}");
    assert_eq!(status(&machine.run(&["verify", "--freshness", "none"])), 4);
    let (_, folder) = machine.terminate();
    let disk = folder.path().join("state/volume");
    let old = fs::read(&disk).unwrap();

    let machine = Machine::start_in(folder, &with_tpm);
    machine.succeeds(&["call", "ledger", "put", "--json", "[\"balance\",\"0\"]"]);
    let folder = machine.kill();
    let new = fs::read(&disk).unwrap();
    fs::write(&disk, &old).unwrap();
    let refused = Machine::refuses_to_start(folder.path(), &with_tpm);
    assert!(refused.contains("An old disk was put back"), "{refused}");
    assert_eq!(fs::read(&disk).unwrap(), old, "a refused disk is left as it is");

    fs::write(&disk, &new).unwrap();
    let machine = Machine::start_in(folder, &with_tpm);
    let balance = machine.json(&["call", "ledger", "get", "--json", "[\"balance\"]"]);
    assert_eq!(balance["result"]["ok"], "0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_apps_calls_are_unknown_after_a_restart() {
    let enclave = Setup::new().start();
    let session = enclave.owner().await;
    deploy_files(&session, "gone").await;
    ok(&session, "gone", "put", json!(["f", "x"])).await;
    session.remove(&name("gone")).await.unwrap();
    drop(session);
    let enclave = enclave.stop_and_keep().start();
    let session = enclave.owner().await;
    assert_eq!(code(session.call_json(&name("gone"), "names", &json!(["/"])).await), Code::UnknownApp);
    assert_eq!(session.volume_statistics().await.unwrap().apps.len(), 0);
}
