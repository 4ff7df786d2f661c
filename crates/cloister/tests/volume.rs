//! `cloister volume` and the pins of a volume, against a server that stands for an enclave.

#[path = "../../client/tests/enclave/mod.rs"]
#[allow(dead_code, unreachable_pub, reason = "a module of several test programs, each of which uses a part")]
mod enclave;
#[path = "../../attestation/tests/platform/mod.rs"]
mod platform;

use cloister_api::{BACKUP, BACKUP_EPOCH_HEADER, CheckEvent, Code, NDJSON, Problem};
use enclave::{FakeEnclave, MRENCLAVE, PRESENT, response};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::Arc;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn stats_are_for_people_and_programs() {
    let owner = Owner::of(|line| {
        assert_eq!(line, "GET /v1/volume");
        let root = "ab".repeat(32);
        let statistics = serde_json::json!({
            "epoch": 9, "root": root, "freshness": "tpm", "disk_bytes": 8192, "used_bytes": 4096, "free_bytes": 4096,
            "dirty_bytes": 0, "commits": 1, "cache_hits": 1, "cache_misses": 1,
            "apps": { "hello": { "bytes": 4096, "files": 1, "keys": 2, "key_bytes": 30 } },
        });
        response(200, "application/json", statistics.to_string())
    })
    .await;
    let shown = owner.succeeds(&["volume", "stats"]).await;
    assert!(shown.starts_with("epoch      9\n") && shown.contains("\nhello  1 "), "{shown}");
    let json = owner.succeeds(&["volume", "stats", "--format", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["apps"]["hello"]["keys"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_finds_damage_fails_and_lists_it() {
    let damaged = CheckEvent::Damaged {
        app: Some("hello".parse().unwrap()),
        object: Some(3),
        offset: Some(4096),
        what: "a block does not verify".to_owned(),
    };
    for (events, code) in [
        (
            vec![
                CheckEvent::Progress { done: 1, total: 2 },
                CheckEvent::Done { blocks: 2, damaged: 0, epoch: 9 },
            ],
            0,
        ),
        (vec![damaged, CheckEvent::Done { blocks: 2, damaged: 1, epoch: 9 }], 7),
        (vec![CheckEvent::Failed { problem: Problem::new(Code::StorageUnavailable, "the disk is gone") }], 7),
    ] {
        let body: String = events.iter().map(|event| serde_json::to_string(event).unwrap() + "\n").collect();
        let owner = Owner::of(move |_| response(200, NDJSON, body.clone())).await;
        let run = owner.run(&["volume", "check"]).await;
        let (out, error) = (text(&run.stdout), text(&run.stderr));
        assert_eq!(run.status.code(), Some(code), "{error}");
        match events.as_slice() {
            [CheckEvent::Damaged { .. }, _] => {
                assert!(out.contains("hello, object 3, from byte 4096: a block does not verify"), "{out}");
                assert!(error.contains("error[volume-damaged]: the volume is damaged in 1 place"), "{error}");
            }
            [CheckEvent::Failed { .. }] => assert!(error.contains("the disk is gone"), "{error}"),
            _ => assert_eq!(out, "2 blocks (8 KiB) of epoch 9: all intact\n"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_is_written_whole_and_never_over_another_file() {
    let owner = Owner::of(|line| {
        assert_eq!(line, "GET /v1/volume/backup");
        backup(&[(0, 1), (700, 2)], true)
    })
    .await;
    let out = owner.path("b");
    let line = ["volume", "backup", "--out", out.to_str().unwrap(), "--format", "json"];
    let json: serde_json::Value = serde_json::from_str(&owner.succeeds(&line).await).unwrap();
    assert_eq!((json["epoch"].as_u64(), json["bytes"].as_u64()), (Some(12), Some(8192)));
    let written = std::fs::read(&out).unwrap();
    assert_eq!(written.len(), 701 * 4096);
    assert!(
        written[..4096].iter().all(|byte| *byte == 1) && written[700 * 4096..].iter().all(|byte| *byte == 2)
    );
    assert!(written[4096..700 * 4096].iter().all(|byte| *byte == 0));
    assert!(std::fs::metadata(&out).unwrap().blocks() * 512 < 1 << 20, "free blocks are holes");

    std::fs::write(&out, "mine").unwrap();
    let again = owner.run(&line).await;
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("--force"), "{}", text(&again.stderr));
    assert_eq!(std::fs::read(&out).unwrap(), b"mine");
    owner.succeeds(&[&line[..], &["--force"]].concat()).await;
    assert_eq!(std::fs::read(&out).unwrap(), written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_ends_early_leaves_no_file() {
    let owner = Owner::of(|_| backup(&[(0, 1)], false)).await;
    std::fs::create_dir(owner.path("folder")).unwrap();
    let out = owner.path("folder/b");
    let run = owner.run(&["volume", "backup", "--out", out.to_str().unwrap()]).await;
    assert_eq!(run.status.code(), Some(7));
    assert!(text(&run.stderr).contains("the backup is not whole"), "{}", text(&run.stderr));
    assert_eq!(std::fs::read_dir(owner.path("folder")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn removing_says_what_went() {
    let owner = Owner::of(|line| {
        assert_eq!(line, "DELETE /v1/apps/hello");
        response(200, "application/json", r#"{"name":"hello","files":12,"bytes":4096,"keys":3}"#)
    })
    .await;
    assert_eq!(
        owner.succeeds(&["remove", "hello"]).await,
        "removed hello, with 12 files (4 KiB) and 3 keys\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_volume_than_the_pinned_one_is_refused() {
    let owner = Owner::of(|_| response(200, "application/json", r#"{"apps":[]}"#)).await;
    let json: serde_json::Value =
        serde_json::from_str(&owner.succeeds(&["verify", "--format", "json"]).await).unwrap();
    assert_eq!(json["volume"]["epoch"], PRESENT.epoch);
    let root = json["volume"]["root"].as_str().unwrap().to_owned();
    owner.succeeds(&["apps", "--min-epoch", "5", "--volume-root", &root, "--freshness", "none"]).await;

    for (line, expected) in [
        (vec!["verify", "--min-epoch", "9"], "the volume is at epoch 5, and the policy demands at least 9"),
        (vec!["apps", "--min-epoch", "9"], "the host may have put back an older disk"),
        (vec!["apps", "--volume-root", MARK], "the volume holds another state"),
        (vec!["call", "a", "f", "--freshness", "tpm"], "the policy demands a TPM's counter"),
    ] {
        let run = owner.run(&line).await;
        assert_eq!(run.status.code(), Some(4), "{line:?}");
        assert!(text(&run.stderr).contains(expected), "{line:?}: {}", text(&run.stderr));
    }
    // So is it from a profile.
    owner.succeeds(&["profile", "set", "default", "--min-epoch", "9"]).await;
    assert_eq!(owner.run(&["apps"]).await.status.code(), Some(4));
    owner.succeeds(&["apps", "--min-epoch", "1"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_enclave_than_the_pinned_one_is_refused() {
    let owner = Owner::of(|_| response(200, "application/json", r#"{"apps":[]}"#)).await;
    let shown = owner.succeeds(&["verify", "--format", "json"]).await;
    let json: serde_json::Value = serde_json::from_str(&shown).unwrap();
    let identity = json["enclave"]["identity"].as_str().unwrap().to_owned();
    owner.succeeds(&["apps", "--identity", &identity]).await;

    let run = owner.run(&["apps", "--identity", MARK]).await;
    assert_eq!(run.status.code(), Some(4));
    let error = text(&run.stderr);
    let expected = format!("identity: it is {identity}, and {MARK} is expected: another enclave answers");
    assert!(error.contains(&expected) && error.contains("--identity, or the profile"), "{error}");
    // So is it from a profile.
    owner.succeeds(&["profile", "set", "default", "--identity", MARK]).await;
    assert_eq!(owner.run(&["apps"]).await.status.code(), Some(4));
    owner.succeeds(&["apps", "--identity", &identity]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_shows_the_epoch_of_its_writes() {
    let owner = Owner::of(|_| {
        let answer = serde_json::json!({
            "result": "1", "fuel": 5, "wall_us": 7, "code_hash": MARK, "epoch": 1042,
        });
        response(200, "application/json", answer.to_string())
    })
    .await;
    let run = owner.run(&["call", "hello", "f", "--stats"]).await;
    assert_eq!(text(&run.stdout), "1\n");
    assert_eq!(text(&run.stderr), format!("fuel 5, 7 µs, epoch 1042, code {MARK}\n"));
    let json: serde_json::Value =
        serde_json::from_str(&owner.succeeds(&["call", "hello", "f", "--format", "json"]).await).unwrap();
    assert_eq!(json["epoch"], 1042);
}

/// Someone with a key and a profile that accepts one server.
struct Owner {
    home: TempDir,
    line: Vec<String>,
}

impl Owner {
    async fn of(answer: impl Fn(&str) -> http::Response<bytes::Bytes> + Send + Sync + 'static) -> Self {
        let mut enclave = FakeEnclave::new();
        enclave.answer = Arc::new(move |line, _| answer(line));
        let address = enclave.serve().await.address;
        let home = tempfile::tempdir().unwrap();
        let key = home.path().join("key.pem");
        let owner = Self { home, line: Vec::new() };
        owner.succeeds(&["keygen", "--out", key.to_str().unwrap()]).await;
        let root = hex::encode(enclave.platform.root_fingerprint());
        let line =
            ["--host", &address, "--mrenclave", &hex::encode(MRENCLAVE), "--allow-simulated", &root, "--key"];
        let line = line.iter().map(|word| (*word).to_owned()).chain([key.display().to_string()]).collect();
        Self { line, ..owner }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    async fn run(&self, line: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloister"));
        command.args(line).args(&self.line).env_clear();
        command.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path().join("config"));
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn succeeds(&self, line: &[&str]) -> String {
        let run = self.run(line).await;
        assert_eq!(run.status.code(), Some(0), "{line:?}: {}", text(&run.stderr));
        text(&run.stdout)
    }
}

/// Blocks, each of one byte throughout, as a backup of epoch 12.
fn backup(blocks: &[(u64, u8)], whole: bool) -> http::Response<bytes::Bytes> {
    let mut body = Vec::new();
    for (block, fill) in blocks {
        body.extend_from_slice(&block.to_le_bytes());
        body.extend_from_slice(&1_u32.to_le_bytes());
        body.extend_from_slice(&[*fill; 4096]);
    }
    if whole {
        body.extend_from_slice(&[0xff; 8]);
        body.extend_from_slice(&[0; 4]);
    }
    let mut answer = response(200, BACKUP, body);
    answer.headers_mut().insert(BACKUP_EPOCH_HEADER, 12.into());
    answer
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

const MARK: &str = "1111111111111111111111111111111111111111111111111111111111111111";
