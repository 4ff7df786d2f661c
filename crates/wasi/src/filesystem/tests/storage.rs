//! Durability, damage, quotas, fuel, and guests beside each other.

use cloister_volume::BLOCK;

use super::streams::crowded_at;
use super::*;
use crate::filesystem::{CHANGE_FUEL, LOOK_FUEL, NAME_FUEL, SYNC_FUEL, path_price};
use crate::{CALL_FUEL, HostFuel};

#[tokio::test]
async fn without_storage_no_directory_is_open() {
    let mut guest = Guest { ctx: WasiCtx::builder().build(), table: ResourceTable::new() };
    assert!(guest.view().get_directories().await.unwrap().is_empty());
}

#[tokio::test]
async fn looking_at_files_is_use_and_being_given_a_directory_is_not() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    answer(guest.view().get_type(fd(root)).await).unwrap();
    answer(guest.view().get_flags(fd(root)).await).unwrap();
    assert!(!guest.used());
    answer(guest.view().stat(fd(root)).await).unwrap();
    assert!(guest.used());
    for change in [true, false] {
        let mut guest = bench.guest();
        let root = guest.root().await;
        match change {
            true => answer(guest.view().create_directory_at(fd(root), "d".into()).await).unwrap(),
            false => answer(guest.view().sync(fd(root)).await).unwrap(),
        }
        assert!(guest.used());
    }
}

#[tokio::test]
async fn two_guests_see_each_others_files() {
    let bench = Bench::new();
    let (mut one, mut other) = (bench.guest(), bench.guest());
    let (root, other_root) = (one.root().await, other.root().await);
    let file = one.create_with(root, "a", b"one").await;
    let seen = other.open_at(other_root, "a", OpenFlags::empty(), read_write()).await.unwrap();
    other.write(seen, 0, b"two").await.unwrap();
    assert_eq!(one.read(file, 0, 9).await, Ok((b"two".to_vec(), false)));
    answer(other.view().unlink_file_at(fd(other_root), "a".into()).await).unwrap();
    assert_eq!(one.read(file, 0, 9).await, Ok((b"two".to_vec(), false)), "open still");
    one.create_with(root, "a", b"new").await;
}

#[tokio::test]
async fn a_sync_commits_where_something_could_have_been_written() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"x").await;
    let reader = guest.open_at(root, "a", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    answer(guest.view().sync(fd(reader)).await).unwrap();
    answer(guest.view().sync_data(fd(reader)).await).unwrap();
    assert_eq!(bench.commits.count(), 0);
    answer(guest.view().sync(fd(file)).await).unwrap();
    answer(guest.view().sync_data(fd(file)).await).unwrap();
    answer(guest.view().sync(fd(root)).await).unwrap();
    assert_eq!(bench.commits.count(), 3);
    assert!(!bench.volume.has_uncommitted());
    bench.commits.fail();
    assert_eq!(answer(guest.view().sync(fd(file)).await), Err(ErrorCode::Io));
}

#[tokio::test]
async fn what_was_synced_is_there_after_power_was_lost() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"kept").await;
    answer(guest.view().sync(fd(file)).await).unwrap();
    guest.write(file, 0, b"lost").await.unwrap();
    let disk = bench.disk.fork();
    let volume = Volume::mount(Arc::new(disk), &FixedKey, Options::default()).unwrap();
    let filesystem = Filesystem::open(volume.dataset("app").unwrap().unwrap()).unwrap();
    let commits = Arc::new(Commits { volume: volume.clone(), count: 0.into(), failing: false.into() });
    let mut guest = Bench { disk: bench.disk.fork(), volume, filesystem, commits }.guest();
    let root = guest.root().await;
    let file = guest.open_at(root, "a", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(file, 0, 9).await, Ok((b"kept".to_vec(), false)));
}

#[tokio::test]
async fn where_a_commit_fails_dirty_data_does_not_grow() {
    let bench = Bench::with(crowded_at(1 << 20), DISK_BLOCKS, 64 << 20);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    bench.commits.fail();
    let mut offset = 0;
    while guest.write(file, offset, &[1; 65_536]).await.is_ok() {
        offset += 65_536;
        assert!(offset < 4 << 20);
    }
    assert_eq!(guest.write(file, 0, b"x").await, Err(ErrorCode::Io));
    assert!(bench.volume.statistics().dirty_bytes < 3 << 20);
    assert_eq!(guest.read(file, 0, 1).await, Ok((vec![1], false)), "reading goes on");
}

#[tokio::test]
async fn a_quota_ends_writing_and_deleting_helps() {
    let bench = Bench::with(Options::default(), DISK_BLOCKS, 256 << 10);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    assert_eq!(guest.write(file, 0, &[1; 512 << 10]).await, Err(ErrorCode::Quota));
    assert_eq!(guest.read(file, 0, 1).await, Ok((vec![], true)), "nothing was written");
    assert_eq!(guest.write(file, 0, &[1; 128 << 10]).await, Ok(128 << 10));
    assert_eq!(guest.write(file, 128 << 10, &[1; 200 << 10]).await, Err(ErrorCode::Quota));
    answer(guest.view().set_size(fd(file), 0).await).unwrap();
    assert_eq!(guest.write(file, 0, &[1; 200 << 10]).await, Ok(200 << 10));
    let mut code = Ok(());
    for number in 0..2_000 {
        code = answer(guest.view().create_directory_at(fd(root), number.to_string()).await);
        if code.is_err() {
            break;
        }
    }
    assert_eq!(code, Err(ErrorCode::Quota));
}

#[tokio::test]
async fn a_full_volume_says_so() {
    let bench = Bench::with(Options::default(), 1_024, 64 << 20);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create(root, "a").await;
    let mut code = None;
    for piece in 0..64 {
        if let Err(error) = guest.write(file, piece << 18, &[1; 256 << 10]).await {
            code = Some(error);
            break;
        }
    }
    assert_eq!(code, Some(ErrorCode::InsufficientSpace));
}

#[tokio::test]
async fn damage_is_an_io_error_and_other_files_stay_usable() {
    let bench = Bench::with(Options { cache_bytes: 0, ..Options::default() }, DISK_BLOCKS, 64 << 20);
    let mut guest = bench.guest();
    let root = guest.root().await;
    let whole = guest.create_with(root, "whole", &[1; BLOCK]).await;
    answer(guest.view().sync(fd(whole)).await).unwrap();
    let before = bench.disk.snapshot();
    let hurt = guest.create(root, "hurt").await;
    for megabyte in 0..8 {
        guest.write(hurt, megabyte << 20, &[2; 1 << 20]).await.unwrap();
    }
    answer(guest.view().sync(fd(hurt)).await).unwrap();
    let after = bench.disk.snapshot();
    for block in 2..after.len() / BLOCK {
        let range = block * BLOCK..(block + 1) * BLOCK;
        if before.get(range.clone()) != Some(&after[range]) {
            bench.disk.modify(block as u64, |bytes| bytes[100] ^= 1);
        }
    }
    let mut at = 0;
    while guest.read(hurt, at, BLOCK as u64).await.is_ok() {
        at += BLOCK as u64;
        assert!(at < 8 << 20, "the cache holds no 8 MiB");
    }
    assert_eq!(guest.read(hurt, at, 1).await, Err(ErrorCode::Io));
    let stream = guest.input(hurt, at).await.unwrap().rep();
    let failed = guest.take(stream, 10).await.unwrap_err();
    assert_eq!(guest.code(failed).await, Some(ErrorCode::Io));
    assert_eq!(guest.read(whole, 0, 1).await, Ok((vec![1], false)));
}

#[tokio::test]
async fn everything_has_its_price() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let price = async |guest: &mut Guest, act: Act| {
        guest.ctx.host_fuel = HostFuel::with_left(PLENTY);
        match act {
            Act::Stat => drop(answer(guest.view().stat(fd(root)).await).unwrap()),
            Act::Mkdir => answer(guest.view().create_directory_at(fd(root), "d".into()).await).unwrap(),
            Act::Sync => answer(guest.view().sync(fd(root)).await).unwrap(),
        }
        guest.ctx.host_fuel.due()
    };
    assert_eq!(price(&mut guest, Act::Stat).await, CALL_FUEL + LOOK_FUEL);
    assert_eq!(price(&mut guest, Act::Mkdir).await, CALL_FUEL + CHANGE_FUEL + path_price("d"));
    assert_eq!(price(&mut guest, Act::Sync).await, CALL_FUEL + SYNC_FUEL);

    let file = guest.create_with(root, "a", &[1; 10_000]).await;
    guest.ctx.host_fuel = HostFuel::with_left(PLENTY);
    guest.read(file, 0, 10_000).await.unwrap();
    assert_eq!(guest.ctx.host_fuel.due(), CALL_FUEL + LOOK_FUEL + 10_000);
    guest.write(file, 0, &[1; 10_000]).await.unwrap();
    assert_eq!(guest.ctx.host_fuel.due(), 2 * CALL_FUEL + LOOK_FUEL + CHANGE_FUEL + 20_000);
}

#[tokio::test]
async fn a_stream_is_paid_for_too() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", &[1; 10_000]).await;
    let stream = guest.input(file, 0).await.unwrap().rep();
    let before = guest.ctx.host_fuel.due();
    guest.take(stream, 10_000).await.unwrap();
    assert_eq!(guest.ctx.host_fuel.due() - before, CALL_FUEL + LOOK_FUEL + 10_000);
}

#[tokio::test]
async fn a_guest_without_fuel_changes_nothing() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.ctx.host_fuel = HostFuel::with_left(CALL_FUEL + CHANGE_FUEL);
    let made = guest.view().create_directory_at(fd(root), "d".into()).await;
    assert!(matches!(made, Err(Failure::Trap(_))));
    guest.ctx.host_fuel = HostFuel::default();
    let stat = guest.view().stat_at(fd(root), follow(), "d".into()).await;
    assert_eq!(answer(stat).err(), Some(ErrorCode::NoEntry));
}

#[test]
fn a_path_costs_its_bytes_and_its_names() {
    assert_eq!(path_price("a"), 1 + NAME_FUEL);
    assert_eq!(path_price("a/b/c"), 5 + 3 * NAME_FUEL);
}

enum Act {
    Stat,
    Mkdir,
    Sync,
}

const PLENTY: u64 = 1 << 40;
