use std::fmt;

use cloister_filesystem::{Kind, Node, OpenHow};
use wasmtime::component::Resource;
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::convert::{self, Failure};
use super::streams::{FileInput, FileOutput, Integrity, Place, read};
use super::{Access, DirectoryEntryStream, path_price};
use crate::WasiCtxView;
use crate::bindings::wasi::filesystem::types::{
    self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, ErrorCode, Filesize, MetadataHashValue,
    NewTimestamp, OpenFlags, PathFlags,
};

/// A file or directory that the guest opened.
#[expect(unreachable_pub, reason = "generated code re-exports it")]
pub struct Descriptor {
    node: Node,
    flags: DescriptorFlags,
    origin: Origin,
    access: Access,
}

/// The filesystem that a descriptor is of. Two of one context are equal only where that is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// That of [`Storage`](crate::Storage): what was read there may have to be made durable before it is told.
    Storage,
    /// That of the preopen of this index.
    Preopen(usize),
}

impl Descriptor {
    /// A directory that everything else is opened from.
    pub(super) fn preopened(node: Node, origin: Origin, access: Access) -> Self {
        Self { node, flags: directory_rights(access), origin, access }
    }

    /// What opening with `flags` below this directory gives.
    fn opened(&self, node: Node, flags: DescriptorFlags) -> Self {
        let flags = match node.kind() {
            Kind::Directory => (flags & synchronous()) | directory_rights(self.access),
            Kind::File | Kind::Symlink => {
                flags & (synchronous() | DescriptorFlags::READ | DescriptorFlags::WRITE)
            }
        };
        Self { node, flags, origin: self.origin, access: self.access }
    }

    pub(super) fn origin(&self) -> Origin {
        self.origin
    }

    pub(super) fn check_changeable(&self) -> Result<(), ErrorCode> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(ErrorCode::ReadOnly),
        }
    }

    /// Comes before [`check_changeable`](Self::check_changeable): who is told of another device copies instead.
    pub(super) fn check_same_device(&self, other: &Self) -> Result<(), ErrorCode> {
        if self.origin == other.origin { Ok(()) } else { Err(ErrorCode::CrossDevice) }
    }

    fn directory(&self) -> Result<&Node, ErrorCode> {
        match self.node.kind() {
            Kind::Directory => Ok(&self.node),
            Kind::File | Kind::Symlink => Err(ErrorCode::NotDirectory),
        }
    }

    fn file(&self) -> Result<&Node, ErrorCode> {
        match self.node.kind() {
            Kind::File | Kind::Symlink => Ok(&self.node),
            Kind::Directory => Err(ErrorCode::BadDescriptor),
        }
    }

    fn readable(&self) -> Result<&Node, ErrorCode> {
        self.file_opened_for(DescriptorFlags::READ)
    }

    fn writable(&self) -> Result<&Node, ErrorCode> {
        self.file_opened_for(DescriptorFlags::WRITE)
    }

    fn file_opened_for(&self, right: DescriptorFlags) -> Result<&Node, ErrorCode> {
        let file = self.file()?;
        if self.flags.contains(right) { Ok(file) } else { Err(ErrorCode::BadDescriptor) }
    }

    fn integrity(&self) -> Integrity {
        if self.flags.intersects(synchronous()) { Integrity::Synchronous } else { Integrity::Lazy }
    }

    /// Whether something could have been written through it.
    fn is_for_writing(&self) -> bool {
        self.flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY)
    }
}

impl fmt::Debug for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Descriptor").field("flags", &self.flags).finish_non_exhaustive()
    }
}

impl types::HostDescriptor for WasiCtxView<'_> {
    async fn read_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> Answer<Resource<DynInputStream>> {
        self.look_at_files(&descriptor, 0).await?;
        let descriptor = self.table.get(&descriptor)?;
        if descriptor.node.kind() == Kind::Directory {
            return Err(ErrorCode::IsDirectory.into());
        }
        let file = descriptor.readable()?.clone();
        let stream: DynInputStream = Box::new(FileInput::new(file, offset, self.ctx.host_fuel.debts()));
        Ok(self.table.push(stream)?)
    }

    async fn write_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        offset: Filesize,
    ) -> Answer<Resource<DynOutputStream>> {
        self.output_stream(descriptor, Place::At(offset)).await
    }

    async fn append_via_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> Answer<Resource<DynOutputStream>> {
        self.output_stream(descriptor, Place::End).await
    }

    /// Accepted; the volume reads ahead where it sees that reading is sequential.
    async fn advise(
        &mut self,
        descriptor: Resource<Descriptor>,
        _: Filesize,
        _: Filesize,
        _: Advice,
    ) -> Answer<()> {
        self.pay_for_files(0).await?;
        self.table.get(&descriptor)?.file()?;
        Ok(())
    }

    async fn sync_data(&mut self, descriptor: Resource<Descriptor>) -> Answer<()> {
        self.sync(descriptor).await
    }

    async fn get_flags(&mut self, descriptor: Resource<Descriptor>) -> Answer<DescriptorFlags> {
        self.pay_for_files(0).await?;
        Ok(self.table.get(&descriptor)?.flags)
    }

    async fn get_type(&mut self, descriptor: Resource<Descriptor>) -> Answer<DescriptorType> {
        self.pay_for_files(0).await?;
        Ok(convert::descriptor_type(self.table.get(&descriptor)?.node.kind()))
    }

    async fn set_size(&mut self, descriptor: Resource<Descriptor>, size: Filesize) -> Answer<()> {
        self.change_files(&descriptor, 0).await?;
        let descriptor = self.table.get(&descriptor)?;
        // Not `bad-descriptor` as for a write: so say ftruncate(2) of Linux, and Wasmtime with it.
        let file = descriptor.file().and_then(|_| descriptor.writable().map_err(|_| ErrorCode::Invalid))?;
        Ok(file.set_len(size)?)
    }

    async fn set_times(
        &mut self,
        descriptor: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> Answer<()> {
        self.change_files(&descriptor, 0).await?;
        let (accessed, modified) = (convert::set_time(accessed)?, convert::set_time(modified)?);
        Ok(self.table.get(&descriptor)?.node.set_times(accessed, modified)?)
    }

    async fn read(
        &mut self,
        descriptor: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> Answer<(Vec<u8>, bool)> {
        self.look_at_files(&descriptor, 0).await?;
        let bytes = read(self.table.get(&descriptor)?.readable()?, length, offset)?;
        self.pay_for_bytes(bytes.len()).await?;
        // Also where nothing was asked for: the adapter for WASI 0.1 takes an empty answer without it for EINTR.
        let at_end = bytes.is_empty();
        Ok((bytes, at_end))
    }

    async fn write(
        &mut self,
        descriptor: Resource<Descriptor>,
        bytes: Vec<u8>,
        offset: Filesize,
    ) -> Answer<Filesize> {
        let bytes = &bytes[..bytes.len().min(MAX_WRITE_BYTES)];
        self.change_files(&descriptor, bytes.len() as u64).await?;
        let descriptor = self.table.get(&descriptor)?;
        let written = descriptor.writable()?.write_at(offset, bytes)?;
        if descriptor.integrity() == Integrity::Synchronous {
            self.commit_files().await?;
        }
        Ok(written as u64)
    }

    async fn read_directory(
        &mut self,
        descriptor: Resource<Descriptor>,
    ) -> Answer<Resource<DirectoryEntryStream>> {
        self.look_at_files(&descriptor, 0).await?;
        let directory = self.table.get(&descriptor)?.directory()?.clone();
        Ok(self.table.push(DirectoryEntryStream::new(directory))?)
    }

    async fn sync(&mut self, descriptor: Resource<Descriptor>) -> Answer<()> {
        match self.table.get(&descriptor)?.is_for_writing() {
            true => self.commit_files().await,
            false => self.pay_for_files(0).await,
        }
    }

    async fn create_directory_at(&mut self, base: Resource<Descriptor>, path: String) -> Answer<()> {
        self.change_files(&base, path_price(&path)).await?;
        Ok(self.table.get(&base)?.directory()?.create_directory_at(&path)?)
    }

    async fn stat(&mut self, descriptor: Resource<Descriptor>) -> Answer<DescriptorStat> {
        self.look_at_files(&descriptor, 0).await?;
        Ok(convert::stat(&self.table.get(&descriptor)?.node.metadata()?))
    }

    async fn stat_at(
        &mut self,
        base: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Answer<DescriptorStat> {
        self.look_at_files(&base, path_price(&path)).await?;
        let base = self.table.get(&base)?.directory()?;
        Ok(convert::stat(&base.metadata_at(&path, convert::follow(flags))?))
    }

    async fn set_times_at(
        &mut self,
        base: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> Answer<()> {
        self.change_files(&base, path_price(&path)).await?;
        let (accessed, modified) = (convert::set_time(accessed)?, convert::set_time(modified)?);
        let base = self.table.get(&base)?.directory()?;
        Ok(base.set_times_at(&path, convert::follow(flags), accessed, modified)?)
    }

    async fn link_at(
        &mut self,
        from_base: Resource<Descriptor>,
        flags: PathFlags,
        from: String,
        to_base: Resource<Descriptor>,
        to: String,
    ) -> Answer<()> {
        let price = path_price(&from).saturating_add(path_price(&to));
        self.change_two(&from_base, &to_base, price).await?;
        let from_base = self.table.get(&from_base)?.directory()?;
        let to_base = self.table.get(&to_base)?.directory()?;
        Ok(from_base.link_at(&from, convert::follow(flags), to_base, &to)?)
    }

    async fn open_at(
        &mut self,
        base: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> Answer<Resource<Descriptor>> {
        // "If `flags` contains `write` or `mutate-directory`, or `open-flags` contains `truncate` or `create`, and the base
        // descriptor doesn't have `mutate-directory` set, `open-at` fails with `error-code::read-only`."
        if flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY) {
            self.table.get(&base)?.check_changeable()?;
        }
        match open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE) {
            true => self.change_files(&base, path_price(&path)).await?,
            false => self.look_at_files(&base, path_price(&path)).await?,
        }
        let how = OpenHow {
            create: open_flags.contains(OpenFlags::CREATE),
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            truncate: open_flags.contains(OpenFlags::TRUNCATE),
            directory: open_flags.contains(OpenFlags::DIRECTORY),
        };
        let base = self.table.get(&base)?;
        let node = base.directory()?.open_at(&path, convert::follow(path_flags), &how)?;
        if node.kind() == Kind::Directory && flags.contains(DescriptorFlags::WRITE) {
            return Err(ErrorCode::IsDirectory.into());
        }
        let descriptor = base.opened(node, flags);
        Ok(self.table.push(descriptor)?)
    }

    async fn readlink_at(&mut self, base: Resource<Descriptor>, path: String) -> Answer<String> {
        self.look_at_files(&base, path_price(&path)).await?;
        let target = self.table.get(&base)?.directory()?.read_link_at(&path)?;
        self.pay_for_bytes(target.len()).await?;
        Ok(target)
    }

    async fn remove_directory_at(&mut self, base: Resource<Descriptor>, path: String) -> Answer<()> {
        self.change_files(&base, path_price(&path)).await?;
        Ok(self.table.get(&base)?.directory()?.remove_directory_at(&path)?)
    }

    async fn rename_at(
        &mut self,
        from_base: Resource<Descriptor>,
        from: String,
        to_base: Resource<Descriptor>,
        to: String,
    ) -> Answer<()> {
        let price = path_price(&from).saturating_add(path_price(&to));
        self.change_two(&from_base, &to_base, price).await?;
        let from_base = self.table.get(&from_base)?.directory()?;
        let to_base = self.table.get(&to_base)?.directory()?;
        Ok(from_base.rename_at(&from, to_base, &to)?)
    }

    async fn symlink_at(&mut self, base: Resource<Descriptor>, target: String, path: String) -> Answer<()> {
        self.change_files(&base, path_price(&path).saturating_add(target.len() as u64)).await?;
        Ok(self.table.get(&base)?.directory()?.symlink_at(&target, &path)?)
    }

    async fn unlink_file_at(&mut self, base: Resource<Descriptor>, path: String) -> Answer<()> {
        self.change_files(&base, path_price(&path)).await?;
        Ok(self.table.get(&base)?.directory()?.unlink_file_at(&path)?)
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.charge(0).await?;
        Ok(self.table.get(&one)?.node.is_same(&self.table.get(&other)?.node))
    }

    async fn metadata_hash(&mut self, descriptor: Resource<Descriptor>) -> Answer<MetadataHashValue> {
        self.look_at_files(&descriptor, 0).await?;
        Ok(convert::hash(self.table.get(&descriptor)?.node.metadata_hash()?))
    }

    async fn metadata_hash_at(
        &mut self,
        base: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> Answer<MetadataHashValue> {
        self.look_at_files(&base, path_price(&path)).await?;
        let base = self.table.get(&base)?.directory()?;
        Ok(convert::hash(base.metadata_hash_at(&path, convert::follow(flags))?))
    }

    async fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.table.delete(descriptor)?;
        Ok(())
    }
}

impl WasiCtxView<'_> {
    async fn output_stream(
        &mut self,
        descriptor: Resource<Descriptor>,
        place: Place,
    ) -> Answer<Resource<DynOutputStream>> {
        self.look_at_files(&descriptor, 0).await?;
        self.table.get(&descriptor)?.check_changeable()?;
        let storage = self.storage()?.clone();
        let descriptor = self.table.get(&descriptor)?;
        let file = descriptor.writable()?.clone();
        let debts = self.ctx.host_fuel.debts();
        let stream: DynOutputStream =
            Box::new(FileOutput::new(file, place, descriptor.integrity(), storage, debts));
        Ok(self.table.push(stream)?)
    }
}

type Answer<T> = Result<T, Failure>;

/// What every directory's descriptor may do.
fn directory_rights(access: Access) -> DescriptorFlags {
    match access {
        Access::ReadWrite => DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY,
        Access::ReadOnly => DescriptorFlags::READ,
    }
}

/// Each of them asks that a write be durable when it is over.
fn synchronous() -> DescriptorFlags {
    DescriptorFlags::FILE_INTEGRITY_SYNC
        | DescriptorFlags::DATA_INTEGRITY_SYNC
        | DescriptorFlags::REQUESTED_WRITE_SYNC
}

/// Bytes that one `write` takes; of a longer one the rest is not written, as its result says. Calls that pass the bound
/// on unwritten data at the same moment can each go beyond it by so much.
const MAX_WRITE_BYTES: usize = 256 << 10;
