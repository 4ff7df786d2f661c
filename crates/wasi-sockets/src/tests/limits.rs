use std::time::Instant;

use cloister_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime::component::Linker;
use wasmtime::{Config, Engine};

use super::*;
use crate::{MAX_SOCKETS, SocketsView};

#[tokio::test]
async fn only_so_many_sockets() {
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let slots: Vec<_> = (1..MAX_SOCKETS).map(|_| guest.context.usage.socket().unwrap()).collect();
    let tcp = guest.view().create_tcp_socket(IpAddressFamily::Ipv4).await;
    assert_eq!(code(tcp), Some(ErrorCode::NewSocketLimit));
    let udp = guest.view().create_udp_socket(IpAddressFamily::Ipv4).await;
    assert_eq!(code(udp), Some(ErrorCode::NewSocketLimit));
    let _peer = std::net::TcpStream::connect(address).unwrap();
    guest.wait_for(&listener).await;
    assert_eq!(code(guest.view().accept(lent(&listener)).await), Some(ErrorCode::NewSocketLimit));
    drop(slots);
    let (connection, input, output) = guest.view().accept(lent(&listener)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(guest.context.usage.clone().socket().map(drop), Ok(()));
    }
    guest.table.delete(input).unwrap();
    guest.table.delete(output).unwrap();
    guest.table.delete(connection).unwrap();
}

#[tokio::test]
async fn a_full_table_is_a_limit_of_sockets() {
    let mut guest = Guest::new();
    guest.table.set_max_capacity(1);
    guest.tcp(IpAddressFamily::Ipv4).await;
    let tcp = guest.view().create_tcp_socket(IpAddressFamily::Ipv4).await;
    assert_eq!(code(tcp), Some(ErrorCode::NewSocketLimit));
    let udp = guest.view().create_udp_socket(IpAddressFamily::Ipv4).await;
    assert_eq!(code(udp), Some(ErrorCode::NewSocketLimit));
}

#[tokio::test]
async fn a_thousand_idle_pollables_ask_the_host_for_nothing() {
    const SOCKETS: usize = 250;
    let mut guest = Guest::new();
    let mut pollables = Vec::new();
    let mut last = None;
    for _ in 0..SOCKETS {
        let (listener, _) = guest.listener().await;
        let (socket, local) = guest.bound_udp().await;
        let (incoming, _) = guest.stream(&socket, None).await.unwrap();
        for _ in 0..2 {
            pollables.push(guest.tcp_pollable(&listener).await);
            pollables.push(guest.incoming_pollable(&incoming).await);
        }
        last = Some(local);
    }
    assert_eq!(pollables.len(), 1_000);
    // The first look may find what was ready before anybody asked.
    assert_eq!(guest.poll(&pollables).await, None);
    let before = guest.owed();
    let start = Instant::now();
    for _ in 0..3 {
        assert_eq!(guest.poll(&pollables).await, None);
    }
    assert_eq!(guest.owed(), before, "nobody left the enclave");
    assert!(start.elapsed() < PATIENCE);
    std::net::UdpSocket::bind(ANY_PORT).unwrap().send_to(b"wake", last.unwrap()).unwrap();
    assert_eq!(guest.poll_for_long(&pollables).await, [997, 999]);
}

#[tokio::test]
async fn what_streams_ask_of_the_host_is_charged() {
    let mut guest = Guest::new();
    let (listener, address) = guest.listener().await;
    let client = guest.tcp(IpAddressFamily::Ipv4).await;
    let (_, output) = guest.connect(&client, address).await.unwrap();
    guest.accept(&listener).await;
    let before = guest.owed();
    guest.write(&output, b"x").await.unwrap();
    assert_eq!(guest.owed() - before, 1_500);
    guest.network().await;
    assert_eq!(guest.owed(), 0);
}

/// A store's data as the runtime has it.
struct Data {
    wasi: WasiCtx,
    sockets: SocketsCtx,
    table: ResourceTable,
}

impl WasiView for Data {
    fn wasi(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl SocketsView for Data {
    fn sockets(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView { ctx: &mut self.sockets, fuel: self.wasi.host_fuel(), table: &mut self.table }
    }
}

#[test]
fn the_interfaces_link_beside_those_of_wasi() {
    let engine = Engine::new(&Config::new()).unwrap();
    let mut linker = Linker::<Data>::new(&engine);
    cloister_wasi::add_to_linker(&mut linker).unwrap();
    crate::add_to_linker(&mut linker).unwrap();
    assert!(crate::add_to_linker(&mut linker).is_err(), "each is linked once");
    let world = include_str!("../../wit/world.wit");
    let served = crate::supported_interfaces();
    assert!(served.is_sorted());
    assert_eq!(world.matches("  import ").count(), served.len());
    assert!(served.iter().all(|name| world.contains(&format!("import {name};"))));
}
