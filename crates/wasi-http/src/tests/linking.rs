//! Components that import everything, whatever version their tools stamp.

use cloister_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{LiftLowerAbi, ManglingAndAbi, Resolve};

use crate::{HttpCtx, HttpCtxView, HttpView, supported_interfaces};

struct State {
    wasi: WasiCtx,
    http: HttpCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl HttpView for State {
    fn http(&mut self) -> HttpCtxView<'_> {
        HttpCtxView { ctx: &mut self.http, fuel: self.wasi.host_fuel(), table: &mut self.table }
    }
}

#[test]
fn a_guest_that_imports_every_function_links() {
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config).unwrap();
    let mut linker = Linker::<State>::new(&engine);
    cloister_wasi::add_to_linker(&mut linker).unwrap();
    crate::add_to_linker(&mut linker).unwrap();
    for patch in [0, 2, 12] {
        let component = Component::new(&engine, everything(&format!("0.2.{patch}"))).unwrap();
        linker.instantiate_pre(&component).unwrap();
    }
    assert!(crate::add_to_linker(&mut linker).is_err());
}

#[test]
fn the_list_is_what_the_world_says() {
    let mut world: Vec<_> = include_str!("../../wit/world.wit")
        .lines()
        .filter_map(|line| line.trim().strip_prefix("import ")?.strip_suffix(';'))
        .collect();
    world.sort_unstable();
    assert_eq!(supported_interfaces(), world);
}

#[test]
fn names_of_the_handler_are_the_standards() {
    assert!(include_str!("../../wit/deps/http.wit").contains("interface incoming-handler {"));
    assert_eq!((crate::HANDLER, crate::HANDLE), ("wasi:http/incoming-handler", "handle"));
}

/// A component that imports every function and exports a handler.
fn everything(version: &str) -> Vec<u8> {
    let mut resolve = Resolve::default();
    // Of what is said of later versions, an older text knows nothing.
    let stamp = |wit: &str| {
        let wit =
            wit.replace("0.2.12", version).replace("@since(version = 0.2.1)", "@since(version = 0.2.0)");
        wit.replace("@deprecated(version = 0.2.2)", "")
    };
    for (name, wit) in WIT {
        resolve.push_str(name, &stamp(wit)).unwrap();
    }
    let world = stamp(include_str!("../../wit/world.wit"));
    let world = world.replace('}', &stamp("export wasi:http/incoming-handler@0.2.12; }"));
    let package = resolve.push_str("world.wit", &world).unwrap();
    let world = resolve.select_world(&[package], None).unwrap();
    let mut module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap()
}

/// In the order in which they name each other.
const WIT: [(&str, &str); 7] = [
    ("io.wit", include_str!("../../wit/deps/io.wit")),
    ("clocks.wit", include_str!("../../wit/deps/clocks.wit")),
    ("random.wit", include_str!("../../wit/deps/random.wit")),
    ("filesystem.wit", include_str!("../../wit/deps/filesystem.wit")),
    ("sockets.wit", include_str!("../../wit/deps/sockets.wit")),
    ("cli.wit", include_str!("../../wit/deps/cli.wit")),
    ("http.wit", include_str!("../../wit/deps/http.wit")),
];
