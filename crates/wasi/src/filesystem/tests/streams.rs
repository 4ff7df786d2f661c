use wasmtime_wasi_io::streams::StreamError;

use super::*;
use crate::bindings::wasi::filesystem::types::Host as _;
use crate::bindings::wasi::io::poll::HostPollable as _;
use crate::bindings::wasi::io::streams::{HostInputStream, HostOutputStream};

const PERMIT: usize = 64 << 10;

#[tokio::test]
async fn a_file_is_read_to_its_end() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", &[b'x'; 100_000]).await;
    let stream = guest.input(file, 10).await.unwrap().rep();
    assert_eq!(guest.take(stream, 0).await.unwrap(), b"");
    assert_eq!(guest.take(stream, 5).await.unwrap(), b"xxxxx");
    assert_eq!(guest.take(stream, u64::MAX).await.unwrap().len(), 65_536, "one read's limit");
    let skipped = HostInputStream::blocking_skip(&mut guest.view(), borrow(stream), u64::MAX).await;
    assert_eq!(skipped.unwrap(), 100_000 - 10 - 5 - 65_536);
    assert!(matches!(guest.take(stream, 1).await, Err(StreamError::Closed)));
    guest.write(file, 100_000, b"more").await.unwrap();
    assert!(matches!(guest.take(stream, 1).await, Err(StreamError::Closed)), "closed stays closed");
    let past = guest.input(file, u64::MAX).await.unwrap().rep();
    assert!(matches!(guest.take(past, 1).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn streams_write_where_they_were_opened() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"0123456789").await;
    let at_two = guest.output(file, 2).await.unwrap().rep();
    let end = guest.appender(file).await.unwrap().rep();
    guest.put(at_two, b"ab").await.unwrap();
    guest.put(end, b"END").await.unwrap();
    guest.put(at_two, b"cd").await.unwrap();
    guest.put(end, b"!").await.unwrap();
    assert_eq!(guest.read(file, 0, 100).await, Ok((b"01abcd6789END!".to_vec(), false)));
}

#[tokio::test]
async fn a_stream_takes_what_it_permits_and_not_one_byte_more() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let stream = guest.output(file, 0).await.unwrap().rep();
    assert_eq!(guest.permit(stream).await.unwrap(), PERMIT as u64);
    guest.put(stream, &vec![1; PERMIT]).await.unwrap();
    assert!(matches!(guest.put(stream, &vec![1; PERMIT + 1]).await, Err(StreamError::Trap(_))));
    HostOutputStream::write_zeroes(&mut guest.view(), borrow(stream), 10).await.unwrap();
    let zeroes = HostOutputStream::write_zeroes(&mut guest.view(), borrow(stream), PERMIT as u64 + 1).await;
    assert!(matches!(zeroes, Err(StreamError::Trap(_))));
    assert_eq!(guest.read(file, PERMIT as u64, 100).await, Ok((vec![0; 10], false)));
}

#[tokio::test]
async fn what_is_not_on_disk_yet_is_bounded() {
    let bench = Bench::with(crowded_at(1 << 20), DISK_BLOCKS, 64 << 20);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let stream = guest.output(file, 0).await.unwrap().rep();
    let mut waited = 0;
    for _ in 0..100 {
        if guest.permit(stream).await.unwrap() == 0 {
            waited += 1;
            guest.wait(stream).await;
            assert_eq!(guest.permit(stream).await.unwrap(), PERMIT as u64);
        }
        guest.put(stream, &vec![1; PERMIT]).await.unwrap();
        assert!(bench.volume.statistics().dirty_bytes < 3 << 20);
    }
    assert!((3..=12).contains(&waited), "{waited}");
    assert_eq!(bench.commits.count(), waited);
    guest.wait(stream).await;

    for _ in 0..1_000 {
        guest.put_blocking(stream, &[2; 4096]).await.unwrap();
    }
    assert!(bench.commits.count() > waited + 1);
    for offset in 0..100 {
        guest.write(file, offset * 50_000, &[3; 50_000]).await.unwrap();
        assert!(bench.volume.statistics().dirty_bytes < 3 << 20);
    }
}

#[tokio::test]
async fn a_synchronous_write_is_durable_when_it_is_over() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let flags = [
        DescriptorFlags::FILE_INTEGRITY_SYNC,
        DescriptorFlags::DATA_INTEGRITY_SYNC,
        DescriptorFlags::REQUESTED_WRITE_SYNC,
    ];
    for flag in flags {
        let before = bench.commits.count();
        let file = guest.open_at(root, "a", OpenFlags::CREATE, read_write() | flag).await.unwrap();
        guest.write(file, 0, b"x").await.unwrap();
        assert_eq!(bench.commits.count(), before + 1);
        assert!(!bench.volume.has_uncommitted());

        let stream = guest.output(file, 0).await.unwrap().rep();
        guest.put(stream, b"y").await.unwrap();
        assert_eq!(guest.permit(stream).await.unwrap(), 0);
        guest.wait(stream).await;
        assert_eq!(guest.permit(stream).await.unwrap(), PERMIT as u64);
        assert!(!bench.volume.has_uncommitted());
        guest.put_blocking(stream, b"z").await.unwrap();
        assert_eq!(bench.commits.count(), before + 3);
        assert!(!bench.volume.has_uncommitted());
    }
}

#[tokio::test]
async fn a_stream_says_once_why_it_failed_and_is_closed() {
    let bench = Bench::with(Options::default(), DISK_BLOCKS, 1 << 20);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let stream = guest.output(file, (1 << 20) - 10_000).await.unwrap().rep();
    guest.put(stream, b"x").await.unwrap();
    let filler = guest.output(file, 0).await.unwrap().rep();
    let mut failed = None;
    while failed.is_none() {
        failed = guest.put(filler, &vec![1; PERMIT]).await.err();
    }
    assert_eq!(guest.code(failed.unwrap()).await, Some(ErrorCode::Quota));
    assert!(matches!(guest.permit(filler).await, Err(StreamError::Closed)));
    assert!(matches!(guest.put(filler, b"x").await, Err(StreamError::Closed)));
    assert!(matches!(guest.put(stream, b"y").await, Ok(())), "the other stream goes on");
}

#[tokio::test]
async fn a_failed_commit_is_an_io_error_of_the_stream() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let flags = read_write() | DescriptorFlags::DATA_INTEGRITY_SYNC;
    let file = guest.open_at(root, "a", OpenFlags::CREATE, flags).await.unwrap();
    bench.commits.fail();
    assert_eq!(guest.write(file, 0, b"x").await, Err(ErrorCode::Io));
    let stream = guest.output(file, 0).await.unwrap().rep();
    guest.put(stream, b"y").await.unwrap();
    guest.wait(stream).await;
    let failed = guest.permit(stream).await.unwrap_err();
    assert_eq!(guest.code(failed).await, Some(ErrorCode::Io));
    assert!(matches!(guest.permit(stream).await, Err(StreamError::Closed)));
}

#[tokio::test]
async fn other_errors_have_no_code_of_the_filesystem() {
    let mut guest = Bench::new().guest();
    let other = StreamError::LastOperationFailed(wasmtime::Error::msg("something else"));
    assert_eq!(guest.code(other).await, None);
}

pub(super) fn crowded_at(dirty_bytes: usize) -> Options {
    Options { dirty_bytes, ..Options::default() }
}

pub(super) fn borrow<T: 'static>(handle: u32) -> Resource<T> {
    Resource::new_borrow(handle)
}

impl Guest {
    pub(super) async fn take(&mut self, stream: u32, length: u64) -> Result<Vec<u8>, StreamError> {
        HostInputStream::blocking_read(&mut self.view(), borrow(stream), length).await
    }

    async fn put(&mut self, stream: u32, bytes: &[u8]) -> Result<(), StreamError> {
        HostOutputStream::write(&mut self.view(), borrow(stream), bytes.to_vec()).await
    }

    async fn put_blocking(&mut self, stream: u32, bytes: &[u8]) -> Result<(), StreamError> {
        HostOutputStream::blocking_write_and_flush(&mut self.view(), borrow(stream), bytes.to_vec()).await
    }

    async fn permit(&mut self, stream: u32) -> Result<u64, StreamError> {
        HostOutputStream::check_write(&mut self.view(), borrow(stream)).await
    }

    async fn wait(&mut self, stream: u32) {
        let pollable = HostOutputStream::subscribe(&mut self.view(), borrow(stream)).await.unwrap();
        self.view().block(borrow(pollable.rep())).await.unwrap();
        crate::bindings::wasi::io::poll::HostPollable::drop(&mut self.view(), pollable).await.unwrap();
    }

    /// What `filesystem-error-code` says of a stream's failure.
    pub(super) async fn code(&mut self, error: StreamError) -> Option<ErrorCode> {
        let StreamError::LastOperationFailed(error) = error else { panic!("{error:?}") };
        let error = self.table.push(error).unwrap();
        self.view().filesystem_error_code(error).await.unwrap()
    }
}
