use cloister_boundary::net::{Shutdown, SocketOption};
use wasmtime::component::{Resource, ResourceTableError};
use wasmtime_wasi_io::poll::{DynPollable, subscribe};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::TcpSocket;
use super::reader::Reader;
use super::writer::Writer;
use crate::SocketsCtxView;
use crate::bindings::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::bindings::wasi::sockets::tcp::{self, ShutdownType};
use crate::bindings::wasi::sockets::tcp_create_socket;
use crate::failure::Failure;
use crate::network::Network;

type Streams = (Resource<DynInputStream>, Resource<DynOutputStream>);

impl tcp_create_socket::Host for SocketsCtxView<'_> {
    async fn create_tcp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<TcpSocket>, Failure> {
        self.charge_exit().await?;
        let exits = self.exits();
        let socket = TcpSocket::new(self.ctx, exits, family.into())?;
        self.push_tcp(socket)
    }
}

impl tcp::Host for SocketsCtxView<'_> {}

impl tcp::HostTcpSocket for SocketsCtxView<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        self.check_network(&network)?;
        Ok(self.table.get_mut(&socket)?.start_bind(&self.ctx.policy, local.into())?)
    }

    async fn finish_bind(&mut self, socket: Resource<TcpSocket>) -> Result<(), Failure> {
        self.charge(0).await?;
        Ok(self.table.get_mut(&socket)?.finish_bind()?)
    }

    async fn start_connect(
        &mut self,
        socket: Resource<TcpSocket>,
        network: Resource<Network>,
        remote: IpSocketAddress,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        self.check_network(&network)?;
        Ok(self.table.get_mut(&socket)?.start_connect(&self.ctx.policy, remote.into())?)
    }

    async fn finish_connect(&mut self, socket: Resource<TcpSocket>) -> Result<Streams, Failure> {
        self.charge_exit().await?;
        let (reader, writer) = self.table.get_mut(&socket)?.finish_connect()?;
        self.push_streams(&socket, reader, writer)
    }

    async fn start_listen(&mut self, socket: Resource<TcpSocket>) -> Result<(), Failure> {
        self.charge_exit().await?;
        Ok(self.table.get_mut(&socket)?.start_listen(&self.ctx.policy)?)
    }

    async fn finish_listen(&mut self, socket: Resource<TcpSocket>) -> Result<(), Failure> {
        self.charge(0).await?;
        Ok(self.table.get_mut(&socket)?.finish_listen()?)
    }

    async fn accept(
        &mut self,
        socket: Resource<TcpSocket>,
    ) -> Result<(Resource<TcpSocket>, Resource<DynInputStream>, Resource<DynOutputStream>), Failure> {
        self.charge_exit().await?;
        let (connection, reader, writer) = self.table.get_mut(&socket)?.accept()?;
        let connection = self.push_tcp(connection)?;
        let (input, output) = self.push_streams(&connection, reader, writer)?;
        Ok((connection, input, output))
    }

    async fn local_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(&socket)?.local_address()?.into())
    }

    async fn remote_address(&mut self, socket: Resource<TcpSocket>) -> Result<IpSocketAddress, Failure> {
        self.charge(0).await?;
        Ok(self.table.get(&socket)?.remote_address()?.into())
    }

    async fn is_listening(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<bool> {
        self.charge(0).await?;
        Ok(self.table.get(&socket)?.is_listening())
    }

    async fn address_family(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<IpAddressFamily> {
        self.charge(0).await?;
        Ok(self.table.get(&socket)?.family().into())
    }

    async fn set_listen_backlog_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        Ok(self.table.get_mut(&socket)?.set_backlog(value)?)
    }

    async fn keep_alive_enabled(&mut self, socket: Resource<TcpSocket>) -> Result<bool, Failure> {
        Ok(self.tcp_option(&socket, SocketOption::KeepAlive).await? != 0)
    }

    async fn set_keep_alive_enabled(
        &mut self,
        socket: Resource<TcpSocket>,
        value: bool,
    ) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::KeepAlive, value.into()).await
    }

    async fn keep_alive_idle_time(&mut self, socket: Resource<TcpSocket>) -> Result<u64, Failure> {
        self.tcp_option(&socket, SocketOption::KeepIdle).await
    }

    async fn set_keep_alive_idle_time(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::KeepIdle, value).await
    }

    async fn keep_alive_interval(&mut self, socket: Resource<TcpSocket>) -> Result<u64, Failure> {
        self.tcp_option(&socket, SocketOption::KeepInterval).await
    }

    async fn set_keep_alive_interval(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::KeepInterval, value).await
    }

    async fn keep_alive_count(&mut self, socket: Resource<TcpSocket>) -> Result<u32, Failure> {
        let count = self.tcp_option(&socket, SocketOption::KeepCount).await?;
        Ok(u32::try_from(count).map_err(|_| ErrorCode::Unknown)?)
    }

    async fn set_keep_alive_count(&mut self, socket: Resource<TcpSocket>, value: u32) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::KeepCount, value.into()).await
    }

    async fn hop_limit(&mut self, socket: Resource<TcpSocket>) -> Result<u8, Failure> {
        let limit = self.tcp_option(&socket, SocketOption::HopLimit).await?;
        Ok(u8::try_from(limit).map_err(|_| ErrorCode::Unknown)?)
    }

    async fn set_hop_limit(&mut self, socket: Resource<TcpSocket>, value: u8) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::HopLimit, value.into()).await
    }

    async fn receive_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, Failure> {
        self.tcp_option(&socket, SocketOption::ReceiveBuffer).await
    }

    async fn set_receive_buffer_size(
        &mut self,
        socket: Resource<TcpSocket>,
        value: u64,
    ) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::ReceiveBuffer, value).await
    }

    async fn send_buffer_size(&mut self, socket: Resource<TcpSocket>) -> Result<u64, Failure> {
        self.tcp_option(&socket, SocketOption::SendBuffer).await
    }

    async fn set_send_buffer_size(&mut self, socket: Resource<TcpSocket>, value: u64) -> Result<(), Failure> {
        self.set_tcp_option(&socket, SocketOption::SendBuffer, value).await
    }

    async fn subscribe(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, socket)
    }

    async fn shutdown(&mut self, socket: Resource<TcpSocket>, kind: ShutdownType) -> Result<(), Failure> {
        self.charge_exit().await?;
        let direction = match kind {
            ShutdownType::Receive => Shutdown::Read,
            ShutdownType::Send => Shutdown::Write,
            ShutdownType::Both => Shutdown::Both,
        };
        Ok(self.table.get_mut(&socket)?.shutdown(direction)?)
    }

    async fn drop(&mut self, socket: Resource<TcpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

impl SocketsCtxView<'_> {
    /// A table that is full is a limit of sockets like any other.
    fn push_tcp(&mut self, socket: TcpSocket) -> Result<Resource<TcpSocket>, Failure> {
        self.table.push(socket).map_err(|error| match error {
            ResourceTableError::Full => ErrorCode::NewSocketLimit.into(),
            error => error.into(),
        })
    }

    fn push_streams(
        &mut self,
        socket: &Resource<TcpSocket>,
        reader: Reader,
        writer: Writer,
    ) -> Result<Streams, Failure> {
        let input: DynInputStream = Box::new(reader);
        let output: DynOutputStream = Box::new(writer);
        Ok((self.table.push_child(input, socket)?, self.table.push_child(output, socket)?))
    }

    async fn tcp_option(
        &mut self,
        socket: &Resource<TcpSocket>,
        option: SocketOption,
    ) -> Result<u64, Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(socket)?.option(option)?)
    }

    async fn set_tcp_option(
        &mut self,
        socket: &Resource<TcpSocket>,
        option: SocketOption,
        value: u64,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(socket)?.set_option(option, value)?)
    }
}
