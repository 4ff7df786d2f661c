use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cloister_filesystem::{Filesystem, Follow, OpenHow};
use cloister_volume::{MemoryDisk, Options, Quota, SealingError, SealingKey, Volume};
use cloister_wasi::{Access, Durability, Error, Preopen, Storage, Unavailable, WasiCtx};
use wasmtime::Trap;
use zeroize::Zeroizing;

use crate::guest::{Guest, Outcome, PLENTY};

/// How many directories are open.
const COUNT: Guest<'_> = Guest {
    world: "import wasi:filesystem/types@W; import wasi:filesystem/preopens@W; export run: func() -> u32;",
    imports: r#"(import "wasi:filesystem/preopens@W" "get-directories" (func $get (param i32)))"#,
    body: r#"(func (export "run") (result i32)
        (i64.store (i32.const 16) (i64.const -1))
        (call $get (i32.const 16))
        (i32.load (i32.const 20)))"#,
};

#[tokio::test]
async fn no_directory_is_open() {
    assert_eq!(COUNT.run::<_, u32>(WasiCtx::builder(), ()).await.unwrap(), 0);
    assert_eq!(COUNT.run::<_, u32>(WasiCtx::builder().storage(Some(storage())), ()).await.unwrap(), 1);
}

#[tokio::test]
async fn the_directories_of_the_settings_are_open() {
    let (own, other) = (storage(), storage().filesystem);
    let preopen = |path: &str, filesystem: &Filesystem, access| Preopen {
        guest_path: format!("/seen{path}"),
        filesystem: filesystem.clone(),
        path: path.to_owned(),
        access,
    };
    let with = |preopens: &[Preopen]| WasiCtx::builder().storage(Some(own.clone())).preopens(preopens.into());
    let good = [
        preopen("/made", &own.filesystem, Access::ReadWrite),
        preopen("/made", &own.filesystem, Access::ReadOnly),
        preopen("/", &other, Access::ReadOnly),
    ];
    assert_eq!(COUNT.run::<_, u32>(with(&good), ()).await.unwrap(), 3);
    let missing = [preopen("/missing", &other, Access::ReadOnly)];
    let ended = COUNT.run::<_, u32>(with(&missing), ()).await.unwrap_err();
    let Some(Error::Preopen { guest_path, .. }) = ended.downcast_ref() else { panic!("{ended:?}") };
    assert_eq!(guest_path, "/seen/missing");
}

/// Appends its argument to the file `log`, and returns all that is in it.
const APPEND: Guest<'_> = Guest {
    world: "import wasi:filesystem/types@W; import wasi:filesystem/preopens@W; import wasi:io/streams@W;
        export run: func(text: list<u8>) -> list<u8>;",
    imports: r#"
        (import "wasi:filesystem/preopens@W" "get-directories" (func $directories (param i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.open-at"
            (func $open (param i32 i32 i32 i32 i32 i32 i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.append-via-stream" (func $append (param i32 i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.read" (func $read (param i32 i64 i64 i32)))
        (import "wasi:filesystem/types@W" "[resource-drop]descriptor" (func $close (param i32)))
        (import "wasi:io/streams@W" "[method]output-stream.blocking-write-and-flush"
            (func $write (param i32 i32 i32 i32)))
        (import "wasi:io/streams@W" "[resource-drop]output-stream" (func $drop (param i32)))"#,
    body: r#"
        (data (i32.const 0) "log")
        (func $good (param $result i32)
            (if (i32.load8_u (local.get $result)) (then unreachable)))
        (func (export "run") (param $text i32) (param $length i32) (result i32)
            (local $root i32) (local $file i32) (local $stream i32)
            (call $directories (i32.const 16))
            (local.set $root (i32.load (i32.load (i32.const 16))))
            (call $open (local.get $root) (i32.const 1) (i32.const 0) (i32.const 3)
                (i32.const 1) (i32.const 3) (i32.const 32))
            (call $good (i32.const 32))
            (local.set $file (i32.load (i32.const 36)))
            (call $append (local.get $file) (i32.const 48))
            (call $good (i32.const 48))
            (local.set $stream (i32.load (i32.const 52)))
            (call $write (local.get $stream) (local.get $text) (local.get $length) (i32.const 64))
            (call $good (i32.const 64))
            (call $drop (local.get $stream))
            (call $read (local.get $file) (i64.const -1) (i64.const 0) (i32.const 80))
            (call $good (i32.const 80))
            (call $close (local.get $file))
            (call $close (local.get $root))
            (i32.const 84))"#,
};

#[tokio::test]
async fn what_one_call_wrote_another_reads() {
    let storage = storage();
    let call = async |text: &[u8]| {
        let ctx = WasiCtx::builder().storage(Some(storage.clone()));
        let outcome = APPEND.run_with::<_, Vec<u8>>(PLENTY, ctx, (text.to_vec(),)).await;
        assert!(outcome.all_dropped, "a descriptor is left in the table");
        outcome.result.unwrap()
    };
    assert!(!storage.used.load(Ordering::Relaxed));
    assert_eq!(call(b"one").await, b"one");
    assert!(storage.used.load(Ordering::Relaxed));
    assert_eq!(call(b", two").await, b"one, two");
}

#[tokio::test]
async fn files_cost_fuel_by_their_bytes() {
    let fuel = async |length: usize| {
        let ctx = WasiCtx::builder().storage(Some(storage()));
        let outcome = APPEND.run_with::<_, Vec<u8>>(PLENTY, ctx, (vec![b'x'; length],)).await;
        outcome.result.unwrap();
        outcome.fuel_used
    };
    let (short, long) = (fuel(96).await, fuel(4096).await);
    assert!((8_000..9_000).contains(&(long - short)), "written and read: {short} {long}");
}

/// Writes to the file `log` and syncs it; then traps (0), goes on for ever (1), or waits an hour (2).
const SYNC_AND_FAIL: Guest<'_> = Guest {
    world: "import wasi:filesystem/types@W; import wasi:filesystem/preopens@W; import wasi:io/poll@W;
        import wasi:clocks/monotonic-clock@W; export run: func(end: u32) -> u32;",
    imports: r#"
        (import "wasi:filesystem/preopens@W" "get-directories" (func $directories (param i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.open-at"
            (func $open (param i32 i32 i32 i32 i32 i32 i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.write"
            (func $write (param i32 i32 i32 i64 i32)))
        (import "wasi:filesystem/types@W" "[method]descriptor.sync" (func $sync (param i32 i32)))
        (import "wasi:clocks/monotonic-clock@W" "subscribe-duration" (func $after (param i64) (result i32)))
        (import "wasi:io/poll@W" "[method]pollable.block" (func $block (param i32)))"#,
    body: r#"
        (data (i32.const 0) "log")
        (data (i32.const 4) "kept")
        (func $good (param $result i32)
            (if (i32.load8_u (local.get $result)) (then unreachable)))
        (func (export "run") (param $end i32) (result i32) (local $file i32)
            (call $directories (i32.const 16))
            (call $open (i32.load (i32.load (i32.const 16))) (i32.const 1) (i32.const 0) (i32.const 3)
                (i32.const 1) (i32.const 3) (i32.const 32))
            (call $good (i32.const 32))
            (local.set $file (i32.load (i32.const 36)))
            (call $write (local.get $file) (i32.const 4) (i32.const 4) (i64.const 0) (i32.const 64))
            (call $good (i32.const 64))
            (call $sync (local.get $file) (i32.const 96))
            (call $good (i32.const 96))
            (if (i32.eqz (local.get $end)) (then unreachable))
            (if (i32.eq (local.get $end) (i32.const 1)) (then (loop $on (br $on))))
            (call $block (call $after (i64.const 3600000000000)))
            (i32.const 0))"#,
};

#[tokio::test]
async fn what_was_synced_stays_however_the_call_ends() {
    for (end, trap) in [(0_u32, Some(Trap::UnreachableCodeReached)), (1, Some(Trap::OutOfFuel)), (2, None)] {
        let disk = MemoryDisk::new(4_096);
        let ctx = WasiCtx::builder().storage(Some(storage_on(&disk)));
        let call = SYNC_AND_FAIL.run_with::<_, u32>(1_000_000, ctx, (end,));
        // A call that takes too long and one whose client went away are both dropped where they are.
        match (tokio::time::timeout(Duration::from_secs(5), call).await, trap) {
            (Err(_), None) => {}
            (Ok(Outcome { result: Err(error), .. }), Some(trap)) => {
                assert_eq!(error.downcast_ref(), Some(&trap), "{error:?}");
            }
            (ended, _) => panic!("{end}: {:?}", ended.map(|outcome| outcome.result)),
        }
        let volume = Volume::mount(Arc::new(disk.fork()), &FixedKey, Options::default()).unwrap();
        let root = Filesystem::open(volume.dataset("app").unwrap().unwrap()).unwrap().root().unwrap();
        let file = root.open_at("log", Follow::No, &OpenHow::default()).unwrap();
        let mut found = [0; 10];
        let length = file.read_at(0, &mut found).unwrap();
        assert_eq!(&found[..length], b"kept", "{end}");
    }
}

/// An empty filesystem on a volume of its own.
fn storage() -> Storage {
    storage_on(&MemoryDisk::new(4_096))
}

fn storage_on(disk: &MemoryDisk) -> Storage {
    let volume = Volume::create(Arc::new(disk.clone()), &FixedKey, Options::default()).unwrap();
    let quota = Quota { bytes: 1 << 20, objects: 100 };
    let dataset = volume.create_dataset(&volume.begin(), "app", quota).unwrap();
    Storage {
        filesystem: Filesystem::open(dataset).unwrap(),
        keys: None,
        durability: Arc::new(Commit(volume)),
        used: Arc::new(AtomicBool::new(false)),
    }
}

struct Commit(Volume);

impl Durability for Commit {
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>> {
        Box::pin(async { self.0.commit().map(drop).map_err(|_| Unavailable) })
    }
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}
