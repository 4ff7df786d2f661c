use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::*;
use crate::MAX_READ_BYTES;
use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::bindings::wasi::filesystem::types::{Advice, DescriptorStat, DescriptorType, NewTimestamp};

#[tokio::test]
async fn what_was_written_is_read() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"hello").await;
    assert_eq!(guest.read(file, 0, 100).await, Ok((b"hello".to_vec(), false)));
    assert_eq!(guest.read(file, 1, 3).await, Ok((b"ell".to_vec(), false)));
    for past in [5, 6, u64::MAX] {
        assert_eq!(guest.read(file, past, 10).await, Ok((vec![], true)), "{past}");
    }
    assert_eq!(guest.read(file, 0, 0).await, Ok((vec![], true)), "an empty answer is not EINTR");
}

#[tokio::test]
async fn a_write_past_the_end_leaves_zeros_before_it() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"xy").await;
    assert_eq!(guest.write(file, 5, b"z").await, Ok(1));
    assert_eq!(guest.read(file, 0, 100).await, Ok((b"xy\0\0\0z".to_vec(), false)));
    assert_eq!(guest.write(file, u64::MAX, b"z").await, Err(ErrorCode::FileTooLarge));
}

#[tokio::test]
async fn one_read_moves_no_more_than_its_limit() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", &vec![1; 200_000]).await;
    let (bytes, _) = guest.read(file, 0, u64::MAX).await.unwrap();
    assert_eq!(bytes.len() as u64, MAX_READ_BYTES);
}

#[tokio::test]
async fn a_file_is_used_only_as_it_was_opened() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.create_with(root, "a", b"hello").await;
    let reader = guest.open_at(root, "a", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(reader, 0, 1).await, Ok((b"h".to_vec(), false)));
    assert_eq!(guest.write(reader, 0, b"x").await, Err(ErrorCode::BadDescriptor));
    assert_eq!(guest.output(reader, 0).await.err(), Some(ErrorCode::BadDescriptor));
    assert_eq!(guest.appender(reader).await.err(), Some(ErrorCode::BadDescriptor));
    assert_eq!(answer(guest.view().set_size(fd(reader), 0).await), Err(ErrorCode::Invalid));

    let writer = guest.open_at(root, "a", OpenFlags::empty(), DescriptorFlags::WRITE).await.unwrap();
    assert_eq!(guest.write(writer, 0, b"j").await, Ok(1));
    assert_eq!(guest.read(writer, 0, 1).await, Err(ErrorCode::BadDescriptor));
    assert_eq!(guest.input(writer, 0).await.err(), Some(ErrorCode::BadDescriptor));
    assert_eq!(guest.read(reader, 0, 9).await, Ok((b"jello".to_vec(), false)));

    let neither = guest.open_at(root, "a", OpenFlags::empty(), DescriptorFlags::empty()).await.unwrap();
    assert_eq!(guest.read(neither, 0, 1).await, Err(ErrorCode::BadDescriptor));
    assert_eq!(guest.write(neither, 0, b"x").await, Err(ErrorCode::BadDescriptor));
}

#[tokio::test]
async fn a_directory_is_no_file_and_a_file_no_directory() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    assert_eq!(guest.read(root, 0, 1).await, Err(ErrorCode::BadDescriptor));
    assert_eq!(guest.write(root, 0, b"x").await, Err(ErrorCode::BadDescriptor));
    assert_eq!(guest.input(root, 0).await.err(), Some(ErrorCode::IsDirectory));
    assert_eq!(guest.output(root, 0).await.err(), Some(ErrorCode::BadDescriptor));
    assert_eq!(answer(guest.view().set_size(fd(root), 0).await), Err(ErrorCode::BadDescriptor));
    let advised = guest.view().advise(fd(root), 0, 0, Advice::Random).await;
    assert_eq!(answer(advised), Err(ErrorCode::BadDescriptor));

    let none = Some(ErrorCode::NotDirectory);
    assert_eq!(guest.open_at(file, "b", OpenFlags::CREATE, read_write()).await.err(), none);
    assert_eq!(answer(guest.view().read_directory(fd(file)).await).err(), none);
    assert_eq!(answer(guest.view().stat_at(fd(file), follow(), "b".into()).await).err(), none);
    assert_eq!(answer(guest.view().create_directory_at(fd(file), "b".into()).await).err(), none);
    assert_eq!(answer(guest.view().rename_at(fd(root), "a".into(), fd(file), "b".into()).await).err(), none);
}

#[tokio::test]
async fn descriptors_say_what_they_are() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let directory = DescriptorFlags::READ | DescriptorFlags::MUTATE_DIRECTORY;
    assert_eq!(answer(guest.view().get_type(fd(root)).await), Ok(DescriptorType::Directory));
    assert_eq!(answer(guest.view().get_flags(fd(root)).await), Ok(directory));
    assert_eq!(answer(guest.view().get_type(fd(file)).await), Ok(DescriptorType::RegularFile));
    assert_eq!(answer(guest.view().get_flags(fd(file)).await), Ok(read_write()));

    answer(guest.view().create_directory_at(fd(root), "d".into()).await).unwrap();
    let below = guest.open_at(root, "d", OpenFlags::DIRECTORY, DescriptorFlags::READ).await.unwrap();
    assert_eq!(answer(guest.view().get_flags(fd(below)).await), Ok(directory), "tools of WASI 0.1 never ask");
    let asked = read_write() | DescriptorFlags::MUTATE_DIRECTORY | DescriptorFlags::DATA_INTEGRITY_SYNC;
    let file = guest.open_at(root, "a", OpenFlags::empty(), asked).await.unwrap();
    let flags = read_write() | DescriptorFlags::DATA_INTEGRITY_SYNC;
    assert_eq!(answer(guest.view().get_flags(fd(file)).await), Ok(flags));
}

#[tokio::test]
async fn a_size_is_set_and_advice_accepted() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"hello").await;
    assert_eq!(answer(guest.view().set_size(fd(file), 2).await), Ok(()));
    assert_eq!(answer(guest.view().set_size(fd(file), 4).await), Ok(()));
    assert_eq!(guest.read(file, 0, 100).await, Ok((b"he\0\0".to_vec(), false)));
    assert_eq!(answer(guest.view().set_size(fd(file), u64::MAX).await), Err(ErrorCode::FileTooLarge));
    assert_eq!(answer(guest.view().advise(fd(file), 0, 10, Advice::Sequential).await), Ok(()));
}

#[tokio::test]
async fn attributes_are_those_of_the_object() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let before = SystemTime::now();
    let file = guest.create_with(root, "a", b"hello").await;
    let stat = answer(guest.view().stat(fd(file)).await).unwrap();
    assert_eq!((stat.type_, stat.link_count, stat.size), (DescriptorType::RegularFile, 1, 5));
    let modified = since_epoch(stat.data_modification_timestamp.unwrap());
    assert!(modified >= before.duration_since(UNIX_EPOCH).unwrap(), "{modified:?}");
    assert!(stat.data_access_timestamp.is_some() && stat.status_change_timestamp.is_some());

    assert_eq!(stat_at(&mut guest, root, ".").await.unwrap().type_, DescriptorType::Directory);
    assert_eq!(stat_at(&mut guest, root, "b").await.err(), Some(ErrorCode::NoEntry));
    answer(guest.view().symlink_at(fd(root), "a".into(), "s".into()).await).unwrap();
    let link = answer(guest.view().stat_at(fd(root), no_follow(), "s".into()).await).unwrap();
    assert_eq!((link.type_, link.size), (DescriptorType::SymbolicLink, 1));
    assert_eq!(stat_at(&mut guest, root, "s").await.unwrap().size, 5);
}

#[tokio::test]
async fn times_are_set() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let at = |seconds, nanoseconds| NewTimestamp::Timestamp(Datetime { seconds, nanoseconds });
    assert_eq!(answer(guest.view().set_times(fd(file), at(1, 2), at(3, 4)).await), Ok(()));
    let times = |stat: DescriptorStat| {
        [stat.data_access_timestamp, stat.data_modification_timestamp].map(|time| since_epoch(time.unwrap()))
    };
    let stat = stat_at(&mut guest, root, "a").await.unwrap();
    assert_eq!(times(stat), [Duration::new(1, 2), Duration::new(3, 4)]);

    let set = guest
        .view()
        .set_times_at(fd(root), follow(), "a".into(), NewTimestamp::NoChange, NewTimestamp::Now)
        .await;
    assert_eq!(answer(set), Ok(()));
    let [accessed, modified] = times(stat_at(&mut guest, root, "a").await.unwrap());
    assert_eq!(accessed, Duration::new(1, 2));
    assert!(modified > Duration::from_secs(1_000_000));

    let refused = [
        (at(0, 1_000_000_000), ErrorCode::Invalid),
        (at(5, u32::MAX), ErrorCode::Invalid),
        (at(u64::MAX, 0), ErrorCode::Overflow),
    ];
    for (time, code) in refused {
        assert_eq!(answer(guest.view().set_times(fd(file), time, time).await), Err(code));
    }
    assert_eq!(times(stat_at(&mut guest, root, "a").await.unwrap()), [accessed, modified]);
}

#[tokio::test]
async fn a_hash_changes_with_its_object_and_only_then() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"x").await;
    let other = guest.create_with(root, "b", b"x").await;
    let hash = async |guest: &mut Guest, file| {
        let hash = answer(guest.view().metadata_hash(fd(file)).await).unwrap();
        (hash.lower, hash.upper)
    };
    let first = hash(&mut guest, file).await;
    assert_eq!(hash(&mut guest, file).await, first);
    let by_path = answer(guest.view().metadata_hash_at(fd(root), follow(), "a".into()).await).unwrap();
    assert_eq!((by_path.lower, by_path.upper), first);
    assert_ne!(hash(&mut guest, other).await, first);
    guest.write(file, 0, b"y").await.unwrap();
    assert_ne!(hash(&mut guest, file).await, first);
}

#[tokio::test]
async fn two_names_of_one_file_are_the_same_object() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let one = guest.create(root, "a").await;
    answer(guest.view().link_at(fd(root), no_follow(), "a".into(), fd(root), "b".into()).await).unwrap();
    let other = guest.open_at(root, "b", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert!(guest.view().is_same_object(fd(one), fd(other)).await.unwrap());
    assert!(!guest.view().is_same_object(fd(one), fd(root)).await.unwrap());
}

async fn stat_at(guest: &mut Guest, base: Fd, path: &str) -> Result<DescriptorStat, ErrorCode> {
    answer(guest.view().stat_at(fd(base), follow(), path.to_owned()).await)
}

fn since_epoch(time: Datetime) -> Duration {
    Duration::new(time.seconds, time.nanoseconds)
}
