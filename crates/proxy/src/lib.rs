//! A local port that speaks plain HTTP to curl, browsers and any language, and attested TLS to an enclave.
//!
//! Nothing is sent to the enclave before its evidence was verified for the session that carries it: each session is a
//! [`Session`](cloister_client::Session) of the verifying client, and one that is lost is opened and verified again. What is
//! refused is refused before the first byte.
//!
//! The proxy acts with its user's key, so it serves loopback alone, host names of this machine alone, and no page of another
//! site. Its own page, at [`PAGE_PATH`], comes from this program and never from an enclave.
//!
//! ```no_run
//! use cloister_client::{Client, Endpoint, Policy};
//! use cloister_proxy::{Listener, Proxy, Settings};
//!
//! # async fn example(policy: Policy) -> Result<(), Box<dyn std::error::Error>> {
//! let enclave: Endpoint = "enclave.example:8443".parse()?;
//! let proxy = Proxy::new(Client::new(policy), enclave, Settings::default());
//! proxy.verify().await?;
//! Listener::bind("127.0.0.1:8080".parse()?, Default::default()).await?.serve(proxy).await;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod answers;
mod error;
mod forms;
mod forward;
mod guard;
mod headers;
mod interface;
mod listener;
mod page;
mod proxy;
mod shown;
mod upstream;

pub use error::ProxyError;
pub use interface::{Component, ComponentError};
pub use listener::{Exposure, Listener};
pub use proxy::{Notice, Notices, Proxy, Settings};

/// Where the proxy's own page is, on the host names that are no app's.
pub const PAGE_PATH: &str = "/.cloister/";
