//! Collateral: what a quote is verified with, beside itself. TCB levels, the identity of the quoting enclave, and lists of
//! revoked certificates, fetched from a service with the interface of Intel's Provisioning Certification Service, version 4:
//! a caching service (PCCS) of one's own, or Intel's.
//!
//! Everything in it is signed below the quote's root, and the verifier checks that. So the service is not trusted: it can
//! withhold, or give what is older, as long as that has not expired.
//!
//! ```no_run
//! use cloister_collateral::CollateralServer;
//!
//! # async fn example(quote: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
//! let server = CollateralServer::new("https://pccs.example:8081")?;
//! let collateral = server.collateral(quote).await?;
//! println!("{}", serde_json::to_string(&collateral)?);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod cache;
mod error;
mod fetch;
mod origin;
mod server;
mod tls;
mod validity;

pub use cache::CollateralCache;
pub use dcap_qvl::QuoteCollateralV3 as Collateral;
pub use error::{CollateralError, Part};
pub use server::CollateralServer;
pub use tls::ServerTrust;
pub use validity::{expiry, shown_date};
