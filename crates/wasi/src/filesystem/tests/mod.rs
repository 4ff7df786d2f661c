//! The interface's functions, called as the linker calls them, on a volume in memory.

mod edges;
mod files;
mod names;
mod preopens;
mod storage;
mod streams;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use cloister_filesystem::Filesystem;
use cloister_volume::{MemoryDisk, Options, Quota, SealingError, SealingKey, Volume};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi_io::streams::{DynInputStream, DynOutputStream};

use super::Failure;
use super::descriptor::{Descriptor, Origin};
use crate::bindings::wasi::filesystem::preopens::Host as _;
use crate::bindings::wasi::filesystem::types::{
    DescriptorFlags, ErrorCode, HostDescriptor, OpenFlags, PathFlags,
};
use crate::{Access, Durability, Storage, Unavailable, WasiCtx, WasiCtxView};

/// A volume with one app's filesystem.
pub(super) struct Bench {
    pub(super) disk: MemoryDisk,
    pub(super) volume: Volume,
    pub(super) filesystem: Filesystem,
    pub(super) commits: Arc<Commits>,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Options::default(), DISK_BLOCKS, 64 << 20)
    }

    pub(super) fn with(options: Options, disk_blocks: u64, quota: u64) -> Self {
        let disk = MemoryDisk::new(disk_blocks);
        let volume = Volume::create(Arc::new(disk.clone()), &FixedKey, options).unwrap();
        let operation = volume.begin();
        let dataset =
            volume.create_dataset(&operation, "app", Quota { bytes: quota, objects: 1_000 }).unwrap();
        drop(operation);
        let filesystem = Filesystem::open(dataset).unwrap();
        let commits = Arc::new(Commits { volume: volume.clone(), count: 0.into(), failing: false.into() });
        Self { disk, volume, filesystem, commits }
    }

    /// A guest that has the filesystem.
    pub(super) fn guest(&self) -> Guest {
        let ctx = WasiCtx::builder().storage(Some(self.storage())).build();
        Guest { ctx, table: ResourceTable::new() }
    }

    pub(super) fn storage(&self) -> Storage {
        Storage {
            filesystem: self.filesystem.clone(),
            keys: None,
            durability: Arc::clone(&self.commits) as Arc<dyn Durability>,
            used: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// Counts commits, and fails on demand.
pub(super) struct Commits {
    volume: Volume,
    count: AtomicU32,
    failing: AtomicBool,
}

impl Commits {
    pub(super) fn count(&self) -> u32 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn fail(&self) {
        self.failing.store(true, Ordering::Relaxed);
    }
}

impl Durability for Commits {
    fn commit(&self) -> Pin<Box<dyn Future<Output = Result<(), Unavailable>> + Send + '_>> {
        Box::pin(async {
            self.count.fetch_add(1, Ordering::Relaxed);
            if self.failing.load(Ordering::Relaxed) {
                return Err(Unavailable);
            }
            self.volume.commit().map_err(|_| Unavailable)?;
            Ok(())
        })
    }
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<zeroize::Zeroizing<[u8; 16]>, SealingError> {
        Ok(zeroize::Zeroizing::new([7; 16]))
    }
}

/// One guest's state, and the functions of the interface with less to type.
pub(super) struct Guest {
    pub(super) ctx: WasiCtx,
    pub(super) table: ResourceTable,
}

/// A descriptor's handle.
pub(super) type Fd = u32;

impl Guest {
    pub(super) fn view(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.ctx, table: &mut self.table }
    }

    pub(super) fn used(&self) -> bool {
        self.ctx.storage.as_ref().unwrap().used.load(Ordering::Relaxed)
    }

    pub(super) async fn root(&mut self) -> Fd {
        let mut directories = self.view().get_directories().await.unwrap();
        let (root, path) = directories.pop().unwrap();
        assert_eq!((path.as_str(), directories.len()), ("/", 0));
        root.rep()
    }

    pub(super) async fn open_at(
        &mut self,
        base: Fd,
        path: &str,
        how: OpenFlags,
        flags: DescriptorFlags,
    ) -> Result<Fd, ErrorCode> {
        let opened = self.view().open_at(fd(base), follow(), path.to_owned(), how, flags).await;
        answer(opened).map(|descriptor| descriptor.rep())
    }

    /// A new file for reading and writing.
    pub(super) async fn create(&mut self, base: Fd, path: &str) -> Fd {
        self.open_at(base, path, OpenFlags::CREATE | OpenFlags::EXCLUSIVE, read_write()).await.unwrap()
    }

    pub(super) async fn create_with(&mut self, base: Fd, path: &str, bytes: &[u8]) -> Fd {
        let file = self.create(base, path).await;
        assert_eq!(self.write(file, 0, bytes).await, Ok(bytes.len() as u64));
        file
    }

    pub(super) async fn write(&mut self, file: Fd, offset: u64, bytes: &[u8]) -> Result<u64, ErrorCode> {
        answer(HostDescriptor::write(&mut self.view(), fd(file), bytes.to_vec(), offset).await)
    }

    pub(super) async fn read(
        &mut self,
        file: Fd,
        offset: u64,
        length: u64,
    ) -> Result<(Vec<u8>, bool), ErrorCode> {
        answer(HostDescriptor::read(&mut self.view(), fd(file), length, offset).await)
    }

    pub(super) async fn input(&mut self, file: Fd, offset: u64) -> Result<Input, ErrorCode> {
        answer(self.view().read_via_stream(fd(file), offset).await)
    }

    pub(super) async fn output(&mut self, file: Fd, offset: u64) -> Result<Output, ErrorCode> {
        answer(self.view().write_via_stream(fd(file), offset).await)
    }

    pub(super) async fn appender(&mut self, file: Fd) -> Result<Output, ErrorCode> {
        answer(self.view().append_via_stream(fd(file)).await)
    }

    pub(super) async fn close(&mut self, descriptor: Fd) {
        HostDescriptor::drop(&mut self.view(), Resource::new_own(descriptor)).await.unwrap();
    }
}

pub(super) type Input = Resource<DynInputStream>;
pub(super) type Output = Resource<DynOutputStream>;

/// A borrow, as the linker hands it to host functions.
pub(super) fn fd(descriptor: Fd) -> Resource<Descriptor> {
    Resource::new_borrow(descriptor)
}

/// What the guest sees.
pub(super) fn answer<T>(result: Result<T, Failure>) -> Result<T, ErrorCode> {
    result.map_err(|failure| match failure {
        Failure::Code(code) => code,
        Failure::Trap(trap) => panic!("the guest trapped: {trap:?}"),
    })
}

pub(super) fn follow() -> PathFlags {
    PathFlags::SYMLINK_FOLLOW
}

pub(super) fn no_follow() -> PathFlags {
    PathFlags::empty()
}

pub(super) fn read_write() -> DescriptorFlags {
    DescriptorFlags::READ | DescriptorFlags::WRITE
}

/// 256 MiB.
pub(super) const DISK_BLOCKS: u64 = 65_536;
