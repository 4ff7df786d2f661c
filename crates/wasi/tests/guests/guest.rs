//! Makes a component from a world and a core module in WAT, and calls its export `run`.

use std::sync::LazyLock;

use cloister_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView, settle_host_fuel};
use wasmtime::component::{Component, ComponentNamedList, Lift, Linker, Lower, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};

use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

/// A guest. In its texts `@W` stands for the version of WASI that its tools stamp.
#[derive(Clone, Copy)]
pub(crate) struct Guest<'a> {
    /// Items of the world: `import wasi:…@W;` and `export run: func(…) -> …;`
    pub(crate) world: &'a str,
    /// The core module's `(import …)` fields.
    pub(crate) imports: &'a str,
    /// Its other fields. They have a memory of which the first 64 KiB are theirs, and an allocator.
    pub(crate) body: &'a str,
}

impl Guest<'_> {
    /// The component, as tools of this WASI version would make it.
    pub(crate) fn at(&self, version: &str) -> Vec<u8> {
        let stamp = |text: &str| text.replace("@W", &format!("@{version}"));
        let mut resolve = wasi(version);
        let world = format!("package test:guest; world guest {{ {} }}", stamp(self.world));
        let package = resolve.push_str("guest.wit", &world).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();

        let module = format!("(module {} {ALLOCATOR} {})", stamp(self.imports), self.body);
        let mut module = wat::parse_str(module).unwrap();
        encode(&mut module, &resolve, world)
    }

    /// Calls `run` in a fresh instance with plenty of fuel.
    pub(crate) async fn run<P, R>(&self, ctx: WasiCtxBuilder, parameters: P) -> wasmtime::Result<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: Lift + Send + Sync + 'static,
    {
        self.run_with(PLENTY, ctx, parameters).await.result
    }

    /// Calls `run` in a fresh instance.
    pub(crate) async fn run_with<P, R>(&self, fuel: u64, ctx: WasiCtxBuilder, parameters: P) -> Outcome<R>
    where
        P: ComponentNamedList + Lower + Send + Sync,
        R: Lift + Send + Sync + 'static,
    {
        call(&self.at(NEWEST), fuel, ctx, parameters).await
    }
}

/// A component that imports every function of every interface of `wit/world.wit`.
pub(crate) fn everything(version: &str) -> Vec<u8> {
    let mut resolve = wasi(version);
    let world = include_str!("../../wit/world.wit").replace(NEWEST, version);
    let package = resolve.push_str("world.wit", &world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    encode(&mut dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync)), &resolve, world)
}

/// WASI's packages, stamped with a version.
fn wasi(version: &str) -> Resolve {
    let mut resolve = Resolve::default();
    for (name, wit) in WASI {
        resolve.push_str(name, &wit.replace(NEWEST, version)).unwrap();
    }
    resolve
}

fn encode(module: &mut Vec<u8>, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    embed_component_metadata(module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(module).unwrap().encode().unwrap()
}

/// Calls `run` of a component in a fresh instance.
pub(crate) async fn call<P, R>(component: &[u8], fuel: u64, ctx: WasiCtxBuilder, parameters: P) -> Outcome<R>
where
    P: ComponentNamedList + Lower + Send + Sync,
    R: Lift + Send + Sync + 'static,
{
    let component = Component::new(&ENGINE, component).unwrap();
    let mut store = store(fuel, ctx);
    let instance = linker().instantiate_async(&mut store, &component).await.unwrap();
    let run = instance.get_typed_func::<P, (R,)>(&mut store, "run").unwrap();
    let before = store.get_fuel().unwrap();
    let result = run.call_async(&mut store, parameters).await.map(|(result,)| result);
    let fuel_left = store.get_fuel().unwrap();
    Outcome { result, fuel_used: before - fuel_left, fuel_left, all_dropped: store.data().table.is_empty() }
}

pub(crate) struct Outcome<R> {
    pub(crate) result: wasmtime::Result<R>,
    pub(crate) fuel_used: u64,
    pub(crate) fuel_left: u64,
    /// The guest gave back every resource.
    pub(crate) all_dropped: bool,
}

pub(crate) struct State {
    ctx: WasiCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }
}

pub(crate) fn store(fuel: u64, ctx: WasiCtxBuilder) -> Store<State> {
    let mut store = Store::new(&ENGINE, State { ctx: ctx.build(), table: ResourceTable::new() });
    store.set_fuel(fuel).unwrap();
    store.call_hook(settle_host_fuel);
    store
}

pub(crate) fn linker() -> Linker<State> {
    let mut linker = Linker::new(&ENGINE);
    cloister_wasi::add_to_linker(&mut linker).unwrap();
    linker
}

pub(crate) static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(false);
    Engine::new(&config).unwrap()
});

pub(crate) const NEWEST: &str = "0.2.12";

pub(crate) const PLENTY: u64 = 100_000_000;

const WASI: [(&str, &str); 10] = [
    ("io.wit", include_str!("../../wit/deps/io.wit")),
    ("clocks.wit", include_str!("../../wit/deps/clocks.wit")),
    ("random.wit", include_str!("../../wit/deps/random.wit")),
    ("filesystem.wit", include_str!("../../wit/deps/filesystem.wit")),
    ("sockets.wit", include_str!("../../wit/deps/sockets.wit")),
    ("cli.wit", include_str!("../../wit/deps/cli.wit")),
    ("keyvalue.wit", include_str!("../../wit/deps/keyvalue.wit")),
    ("config.wit", include_str!("../../wit/deps/config.wit")),
    ("logging.wit", include_str!("../../wit/deps/logging.wit")),
    ("logging-unversioned.wit", include_str!("../../wit/deps/logging-unversioned.wit")),
];

/// Hands out memory above 64 KiB, and grows it.
const ALLOCATOR: &str = r#"
    (memory (export "memory") 2)
    (global $top (mut i32) (i32.const 65536))
    (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $size i32) (result i32)
        (local $at i32)
        (local.set $at (i32.and
            (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
            (i32.sub (i32.const 0) (local.get $align))))
        (global.set $top (i32.add (local.get $at) (local.get $size)))
        (block $fits
            (br_if $fits (i32.le_u (global.get $top) (i32.mul (memory.size) (i32.const 65536))))
            (br_if $fits (i32.ne (i32.const -1)
                (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get $size) (i32.const 16))))))
            unreachable)
        (local.get $at))
"#;
