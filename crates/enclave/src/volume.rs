//! The volume as owners and the operator see it: figures, a check of every block, a sealed copy.

use crate::access::{Owners, Requester};
use crate::body;
use crate::state::{Apps, Enclave, Holder};
use crate::storage::{StorageError, app_of_dataset};
use bytes::{BufMut, Bytes, BytesMut};
use cloister_api::{
    AppName, BACKUP, BACKUP_BLOCK, BACKUP_END, BACKUP_EPOCH_HEADER, CheckEvent, Code, MAX_BACKUP_CHUNK,
    Problem, VolumeStatistics,
};
use cloister_channel_body::Channel;
use cloister_volume::{Backup, CheckReport, Chunk, Damage};
use http::{HeaderValue, Response, StatusCode, header};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// The volume in numbers, and what the requester's apps keep in it.
///
/// # Errors
/// A [`Problem`] where the requester is neither an owner nor the operator, or the volume cannot be read.
pub(crate) async fn statistics(
    enclave: &Arc<Enclave>,
    requester: Requester,
) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner_or_operator(&enclave.configuration)?;
    let shared = Arc::clone(enclave);
    let statistics = tokio::task::spawn_blocking(move || figures(&shared, owners)).await;
    let statistics = statistics.map_err(|_| internal())?.map_err(|error| error.into_problem())?;
    Ok(body::json(StatusCode::OK, &statistics))
}

/// Reads and verifies every block of the last commit, and tells how far that is.
///
/// # Errors
/// A [`Problem`] where the requester is neither an owner nor the operator, or another check or backup is under way.
pub(crate) fn check(enclave: &Arc<Enclave>, requester: Requester) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner_or_operator(&enclave.configuration)?;
    let turn = turn(enclave)?;
    let patience = patience(enclave);
    let (events, mut told) = mpsc::channel(EVENTS);
    let shared = Arc::clone(enclave);
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        run_check(&shared, owners, &events);
    });
    let (mut sender, channel) = Channel::new(EVENTS);
    tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            if !send(&mut sender, body::line(&event), patience).await {
                break;
            }
        }
    });
    Ok(body::lines(channel))
}

/// Streams a sealed copy of the last commit. A copy without an end was broken off.
///
/// # Errors
/// A [`Problem`] where the requester is neither an owner nor the operator, another check or backup is under way, or the volume
/// cannot be read.
pub(crate) async fn backup(
    enclave: &Arc<Enclave>,
    requester: Requester,
) -> Result<Response<body::Body>, Problem> {
    requester.owner_or_operator(&enclave.configuration)?;
    let turn = turn(enclave)?;
    let storage = enclave.storage.clone();
    let backup = tokio::task::spawn_blocking(move || storage.backup()).await;
    let backup = backup.map_err(|_| internal())?.map_err(|error| error.into_problem())?;
    let epoch = backup.state().epoch;
    // One chunk is being sent while the next is read.
    let (sender, channel) = Channel::new(1);
    tokio::spawn(copy(backup, sender, patience(enclave), turn));
    let mut response = body::stream(channel);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(BACKUP));
    response.headers_mut().insert(BACKUP_EPOCH_HEADER, epoch.into());
    Ok(response)
}

fn figures(enclave: &Enclave, owners: Option<Owners>) -> Result<VolumeStatistics, StorageError> {
    let state = enclave.state();
    let own =
        state.apps.running.iter().filter(|(_, app)| owners.is_some_and(|own| own.include(&app.record.owner)));
    let apps = own.map(|(name, app)| Ok((name.clone(), app.storage.usage_as_found()?)));
    let apps = apps.collect::<Result<BTreeMap<_, _>, StorageError>>()?;
    let figures = enclave.storage.statistics();
    let bytes = |blocks: u64| blocks.saturating_mul(BACKUP_BLOCK as u64);
    Ok(VolumeStatistics {
        epoch: figures.state.epoch,
        root: hex::encode(figures.state.root),
        freshness: enclave.configuration.freshness,
        disk_bytes: bytes(figures.blocks),
        used_bytes: bytes(figures.used),
        free_bytes: bytes(figures.free),
        dirty_bytes: figures.dirty_bytes,
        commits: figures.commits,
        cache_hits: figures.cache_hits,
        cache_misses: figures.cache_misses,
        apps,
    })
}

fn run_check(enclave: &Enclave, owners: Option<Owners>, events: &mpsc::Sender<CheckEvent>) {
    let report = enclave.storage.check(&mut |done, total| {
        // A client that reads slowly misses news, not the result.
        if events.capacity() > 1 {
            let _ = events.try_send(CheckEvent::Progress { done, total });
        }
    });
    let last = match report {
        Err(error) => CheckEvent::Failed { problem: error.into_problem() },
        Ok(CheckReport { state, blocks, damaged, damage, .. }) => {
            let apps = &enclave.state().apps;
            for damage in &damage {
                // A client that went away hears nothing more.
                if events.blocking_send(event(damage, apps, owners)).is_err() {
                    return;
                }
            }
            CheckEvent::Done { blocks, damaged, epoch: state.epoch }
        }
    };
    let _ = events.blocking_send(last);
}

/// What the owner is told of one damaged block: of other owners' apps not which.
fn event(damage: &Damage, apps: &Apps, owners: Option<Owners>) -> CheckEvent {
    let Damage { dataset, object, part, offset, bytes, block } = damage;
    let what = format!("the {part}, {bytes} bytes in block {block} of the disk");
    let is_own = |name: &AppName| match apps.holder(name) {
        Holder::Owner(owner) => owners.is_some_and(|own| own.include(&owner)),
        Holder::Nobody | Holder::Unknown => false,
    };
    match app_of_dataset(dataset).filter(is_own) {
        Some(app) => CheckEvent::Damaged { app: Some(app), object: *object, offset: Some(*offset), what },
        None => CheckEvent::Damaged { app: None, object: None, offset: None, what },
    }
}

async fn copy(mut backup: Backup, mut sender: Sender, patience: Duration, turn: OwnedSemaphorePermit) {
    let _turn = turn;
    loop {
        let read = tokio::task::spawn_blocking(move || {
            let chunk = backup.next_chunk();
            (backup, chunk)
        });
        // Without its end the client sees that the copy is none.
        let Ok((rest, Ok(chunk))) = read.await else { return };
        backup = rest;
        let Some(chunk) = chunk else { break };
        for frame in frames(&chunk) {
            if !send(&mut sender, frame, patience).await {
                return;
            }
        }
    }
    send(&mut sender, frame(BACKUP_END, &[]), patience).await;
}

/// A chunk as it is sent, in frames of at most [`MAX_BACKUP_CHUNK`] blocks.
fn frames(chunk: &Chunk) -> impl Iterator<Item = Bytes> {
    let pieces = chunk.bytes.chunks(MAX_BACKUP_CHUNK as usize * BACKUP_BLOCK).enumerate();
    pieces.map(|(index, piece)| frame(chunk.block + index as u64 * u64::from(MAX_BACKUP_CHUNK), piece))
}

fn frame(block: u64, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(12 + bytes.len());
    frame.put_u64_le(block);
    frame.put_u32_le((bytes.len() / BACKUP_BLOCK) as u32);
    frame.put_slice(bytes);
    frame.freeze()
}

type Sender = cloister_channel_body::Sender<Bytes>;

/// Whether the client took it in time.
async fn send(sender: &mut Sender, bytes: Bytes, patience: Duration) -> bool {
    matches!(tokio::time::timeout(patience, sender.send_data(bytes)).await, Ok(Ok(())))
}

fn turn(enclave: &Enclave) -> Result<OwnedSemaphorePermit, Problem> {
    Arc::clone(&enclave.surveys)
        .try_acquire_owned()
        .map_err(|_| Problem::new(Code::Busy, "another check or backup of the volume is under way"))
}

fn patience(enclave: &Enclave) -> Duration {
    Duration::from_millis(enclave.configuration.body_timeout_ms)
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "reading the volume failed inside the enclave")
}

/// Lines of a check that wait for a slow client.
const EVENTS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_frames_of_whole_blocks() {
        let most = MAX_BACKUP_CHUNK as usize;
        let bytes = vec![7; (most + 1) * BACKUP_BLOCK];
        let sent: Vec<Bytes> = frames(&Chunk { block: 5, bytes }).collect();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0].len(), 12 + most * BACKUP_BLOCK);
        assert_eq!(sent[0][..12], [5, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(sent[1].len(), 12 + BACKUP_BLOCK);
        assert_eq!(sent[1][..12], [5, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(frame(BACKUP_END, &[])[..], [&[0xff; 8][..], &[0; 4]].concat());
    }
}
