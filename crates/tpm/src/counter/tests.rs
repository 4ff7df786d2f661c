#[path = "soft_tpm.rs"]
mod soft_tpm;

use super::*;
use soft_tpm::SoftTpm;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const VOLUME: [u8; 16] = [0x5a; 16];

fn secret(byte: u8) -> Zeroizing<[u8; 32]> {
    Zeroizing::new([byte; 32])
}

fn open(
    transport: Arc<dyn Transport>,
    volume: [u8; 16],
    key: u8,
    purpose: AnchorPurpose,
) -> Result<Box<dyn Anchor>, AnchorError> {
    TpmAnchors::new(transport).open(&volume, &secret(key), purpose)
}

fn create(transport: Arc<dyn Transport>) -> Box<dyn Anchor> {
    open(transport, VOLUME, 7, AnchorPurpose::Create).unwrap()
}

fn existing(transport: Arc<dyn Transport>) -> Result<Box<dyn Anchor>, AnchorError> {
    open(transport, VOLUME, 7, AnchorPurpose::Existing)
}

/// What stands between the enclave and the TPM: it may change commands and responses.
struct Host<F> {
    tpm: Arc<SoftTpm>,
    meddle: F,
}

impl<F> fmt::Debug for Host<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

impl<F> Transport for Host<F>
where
    F: Fn(&[u8], &dyn Fn(&[u8]) -> Result<Vec<u8>, TpmError>) -> Result<Vec<u8>, TpmError> + Send + Sync,
{
    fn transact(&self, command: &[u8]) -> Result<Vec<u8>, TpmError> {
        (self.meddle)(command, &|command| self.tpm.transact(command))
    }
}

fn host<F>(tpm: &Arc<SoftTpm>, meddle: F) -> Arc<dyn Transport>
where
    F: Fn(&[u8], &dyn Fn(&[u8]) -> Result<Vec<u8>, TpmError>) -> Result<Vec<u8>, TpmError>
        + Send
        + Sync
        + 'static,
{
    Arc::new(Host { tpm: Arc::clone(tpm), meddle })
}

fn is(operation: Operation, command: &[u8]) -> bool {
    command[6..10] == operation.code().to_be_bytes()
}

#[test]
fn a_counter_goes_up_by_one_and_is_found_again() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm.clone());
    let first = anchor.value().unwrap();
    assert!(first >= 1);
    for step in 1..=5 {
        assert_eq!(anchor.advance().unwrap(), first + step);
    }
    let again = existing(tpm.clone()).unwrap();
    assert_eq!(again.value().unwrap(), first + 5);
    assert_eq!(again.identity(), anchor.identity());
    drop(anchor);
    assert_eq!(again.advance().unwrap(), first + 6);
    let other = open(tpm, [1; 16], 7, AnchorPurpose::Create).unwrap();
    assert_ne!(other.identity(), again.identity());
    other.advance().unwrap();
    assert_eq!(again.value().unwrap(), first + 6);
}

#[test]
fn it_survives_the_tpm_losing_power() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm.clone());
    let value = anchor.advance().unwrap();
    tpm.restart();
    assert_eq!(anchor.value().unwrap(), value, "in a new session");
    tpm.restart();
    assert_eq!(anchor.advance().unwrap(), value + 1);
    let identity = anchor.identity();
    drop(anchor);
    tpm.restart();
    let anchor = existing(tpm).unwrap();
    assert_eq!((anchor.value().unwrap(), anchor.identity()), (value + 1, identity));
}

#[test]
fn creating_twice_and_opening_what_is_not_there_are_told_apart() {
    let tpm = Arc::new(SoftTpm::start());
    assert_eq!(existing(tpm.clone()).unwrap_err(), AnchorError::Missing);
    let anchor = create(tpm.clone());
    let again = open(tpm.clone(), VOLUME, 7, AnchorPurpose::Create);
    assert_eq!(again.unwrap_err(), AnchorError::Exists);
    tpm.stop();
    let unreachable = AnchorError::Unreachable(io::ErrorKind::NotConnected);
    assert_eq!(anchor.value().unwrap_err(), unreachable);
    assert_eq!(anchor.advance().unwrap_err(), unreachable);
    assert_eq!(existing(tpm.clone()).unwrap_err(), unreachable);
    tpm.restart();
    anchor.advance().unwrap();
}

#[test]
fn another_secret_is_refused() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm.clone());
    for _ in 0..40 {
        // TPM_RC_BAD_AUTH for session 1. No number of attempts locks anything.
        let refused = open(tpm.clone(), VOLUME, 8, AnchorPurpose::Existing);
        assert_eq!(refused.unwrap_err(), AnchorError::Refused(0x9a2));
    }
    anchor.advance().unwrap();
}

#[test]
fn the_host_never_sees_the_authorization_value() {
    let tpm = Arc::new(SoftTpm::start());
    let seen = Arc::new(Mutex::new(Vec::<u8>::new()));
    let theirs = Arc::clone(&seen);
    let watching = host(&tpm, move |command, tpm| {
        let response = tpm(command)?;
        theirs.lock().unwrap().extend([command, &response].concat());
        Ok(response)
    });
    create(watching).advance().unwrap();
    let counter = Counter::of(&VOLUME, &secret(7));
    let seen = seen.lock().unwrap();
    let contains = |needle: &[u8]| seen.windows(needle.len()).any(|window| window == needle);
    assert!(contains(&counter.index.to_be_bytes()));
    assert!(!contains(&counter.auth[..8]) && !contains(&counter.auth[24..]));
}

#[test]
fn altered_responses_are_refused_and_never_change_the_value() {
    let tpm = Arc::new(SoftTpm::start());
    let value = create(tpm.clone()).value().unwrap();
    // Of a read: a header (10 bytes), lengths (4 and 2), the value (8), a nonce (2 and 32), attributes (1), the HMAC (2
    // and 32).
    for at in 0..93 {
        let altering = host(&tpm, move |command, tpm| {
            let mut response = tpm(command)?;
            if is(Operation::Read, command) {
                assert_eq!(response.len(), 93);
                response[at] ^= 1;
            }
            Ok(response)
        });
        let error = existing(altering).unwrap_err();
        assert!(matches!(error, AnchorError::Forged(_) | AnchorError::Refused(_)), "{at}: {error}");
    }
    assert_eq!(existing(tpm).unwrap().value().unwrap(), value);
}

#[test]
fn altered_commands_do_nothing() {
    let tpm = Arc::new(SoftTpm::start());
    let value = create(tpm.clone()).value().unwrap();
    // Of an increment: everything behind the header.
    for at in 10..90 {
        let altering = host(&tpm, move |command, tpm| {
            let mut command = command.to_vec();
            if is(Operation::Increment, &command) && at < command.len() {
                command[at] ^= 1;
            }
            tpm(&command)
        });
        let anchor = existing(altering).unwrap();
        match anchor.advance() {
            Err(AnchorError::Refused(_) | AnchorError::Missing | AnchorError::Forged(_)) => {}
            other => panic!("{at}: {other:?}"),
        }
        assert_eq!(anchor.value().unwrap(), value, "{at}");
    }
}

#[test]
fn repeated_responses_are_refused() {
    let tpm = Arc::new(SoftTpm::start());
    for operation in [Operation::Read, Operation::Increment] {
        let kept = Mutex::new(None);
        let repeating = Arc::new(AtomicBool::new(false));
        let when = Arc::clone(&repeating);
        let replaying = host(&tpm, move |command, tpm| {
            if !is(operation, command) {
                return tpm(command);
            }
            let mut kept = kept.lock().unwrap();
            match &*kept {
                Some(old) if when.load(Ordering::Relaxed) => Ok(Vec::clone(old)),
                _ => Ok(kept.insert(tpm(command)?).clone()),
            }
        });
        let volume = [operation.code() as u8; 16];
        let anchor = open(replaying, volume, 7, AnchorPurpose::Create).unwrap();
        let value = anchor.advance().unwrap();
        repeating.store(true, Ordering::Relaxed);
        let forged = anchor.advance();
        assert!(matches!(forged, Err(AnchorError::Forged(_))), "{forged:?}");
        repeating.store(false, Ordering::Relaxed);
        let now = anchor.value().unwrap();
        // The read was repeated after an increment that went through; or the increment never reached the TPM.
        assert_eq!(now, if operation == Operation::Read { value + 1 } else { value });
        assert_eq!(anchor.advance().unwrap(), now + 1);
    }
}

#[test]
fn repeated_commands_do_not_count() {
    let tpm = Arc::new(SoftTpm::start());
    let greedy = host(&tpm, |command, tpm| {
        let response = tpm(command)?;
        if is(Operation::Increment, command) {
            let again = tpm(command)?;
            assert_ne!(again[6..10], [0; 4], "the TPM takes no command twice");
        }
        Ok(response)
    });
    let anchor = create(greedy);
    let value = anchor.value().unwrap();
    assert_eq!(anchor.advance().unwrap(), value + 1);
    assert_eq!(anchor.advance().unwrap(), value + 2);
}

#[test]
fn an_increment_counts_once_however_its_answer_was_lost() {
    let tpm = Arc::new(SoftTpm::start());
    for reaches_the_tpm in [true, false] {
        let losses = Arc::new(AtomicUsize::new(0));
        let left = Arc::clone(&losses);
        let lossy = host(&tpm, move |command, tpm| {
            let loses = is(Operation::Increment, command)
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_ok();
            if loses && !reaches_the_tpm {
                return Err(TpmError::Unreachable(io::ErrorKind::TimedOut));
            }
            let response = tpm(command)?;
            if loses { Err(TpmError::Unreachable(io::ErrorKind::TimedOut)) } else { Ok(response) }
        });
        let anchor = open(lossy, [u8::from(reaches_the_tpm); 16], 7, AnchorPurpose::Create).unwrap();
        let value = anchor.value().unwrap();
        losses.store(1, Ordering::Relaxed);
        assert_eq!(anchor.advance().unwrap(), value + 1);
        losses.store(2, Ordering::Relaxed);
        match anchor.advance() {
            Ok(advanced) if reaches_the_tpm => assert_eq!(advanced, value + 2),
            Err(AnchorError::Unreachable(io::ErrorKind::TimedOut)) if !reaches_the_tpm => {}
            other => panic!("{other:?}"),
        }
        losses.store(0, Ordering::Relaxed);
        let now = anchor.value().unwrap();
        assert_eq!(now, value + if reaches_the_tpm { 2 } else { 1 });
        assert_eq!(anchor.advance().unwrap(), now + 1);
    }
}

/// A command with the owner's empty password.
fn as_owner(tpm: &SoftTpm, code: u32, index: u32, handles: &[u32], parameters: &[u8]) {
    let handles = handles.iter().chain([&index]).flat_map(|handle| handle.to_be_bytes());
    let body: Vec<u8> = handles.collect();
    let password = Writer::default().u32(crate::wire::RS_PASSWORD).sized(&[]).u8(0).sized(&[]).finish();
    let body = Writer::default().bytes(&body).u32(9).bytes(&password).bytes(parameters).finish();
    let length = 10 + body.len() as u32;
    let command = Writer::default().u16(0x8002).u32(length).u32(code).bytes(&body).finish();
    let response = tpm.transact(&command).unwrap();
    assert_eq!(response[6..10], [0; 4], "{code:#x}");
}

fn define(tpm: &SoftTpm, public: &[u8], auth: &[u8]) {
    let password = Writer::default().u32(crate::wire::RS_PASSWORD).sized(&[]).u8(0).sized(&[]).finish();
    let body = Writer::default().u32(RH_OWNER).u32(9).bytes(&password).sized(auth).sized(public).finish();
    let length = 10 + body.len() as u32;
    let command = Writer::default().u16(0x8002).u32(length).u32(0x12a).bytes(&body).finish();
    assert_eq!(tpm.transact(&command).unwrap()[6..10], [0; 4]);
}

const NV_UNDEFINE: u32 = 0x122;
const NV_INCREMENT: u32 = 0x134;

#[test]
fn a_counter_that_the_host_removed_or_replaced_is_not_accepted() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm.clone());
    let value = anchor.advance().unwrap();
    let counter = Counter::of(&VOLUME, &secret(7));
    let undefine = || as_owner(&tpm, NV_UNDEFINE, counter.index, &[RH_OWNER], &[]);

    undefine();
    assert_eq!(anchor.value().unwrap_err(), AnchorError::Missing);
    assert_eq!(anchor.advance().unwrap_err(), AnchorError::Missing);
    assert_eq!(existing(tpm.clone()).unwrap_err(), AnchorError::Missing);

    // The same public part, a value that the host knows.
    define(&tpm, &counter.public(Written::No), b"");
    as_owner_of_index(&tpm, counter.index);
    assert!(matches!(anchor.value().unwrap_err(), AnchorError::Refused(_)));
    assert!(matches!(existing(tpm.clone()).unwrap_err(), AnchorError::Refused(_)));
    undefine();

    // Even with the right value, a counter that its owner may write as it likes has another name.
    let ordinary = ATTRIBUTES & !(1 << 4) | 1 << 1;
    let public =
        Writer::default().u32(counter.index).u16(ALG_SHA256).u32(ordinary).sized(&[]).u16(VALUE_LEN).finish();
    define(&tpm, &public, &counter.auth);
    let write = Writer::default().sized(&u64::MAX.to_be_bytes()).u16(0).finish();
    as_owner(&tpm, 0x137, counter.index, &[RH_OWNER], &write);
    assert!(matches!(anchor.value().unwrap_err(), AnchorError::Refused(_)));
    undefine();

    let anew = create(tpm.clone()).value().unwrap();
    assert!(anew > value, "a counter made anew goes on after the one that was removed");
}

/// Increments with the index's own empty password.
fn as_owner_of_index(tpm: &SoftTpm, index: u32) {
    as_owner(tpm, NV_INCREMENT, index, &[index], &[]);
}

#[test]
fn another_tpm_is_noticed() {
    let (tpm, other) = (Arc::new(SoftTpm::start()), SoftTpm::start());
    let exchanged = Arc::new(AtomicBool::new(false));
    let when = Arc::clone(&exchanged);
    let switching =
        host(
            &tpm,
            move |command, tpm| {
                if when.load(Ordering::Relaxed) { other.transact(command) } else { tpm(command) }
            },
        );
    let anchor = create(Arc::clone(&switching));
    let value = anchor.value().unwrap();
    exchanged.store(true, Ordering::Relaxed);
    assert_eq!(anchor.value().unwrap_err(), TpmError::Exchanged.into());
    assert_eq!(existing(switching).unwrap_err(), AnchorError::Missing);
    exchanged.store(false, Ordering::Relaxed);
    assert_eq!(anchor.advance().unwrap(), value + 1);
}

#[test]
fn an_increment_by_somebody_else_is_out_of_step() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm.clone());
    let value = anchor.value().unwrap();
    let twin = existing(tpm).unwrap();
    assert_eq!(twin.advance().unwrap(), value + 1);
    let out = AnchorError::OutOfStep { expected: value + 1, found: value + 2 };
    assert_eq!(anchor.advance().unwrap_err(), out);
}

#[test]
fn what_killed_processes_left_in_the_tpm_is_cleared() {
    let tpm = Arc::new(SoftTpm::start());
    let value = create(tpm.clone()).value().unwrap();
    for _ in 0..70 {
        // A process that is killed flushes nothing.
        std::mem::forget(existing(tpm.clone()).unwrap());
    }
    assert_eq!(existing(tpm.clone()).unwrap().value().unwrap(), value);
    // The anchors that were forgotten keep it.
    tpm.stop();
}

#[test]
fn threads_may_share_a_counter() {
    let tpm = Arc::new(SoftTpm::start());
    let anchor = create(tpm);
    let value = anchor.value().unwrap();
    let mut seen: Vec<u64> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| [(); 5].map(|()| anchor.advance().unwrap()))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, (value + 1..=value + 20).collect::<Vec<_>>());
}

#[test]
fn indices_are_the_owners_and_values_end_in_no_zero() {
    for byte in 0..=255 {
        let counter = Counter::of(&[byte; 16], &secret(byte));
        assert!((0x0180_0000..=0x01bf_ffff).contains(&counter.index));
        assert!(counter.auth.len() <= DIGEST && counter.auth.last() != Some(&0));
    }
    let volumes = [[1; 16], [2; 16]].map(|volume| Counter::of(&volume, &secret(1)));
    assert_ne!(volumes[0].index, volumes[1].index);
    assert_ne!(volumes[0].auth, volumes[1].auth);
    assert!(!format!("{:?}", volumes[0]).contains("auth"));
}
