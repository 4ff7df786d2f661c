use super::*;
use crate::lanes::LANES;
use crate::lanes::scripted::{Scripted, Step};
use cloister_volume::Disk as _;
use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

/// A host whose disk answers requests with these bytes.
fn scripted(mut serve: impl FnMut(DiskRequest<'_>) -> Vec<u8> + Send + 'static) -> Scripted {
    Scripted::new(move |payload| serve(DiskRequest::decode(payload).unwrap()))
}

fn frame(response: DiskResponse<'_>) -> Vec<u8> {
    [response.head().as_bytes(), response.data()].concat()
}

fn kind(lane: &mut Scripted, request: DiskRequest<'_>, into: &mut [u8]) -> io::ErrorKind {
    exchange(lane, request, into).unwrap_err().kind()
}

const READ_TWO: DiskRequest<'static> = DiskRequest::Read { block: 3, count: 2 };

#[test]
fn requests_arrive_and_answers_come_back() {
    let mut into = vec![0; 2 * BLOCK_LEN];
    let contents: Vec<u8> = (0..into.len()).map(|i| (i % 251) as u8).collect();
    let theirs = contents.clone();
    let mut lane = scripted(move |request| match request {
        READ_TWO => frame(DiskResponse::Data(&theirs)),
        DiskRequest::Size => frame(DiskResponse::Size(77)),
        DiskRequest::Write { block: 9, data } if data == theirs => frame(DiskResponse::Done),
        _ => frame(DiskResponse::Failed(DiskFailure::OutOfRange)),
    });
    assert_eq!(exchange(&mut lane, READ_TWO, &mut into).unwrap(), Answer::Data);
    assert_eq!(into, contents);
    assert_eq!(exchange(&mut lane, DiskRequest::Size, &mut []).unwrap(), Answer::Size(77));
    let write = DiskRequest::Write { block: 9, data: &contents };
    assert_eq!(exchange(&mut lane, write, &mut []).unwrap(), Answer::Done);
    let failed = Answer::Failed(DiskFailure::OutOfRange);
    assert_eq!(exchange(&mut lane, DiskRequest::Flush, &mut []).unwrap(), failed);
}

#[test]
fn transfers_may_be_interrupted_and_cut_anywhere() {
    let contents = vec![5; 2 * BLOCK_LEN];
    let steps = [1, 2, 3, 13]
        .into_iter()
        .flat_map(|count| [Step::Fails(io::ErrorKind::Interrupted), Step::Moves(count)]);
    // The request is 24 bytes long: the last of these steps cut its answer.
    let steps = steps.chain([5, 1, 1, 1, 1, 100, 4096].into_iter().map(Step::Moves));
    let mut lane = Scripted::after(steps, frame(DiskResponse::Data(&contents)));
    let mut into = vec![0; 2 * BLOCK_LEN];
    assert_eq!(exchange(&mut lane, READ_TWO, &mut into).unwrap(), Answer::Data);
    assert_eq!(into, contents);
    assert!(lane.steps.is_empty());
}

#[test]
fn a_host_that_only_interrupts_or_moves_nothing_is_an_error() {
    let endless = || (0..1000).map(|_| Step::Fails(io::ErrorKind::Interrupted));
    let mut lane = Scripted::after(endless(), vec![]);
    assert_eq!(kind(&mut lane, DiskRequest::Flush, &mut []), io::ErrorKind::Other);
    let mut lane = Scripted::after([Step::Moves(0)], vec![]);
    assert_eq!(kind(&mut lane, DiskRequest::Flush, &mut []), io::ErrorKind::WriteZero);
    let mut lane = Scripted::after([], vec![]);
    assert_eq!(kind(&mut lane, DiskRequest::Flush, &mut []), io::ErrorKind::UnexpectedEof);
    let mut lane = Scripted::after([Step::Fails(io::ErrorKind::WouldBlock)], vec![]);
    assert_eq!(kind(&mut lane, DiskRequest::Flush, &mut []), io::ErrorKind::WouldBlock);
}

#[test]
fn anything_but_the_answer_asked_for_is_invalid() {
    let blocks = vec![0; 3 * BLOCK_LEN];
    let mut into = vec![0; 2 * BLOCK_LEN];
    let done = frame(DiskResponse::Done);
    for answer in [
        frame(DiskResponse::Data(&blocks)),
        frame(DiskResponse::Data(&blocks[..BLOCK_LEN])),
        done.clone(),
        frame(DiskResponse::Size(2)),
        [frame(DiskResponse::Data(&blocks[..2 * BLOCK_LEN])), vec![0]].concat()[..].into(),
        [&[5, 0, 0, 0, 2], &[0; 20][..]].concat(),
        vec![0; 8],
        vec![0xff; 8],
        [&8_196_u32.to_le_bytes()[..], &[9, 0, 0, 0], &blocks].concat(),
    ] {
        let mut lane = Scripted::after([], answer.clone());
        match exchange(&mut lane, READ_TWO, &mut into) {
            // Only what lies beyond the bytes asked for is not seen, and the lane keeps it from the next request.
            Ok(Answer::Data) => assert_eq!(answer.len(), 8 + 2 * BLOCK_LEN + 1),
            Ok(answer) => panic!("{answer:?}"),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{answer:?}"),
        }
    }
    for (request, answer) in [
        (DiskRequest::Size, done.clone()),
        (DiskRequest::Flush, frame(DiskResponse::Size(1))),
        (DiskRequest::Flush, vec![4, 0, 0, 0, 2, 0, 0, 0]),
        (DiskRequest::Flush, [done.clone(), done.clone()].concat()),
        (DiskRequest::Resize { blocks: 1 }, frame(DiskResponse::Data(&blocks))),
    ] {
        let mut lane = Scripted::after([], answer);
        assert_eq!(kind(&mut lane, request, &mut []), io::ErrorKind::InvalidData, "{request:?}");
    }
}

/// A disk of a few blocks behind lanes that are opened anew after each failure.
fn lanes() -> Lanes<Scripted> {
    fn open() -> io::Result<Scripted> {
        let mut blocks = vec![0; 300 * BLOCK_LEN];
        Ok(scripted(move |request| match request {
            DiskRequest::Read { block, count } if block + count <= 300 => {
                let start = block as usize * BLOCK_LEN;
                frame(DiskResponse::Data(&blocks[start..start + count as usize * BLOCK_LEN]))
            }
            DiskRequest::Write { block, data } if block < 300 => {
                let start = block as usize * BLOCK_LEN;
                blocks[start..start + data.len()].copy_from_slice(data);
                frame(DiskResponse::Done)
            }
            DiskRequest::Size => frame(DiskResponse::Size(300)),
            DiskRequest::Resize { .. } => frame(DiskResponse::Failed(DiskFailure::NoSpace)),
            DiskRequest::Flush => frame(DiskResponse::Size(0)),
            _ => frame(DiskResponse::Failed(DiskFailure::OutOfRange)),
        }))
    }
    Lanes::new(open).unwrap()
}

#[test]
fn transfers_larger_than_a_frame_are_split() {
    let disk = lanes();
    let bytes: Vec<u8> = (0..290 * BLOCK_LEN).map(|i| (i / 1000) as u8).collect();
    disk.write(5, &bytes).unwrap();
    let mut into = vec![0; bytes.len()];
    disk.read(5, &mut into).unwrap();
    assert!(into == bytes);
    disk.read(0, &mut []).unwrap();
    assert_eq!(disk.blocks().unwrap(), 300);
}

#[test]
fn failures_keep_their_kind_and_only_lies_close_the_lane() {
    let disk = lanes();
    disk.write(0, &[1; BLOCK_LEN]).unwrap();
    assert_eq!(disk.resize(1 << 40).unwrap_err().kind(), io::ErrorKind::StorageFull);
    let mut block = [0; BLOCK_LEN];
    assert_eq!(disk.read(300, &mut block).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    disk.read(0, &mut block).unwrap();
    assert_eq!(block, [1; BLOCK_LEN], "the same lane");
    assert_eq!(disk.flush().unwrap_err().kind(), io::ErrorKind::InvalidData);
    disk.read(0, &mut block).unwrap();
    assert_eq!(block, [0; BLOCK_LEN], "a new lane");
    assert_eq!(disk.free().len(), LANES);
}

#[test]
fn what_no_frame_can_say_is_refused() {
    let disk = lanes();
    for outcome in [
        disk.read(0, &mut [0; 100]),
        disk.write(0, &[0; BLOCK_LEN + 1]),
        disk.read(MAX_BLOCKS, &mut [0; BLOCK_LEN]),
        disk.write(u64::MAX, &[0; BLOCK_LEN]),
        disk.resize(MAX_BLOCKS + 1),
        disk.discard(u64::MAX, 2),
        disk.discard(1, MAX_BLOCKS),
    ] {
        assert_eq!(outcome.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }
    disk.discard(u64::MAX, 0).unwrap();
}

#[test]
fn threads_use_lanes_of_their_own_and_wait_when_all_are_taken() {
    static OPENED: AtomicUsize = AtomicUsize::new(0);
    fn open() -> io::Result<Scripted> {
        OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(scripted(|_| {
            // Nobody's is free before all are taken; then there is time for more than there may be.
            while OPENED.load(Ordering::Relaxed) < LANES {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(20));
            frame(DiskResponse::Size(1))
        }))
    }
    let disk = Arc::new(Lanes::new(open).unwrap());
    assert_eq!(OPENED.load(Ordering::Relaxed), 1);
    let start = Arc::new(Barrier::new(3 * LANES));
    std::thread::scope(|scope| {
        for _ in 0..3 * LANES {
            scope.spawn(|| {
                start.wait();
                assert_eq!(disk.blocks().unwrap(), 1);
            });
        }
    });
    assert_eq!(OPENED.load(Ordering::Relaxed), LANES);
    assert_eq!(disk.free().len(), LANES);
}

#[test]
fn a_host_that_refuses_lanes_is_an_error_each_time() {
    static ALLOWED: AtomicUsize = AtomicUsize::new(1);
    fn open() -> io::Result<Scripted> {
        match ALLOWED.load(Ordering::Relaxed) {
            0 => Err(io::ErrorKind::PermissionDenied.into()),
            allowed => {
                ALLOWED.store(allowed - 1, Ordering::Relaxed);
                Ok(Scripted::after([], vec![0xff; 16]))
            }
        }
    }
    let disk = Lanes::new(open).unwrap();
    assert_eq!(disk.blocks().unwrap_err().kind(), io::ErrorKind::InvalidData);
    for _ in 0..10 {
        assert_eq!(disk.blocks().unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_the_host_says_is_an_answer_of_the_right_kind_or_an_error(
        prefix in prop_oneof![Just(4_u32), Just(12), Just(4100), any::<u32>()],
        tag in prop_oneof![0..5_u8, Just(255)],
        rest in prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..20),
        padding in prop_oneof![Just(0), Just(BLOCK_LEN), Just(BLOCK_LEN - 20)],
        cuts in prop::collection::vec(1..40_usize, 0..6),
        which in 0..3,
    ) {
        let answer = [&prefix.to_le_bytes()[..], &[tag], &rest, &vec![0; padding]].concat();
        let steps = [Step::Moves(usize::MAX)].into_iter().chain(cuts.into_iter().map(Step::Moves));
        let mut lane = Scripted::after(steps, answer);
        let mut into = vec![0; BLOCK_LEN];
        let (request, into) = match which {
            0 => (DiskRequest::Size, &mut into[..0]),
            1 => (DiskRequest::Flush, &mut into[..0]),
            _ => (DiskRequest::Read { block: 0, count: 1 }, &mut into[..]),
        };
        let answer = exchange(&mut lane, request, into);
        prop_assert!(matches!(
            (&answer, which),
            (Ok(Answer::Failed(_)) | Err(_), _) | (Ok(Answer::Size(_)), 0) | (Ok(Answer::Done), 1) | (Ok(Answer::Data), 2)
        ), "{:?}", answer);
    }
}
