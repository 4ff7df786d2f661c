use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cloister_filesystem::Filesystem;
use cloister_volume::kv::{KeyValue, MAX_KEY, MAX_VALUE};
use cloister_volume::{MemoryDisk, Options, Quota, SealingError, SealingKey, Volume};
use cloister_wasi::{Durability, Storage, Unavailable, WasiCtx, WasiCtxBuilder};
use wasmtime::Trap;
use wasmtime::component::{ComponentNamedList, ComponentType, Lift, Lower};
use zeroize::Zeroizing;

use crate::guest::{Guest, Outcome, PLENTY};

#[tokio::test]
async fn the_apps_bucket_has_two_names_and_there_is_no_other() {
    let apps = Apps::new();
    let open = async |storage: Option<Storage>, name: &'static str| {
        let ctx = WasiCtx::builder().storage(storage);
        OPEN.run::<_, Answer<()>>(ctx, (name,)).await.unwrap()
    };
    let storage = apps.storage("app:a");
    for name in ["", "default"] {
        assert_eq!(open(Some(storage.clone()), name).await, Ok(()));
        assert_eq!(open(None, name).await, Err(Error::NoSuchStore));
        let without_keys = Storage { keys: None, ..storage.clone() };
        assert_eq!(open(Some(without_keys), name).await, Err(Error::NoSuchStore));
    }
    for name in ["app:a", "app:b", "Default", "default/", "/"] {
        assert_eq!(open(Some(storage.clone()), name).await, Err(Error::NoSuchStore), "{name}");
    }
}

#[tokio::test]
async fn what_one_call_sets_the_next_one_gets() {
    let app = App::new();
    assert_eq!(app.get("k").await, Ok(None));
    assert_eq!(app.exists("k").await, Ok(false));
    assert_eq!(app.set("k", b"value").await, Ok(()));
    assert_eq!(app.get("k").await, Ok(Some(b"value".to_vec())));
    assert_eq!(app.exists("k").await, Ok(true));
    for _ in 0..2 {
        assert_eq!(app.call("store", "[method]bucket.delete", "key: string", "_", ("k",)).await, Ok(()));
    }
    assert_eq!(app.get("k").await, Ok(None));
}

#[tokio::test]
async fn apps_do_not_see_each_others_keys() {
    let apps = Apps::new();
    let (a, b) = (App(apps.storage("app:a")), App(apps.storage("app:b")));
    a.set("k", b"of a").await.unwrap();
    assert_eq!(b.get("k").await, Ok(None));
    b.set("k", b"of b").await.unwrap();
    assert_eq!(a.get("k").await, Ok(Some(b"of a".to_vec())));
    assert_eq!(b.get("../app:a/k").await, Ok(None));
    assert_eq!(b.get("app:a/k").await, Ok(None));
}

#[tokio::test]
async fn numbers_are_incremented() {
    let app = App::new();
    let increment = async |key: &'static str, delta: u64| {
        app.call::<_, u64>("atomics", "increment", "key: string, delta: u64", "u64", (key, delta)).await
    };
    assert_eq!(increment("n", 5).await, Ok(5));
    assert_eq!(increment("n", u64::MAX - 5).await, Ok(u64::MAX));
    assert_eq!(app.get("n").await, Ok(Some(u64::MAX.to_string().into_bytes())));
    assert_refused(increment("n", 1).await, "more than");
    app.set("t", b"text").await.unwrap();
    assert_refused(increment("t", 1).await, "not a whole number");
}

#[tokio::test]
async fn batches_move_several_keys() {
    let app = App::new();
    let set_many = async |pairs: &[(&str, &[u8])]| {
        app.call("batch", "set-many", "pairs: list<tuple<string, list<u8>>>", "_", (pairs,)).await
    };
    assert_eq!(set_many(&[("a", b"1"), ("b", b"2"), ("c", b"")]).await, Ok(()));
    let delete = app.call("batch", "delete-many", "keys: list<string>", "_", (["b", "none"].as_slice(),));
    assert_eq!(delete.await, Ok(()));
    let get_many = async |keys: &[&str]| {
        let result = "list<option<tuple<string, list<u8>>>>";
        let got = app.call("batch", "get-many", "keys: list<string>", result, (keys,));
        got.await as Answer<Vec<Option<(String, Vec<u8>)>>>
    };
    let pair = |key: &str, value: &[u8]| Some((key.to_owned(), value.to_vec()));
    assert_eq!(get_many(&["c", "b", "a"]).await, Ok(vec![pair("c", b""), None, pair("a", b"1")]));
    assert_eq!(get_many(&[]).await, Ok(vec![]));

    // One pair that cannot be set keeps the others from being set.
    assert_refused(set_many(&[("d", b"4"), ("", b"")]).await, "1 to 1024 bytes");
    assert_eq!(app.get("d").await, Ok(None));
}

#[tokio::test]
async fn limits_are_errors_that_say_what_they_are() {
    let app = App::new();
    let (long, large) = ("k".repeat(MAX_KEY + 1), vec![0; MAX_VALUE + 1]);
    assert_refused(app.get("").await, "1 to 1024 bytes");
    assert_refused(app.set(&long, b"").await, "1 to 1024 bytes");
    assert_refused(app.set("k", &large).await, "1048576 bytes at most");
    assert_eq!(app.set(&long[1..], &large[1..]).await, Ok(()));
    assert_eq!(app.get(&long[1..]).await, Ok(Some(large[1..].to_vec())));

    let narrow = App(Storage { keys: Some(Apps::new().keys("app:a", 100)), ..app.0.clone() });
    assert_eq!(narrow.set("k", &[0; 30]).await, Ok(()));
    assert_refused(narrow.set("l", &[0; 30]).await, "100 are allowed");
}

#[tokio::test]
async fn listing_goes_on_from_its_cursor() {
    let app = App::new();
    let keys = app.0.keys.as_ref().unwrap();
    let name = |n: usize| format!("{n:04}");
    for start in [0, 800] {
        let pairs: Vec<_> = (start..start + 800).map(|n| (name(n), "")).collect();
        keys.set_many(&pairs).unwrap();
    }
    let list = async |cursor: Option<u64>| {
        let result =
            app.call("store", "[method]bucket.list-keys", "cursor: option<u64>", "key-response", (cursor,));
        result.await as Answer<KeyResponse>
    };
    let first = list(None).await.unwrap();
    assert_eq!(first.keys, (0..1000).map(name).collect::<Vec<_>>());
    // That cursor died with its bucket.
    assert_refused(list(first.cursor).await, "cursor");
    assert_refused(list(Some(u64::MAX)).await, "cursor");

    let rest: Answer<KeyResponse> = LIST_TWICE.run(app.ctx(), ()).await.unwrap();
    let rest = rest.unwrap();
    assert_eq!((rest.keys, rest.cursor), ((1000..1600).map(name).collect::<Vec<_>>(), None));
}

#[tokio::test]
async fn storage_is_used_from_the_first_key_on() {
    let app = App::new();
    let used = || app.0.used.load(Ordering::Relaxed);
    OPEN.run::<_, Answer<()>>(app.ctx(), ("",)).await.unwrap().unwrap();
    assert!(!used());
    app.get("k").await.unwrap();
    assert!(used());
}

#[tokio::test]
async fn who_cannot_pay_changes_nothing() {
    let app = App::new();
    let set = |fuel: u64, value: Vec<u8>| {
        let function = Function::new("store", "[method]bucket.set", "key: string, value: list<u8>", "_");
        let ctx = app.ctx();
        async move { function.guest().run_with::<_, Answer<()>>(fuel, ctx, ("k", value)).await }
    };
    let outcome: Outcome<Answer<()>> = set(15_000, vec![]).await;
    assert_eq!(outcome.result.unwrap_err().downcast_ref(), Some(&Trap::OutOfFuel));
    assert_eq!(outcome.fuel_left, 0);
    assert_eq!(app.get("k").await, Ok(None));

    let small = set(PLENTY, vec![0; 1]).await.fuel_used;
    let large = set(PLENTY, vec![0; 100_001]).await.fuel_used;
    assert!(small > 20_000, "{small}");
    assert!(large - small >= 100_000, "{large}");
}

/// Opens a bucket by its name.
const OPEN: Guest<'_> = Guest {
    world: "use wasi:keyvalue/store@0.2.0-draft.{error}; export run: func(name: string) -> result<_, error>;",
    imports: r#"(import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))"#,
    body: r#"(func (export "run") (param i32 i32) (result i32)
        (call $open (local.get 0) (local.get 1) (i32.const 16)) (i32.const 16))"#,
};

/// Lists from the start, and again from where that stopped.
const LIST_TWICE: Guest<'_> = Guest {
    world: "use wasi:keyvalue/store@0.2.0-draft.{error, key-response};
        export run: func() -> result<key-response, error>;",
    imports: r#"(import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
        (import "wasi:keyvalue/store@0.2.0-draft" "[method]bucket.list-keys"
            (func $list (param i32 i32 i64 i32)))"#,
    body: r#"(func (export "run") (result i32)
        (call $open (i32.const 0) (i32.const 0) (i32.const 16))
        (call $list (i32.load (i32.const 20)) (i32.const 0) (i64.const 0) (i32.const 64))
        (call $list (i32.load (i32.const 20)) (i32.load (i32.const 80)) (i64.load (i32.const 88)) (i32.const 128))
        (i32.const 128))"#,
};

/// A guest that opens the app's bucket, calls one function on it and returns what that returned.
struct Function {
    world: String,
    imports: String,
    body: String,
}

impl Function {
    fn new(interface: &str, name: &str, parameters: &str, result: &str) -> Self {
        // A comma is also between the types of a tuple, and there is no name after that.
        let types: String = parameters
            .split(", ")
            .filter_map(|parameter| parameter.split_once(": "))
            .map(|(_, kind)| match kind {
                "u64" => " i64",
                "option<u64>" => " i32 i64",
                // Strings and lists.
                _ => " i32 i32",
            })
            .collect();
        let arguments: String =
            (0..types.split_whitespace().count()).map(|n| format!("(local.get {n}) ")).collect();
        Self {
            world: format!(
                "use wasi:keyvalue/store@0.2.0-draft.{{error, key-response}};
                import wasi:keyvalue/{interface}@0.2.0-draft;
                export run: func({parameters}) -> result<{result}, error>;"
            ),
            imports: format!(
                r#"(import "wasi:keyvalue/store@0.2.0-draft" "open" (func $open (param i32 i32 i32)))
                (import "wasi:keyvalue/{interface}@0.2.0-draft" "{name}" (func $do (param i32 {types} i32)))"#
            ),
            body: format!(
                r#"(func (export "run") (param {types}) (result i32)
                    (call $open (i32.const 0) (i32.const 0) (i32.const 16))
                    (call $do (i32.load (i32.const 20)) {arguments} (i32.const 64)) (i32.const 64))"#
            ),
        }
    }

    fn guest(&self) -> Guest<'_> {
        Guest { world: &self.world, imports: &self.imports, body: &self.body }
    }
}

#[derive(ComponentType, Lift, Debug, PartialEq)]
#[component(variant)]
enum Error {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

#[derive(ComponentType, Lift, Debug, PartialEq)]
#[component(record)]
struct KeyResponse {
    keys: Vec<String>,
    cursor: Option<u64>,
}

type Answer<T> = Result<T, Error>;

fn assert_refused<T: std::fmt::Debug>(answer: Answer<T>, part: &str) {
    assert!(matches!(&answer, Err(Error::Other(text)) if text.contains(part)), "{answer:?}");
}

/// An app with its own keys.
struct App(Storage);

impl App {
    fn new() -> App {
        App(Apps::new().storage("app:a"))
    }

    fn ctx(&self) -> WasiCtxBuilder {
        WasiCtx::builder().storage(Some(self.0.clone()))
    }

    async fn call<P, R>(
        &self,
        interface: &str,
        name: &str,
        parameters: &str,
        result: &str,
        given: P,
    ) -> Answer<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: ComponentType + Lift + Send + Sync + 'static,
    {
        let function = Function::new(interface, name, parameters, result);
        function.guest().run::<P, Answer<R>>(self.ctx(), given).await.unwrap()
    }

    async fn get(&self, key: &str) -> Answer<Option<Vec<u8>>> {
        self.call("store", "[method]bucket.get", "key: string", "option<list<u8>>", (key,)).await
    }

    async fn exists(&self, key: &str) -> Answer<bool> {
        self.call("store", "[method]bucket.exists", "key: string", "bool", (key,)).await
    }

    async fn set(&self, key: &str, value: &[u8]) -> Answer<()> {
        self.call("store", "[method]bucket.set", "key: string, value: list<u8>", "_", (key, value)).await
    }
}

/// A volume for several apps.
struct Apps {
    volume: Volume,
    keys: KeyValue,
}

impl Apps {
    fn new() -> Apps {
        let disk = Arc::new(MemoryDisk::new(1 << 16));
        let volume = Volume::create(disk, &FixedKey, Options::default()).unwrap();
        let dataset = volume.create_dataset(&volume.begin(), "keys", QUOTA).unwrap();
        Apps { keys: KeyValue::open(&dataset).unwrap(), volume }
    }

    fn keys(&self, app: &str, quota: u64) -> cloister_volume::kv::Namespace {
        self.keys.namespace(app, &[7; 8], Zeroizing::new([app.len() as u8; 32]), quota).unwrap()
    }

    fn storage(&self, app: &str) -> Storage {
        let dataset = self.volume.create_dataset(&self.volume.begin(), app, QUOTA).unwrap();
        Storage {
            filesystem: Filesystem::open(dataset).unwrap(),
            keys: Some(self.keys(app, u64::MAX)),
            durability: Arc::new(Commit(self.volume.clone())),
            used: Arc::new(AtomicBool::new(false)),
        }
    }
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

struct Commit(Volume);

impl Durability for Commit {
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>> {
        Box::pin(async { self.0.commit().map(drop).map_err(|_| Unavailable) })
    }
}

const QUOTA: Quota = Quota { bytes: 1 << 28, objects: 1000 };
