use cloister_boundary::net::SocketOption;
use wasmtime::component::{Resource, ResourceTableError};
use wasmtime_wasi_io::poll::{DynPollable, subscribe};

use super::{IncomingDatagramStream, OutgoingDatagramStream, UdpSocket};
use crate::SocketsCtxView;
use crate::bindings::wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use crate::bindings::wasi::sockets::udp::{self, IncomingDatagram, OutgoingDatagram};
use crate::bindings::wasi::sockets::udp_create_socket;
use crate::failure::{Breach, Failure};
use crate::network::Network;

impl udp_create_socket::Host for SocketsCtxView<'_> {
    async fn create_udp_socket(&mut self, family: IpAddressFamily) -> Result<Resource<UdpSocket>, Failure> {
        self.charge_exit().await?;
        let exits = self.exits();
        let socket = UdpSocket::new(self.ctx, exits, family.into())?;
        // A table that is full is a limit of sockets like any other.
        self.table.push(socket).map_err(|error| match error {
            ResourceTableError::Full => ErrorCode::NewSocketLimit.into(),
            error => error.into(),
        })
    }
}

impl udp::Host for SocketsCtxView<'_> {}

impl udp::HostUdpSocket for SocketsCtxView<'_> {
    async fn start_bind(
        &mut self,
        socket: Resource<UdpSocket>,
        network: Resource<Network>,
        local: IpSocketAddress,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        self.check_network(&network)?;
        Ok(self.table.get_mut(&socket)?.start_bind(local.into())?)
    }

    async fn finish_bind(&mut self, socket: Resource<UdpSocket>) -> Result<(), Failure> {
        self.charge_exit().await?;
        Ok(self.table.get_mut(&socket)?.finish_bind()?)
    }

    async fn stream(
        &mut self,
        socket: Resource<UdpSocket>,
        remote: Option<IpSocketAddress>,
    ) -> Result<(Resource<IncomingDatagramStream>, Resource<OutgoingDatagramStream>), Failure> {
        self.charge_exit().await?;
        if self.has_streams(&socket)? {
            return Err(Breach::StreamsInUse.into());
        }
        let (incoming, outgoing) = self.table.get_mut(&socket)?.stream(remote.map(Into::into))?;
        Ok((self.table.push_child(incoming, &socket)?, self.table.push_child(outgoing, &socket)?))
    }

    async fn local_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(&socket)?.local_address()?.into())
    }

    async fn remote_address(&mut self, socket: Resource<UdpSocket>) -> Result<IpSocketAddress, Failure> {
        self.charge(0).await?;
        Ok(self.table.get(&socket)?.remote_address()?.into())
    }

    async fn address_family(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<IpAddressFamily> {
        self.charge(0).await?;
        Ok(self.table.get(&socket)?.family().into())
    }

    async fn unicast_hop_limit(&mut self, socket: Resource<UdpSocket>) -> Result<u8, Failure> {
        let limit = self.udp_option(&socket, SocketOption::HopLimit).await?;
        Ok(u8::try_from(limit).map_err(|_| ErrorCode::Unknown)?)
    }

    async fn set_unicast_hop_limit(&mut self, socket: Resource<UdpSocket>, value: u8) -> Result<(), Failure> {
        self.set_udp_option(&socket, SocketOption::HopLimit, value.into()).await
    }

    async fn receive_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, Failure> {
        self.udp_option(&socket, SocketOption::ReceiveBuffer).await
    }

    async fn set_receive_buffer_size(
        &mut self,
        socket: Resource<UdpSocket>,
        value: u64,
    ) -> Result<(), Failure> {
        self.set_udp_option(&socket, SocketOption::ReceiveBuffer, value).await
    }

    async fn send_buffer_size(&mut self, socket: Resource<UdpSocket>) -> Result<u64, Failure> {
        self.udp_option(&socket, SocketOption::SendBuffer).await
    }

    async fn set_send_buffer_size(&mut self, socket: Resource<UdpSocket>, value: u64) -> Result<(), Failure> {
        self.set_udp_option(&socket, SocketOption::SendBuffer, value).await
    }

    async fn subscribe(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, socket)
    }

    async fn drop(&mut self, socket: Resource<UdpSocket>) -> wasmtime::Result<()> {
        self.table.delete(socket)?;
        Ok(())
    }
}

impl udp::HostIncomingDatagramStream for SocketsCtxView<'_> {
    async fn receive(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
        most: u64,
    ) -> Result<Vec<IncomingDatagram>, Failure> {
        self.charge_exit().await?;
        let datagrams = self.table.get_mut(&stream)?.receive(most)?;
        let bytes: usize = datagrams.iter().map(|datagram| datagram.bytes.len()).sum();
        self.charge_moved(bytes as u64).await?;
        let incoming = |datagram: cloister_boundary::net::Datagram| IncomingDatagram {
            data: datagram.bytes.into(),
            remote_address: datagram.peer.into(),
        };
        Ok(datagrams.into_iter().map(incoming).collect())
    }

    async fn subscribe(
        &mut self,
        stream: Resource<IncomingDatagramStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<IncomingDatagramStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl udp::HostOutgoingDatagramStream for SocketsCtxView<'_> {
    async fn check_send(&mut self, stream: Resource<OutgoingDatagramStream>) -> Result<u64, Failure> {
        self.charge(0).await?;
        Ok(self.table.get_mut(&stream)?.check_send())
    }

    async fn send(
        &mut self,
        stream: Resource<OutgoingDatagramStream>,
        datagrams: Vec<OutgoingDatagram>,
    ) -> Result<u64, Failure> {
        self.charge_exit().await?;
        let bytes: usize = datagrams.iter().map(|datagram| datagram.data.len()).sum();
        self.charge_moved(bytes as u64).await?;
        self.table.get_mut(&stream)?.send(datagrams)
    }

    async fn subscribe(
        &mut self,
        stream: Resource<OutgoingDatagramStream>,
    ) -> wasmtime::Result<Resource<DynPollable>> {
        self.charge(0).await?;
        subscribe(self.table, stream)
    }

    async fn drop(&mut self, stream: Resource<OutgoingDatagramStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl SocketsCtxView<'_> {
    fn has_streams(&self, socket: &Resource<UdpSocket>) -> Result<bool, Failure> {
        let mut children = self.table.iter_children(socket)?;
        Ok(children.any(|child| child.is::<IncomingDatagramStream>() || child.is::<OutgoingDatagramStream>()))
    }

    async fn udp_option(
        &mut self,
        socket: &Resource<UdpSocket>,
        option: SocketOption,
    ) -> Result<u64, Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(socket)?.option(option)?)
    }

    async fn set_udp_option(
        &mut self,
        socket: &Resource<UdpSocket>,
        option: SocketOption,
        value: u64,
    ) -> Result<(), Failure> {
        self.charge_exit().await?;
        Ok(self.table.get(socket)?.set_option(option, value)?)
    }
}
