//! `wasi:filesystem` with no preopened directory.
//!
//! Guests of most languages import it even when they only print. Without a directory to start from, no guest can come by
//! a descriptor: what takes one answers with the interface's error `bad-descriptor`.

use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream, Error as IoError};

use crate::WasiCtxView;
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{self, ErrorCode, Filesize};

impl preopens::Host for WasiCtxView<'_> {
    async fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        self.charge(0).await?;
        Ok(Vec::new())
    }
}

/// There is none.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum Descriptor {}

/// There is none.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub enum DirectoryEntryStream {}

impl types::Host for WasiCtxView<'_> {
    async fn filesystem_error_code(&mut self, _: Resource<IoError>) -> wasmtime::Result<Option<ErrorCode>> {
        self.charge(0).await?;
        Ok(None)
    }
}

impl types::HostDirectoryEntryStream for WasiCtxView<'_> {
    async fn read_directory_entry(
        &mut self,
        _: Resource<DirectoryEntryStream>,
    ) -> Answer<Option<types::DirectoryEntry>> {
        no_descriptor()
    }

    async fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        self.table.delete(stream)?;
        Ok(())
    }
}

impl types::HostDescriptor for WasiCtxView<'_> {
    async fn read_via_stream(
        &mut self,
        _: Resource<Descriptor>,
        _: Filesize,
    ) -> Answer<Resource<DynInputStream>> {
        no_descriptor()
    }

    async fn write_via_stream(
        &mut self,
        _: Resource<Descriptor>,
        _: Filesize,
    ) -> Answer<Resource<DynOutputStream>> {
        no_descriptor()
    }

    async fn append_via_stream(&mut self, _: Resource<Descriptor>) -> Answer<Resource<DynOutputStream>> {
        no_descriptor()
    }

    async fn advise(
        &mut self,
        _: Resource<Descriptor>,
        _: Filesize,
        _: Filesize,
        _: types::Advice,
    ) -> Answer<()> {
        no_descriptor()
    }

    async fn sync_data(&mut self, _: Resource<Descriptor>) -> Answer<()> {
        no_descriptor()
    }

    async fn get_flags(&mut self, _: Resource<Descriptor>) -> Answer<types::DescriptorFlags> {
        no_descriptor()
    }

    async fn get_type(&mut self, _: Resource<Descriptor>) -> Answer<types::DescriptorType> {
        no_descriptor()
    }

    async fn set_size(&mut self, _: Resource<Descriptor>, _: Filesize) -> Answer<()> {
        no_descriptor()
    }

    async fn set_times(
        &mut self,
        _: Resource<Descriptor>,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> Answer<()> {
        no_descriptor()
    }

    async fn read(&mut self, _: Resource<Descriptor>, _: Filesize, _: Filesize) -> Answer<(Vec<u8>, bool)> {
        no_descriptor()
    }

    async fn write(&mut self, _: Resource<Descriptor>, _: Vec<u8>, _: Filesize) -> Answer<Filesize> {
        no_descriptor()
    }

    async fn read_directory(&mut self, _: Resource<Descriptor>) -> Answer<Resource<DirectoryEntryStream>> {
        no_descriptor()
    }

    async fn sync(&mut self, _: Resource<Descriptor>) -> Answer<()> {
        no_descriptor()
    }

    async fn create_directory_at(&mut self, _: Resource<Descriptor>, _: String) -> Answer<()> {
        no_descriptor()
    }

    async fn stat(&mut self, _: Resource<Descriptor>) -> Answer<types::DescriptorStat> {
        no_descriptor()
    }

    async fn stat_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
    ) -> Answer<types::DescriptorStat> {
        no_descriptor()
    }

    async fn set_times_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
        _: types::NewTimestamp,
        _: types::NewTimestamp,
    ) -> Answer<()> {
        no_descriptor()
    }

    async fn link_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
        _: Resource<Descriptor>,
        _: String,
    ) -> Answer<()> {
        no_descriptor()
    }

    async fn open_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
        _: types::OpenFlags,
        _: types::DescriptorFlags,
    ) -> Answer<Resource<Descriptor>> {
        no_descriptor()
    }

    async fn readlink_at(&mut self, _: Resource<Descriptor>, _: String) -> Answer<String> {
        no_descriptor()
    }

    async fn remove_directory_at(&mut self, _: Resource<Descriptor>, _: String) -> Answer<()> {
        no_descriptor()
    }

    async fn rename_at(
        &mut self,
        _: Resource<Descriptor>,
        _: String,
        _: Resource<Descriptor>,
        _: String,
    ) -> Answer<()> {
        no_descriptor()
    }

    async fn symlink_at(&mut self, _: Resource<Descriptor>, _: String, _: String) -> Answer<()> {
        no_descriptor()
    }

    async fn unlink_file_at(&mut self, _: Resource<Descriptor>, _: String) -> Answer<()> {
        no_descriptor()
    }

    async fn metadata_hash(&mut self, _: Resource<Descriptor>) -> Answer<types::MetadataHashValue> {
        no_descriptor()
    }

    async fn metadata_hash_at(
        &mut self,
        _: Resource<Descriptor>,
        _: types::PathFlags,
        _: String,
    ) -> Answer<types::MetadataHashValue> {
        no_descriptor()
    }

    async fn is_same_object(
        &mut self,
        _: Resource<Descriptor>,
        _: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        Ok(false)
    }

    async fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(descriptor)?;
        Ok(())
    }
}

type Answer<T> = wasmtime::Result<Result<T, ErrorCode>>;

fn no_descriptor<T>() -> Answer<T> {
    Ok(Err(ErrorCode::BadDescriptor))
}
