//! The requests that guests send: TLS, HTTP, connections that are kept, and who learns of it.
//!
//! A request goes where an app's [`NetworkPolicy`](cloister_api::NetworkPolicy) lets it, TLS begins and ends in this crate,
//! and every request is told to an [`EgressLog`]. A [`Client`] belongs to one app and keeps its connections for a while; no
//! two apps ever share one. What this crate holds of a body is bounded, whatever its length.
#![forbid(unsafe_code)]

mod budget;
mod client;
mod connection;
mod error;
mod exchange;
mod kept;
mod log;
mod response;
mod sending;
mod session;
mod settings;
mod slots;
mod target;
mod tasks;
mod timeouts;
mod tls;
mod upload;

pub use budget::{Budget, Share, Total};
pub use client::{Client, Request};
pub use error::{CertificateFault, EgressError};
pub use exchange::{Asked, Exchange};
pub use kept::{MAX_AGE, MAX_IDLE, MAX_IDLE_OF_APP, MAX_IDLE_TIME};
pub use log::{DROPPED_BY_GUEST, EgressLog, EgressOutcome, EgressRequest, TlsVersion};
pub use response::ResponseBody;
pub use session::{Check, MAX_CHECK_RESPONSE, Session};
pub use settings::HttpSettings;
pub use slots::{MAX_CHECKS_UNDER_WAY, MAX_CONNECTIONS, Turn};
pub use target::{Protection, Target};
pub use timeouts::{BETWEEN_BYTES_TIMEOUT, CONNECT_TIMEOUT, FIRST_BYTE_TIMEOUT, MAX_TIMEOUT, Timeouts};
pub use tls::{InvalidRoots, Roots, Trust};
pub use upload::{BodyError, Payload};

/// `tests::server` is included by other crates' tests, too.
#[cfg(test)]
extern crate self as cloister_egress;

#[cfg(test)]
mod tests;
