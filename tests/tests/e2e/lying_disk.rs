//! A host whose disk fails, forges, forgets and loses its power. Nothing wrong may be served, nothing that a client was
//! told may be lost, and what the lie does not touch goes on.

use crate::storage::{deploy_files, ok};
use cloister_api::Code;
use cloister_client::{ClientError, Session};
use cloister_frames::{DiskFailure, DiskRequest, DiskResponse};
use cloister_host::Interference;
use cloister_tests::{Enclave, Setup, name};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const BLOCK: usize = 4096;
const LARGE: u64 = 3 << 20;

/// Lies about the disk while it is told to.
#[derive(Debug)]
struct Liar {
    lie: Lie,
    lying: AtomicBool,
    told: AtomicU32,
    /// What blocks held before they were written the last time.
    older: Mutex<BTreeMap<u64, Vec<u8>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    FailedRead,
    FlippedBit,
    OtherBlock,
    OlderContents,
    ShortAnswer,
    LongAnswer,
    AnotherKindOfAnswer,
    Garbage,
    FailedWrite,
    FailedFlush,
    NoSpace,
}

impl Interference for Liar {
    fn disk(&self, request: &DiskRequest<'_>, disk: &dyn Fn(&DiskRequest<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        if !self.lying.load(Ordering::Relaxed) {
            if let DiskRequest::Write { block, data } = *request {
                let count = (data.len() / BLOCK) as u64;
                let before = disk(&DiskRequest::Read { block, count });
                if let Ok(DiskResponse::Data(before)) = DiskResponse::decode(&before) {
                    let blocks = before.chunks(BLOCK).map(<[u8]>::to_vec);
                    self.older.lock().unwrap().extend((block..).zip(blocks));
                }
            }
            return None;
        }
        let honest = || disk(request);
        let contents = || match DiskResponse::decode(&honest()) {
            Ok(DiskResponse::Data(data)) => Some(data.to_vec()),
            _ => None,
        };
        let answer = match (self.lie, *request) {
            (Lie::FailedRead, DiskRequest::Read { .. })
            | (Lie::FailedWrite, DiskRequest::Write { .. })
            | (Lie::FailedFlush, DiskRequest::Flush) => DiskResponse::Failed(DiskFailure::Io).encode(),
            (Lie::NoSpace, DiskRequest::Write { .. } | DiskRequest::Resize { .. }) => {
                DiskResponse::Failed(DiskFailure::NoSpace).encode()
            }
            (Lie::FlippedBit, DiskRequest::Read { .. }) => {
                let mut data = contents()?;
                data.chunks_mut(BLOCK).for_each(|block| block[77] ^= 4);
                DiskResponse::Data(&data).encode()
            }
            (Lie::OtherBlock, DiskRequest::Read { block, count }) => {
                disk(&DiskRequest::Read { block: block.saturating_sub(1).max(2), count })
            }
            (Lie::OlderContents, DiskRequest::Read { block, .. }) => {
                let mut data = contents()?;
                let older = self.older.lock().unwrap();
                let mut replaced = false;
                for (number, contents) in (block..).zip(data.chunks_mut(BLOCK)) {
                    if let Some(older) = older.get(&number) {
                        contents.copy_from_slice(older);
                        replaced = true;
                    }
                }
                replaced.then(|| DiskResponse::Data(&data).encode())?
            }
            (Lie::ShortAnswer, DiskRequest::Read { .. }) => {
                let data = contents()?;
                DiskResponse::Data(&data[BLOCK..]).encode()
            }
            (Lie::LongAnswer, DiskRequest::Read { .. }) => {
                let data = contents()?;
                DiskResponse::Data(&[data.as_slice(), &[0; BLOCK]].concat()).encode()
            }
            (Lie::AnotherKindOfAnswer, DiskRequest::Read { .. }) => DiskResponse::Size(7).encode(),
            (Lie::Garbage, _) => vec![0xee; 33],
            _ => return None,
        };
        self.told.fetch_add(1, Ordering::Relaxed);
        Some(answer)
    }
}

/// A file that is on the disk and not in memory, and a host that can lie about it.
async fn start(lie: Lie) -> (Enclave, Arc<Liar>, Session) {
    let liar = Arc::new(Liar {
        lie,
        lying: AtomicBool::new(false),
        told: AtomicU32::new(0),
        older: Mutex::default(),
    });
    let mut setup = Setup::new();
    setup.launch.interference = Some(liar.clone());
    let enclave = setup.start();
    let session = enclave.owner().await;
    deploy_files(&session, "steady").await;
    ok(&session, "steady", "write-large", json!(["large", LARGE, 1])).await;
    ok(&session, "steady", "write-large", json!(["large", LARGE, 2])).await;
    drop(session);
    let mut setup = enclave.stop_and_keep();
    setup.launch.interference = Some(liar.clone());
    let enclave = setup.start();
    let session = enclave.owner().await;
    (enclave, liar, session)
}

/// Either right or an error: `Ok` is what the guest returned well.
async fn attempt(session: &Session, export: &str, arguments: Value) -> Option<Value> {
    let app = name("steady");
    let call = session.call_json(&app, export, &arguments);
    match tokio::time::timeout(Duration::from_secs(60), call).await.expect("an answer") {
        Ok(answer) => answer.result.get("ok").cloned(),
        Err(ClientError::Problem(problem)) => {
            assert!(
                [Code::StorageUnavailable, Code::GuestTrapped].contains(&problem.code),
                "{export}: {problem:?}"
            );
            None
        }
        Err(error) => panic!("{export}: {error}"),
    }
}

async fn survives(lie: Lie) {
    let (enclave, liar, session) = start(lie).await;
    liar.lying.store(true, Ordering::Relaxed);
    for i in 0..4 {
        let read = attempt(&session, "check-large", json!(["large", LARGE, 2])).await;
        assert_ne!(read, Some(json!(false)), "{lie:?}: wrong contents were served");
        let _ = attempt(&session, "put", json!([format!("during-{i}"), "text"])).await;
    }
    assert!(liar.told.load(Ordering::Relaxed) > 0, "{lie:?} was never told");
    liar.lying.store(false, Ordering::Relaxed);
    ok(&session, "steady", "put", json!(["after", "all is well"])).await;
    let large = ok(&session, "steady", "check-large", json!(["large", LARGE, 2])).await;
    assert_eq!(large, json!(true), "{lie:?}");
    drop(session);

    let enclave = enclave.stop_and_keep().start();
    let session = enclave.owner().await;
    assert_eq!(ok(&session, "steady", "get", json!(["after"])).await, json!("all is well"), "{lie:?}");
    let large = ok(&session, "steady", "check-large", json!(["large", LARGE, 2])).await;
    assert_eq!(large, json!(true), "{lie:?}");
    assert_eq!(session.check_volume(|_| {}).await.unwrap().damaged, 0, "{lie:?}");
}

macro_rules! lies {
    ($($test:ident: $lie:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                survives(Lie::$lie).await;
            }
        )*
    };
}

lies! {
    a_read_that_fails: FailedRead,
    a_flipped_bit: FlippedBit,
    another_block: OtherBlock,
    older_contents: OlderContents,
    an_answer_too_short: ShortAnswer,
    an_answer_too_long: LongAnswer,
    an_answer_to_something_else: AnotherKindOfAnswer,
    garbage: Garbage,
    a_write_that_fails: FailedWrite,
    a_flush_that_fails: FailedFlush,
    no_space_left: NoSpace,
}

/// A disk with a write cache that its power can be cut from: of what was not flushed, some blocks are kept.
#[derive(Debug, Default)]
struct PowerCut {
    cached: Mutex<BTreeMap<u64, Vec<u8>>>,
    cut: AtomicBool,
    seed: AtomicU64,
}

impl PowerCut {
    fn random(&self) -> u64 {
        // SplitMix64 (Steele, Lea and Flood, 2014).
        let mut x = self.seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

impl Interference for PowerCut {
    fn disk(&self, request: &DiskRequest<'_>, disk: &dyn Fn(&DiskRequest<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        let mut cached = self.cached.lock().unwrap();
        if self.cut.load(Ordering::Relaxed) {
            for (block, mut data) in std::mem::take(&mut *cached) {
                match self.random() % 3 {
                    0 => continue,
                    1 => {}
                    _ => {
                        // Torn: the first sectors are new.
                        let sectors = (self.random() % 8) as usize * 512;
                        let before = disk(&DiskRequest::Read { block, count: 1 });
                        let Ok(DiskResponse::Data(before)) = DiskResponse::decode(&before) else { continue };
                        data[sectors..].copy_from_slice(&before[sectors..]);
                    }
                }
                disk(&DiskRequest::Write { block, data: &data });
            }
            return Some(DiskResponse::Failed(DiskFailure::Io).encode());
        }
        match *request {
            DiskRequest::Write { block, data } => {
                cached.extend((block..).zip(data.chunks(BLOCK).map(<[u8]>::to_vec)));
                Some(DiskResponse::Done.encode())
            }
            DiskRequest::Read { block, .. } => {
                let honest = disk(request);
                let Ok(DiskResponse::Data(data)) = DiskResponse::decode(&honest) else { return Some(honest) };
                let mut data = data.to_vec();
                for (block, contents) in (block..).zip(data.chunks_mut(BLOCK)) {
                    if let Some(newer) = cached.get(&block) {
                        contents.copy_from_slice(newer);
                    }
                }
                Some(DiskResponse::Data(&data).encode())
            }
            DiskRequest::Flush => {
                for (block, data) in std::mem::take(&mut *cached) {
                    disk(&DiskRequest::Write { block, data: &data });
                }
                None
            }
            DiskRequest::Size | DiskRequest::Resize { .. } | DiskRequest::Discard { .. } => None,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_were_told_survives_power_cuts() {
    let mut setup = Setup::new();
    let mut told = [0_u64; 3];
    for round in 0..8 {
        let disk = Arc::new(PowerCut { seed: AtomicU64::new(round * 977 + 1), ..PowerCut::default() });
        setup.launch.interference = Some(disk.clone());
        let enclave = Arc::new(setup.start());
        let session = enclave.owner().await;
        if round == 0 {
            deploy_files(&session, "steady").await;
        }
        for (writer, told) in told.iter_mut().enumerate() {
            let lines = match attempt(&session, "get", json!([format!("log-{writer}")])).await {
                Some(text) => text.as_str().unwrap().lines().count() as u64,
                None => 0,
            };
            let key = ok(&session, "steady", "get-key", json!([format!("w{writer}")])).await;
            let key = key.as_str().map_or(0, |text| text.parse::<u64>().unwrap());
            assert!(lines >= *told, "round {round}, writer {writer}: told {told}, {lines} lines kept");
            assert!(key >= *told, "round {round}, writer {writer}: told {told}, key kept {key}");
            *told = lines.max(key);
        }
        assert_eq!(session.check_volume(|_| {}).await.unwrap().damaged, 0, "round {round}");
        drop(session);
        let written: [Arc<AtomicU64>; 3] = Default::default();
        let writers = told.iter().zip(&written).enumerate().map(|(writer, (told, written))| {
            let (enclave, mut told, written) = (Arc::clone(&enclave), *told, Arc::clone(written));
            tokio::spawn(async move {
                let session = enclave.caller().await;
                loop {
                    let next = told + 1;
                    let line = json!([format!("log-{writer}"), format!("line {next}\n")]);
                    if attempt(&session, "append", line).await.is_none() {
                        return told;
                    }
                    let key = json!([format!("w{writer}"), next.to_string()]);
                    if attempt(&session, "set-key", key).await.is_none() {
                        return told;
                    }
                    told = next;
                    written.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let writers = writers.collect::<Vec<_>>();
        let began = Instant::now();
        while written.iter().any(|written| written.load(Ordering::Relaxed) < 2) {
            assert!(began.elapsed() < Duration::from_secs(60), "round {round}: {written:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(150 + 61 * round)).await;
        disk.cut.store(true, Ordering::Relaxed);
        for (told, writer) in told.iter_mut().zip(writers) {
            *told = writer.await.unwrap();
        }
        let enclave = Arc::into_inner(enclave).unwrap();
        setup = enclave.kill_and_keep();
    }
    assert!(told.iter().all(|&told| told > 8), "hardly anything was written: {told:?}");
}
