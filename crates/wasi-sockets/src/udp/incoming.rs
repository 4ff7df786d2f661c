use std::net::SocketAddr;

use cloister_boundary::net::{Datagram, MAX_DATAGRAMS, SocketError};
use wasmtime_wasi_io::async_trait;
use wasmtime_wasi_io::poll::Pollable;

use super::socket::Association;
use crate::address::{is_of, is_same_peer};
use crate::usage::Held;

/// The datagrams of those that the app may hear.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct IncomingDatagramStream {
    from: Association,
    ahead: Option<Ahead>,
}

/// Received while a pollable waited, or beside datagrams that the guest has got.
#[derive(Debug)]
enum Ahead {
    Datagram { peer: SocketAddr, bytes: Held },
    Failed(SocketError),
}

impl IncomingDatagramStream {
    pub(super) fn new(from: Association) -> Self {
        Self { from, ahead: None }
    }

    /// As many as are there, at most `most` and [`MAX_DATAGRAMS`].
    pub(super) fn receive(&mut self, most: u64) -> Result<Vec<Datagram>, SocketError> {
        let most = usize::try_from(most).unwrap_or(MAX_DATAGRAMS).min(MAX_DATAGRAMS);
        let mut received = Vec::new();
        if most == 0 {
            return Ok(received);
        }
        match self.ahead.take() {
            Some(Ahead::Datagram { peer, mut bytes }) => {
                received.push(Datagram { peer, bytes: bytes.take(usize::MAX) });
            }
            Some(Ahead::Failed(error)) => return Err(error),
            None => {}
        }
        if received.len() < most {
            match self.from.receive(most - received.len()) {
                Ok(more) => received.extend(more),
                Err(SocketError::WouldBlock) => {}
                Err(error) if received.is_empty() => return Err(error),
                Err(error) => self.ahead = Some(Ahead::Failed(error)),
            }
        }
        Ok(received)
    }
}

impl Association {
    /// What the host has, less what is not for this stream: on Linux what came before it was connected is there still.
    fn receive(&self, most: usize) -> Result<Vec<Datagram>, SocketError> {
        let mut datagrams = self.lent.receive(most)?;
        datagrams.retain(|datagram| self.may_hear(datagram.peer));
        Ok(datagrams)
    }

    fn may_hear(&self, source: SocketAddr) -> bool {
        is_of(self.family, source.ip())
            && self.peer.is_none_or(|peer| is_same_peer(source, peer))
            && self.policy.allows_udp_peer(source)
    }
}

#[async_trait]
impl Pollable for IncomingDatagramStream {
    async fn ready(&mut self) {
        while self.ahead.is_none() {
            self.from.lent.readable().await;
            if self.from.usage.is_full() {
                return;
            }
            self.from.exits.add();
            match self.from.receive(1) {
                Ok(mut datagrams) => match datagrams.pop() {
                    Some(Datagram { peer, bytes }) => {
                        self.ahead = Some(Ahead::Datagram { peer, bytes: self.from.usage.hold(bytes) });
                    }
                    // Whoever floods the app with what it may not hear keeps nothing else from running.
                    None => tokio::task::yield_now().await,
                },
                Err(SocketError::WouldBlock) => {}
                Err(error) => self.ahead = Some(Ahead::Failed(error)),
            }
        }
    }
}
