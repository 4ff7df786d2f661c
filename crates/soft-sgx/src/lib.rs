//! SGX in software: loader, ENCLU leaves, quoting, a root of trust of its own.
//!
//! Stands for the CPU on machines without SGX, so that the image of real hardware runs everywhere.
//! It protects nothing: whoever runs the process reads the enclave's memory. Evidence from it is
//! signed below a root that says so.
//!
//! ```no_run
//! use cloister_soft_sgx::{SoftPlatform, SoftSgx, enter, sigstruct};
//! use sgxs::loader::Load;
//!
//! # fn main() -> anyhow::Result<()> {
//! let platform = SoftPlatform::open("state")?;
//! let signature = sigstruct::from_bytes(&std::fs::read("image.sig")?)?;
//! let mut image = std::io::BufReader::new(std::fs::File::open("image.sgxs")?);
//! let enclave = SoftSgx::new(&platform).load(
//!     &mut image,
//!     &signature,
//!     signature.attributes,
//!     signature.miscselect,
//! )?;
//! let mut registers = enter::Registers::default();
//! // SAFETY: The image is an EDP enclave, which keeps the contract.
//! let exit = unsafe { enter::enter_tcs(&enclave.tcss[0], &mut registers)? };
//! # Ok(())
//! # }
//! ```
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod collateral;
mod disassembly;
mod enclave;
pub mod enter;
mod error;
mod keys;
mod leaves;
mod loader;
mod memory;
mod pki;
mod platform;
mod restrict;
mod save_area;
mod signals;
pub mod sigstruct;
mod state;

pub use disassembly::{Finding, forbidden_instructions};
pub use error::Error;
pub use leaves::{REPORT_SIZE, TARGETINFO_SIZE};
pub use loader::{SoftMapping, SoftSgx, SoftTcs};
pub use pki::{ROOT_COMMON_NAME, ROOT_ORGANIZATION};
pub use platform::SoftPlatform;
pub use restrict::{Enforcement, enforces};
pub use signals::{Fault, last_fault};
pub use state::FILE_NAME;
