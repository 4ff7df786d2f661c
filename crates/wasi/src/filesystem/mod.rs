//! `wasi:filesystem` over the app's own part of the sealed volume.
//!
//! The [`Preopen`]s are all that a guest starts with; where there is none it is the root of [`Storage`]'s filesystem, as `/`.
//! Without either no guest can come by a descriptor.
//!
//! Rights are kept here, not in the filesystem. A file's descriptor reads and writes as far as it was opened for. A
//! directory's descriptor may always change what lies below it, whether or not the guest asked for `mutate-directory`: the
//! adapter that tools for WASI 0.1 link never asks, and Wasmtime grants it as well. What was opened from a read-only
//! directory is read-only.
//!
//! What lies in the volume's cache is answered at once; a read that has to wait for the disk blocks its thread of the
//! executor for that long.

mod convert;
mod descriptor;
mod directory;
mod preopens;
mod streams;

pub(crate) use convert::Failure;
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use descriptor::Descriptor;
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub use directory::DirectoryEntryStream;
pub use preopens::{Access, Preopen};

use cloister_filesystem::FsError;
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::Error as IoError;

use crate::bindings::wasi::filesystem::types::{self, ErrorCode};
use crate::storage::{Storage, Unavailable};
use crate::{CALL_FUEL, WasiCtxView};
use descriptor::Origin;

impl types::Host for WasiCtxView<'_> {
    fn convert_error_code(&mut self, failure: Failure) -> wasmtime::Result<ErrorCode> {
        match failure {
            Failure::Code(code) => Ok(code),
            Failure::Trap(error) => Err(error),
        }
    }

    async fn filesystem_error_code(
        &mut self,
        error: Resource<IoError>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(0).await?;
        let error = self.table.get(&error)?;
        let of_filesystem = error.downcast_ref::<FsError>().map(convert::code);
        Ok(of_filesystem.or_else(|| error.is::<Unavailable>().then_some(ErrorCode::Io)))
    }
}

impl WasiCtxView<'_> {
    /// Before anything that looks at files: charges it and notes where storage is used.
    async fn look_at_files(&mut self, descriptor: &Resource<Descriptor>, price: u64) -> Result<(), Failure> {
        self.pay_for_files(LOOK_FUEL.saturating_add(price)).await?;
        if self.table.get(descriptor)?.origin() == Origin::Storage {
            self.storage()?.mark_used();
        }
        Ok(())
    }

    /// Before anything that changes files. What is not on disk yet is in the enclave's memory, so where that is much,
    /// a commit comes first.
    async fn change_files(&mut self, descriptor: &Resource<Descriptor>, price: u64) -> Result<(), Failure> {
        self.pay_for_files(CHANGE_FUEL.saturating_add(price)).await?;
        self.table.get(descriptor)?.check_changeable()?;
        self.make_room().await
    }

    /// [`change_files`](Self::change_files) for what concerns two directories.
    async fn change_two(
        &mut self,
        from: &Resource<Descriptor>,
        to: &Resource<Descriptor>,
        price: u64,
    ) -> Result<(), Failure> {
        self.pay_for_files(CHANGE_FUEL.saturating_add(price)).await?;
        let (from, to) = (self.table.get(from)?, self.table.get(to)?);
        from.check_same_device(to)?;
        from.check_changeable()?;
        to.check_changeable()?;
        self.make_room().await
    }

    async fn make_room(&mut self) -> Result<(), Failure> {
        let storage = self.storage()?;
        storage.mark_used();
        // Many may have waited for the same commit.
        while storage.filesystem.is_crowded() {
            storage.durability.commit().await?;
        }
        Ok(())
    }

    /// Makes everything durable that was written so far, by this guest or others.
    async fn commit_files(&mut self) -> Result<(), Failure> {
        self.pay_for_files(SYNC_FUEL).await?;
        let storage = self.storage()?;
        storage.mark_used();
        Ok(storage.durability.commit().await?)
    }

    async fn pay_for_files(&mut self, fuel: u64) -> Result<(), Failure> {
        self.ctx.host_fuel.charge(CALL_FUEL.saturating_add(fuel)).await.map_err(Failure::Trap)
    }

    /// Charges bytes of which the number is known only after they moved.
    async fn pay_for_bytes(&mut self, bytes: usize) -> Result<(), Failure> {
        self.ctx.host_fuel.charge_bytes(bytes as u64).await.map_err(Failure::Trap)
    }

    /// There is storage wherever there is a descriptor of it, or one that can be written through.
    fn storage(&self) -> Result<&Storage, Failure> {
        self.ctx.storage.as_ref().ok_or(Failure::Code(ErrorCode::BadDescriptor))
    }
}

/// Fuel of following a path: its bytes, and one look into a directory for each of its names.
fn path_price(path: &str) -> u64 {
    let names = path.bytes().filter(|&byte| byte == b'/').count() as u64 + 1;
    (path.len() as u64).saturating_add(names.saturating_mul(NAME_FUEL))
}

/// Fuel of a look at a file or into a directory, in units of about one wasm instruction: a block may have to be read from
/// the disk and decrypted.
const LOOK_FUEL: u64 = 1_000;
/// Fuel of a change: one block at least is to be encrypted and written, and those above it.
const CHANGE_FUEL: u64 = 2_000;
/// Fuel of a commit.
const SYNC_FUEL: u64 = 20_000;
/// Fuel of a name in a path.
const NAME_FUEL: u64 = 200;

#[cfg(test)]
mod tests;
