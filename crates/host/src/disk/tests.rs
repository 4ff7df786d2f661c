use super::*;
use crate::log::LogSource;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

const B: usize = BLOCK_LEN;

fn settings(folder: &tempfile::TempDir) -> DiskSettings {
    DiskSettings { path: folder.path().join("new/volume"), max_bytes: 1024 * BLOCK + 17 }
}

fn disk() -> (tempfile::TempDir, Disk) {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(settings(&folder), LogSink::discard(), None).unwrap();
    (folder, disk)
}

fn ask(disk: &Disk, request: DiskRequest<'_>) -> Vec<u8> {
    Answer::of(disk, &request.encode()).unwrap()
}

#[track_caller]
fn is(disk: &Disk, request: DiskRequest<'_>, response: DiskResponse<'_>) {
    let answer = ask(disk, request);
    assert_eq!(DiskResponse::decode(&answer), Ok(response), "{request:?}");
}

fn failed(failure: DiskFailure) -> DiskResponse<'static> {
    DiskResponse::Failed(failure)
}

#[test]
fn blocks_are_kept_in_the_file() {
    let (folder, disk) = disk();
    is(&disk, DiskRequest::Size, DiskResponse::Size(0));
    is(&disk, DiskRequest::Resize { blocks: 300 }, DiskResponse::Done);
    is(&disk, DiskRequest::Size, DiskResponse::Size(300));
    let data: Vec<u8> = (0..128 * B).map(|i| (i % 253) as u8).collect();
    is(&disk, DiskRequest::Write { block: 100, data: &data }, DiskResponse::Done);
    is(&disk, DiskRequest::Flush, DiskResponse::Done);
    is(&disk, DiskRequest::Flush, DiskResponse::Done);
    is(&disk, DiskRequest::Read { block: 100, count: 128 }, DiskResponse::Data(&data));
    is(&disk, DiskRequest::Read { block: 227, count: 1 }, DiskResponse::Data(&data[127 * B..]));
    is(&disk, DiskRequest::Read { block: 228, count: 2 }, DiskResponse::Data(&[0; 2 * B]));
    let statistics = disk.statistics();
    assert_eq!((statistics.reads, statistics.read_bytes), (3, 131 * BLOCK));
    assert_eq!((statistics.writes, statistics.written_bytes), (1, 128 * BLOCK));
    assert_eq!((statistics.flushes, statistics.failures), (2, 0));
    drop(disk);
    let path = settings(&folder).path;
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 300 * B);
    assert!(bytes[100 * B..228 * B] == data);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = Disk::open(settings(&folder), LogSink::discard(), None).unwrap();
    is(&again, DiskRequest::Read { block: 100, count: 128 }, DiskResponse::Data(&data));
}

#[test]
fn what_lies_beyond_the_end_is_out_of_range() {
    let (_folder, disk) = disk();
    is(&disk, DiskRequest::Resize { blocks: 10 }, DiskResponse::Done);
    let out = failed(DiskFailure::OutOfRange);
    is(&disk, DiskRequest::Read { block: 9, count: 2 }, out);
    is(&disk, DiskRequest::Write { block: 10, data: &[0; B] }, out);
    is(&disk, DiskRequest::Discard { block: 0, count: 11 }, out);
    is(&disk, DiskRequest::Resize { blocks: 5 }, DiskResponse::Done);
    is(&disk, DiskRequest::Read { block: 5, count: 1 }, out);
    assert_eq!(disk.statistics().failures, 4);
}

#[test]
fn growth_ends_at_the_maximum() {
    let (folder, disk) = disk();
    is(&disk, DiskRequest::Resize { blocks: 1024 }, DiskResponse::Done);
    is(&disk, DiskRequest::Resize { blocks: 1025 }, failed(DiskFailure::NoSpace));
    is(&disk, DiskRequest::Resize { blocks: MAX_BLOCKS }, failed(DiskFailure::NoSpace));
    is(&disk, DiskRequest::Size, DiskResponse::Size(1024));
    drop(disk);
    let smaller = DiskSettings { max_bytes: 10 * BLOCK, ..settings(&folder) };
    let disk = Disk::open(smaller, LogSink::discard(), None).unwrap();
    is(&disk, DiskRequest::Read { block: 1023, count: 1 }, DiskResponse::Data(&[0; B]));
    is(&disk, DiskRequest::Resize { blocks: 500 }, DiskResponse::Done);
    is(&disk, DiskRequest::Resize { blocks: 501 }, failed(DiskFailure::NoSpace));
}

#[test]
fn a_full_file_system_is_no_space_and_is_logged_once() {
    // Every write to this device fails with ENOSPC.
    let full = OpenOptions::new().read(true).write(true).open("/dev/full").unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let theirs = Arc::clone(&lines);
    let log = LogSink::new(move |source, line| lock(&theirs).push((source, line.to_owned())));
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(settings(&folder), log, None).unwrap();
    is(&disk, DiskRequest::Resize { blocks: 2 }, DiskResponse::Done);
    let file = write(&disk.file).replace(full);
    for _ in 0..3 {
        is(&disk, DiskRequest::Write { block: 0, data: &[1; B] }, failed(DiskFailure::NoSpace));
    }
    *write(&disk.file) = file;
    is(&disk, DiskRequest::Write { block: 0, data: &[1; B] }, DiskResponse::Done);
    let lines = lock(&lines);
    assert!(matches!(&lines[..], [(LogSource::Host, line)] if line.contains("no space")), "{lines:?}");
}

#[test]
fn discarded_blocks_give_their_space_back_where_the_file_system_can() {
    let (folder, disk) = disk();
    let path = settings(&folder).path;
    is(&disk, DiskRequest::Resize { blocks: 256 }, DiskResponse::Done);
    for block in [0, 128] {
        is(&disk, DiskRequest::Write { block, data: &[7; 128 * B] }, DiskResponse::Done);
    }
    is(&disk, DiskRequest::Flush, DiskResponse::Done);
    let before = fs::metadata(&path).unwrap().blocks();
    is(&disk, DiskRequest::Discard { block: 0, count: 128 }, DiskResponse::Done);
    let after = fs::metadata(&path).unwrap();
    assert!(after.blocks() <= before);
    assert_eq!(after.len(), 256 * BLOCK);
    is(&disk, DiskRequest::Read { block: 128, count: 1 }, DiskResponse::Data(&[7; B]));
}

#[test]
fn a_file_belongs_to_one_enclave_at_a_time() {
    let (folder, disk) = disk();
    let refused = Disk::open(settings(&folder), LogSink::discard(), None).unwrap_err();
    assert!(matches!(refused, HostError::VolumeInUse(_)), "{refused}");
    assert!(refused.to_string().contains("new/volume"), "{refused}");
    disk.close();
    let other = Disk::open(settings(&folder), LogSink::discard(), None).unwrap();
    is(&other, DiskRequest::Resize { blocks: 1 }, DiskResponse::Done);
    is(&disk, DiskRequest::Flush, failed(DiskFailure::Io));
}

#[test]
fn only_regular_files_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path(), Path::new("/dev/null"), Path::new("/proc/none/volume")] {
        let settings = DiskSettings { path: path.to_owned(), max_bytes: 1 << 20 };
        let error = Disk::open(settings, LogSink::discard(), None).unwrap_err();
        assert!(matches!(error, HostError::Volume { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}

#[test]
fn what_is_no_request_breaks_the_stream() {
    let (_folder, disk) = disk();
    for request in [&[][..], &[9, 0, 0, 0], &[1, 0, 0, 0, 0]] {
        assert_eq!(Answer::of(&disk, request), Err(UsercallError::InvalidData));
    }
}

#[test]
fn threads_are_served_at_the_same_time() {
    let (_folder, disk) = disk();
    is(&disk, DiskRequest::Resize { blocks: 64 }, DiskResponse::Done);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let disk = &disk;
            scope.spawn(move || {
                for round in 0..50 {
                    let data = vec![(thread * 50 + round) as u8; 16 * B];
                    is(disk, DiskRequest::Write { block: thread * 16, data: &data }, DiskResponse::Done);
                    let back = DiskRequest::Read { block: thread * 16, count: 16 };
                    is(disk, back, DiskResponse::Data(&data));
                }
                is(disk, DiskRequest::Flush, DiskResponse::Done);
            });
        }
    });
}

/// Answers reads with the block before, drops writes to block 3, and gives nonsense for the size.
#[derive(Debug)]
struct Liar;

impl Interference for Liar {
    fn disk(&self, request: &DiskRequest<'_>, disk: &dyn Fn(&DiskRequest<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        match *request {
            DiskRequest::Size => Some(vec![0xff; 3]),
            DiskRequest::Read { block, count } if block > 0 => {
                Some(disk(&DiskRequest::Read { block: block - 1, count }))
            }
            DiskRequest::Write { block: 3, .. } => Some(DiskResponse::Done.encode()),
            _ => None,
        }
    }
}

#[test]
fn an_interference_may_answer_in_the_disks_place() {
    let disk = Disk::of_few_blocks(Some(Arc::new(Liar)));
    is(&disk, DiskRequest::Resize { blocks: 8 }, DiskResponse::Done);
    for block in 0..8 {
        is(&disk, DiskRequest::Write { block, data: &[block as u8 + 1; B] }, DiskResponse::Done);
    }
    assert_eq!(ask(&disk, DiskRequest::Size), [0xff; 3]);
    is(&disk, DiskRequest::Read { block: 3, count: 1 }, DiskResponse::Data(&[3; B]));
    is(&disk, DiskRequest::Read { block: 4, count: 1 }, DiskResponse::Data(&[0; B]));
}

/// A disk with a cache that loses its power: what was written since the last flush is kept in part, and afterwards
/// nothing answers.
#[derive(Debug, Default)]
struct PowerCut {
    cached: Mutex<BTreeMap<u64, Vec<u8>>>,
    /// How many more writes go well.
    writes_left: AtomicU64,
}

impl Interference for PowerCut {
    fn disk(&self, request: &DiskRequest<'_>, disk: &dyn Fn(&DiskRequest<'_>) -> Vec<u8>) -> Option<Vec<u8>> {
        let mut cached = lock(&self.cached);
        let write_back = |cached: &mut BTreeMap<u64, Vec<u8>>, kept: fn(u64) -> bool| {
            for (block, data) in std::mem::take(cached).into_iter().filter(|(block, _)| kept(*block)) {
                disk(&DiskRequest::Write { block, data: &data });
            }
        };
        let dead = Some(DiskResponse::Failed(DiskFailure::Io).encode());
        match *request {
            _ if self.writes_left.load(Ordering::Relaxed) == 0 => dead,
            DiskRequest::Write { block, data } => {
                cached.extend((block..).zip(data.chunks(B).map(<[u8]>::to_vec)));
                if self.writes_left.fetch_sub(1, Ordering::Relaxed) > 1 {
                    return Some(DiskResponse::Done.encode());
                }
                write_back(&mut cached, |block| block % 2 == 0);
                dead
            }
            DiskRequest::Read { block, .. } => {
                let mut answer = disk(request);
                for (block, contents) in (block..).zip(answer[DATA_HEAD..].chunks_mut(B)) {
                    if let Some(newer) = cached.get(&block) {
                        contents.copy_from_slice(newer);
                    }
                }
                Some(answer)
            }
            DiskRequest::Flush => {
                write_back(&mut cached, |_| true);
                None
            }
            DiskRequest::Size | DiskRequest::Resize { .. } | DiskRequest::Discard { .. } => None,
        }
    }
}

#[test]
fn an_interference_may_cut_the_power() {
    let folder = tempfile::tempdir().unwrap();
    let cut = Arc::new(PowerCut { writes_left: AtomicU64::new(4), ..PowerCut::default() });
    let disk = Disk::open(settings(&folder), LogSink::discard(), Some(cut)).unwrap();
    is(&disk, DiskRequest::Resize { blocks: 8 }, DiskResponse::Done);
    is(&disk, DiskRequest::Write { block: 0, data: &[1; 4 * B] }, DiskResponse::Done);
    is(&disk, DiskRequest::Flush, DiskResponse::Done);
    is(&disk, DiskRequest::Write { block: 0, data: &[2; B] }, DiskResponse::Done);
    is(&disk, DiskRequest::Write { block: 1, data: &[2; B] }, DiskResponse::Done);
    is(&disk, DiskRequest::Read { block: 1, count: 1 }, DiskResponse::Data(&[2; B]));
    is(&disk, DiskRequest::Write { block: 2, data: &[2; 2 * B] }, failed(DiskFailure::Io));
    is(&disk, DiskRequest::Flush, failed(DiskFailure::Io));
    drop(disk);
    let disk = Disk::open(settings(&folder), LogSink::discard(), None).unwrap();
    let after: Vec<u8> = [2, 1, 2, 1].into_iter().flat_map(|byte| [byte; B]).collect();
    is(&disk, DiskRequest::Read { block: 0, count: 4 }, DiskResponse::Data(&after));
}
