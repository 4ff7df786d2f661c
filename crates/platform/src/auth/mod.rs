//! `privasys:enclave-os/auth`.

mod host;
mod roles;
mod users;

pub(crate) use roles::{MAX_ROLE_BYTES, MAX_ROLES};
pub(crate) use users::MAX_USERS;
