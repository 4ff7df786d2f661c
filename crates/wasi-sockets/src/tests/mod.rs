//! The generated host functions against real sockets of the loopback interface.

mod limits;
mod lookup;
mod policy;
mod tcp;
mod tcp_streams;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cloister_api::NetworkPolicy;
use cloister_wasi::HostFuel;
use tokio::time::timeout;
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::bindings::wasi::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi_io::bindings::wasi::io::streams::{HostInputStream as _, HostOutputStream as _};
use wasmtime_wasi_io::poll::DynPollable;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, StreamError, StreamResult};

use crate::bindings::wasi::sockets::instance_network::Host as _;
use crate::bindings::wasi::sockets::network::{ErrorCode, Host as _, IpAddressFamily};
use crate::bindings::wasi::sockets::tcp::HostTcpSocket;
use crate::bindings::wasi::sockets::tcp_create_socket::Host as _;
use crate::bindings::wasi::sockets::udp::{
    HostIncomingDatagramStream, HostOutgoingDatagramStream, HostUdpSocket,
};
use crate::bindings::wasi::sockets::udp_create_socket::Host as _;
use crate::failure::Failure;
use crate::network::Network;
use crate::tcp::TcpSocket;
use crate::udp::{IncomingDatagramStream, OutgoingDatagramStream, UdpSocket};
use crate::{SocketsCtx, SocketsCtxView};

/// What a call holds of the network.
struct Guest {
    context: SocketsCtx,
    fuel: HostFuel,
    table: ResourceTable,
}

impl Guest {
    fn new() -> Self {
        Self::allowed(&["tcp://*:*", "tcp-listen://*:*", "udp://*:*", "udp-listen://*:*", "lookup://*"])
    }

    fn allowed(rules: &[&str]) -> Self {
        let rules = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let policy = NetworkPolicy::new(rules).unwrap();
        Self {
            context: SocketsCtx::new(Arc::new(policy)),
            fuel: HostFuel::default(),
            table: ResourceTable::new(),
        }
    }

    fn view(&mut self) -> SocketsCtxView<'_> {
        SocketsCtxView { ctx: &mut self.context, fuel: &mut self.fuel, table: &mut self.table }
    }

    async fn network(&mut self) -> Resource<Network> {
        self.view().instance_network().await.unwrap()
    }

    async fn tcp(&mut self, family: IpAddressFamily) -> Resource<TcpSocket> {
        self.view().create_tcp_socket(family).await.unwrap()
    }

    async fn udp(&mut self, family: IpAddressFamily) -> Resource<UdpSocket> {
        self.view().create_udp_socket(family).await.unwrap()
    }

    async fn bind(&mut self, socket: &Resource<TcpSocket>, local: SocketAddr) -> Result<(), Failure> {
        let network = self.network().await;
        HostTcpSocket::start_bind(&mut self.view(), lent(socket), network, local.into()).await?;
        HostTcpSocket::finish_bind(&mut self.view(), lent(socket)).await
    }

    /// A socket that listens on the loopback interface, and where.
    async fn listener(&mut self) -> (Resource<TcpSocket>, SocketAddr) {
        let socket = self.tcp(IpAddressFamily::Ipv4).await;
        self.bind(&socket, ANY_PORT.parse().unwrap()).await.unwrap();
        HostTcpSocket::start_listen(&mut self.view(), lent(&socket)).await.unwrap();
        HostTcpSocket::finish_listen(&mut self.view(), lent(&socket)).await.unwrap();
        let local = HostTcpSocket::local_address(&mut self.view(), lent(&socket)).await.unwrap();
        (socket, local.into())
    }

    async fn start_connect(
        &mut self,
        socket: &Resource<TcpSocket>,
        remote: SocketAddr,
    ) -> Result<(), Failure> {
        let network = self.network().await;
        HostTcpSocket::start_connect(&mut self.view(), lent(socket), network, remote.into()).await
    }

    async fn connect(
        &mut self,
        socket: &Resource<TcpSocket>,
        remote: SocketAddr,
    ) -> Result<(Resource<DynInputStream>, Resource<DynOutputStream>), Failure> {
        self.start_connect(socket, remote).await?;
        loop {
            match HostTcpSocket::finish_connect(&mut self.view(), lent(socket)).await {
                Err(Failure::Code(ErrorCode::WouldBlock)) => self.wait_for(socket).await,
                finished => return finished,
            }
        }
    }

    async fn accept(
        &mut self,
        listener: &Resource<TcpSocket>,
    ) -> (Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>) {
        loop {
            match HostTcpSocket::accept(&mut self.view(), lent(listener)).await {
                Err(Failure::Code(ErrorCode::WouldBlock)) => self.wait_for(listener).await,
                accepted => return accepted.unwrap(),
            }
        }
    }

    async fn wait_for(&mut self, socket: &Resource<TcpSocket>) {
        let pollable = self.tcp_pollable(socket).await;
        self.block(pollable).await;
    }

    async fn tcp_pollable(&mut self, socket: &Resource<TcpSocket>) -> Resource<DynPollable> {
        HostTcpSocket::subscribe(&mut self.view(), lent(socket)).await.unwrap()
    }

    /// Waits, but not for ever.
    async fn block(&mut self, pollable: Resource<DynPollable>) {
        timeout(PATIENCE, self.table.block(lent(&pollable))).await.expect("the pollable is ready").unwrap();
        wasmtime_wasi_io::bindings::wasi::io::poll::HostPollable::drop(&mut self.table, pollable).unwrap();
    }

    async fn is_ready(&mut self, pollable: &Resource<DynPollable>) -> bool {
        self.table.ready(lent(pollable)).await.unwrap()
    }

    async fn poll(&mut self, pollables: &[Resource<DynPollable>]) -> Option<Vec<u32>> {
        let pollables = pollables.iter().map(lent).collect();
        timeout(Duration::from_millis(300), self.table.poll(pollables)).await.ok().map(Result::unwrap)
    }

    /// Where there is something to wait for.
    async fn poll_for_long(&mut self, pollables: &[Resource<DynPollable>]) -> Vec<u32> {
        let pollables = pollables.iter().map(lent).collect();
        timeout(PATIENCE, self.table.poll(pollables)).await.expect("one becomes ready").unwrap()
    }

    async fn read(&mut self, input: &Resource<DynInputStream>, most: u64) -> StreamResult<Vec<u8>> {
        timeout(PATIENCE, self.table.blocking_read(lent(input), most))
            .await
            .expect("the stream has something")
    }

    /// All until the peer ends.
    async fn read_to_end(&mut self, input: &Resource<DynInputStream>) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            match self.read(input, 64 << 10).await {
                Ok(bytes) => all.extend(bytes),
                Err(StreamError::Closed) => return all,
                Err(error) => panic!("{error}"),
            }
        }
    }

    async fn write(&mut self, output: &Resource<DynOutputStream>, bytes: &[u8]) -> StreamResult<()> {
        let written = self.table.blocking_write_and_flush(lent(output), bytes.to_vec());
        timeout(PATIENCE, written).await.expect("the peer makes room")
    }

    /// What `network-error-code` says of a stream's error.
    async fn network_error<T: std::fmt::Debug>(&mut self, result: StreamResult<T>) -> Option<ErrorCode> {
        let Err(StreamError::LastOperationFailed(error)) = result else {
            panic!("the operation did not fail: {result:?}");
        };
        let error = self.table.push(error).unwrap();
        self.view().network_error_code(error).await.unwrap()
    }

    /// Fuel that streams and pollables have not paid yet.
    fn owed(&self) -> u64 {
        self.fuel.debts().owed()
    }

    async fn bound_udp(&mut self) -> (Resource<UdpSocket>, SocketAddr) {
        let socket = self.udp(IpAddressFamily::Ipv4).await;
        self.bind_udp(&socket, ANY_PORT.parse().unwrap()).await.unwrap();
        let local = HostUdpSocket::local_address(&mut self.view(), lent(&socket)).await.unwrap();
        (socket, local.into())
    }

    async fn bind_udp(&mut self, socket: &Resource<UdpSocket>, local: SocketAddr) -> Result<(), Failure> {
        let network = self.network().await;
        HostUdpSocket::start_bind(&mut self.view(), lent(socket), network, local.into()).await?;
        HostUdpSocket::finish_bind(&mut self.view(), lent(socket)).await
    }

    async fn stream(
        &mut self,
        socket: &Resource<UdpSocket>,
        peer: Option<SocketAddr>,
    ) -> Result<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>), Failure> {
        HostUdpSocket::stream(&mut self.view(), lent(socket), peer.map(Into::into)).await
    }

    async fn incoming_pollable(
        &mut self,
        stream: &Resource<IncomingDatagramStream>,
    ) -> Resource<DynPollable> {
        HostIncomingDatagramStream::subscribe(&mut self.view(), lent(stream)).await.unwrap()
    }

    async fn outgoing_pollable(
        &mut self,
        stream: &Resource<OutgoingDatagramStream>,
    ) -> Resource<DynPollable> {
        HostOutgoingDatagramStream::subscribe(&mut self.view(), lent(stream)).await.unwrap()
    }

    async fn wait_for_datagram(&mut self, incoming: &Resource<IncomingDatagramStream>) {
        let pollable = self.incoming_pollable(incoming).await;
        self.block(pollable).await;
    }
}

/// The handle again, as a guest lends its own.
fn lent<T>(resource: &Resource<T>) -> Resource<T> {
    Resource::new_borrow(resource.rep())
}

/// The code that a function failed with, if it did.
fn code<T>(result: Result<T, Failure>) -> Option<ErrorCode> {
    match result {
        Ok(_) => None,
        Err(Failure::Code(code)) => Some(code),
        Err(Failure::Trap(error)) => panic!("the guest's call ended: {error}"),
    }
}

fn trap<T: std::fmt::Debug>(result: Result<T, Failure>) -> String {
    match result {
        Err(Failure::Trap(error)) => error.to_string(),
        other => panic!("the guest's call did not end: {other:?}"),
    }
}

/// An address of the loopback interface where nothing listens, nor begins to: other ports are at 127.0.0.1.
fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.93.77.1:0").unwrap().local_addr().unwrap()
}

const ANY_PORT: &str = "127.0.0.1:0";
/// How long a machine under load may take for what takes microseconds.
const PATIENCE: Duration = Duration::from_secs(60);
