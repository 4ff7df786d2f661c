//! What a guest starts with: several directories, parts of trees, and those that it may only read.

use super::streams::borrow;
use super::*;
use crate::bindings::wasi::filesystem::types::{Advice, NewTimestamp};
use crate::{Error, Preopen};

#[tokio::test]
async fn directories_come_in_the_order_of_the_settings() {
    let (app, assets) = (Bench::new(), Bench::new());
    let preopens = [
        preopen("/data", &app, "/", Access::ReadWrite),
        preopen("/assets", &assets, "", Access::ReadOnly),
        preopen("/data", &app, "/deep/er/", Access::ReadWrite),
    ];
    let mut guest = app.guest_with(preopens);
    let directories = guest.directories().await;
    let paths: Vec<_> = directories.iter().map(|(_, path)| path.as_str()).collect();
    assert_eq!(paths, ["/data", "/assets", "/data"]);
    let [data, assets, deep] = [0, 1, 2].map(|index| directories[index].0);
    let made = guest.open_at(data, "deep/er", OpenFlags::DIRECTORY, DescriptorFlags::READ).await.unwrap();
    assert!(guest.view().is_same_object(fd(made), fd(deep)).await.unwrap());
    assert!(!guest.view().is_same_object(fd(data), fd(assets)).await.unwrap());
    assert_eq!(guest.hash(made).await, guest.hash(deep).await);
    assert_ne!(guest.hash(data).await, guest.hash(assets).await);
}

#[tokio::test]
async fn a_directory_that_cannot_be_opened_ends_the_call_with_its_name() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    guest.create(root, "file").await;
    answer(guest.view().create_directory_at(fd(root), "d".into()).await).unwrap();
    answer(guest.view().symlink_at(fd(root), "d".into(), "link".into()).await).unwrap();
    let refused = [
        ("link", Access::ReadWrite),
        ("link/made", Access::ReadWrite),
        ("d/..", Access::ReadWrite),
        ("file", Access::ReadWrite),
        ("file/below", Access::ReadWrite),
        ("../up", Access::ReadWrite),
        ("a\0b", Access::ReadWrite),
    ];
    for (path, access) in refused {
        let mut guest = bench.guest_with([preopen("/seen-as", &bench, path, access)]);
        let error = guest.view().get_directories().await.unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(Error::Preopen { .. })), "{path}: {error:?}");
        assert!(error.to_string().contains("/seen-as"), "{error}");
    }
}

#[tokio::test]
async fn a_directory_of_the_apps_own_tree_is_made_where_it_is_missing() {
    let bench = Bench::new();
    for (path, access) in [("written/deep", Access::ReadWrite), ("read/deep", Access::ReadOnly)] {
        let mut guest = bench.guest_with([preopen("/seen-as", &bench, path, access)]);
        assert_eq!(guest.view().get_directories().await.unwrap().len(), 1, "{path}");
    }
}

#[tokio::test]
async fn no_path_leaves_a_part_of_a_tree() {
    let bench = Bench::new();
    let mut all = bench.guest();
    let root = all.root().await;
    all.create_with(root, "secret", b"x").await;
    for directory in ["part", "part/below", "other"] {
        answer(all.view().create_directory_at(fd(root), directory.into()).await).unwrap();
    }
    let links = [
        ("../secret", "part/up"),
        ("below/../..", "part/far"),
        ("../other", "part/side"),
        ("below/..", "part/me"),
    ];
    for (target, path) in links {
        answer(all.view().symlink_at(fd(root), target.into(), path.into()).await).unwrap();
    }
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let mut guest = bench.guest_with([preopen("/", &bench, "part", access)]);
        let part = guest.directories().await[0].0;
        let escapes = [
            "..",
            "../",
            "../secret",
            "below/../../secret",
            "./../part",
            "up",
            "far",
            "far/secret",
            "side",
            "side/..",
            "/secret",
            "/",
        ];
        for path in escapes {
            let opened = guest.open_at(part, path, OpenFlags::empty(), DescriptorFlags::READ).await;
            assert_eq!(opened, Err(ErrorCode::NotPermitted), "{path}");
            let stat = guest.view().stat_at(fd(part), follow(), path.into()).await;
            assert_eq!(answer(stat).err(), Some(ErrorCode::NotPermitted), "{path}");
            let hash = guest.view().metadata_hash_at(fd(part), follow(), path.into()).await;
            assert_eq!(answer(hash).err(), Some(ErrorCode::NotPermitted), "{path}");
        }
        let inside = guest.open_at(part, "me", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
        assert!(guest.view().is_same_object(fd(part), fd(inside)).await.unwrap());
    }
}

#[tokio::test]
async fn a_part_that_was_moved_still_cannot_be_left() {
    let bench = Bench::new();
    let mut guest = bench.guest_with([
        preopen("/", &bench, "/", Access::ReadWrite),
        preopen("/part", &bench, "/part", Access::ReadWrite),
    ]);
    let directories = guest.directories().await;
    let (root, part) = (directories[0].0, directories[1].0);
    guest.create(root, "secret").await;
    answer(guest.view().create_directory_at(fd(root), "new".into()).await).unwrap();
    answer(guest.view().rename_at(fd(root), "part".into(), fd(root), "new/part".into()).await).unwrap();
    for path in ["..", "../secret", "../../secret"] {
        let opened = guest.open_at(part, path, OpenFlags::empty(), DescriptorFlags::READ).await;
        assert_eq!(opened, Err(ErrorCode::NotPermitted), "{path}");
    }
    guest.create(part, "still-here").await;
    assert!(
        guest.open_at(root, "new/part/still-here", OpenFlags::empty(), DescriptorFlags::READ).await.is_ok()
    );
}

#[tokio::test]
async fn two_parts_of_one_tree_are_one_device() {
    let bench = Bench::new();
    let mut guest = bench.guest_with([
        preopen("/a", &bench, "/a", Access::ReadWrite),
        preopen("/b", &bench, "/b", Access::ReadWrite),
    ]);
    let directories = guest.directories().await;
    let (a, b) = (directories[0].0, directories[1].0);
    guest.create_with(a, "file", b"x").await;
    answer(guest.view().rename_at(fd(a), "file".into(), fd(b), "moved".into()).await).unwrap();
    answer(guest.view().link_at(fd(b), no_follow(), "moved".into(), fd(a), "again".into()).await).unwrap();
    let [one, other] = [(a, "again"), (b, "moved")];
    let one = guest.open_at(one.0, one.1, OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    let other = guest.open_at(other.0, other.1, OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert!(guest.view().is_same_object(fd(one), fd(other)).await.unwrap());
    assert_eq!(guest.hash(one).await, guest.hash(other).await);
}

#[tokio::test]
async fn what_is_read_only_is_read_and_never_changed() {
    let bench = Bench::new();
    let mut writer = bench.guest();
    let root = writer.root().await;
    answer(writer.view().create_directory_at(fd(root), "d".into()).await).unwrap();
    writer.create_with(root, "d/file", b"hello").await;
    answer(writer.view().symlink_at(fd(root), "file".into(), "d/link".into()).await).unwrap();
    answer(writer.view().create_directory_at(fd(root), "d/below".into()).await).unwrap();
    let before = writer.hash(root).await;

    let mut guest = bench.guest_with([preopen("/d", &bench, "/d", Access::ReadOnly)]);
    let d = guest.directories().await[0].0;
    let below = guest.open_at(d, "below", OpenFlags::DIRECTORY, DescriptorFlags::READ).await.unwrap();
    let file = guest.open_at(d, "link", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(file, 0, 9).await, Ok((b"hello".to_vec(), false)));
    let stream = guest.input(file, 1).await.unwrap().rep();
    assert_eq!(guest.take(stream, 9).await.unwrap(), b"ello");
    for directory in [d, below] {
        assert_eq!(answer(guest.view().get_flags(fd(directory)).await), Ok(DescriptorFlags::READ));
    }

    let read_only = Err(ErrorCode::ReadOnly);
    for (base, name) in [(d, "file"), (d, "new"), (d, "below"), (below, "new")] {
        for how in [OpenFlags::CREATE, OpenFlags::TRUNCATE, OpenFlags::CREATE | OpenFlags::EXCLUSIVE] {
            assert_eq!(guest.open_at(base, name, how, DescriptorFlags::READ).await, read_only, "{name}");
        }
        for flag in [DescriptorFlags::WRITE, DescriptorFlags::MUTATE_DIRECTORY] {
            let opened = guest.open_at(base, name, OpenFlags::empty(), DescriptorFlags::READ | flag).await;
            assert_eq!(opened, read_only, "{name}");
        }
    }
    let (now, keep) = (NewTimestamp::Now, NewTimestamp::NoChange);
    let refused = Err(ErrorCode::ReadOnly);
    let view = &mut guest.view();
    assert_eq!(answer(view.create_directory_at(fd(below), "new".into()).await), refused);
    assert_eq!(answer(view.remove_directory_at(fd(d), "below".into()).await), refused);
    assert_eq!(answer(view.unlink_file_at(fd(d), "file".into()).await), refused);
    assert_eq!(answer(view.symlink_at(fd(d), "file".into(), "new".into()).await), refused);
    assert_eq!(answer(view.rename_at(fd(d), "file".into(), fd(below), "new".into()).await), refused);
    assert_eq!(answer(view.link_at(fd(d), no_follow(), "file".into(), fd(d), "new".into()).await), refused);
    assert_eq!(answer(view.set_times_at(fd(d), follow(), "file".into(), now, keep).await), refused);
    for descriptor in [d, below, file] {
        assert_eq!(answer(view.set_times(fd(descriptor), now, now).await), refused);
        assert_eq!(answer(view.sync(fd(descriptor)).await), Ok(()), "there is nothing to write");
    }
    assert_eq!(answer(view.set_size(fd(file), 0).await), refused);
    assert_eq!(answer(view.advise(fd(file), 0, 0, Advice::WillNeed).await), Ok(()));
    assert_eq!(guest.write(file, 0, b"x").await, Err(ErrorCode::ReadOnly));
    assert_eq!(guest.output(file, 0).await.err(), Some(ErrorCode::ReadOnly));
    assert_eq!(guest.appender(file).await.err(), Some(ErrorCode::ReadOnly));
    assert_eq!(writer.hash(root).await, before);
    assert_eq!(bench.commits.count(), 0);
}

#[tokio::test]
async fn a_read_only_part_takes_nothing_from_a_writable_one_and_gives_nothing() {
    let bench = Bench::new();
    let mut guest = bench.guest_with([
        preopen("/a", &bench, "/a", Access::ReadWrite),
        preopen("/", &bench, "/", Access::ReadOnly),
    ]);
    let directories = guest.directories().await;
    let (a, all) = (directories[0].0, directories[1].0);
    guest.create(a, "file").await;
    let refused = Err(ErrorCode::ReadOnly);
    for ((from, name), to) in [((a, "file"), all), ((all, "a/file"), a)] {
        let view = &mut guest.view();
        assert_eq!(answer(view.rename_at(fd(from), name.into(), fd(to), "new".into()).await), refused);
        assert_eq!(
            answer(view.link_at(fd(from), no_follow(), name.into(), fd(to), "new".into()).await),
            refused
        );
    }
    let through = guest.open_at(all, "a/file", OpenFlags::empty(), read_write()).await;
    assert_eq!(through, Err(ErrorCode::ReadOnly), "by this name it is read-only");
}

#[tokio::test]
async fn what_is_read_only_on_another_device_says_that_it_is_another() {
    let (app, assets) = (Bench::new(), Bench::new());
    let mut maker = assets.guest();
    let root = maker.root().await;
    maker.create(root, "file").await;
    let mut guest = app.guest_with([
        preopen("/", &app, "/", Access::ReadWrite),
        preopen("/assets", &assets, "/", Access::ReadOnly),
    ]);
    let directories = guest.directories().await;
    let (root, assets) = (directories[0].0, directories[1].0);
    let device = Err(ErrorCode::CrossDevice);
    let view = &mut guest.view();
    assert_eq!(answer(view.rename_at(fd(assets), "file".into(), fd(root), "file".into()).await), device);
    assert_eq!(
        answer(view.link_at(fd(assets), no_follow(), "file".into(), fd(root), "file".into()).await),
        device
    );
}

#[tokio::test]
async fn reading_what_is_not_the_apps_own_is_no_use_of_its_storage() {
    let (app, assets) = (Bench::new(), Bench::new());
    let mut maker = assets.guest();
    let root = maker.root().await;
    maker.create_with(root, "file", b"x").await;
    let preopens =
        [preopen("/", &app, "/", Access::ReadOnly), preopen("/assets", &assets, "/", Access::ReadOnly)];
    let mut guest = app.guest_with(preopens);
    let directories = guest.directories().await;
    let (root, assets) = (directories[0].0, directories[1].0);
    let file = guest.open_at(assets, "file", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(file, 0, 9).await, Ok((b"x".to_vec(), false)));
    answer(guest.view().read_directory(fd(assets)).await).unwrap();
    assert!(!guest.used());
    answer(guest.view().stat(fd(root)).await).unwrap();
    assert!(guest.used(), "what another call wrote may be told here");
}

#[tokio::test]
async fn without_storage_a_directory_is_read_only() {
    let bench = Bench::new();
    let mut maker = bench.guest();
    let root = maker.root().await;
    maker.create_with(root, "file", b"x").await;
    let ctx = WasiCtx::builder().preopens([preopen("/", &bench, "/", Access::ReadWrite)].into()).build();
    let mut guest = Guest { ctx, table: ResourceTable::new() };
    let root = guest.root().await;
    let file = guest.open_at(root, "file", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(file, 0, 9).await, Ok((b"x".to_vec(), false)));
    assert_eq!(guest.open_at(root, "new", OpenFlags::CREATE, read_write()).await, Err(ErrorCode::ReadOnly));
    answer(guest.view().sync(fd(file)).await).unwrap();
}

#[tokio::test]
async fn a_descriptor_outlives_the_one_it_was_opened_from() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "file", b"x").await;
    let stream = guest.input(file, 0).await.unwrap().rep();
    guest.close(root).await;
    guest.close(file).await;
    assert_eq!(guest.take(stream, 9).await.unwrap(), b"x");
    let stream = borrow::<DynInputStream>(stream);
    assert!(guest.table.get(&stream).is_ok());
}

fn preopen(guest_path: &str, bench: &Bench, path: &str, access: Access) -> Preopen {
    let filesystem = bench.filesystem.clone();
    Preopen { guest_path: guest_path.to_owned(), filesystem, path: path.to_owned(), access }
}

impl Bench {
    fn guest_with(&self, preopens: impl Into<Arc<[Preopen]>>) -> Guest {
        let ctx = WasiCtx::builder().storage(Some(self.storage())).preopens(preopens.into()).build();
        Guest { ctx, table: ResourceTable::new() }
    }
}

impl Guest {
    async fn directories(&mut self) -> Vec<(Fd, String)> {
        let directories = self.view().get_directories().await.unwrap();
        directories.into_iter().map(|(directory, path)| (directory.rep(), path)).collect()
    }

    async fn hash(&mut self, descriptor: Fd) -> (u64, u64) {
        let hash = answer(self.view().metadata_hash(fd(descriptor)).await).unwrap();
        (hash.lower, hash.upper)
    }
}
