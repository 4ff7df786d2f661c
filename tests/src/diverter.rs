//! The network between a client and an enclave, in the hands of whoever has it.

use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// A port that leads elsewhere, and to another place when a test says so. It lives as long as its runtime.
#[derive(Clone, Debug)]
pub struct Diverter {
    pub address: SocketAddr,
    path: Arc<Mutex<Path>>,
}

#[derive(Debug)]
struct Path {
    /// Nowhere: connections are closed at once.
    to: Option<SocketAddr>,
    connections: Vec<(std::net::TcpStream, AbortHandle)>,
}

impl Diverter {
    /// A new port that leads to an address.
    ///
    /// # Panics
    /// Where loopback has no ports.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has ports");
        let address = listener.local_addr().expect("it is bound");
        let path = Arc::new(Mutex::new(Path { to: Some(to), connections: Vec::new() }));
        let diverter = Self { address, path };
        let own = diverter.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut path = own.path();
                let Some(to) = path.to else { continue };
                let Ok(cut) = near.as_fd().try_clone_to_owned() else { continue };
                let carried = tokio::spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                    }
                });
                path.connections.push((cut.into(), carried.abort_handle()));
            }
        });
        diverter
    }

    /// Cuts every connection; new ones lead to another address, or nowhere. Those whom they belonged to are told before this
    /// returns.
    pub fn divert(&self, to: Option<SocketAddr>) {
        let mut path = self.path();
        path.to = to;
        for (near, carried) in path.connections.drain(..) {
            // It may have ended by itself.
            let _ = near.shutdown(Shutdown::Both);
            carried.abort();
        }
    }

    /// Cuts every connection; new ones lead where they led.
    pub fn cut(&self) {
        let to = self.path().to;
        self.divert(to);
    }

    fn path(&self) -> std::sync::MutexGuard<'_, Path> {
        self.path.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
