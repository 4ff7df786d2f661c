//! Components against the interface facts alone link, run, and pay.

use cloister_wasi::{HostFuel, WasiCtx, WasiCtxView, WasiView, settle_host_fuel};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Store, Trap};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve, WorldId};

use super::machine::http;
use crate::{
    PlatformCtx, PlatformCtxView, PlatformSettings, PlatformView, add_to_linker, supported_interfaces,
};

#[test]
fn a_component_that_imports_every_function_links() {
    let imports: String =
        supported_interfaces().iter().map(|interface| format!("import {interface};")).collect();
    let (resolve, world) = world(&imports);
    let module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    let engine = engine();
    let component = Component::new(&engine, encode(module, &resolve, world)).unwrap();
    linker(&engine).instantiate_pre(&component).unwrap();
}

#[test]
fn the_projects_interfaces_are_those_of_the_facts() {
    let mut ours = Resolve::default();
    let (package, _) = ours.push_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
    let (facts, _) = world("");
    let functions = |resolve: &Resolve| {
        let mut functions: Vec<_> = resolve
            .interfaces
            .iter()
            .flat_map(|(_, interface)| {
                let name = interface.name.clone().unwrap_or_default();
                interface.functions.keys().map(move |function| format!("{name}.{function}"))
            })
            .collect();
        functions.sort();
        functions
    };
    assert!(ours.packages.get(package).is_some());
    assert_eq!(functions(&ours), functions(&facts));
    assert_eq!(functions(&ours).len(), 27);
}

#[tokio::test]
async fn a_guest_digests_and_pays_for_each_byte() {
    let short = digest(100_000_000, 1_000).await.unwrap();
    let long = digest(100_000_000, 60_000).await.unwrap();
    assert_eq!(long - short, 59_000 * crate::prices::digest_byte(crate::DigestAlgorithm::Sha256));
}

#[tokio::test]
async fn a_guest_that_cannot_pay_gets_no_digest() {
    let trap = digest(100_000, 60_000).await.unwrap_err();
    assert_eq!(trap.downcast::<Trap>().unwrap(), Trap::OutOfFuel);
}

/// Has a guest digest so many zeros, and tells what it paid.
async fn digest(fuel: u64, length: u32) -> wasmtime::Result<u64> {
    let (resolve, world) =
        world("import privasys:enclave-os/crypto@0.1.0; export run: func(length: u32) -> u32;");
    let engine = engine();
    let component = Component::new(&engine, encode(wat::parse_str(GUEST).unwrap(), &resolve, world)).unwrap();
    let state = State {
        wasi: WasiCtx::builder().build(),
        platform: PlatformCtx::new(PlatformSettings::none(), None, None, http()),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, state);
    store.set_fuel(fuel)?;
    store.call_hook(settle_host_fuel);
    let instance = linker(&engine).instantiate_async(&mut store, &component).await?;
    let run = instance.get_typed_func::<(u32,), (u32,)>(&mut store, "run")?;
    let (failed,) = run.call_async(&mut store, (length,)).await?;
    assert_eq!(failed, 0);
    Ok(fuel - store.get_fuel()?)
}

fn world(items: &str) -> (Resolve, WorldId) {
    let mut resolve = Resolve::default();
    resolve.push_str("facts.wit", include_str!("facts.wit")).unwrap();
    let package =
        resolve.push_str("guest.wit", &format!("package test:guest; world guest {{ {items} }}")).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    (resolve, world)
}

fn encode(mut module: Vec<u8>, resolve: &Resolve, world: WorldId) -> Vec<u8> {
    embed_component_metadata(&mut module, resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

fn engine() -> Engine {
    let mut config = Config::new();
    config.consume_fuel(true).concurrency_support(false);
    Engine::new(&config).unwrap()
}

fn linker(engine: &Engine) -> Linker<State> {
    let mut linker = Linker::new(engine);
    add_to_linker(&mut linker).unwrap();
    linker
}

struct State {
    wasi: WasiCtx,
    platform: PlatformCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl PlatformView for State {
    fn platform(&mut self) -> PlatformCtxView<'_> {
        let fuel: &mut HostFuel = self.wasi.host_fuel();
        PlatformCtxView { ctx: &mut self.platform, fuel }
    }
}

const GUEST: &str = r#"(module
    (import "privasys:enclave-os/crypto@0.1.0" "digest" (func $digest (param i32 i32 i32 i32)))
    (memory (export "memory") 2)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 70000))
    (func (export "run") (param $length i32) (result i32)
        (call $digest (i32.const 0) (i32.const 0) (local.get $length) (i32.const 66000))
        (i32.load8_u (i32.const 66000))))"#;
