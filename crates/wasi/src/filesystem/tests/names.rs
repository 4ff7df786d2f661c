use super::*;
use crate::bindings::wasi::filesystem::types::{
    DescriptorType, DirectoryEntry, HostDirectoryEntryStream as _,
};

#[tokio::test]
async fn opening_follows_its_flags() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let (none, create) = (OpenFlags::empty(), OpenFlags::CREATE);
    let exclusive = OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let read = DescriptorFlags::READ;
    assert_eq!(guest.open_at(root, "a", none, read).await, Err(ErrorCode::NoEntry));
    let file = guest.open_at(root, "a", exclusive, read_write()).await.unwrap();
    guest.write(file, 0, b"hello").await.unwrap();
    assert_eq!(guest.open_at(root, "a", exclusive, read).await, Err(ErrorCode::Exist));
    assert!(
        guest.open_at(root, "a", OpenFlags::EXCLUSIVE, read).await.is_ok(),
        "means nothing without create"
    );
    let again = guest.open_at(root, "a", create, read).await.unwrap();
    assert_eq!(guest.read(again, 0, 9).await, Ok((b"hello".to_vec(), false)));
    guest.open_at(root, "a", OpenFlags::TRUNCATE, read_write()).await.unwrap();
    assert_eq!(guest.read(again, 0, 9).await, Ok((vec![], true)));

    mkdir(&mut guest, root, "d").await.unwrap();
    assert_eq!(guest.open_at(root, "a", OpenFlags::DIRECTORY, read).await, Err(ErrorCode::NotDirectory));
    assert!(guest.open_at(root, "d", OpenFlags::DIRECTORY, read).await.is_ok());
    assert!(guest.open_at(root, "d", none, read).await.is_ok());
    for (how, flags) in [(none, read_write()), (create, read), (OpenFlags::TRUNCATE, read)] {
        assert_eq!(guest.open_at(root, "d", how, flags).await, Err(ErrorCode::IsDirectory));
    }
    for with in [OpenFlags::CREATE, OpenFlags::EXCLUSIVE, OpenFlags::TRUNCATE] {
        let opened = guest.open_at(root, "d", OpenFlags::DIRECTORY | with, read).await;
        assert_eq!(opened, Err(ErrorCode::Invalid));
    }
    let below = guest.open_at(root, "d", none, read).await.unwrap();
    assert!(guest.open_at(below, "f", exclusive, read_write()).await.is_ok());
    assert!(guest.open_at(root, "d/f", none, read).await.is_ok());
}

#[tokio::test]
async fn no_path_leaves_its_directory() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.create(root, "secret").await;
    mkdir(&mut guest, root, "d").await.unwrap();
    let below = guest.open_at(root, "d", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    answer(guest.view().symlink_at(fd(root), "../secret".into(), "d/up".into()).await).unwrap();
    let escapes = ["..", "../secret", "x/../../secret", "/secret", "/", "up"];
    for path in escapes {
        let opened = guest.open_at(below, path, OpenFlags::empty(), DescriptorFlags::READ).await;
        let allowed = [ErrorCode::NotPermitted, ErrorCode::NoEntry];
        assert!(allowed.contains(&opened.unwrap_err()), "{path}");
        let outside = guest.open_at(below, path, OpenFlags::CREATE, read_write()).await;
        assert!(outside.is_err(), "{path}");
        let path = path.to_owned();
        assert!(answer(guest.view().stat_at(fd(below), follow(), path.clone()).await).is_err(), "{path}");
        let moved = guest.view().rename_at(fd(below), path.clone(), fd(root), "stolen".into()).await;
        assert!(path == "up" || answer(moved).is_err(), "{path}");
    }
    let inside = guest.open_at(root, "d/../secret", OpenFlags::empty(), DescriptorFlags::READ).await;
    assert!(inside.is_ok(), "`..` is allowed as long as it stays inside");
}

#[tokio::test]
async fn names_are_bounded() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    assert_eq!(mkdir(&mut guest, root, &"x".repeat(255)).await, Ok(()));
    assert_eq!(mkdir(&mut guest, root, &"x".repeat(256)).await, Err(ErrorCode::NameTooLong));
    assert_eq!(mkdir(&mut guest, root, &"x/".repeat(3_000)).await, Err(ErrorCode::NameTooLong));
    assert_eq!(mkdir(&mut guest, root, "a\0b").await, Err(ErrorCode::Invalid));
    assert_eq!(mkdir(&mut guest, root, "").await, Err(ErrorCode::NoEntry));
}

#[tokio::test]
async fn directories_are_made_and_removed() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    mkdir(&mut guest, root, "d").await.unwrap();
    assert_eq!(mkdir(&mut guest, root, "d").await, Err(ErrorCode::Exist));
    assert_eq!(mkdir(&mut guest, root, "no/d").await, Err(ErrorCode::NoEntry));
    guest.create(root, "d/f").await;
    assert_eq!(mkdir(&mut guest, root, "d/f/g").await, Err(ErrorCode::NotDirectory));
    assert_eq!(rmdir(&mut guest, root, "d").await, Err(ErrorCode::NotEmpty));
    assert_eq!(rmdir(&mut guest, root, "d/f").await, Err(ErrorCode::NotDirectory));
    assert_eq!(unlink(&mut guest, root, "d").await, Err(ErrorCode::IsDirectory));
    assert_eq!(unlink(&mut guest, root, "d/f").await, Ok(()));
    assert_eq!(unlink(&mut guest, root, "d/f").await, Err(ErrorCode::NoEntry));
    assert_eq!(rmdir(&mut guest, root, "d").await, Ok(()));
    assert_eq!(rmdir(&mut guest, root, "d").await, Err(ErrorCode::NoEntry));
}

#[tokio::test]
async fn an_unlinked_file_lives_until_it_is_closed() {
    let bench = Bench::new();
    let mut guest = bench.guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", &[1; 10_000]).await;
    let used = bench.filesystem.usage().bytes;
    unlink(&mut guest, root, "a").await.unwrap();
    assert_eq!(guest.read(file, 9_999, 9).await, Ok((vec![1], false)));
    let stat = answer(guest.view().stat(fd(file)).await).unwrap();
    assert_eq!((stat.link_count, stat.size), (0, 10_000));
    guest.close(file).await;
    assert!(bench.filesystem.usage().bytes < used);
}

#[tokio::test]
async fn renaming_moves_and_replaces() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.create_with(root, "a", b"a").await;
    guest.create_with(root, "b", b"b").await;
    mkdir(&mut guest, root, "d").await.unwrap();
    mkdir(&mut guest, root, "e").await.unwrap();
    let below = guest.open_at(root, "d", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(rename(&mut guest, (root, "a"), (root, "b")).await, Ok(()));
    assert_eq!(rename(&mut guest, (root, "a"), (root, "b")).await, Err(ErrorCode::NoEntry));
    assert_eq!(rename(&mut guest, (root, "b"), (below, "c")).await, Ok(()));
    let moved = guest.open_at(root, "d/c", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(moved, 0, 9).await, Ok((b"a".to_vec(), false)));
    assert_eq!(rename(&mut guest, (root, "e"), (root, "d")).await, Err(ErrorCode::NotEmpty));
    assert!(rename(&mut guest, (root, "d/c"), (root, "d")).await.is_err());
    assert_eq!(rename(&mut guest, (root, "d"), (root, "d/x")).await, Err(ErrorCode::Invalid));
    assert_eq!(rename(&mut guest, (root, "d/c"), (root, "e")).await, Err(ErrorCode::IsDirectory));
    assert_eq!(rename(&mut guest, (root, "e"), (root, "d/c")).await, Err(ErrorCode::NotDirectory));
    assert_eq!(rename(&mut guest, (root, "d"), (root, "e")).await, Ok(()), "an empty directory is replaced");
}

#[tokio::test]
async fn two_filesystems_are_two_devices() {
    let (one, other) = (Bench::new(), Bench::new());
    let mut guest = one.guest();
    let root = guest.root().await;
    guest.create(root, "a").await;
    let elsewhere = other.filesystem.root().unwrap();
    let elsewhere = Descriptor::preopened(elsewhere, Origin::Preopen(0), Access::ReadWrite);
    let elsewhere = guest.table.push(elsewhere).unwrap().rep();
    let device = Err(ErrorCode::CrossDevice);
    assert_eq!(rename(&mut guest, (root, "a"), (elsewhere, "a")).await, device);
    let linked = guest.view().link_at(fd(root), no_follow(), "a".into(), fd(elsewhere), "b".into()).await;
    assert_eq!(answer(linked), device);
}

#[tokio::test]
async fn links_share_a_file() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    let file = guest.create_with(root, "a", b"x").await;
    mkdir(&mut guest, root, "d").await.unwrap();
    let link = async |guest: &mut Guest, from: &str, to: &str| {
        let linked = guest.view().link_at(fd(root), no_follow(), from.into(), fd(root), to.into()).await;
        answer(linked)
    };
    assert_eq!(link(&mut guest, "a", "b").await, Ok(()));
    assert_eq!(answer(guest.view().stat(fd(file)).await).unwrap().link_count, 2);
    assert_eq!(link(&mut guest, "a", "b").await, Err(ErrorCode::Exist));
    assert_eq!(link(&mut guest, "no", "c").await, Err(ErrorCode::NoEntry));
    assert_eq!(link(&mut guest, "d", "c").await, Err(ErrorCode::NotPermitted));
    unlink(&mut guest, root, "a").await.unwrap();
    let rest = guest.open_at(root, "b", OpenFlags::empty(), DescriptorFlags::READ).await.unwrap();
    assert_eq!(guest.read(rest, 0, 9).await, Ok((b"x".to_vec(), false)));
}

#[tokio::test]
async fn symbolic_links_are_followed_when_asked() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.create_with(root, "a", b"x").await;
    let link = async |guest: &mut Guest, target: &str, path: &str| {
        answer(guest.view().symlink_at(fd(root), target.into(), path.into()).await)
    };
    let read =
        async |guest: &mut Guest, path: &str| answer(guest.view().readlink_at(fd(root), path.into()).await);
    assert_eq!(link(&mut guest, "a", "s").await, Ok(()));
    assert_eq!(link(&mut guest, "b", "s").await, Err(ErrorCode::Exist));
    assert_eq!(link(&mut guest, "/a", "t").await, Err(ErrorCode::NotPermitted));
    assert_eq!(read(&mut guest, "s").await, Ok("a".to_owned()));
    assert_eq!(read(&mut guest, "a").await, Err(ErrorCode::Invalid));
    assert_eq!(read(&mut guest, "no").await, Err(ErrorCode::NoEntry));
    assert!(guest.open_at(root, "s", OpenFlags::empty(), DescriptorFlags::READ).await.is_ok());
    let flags = (OpenFlags::empty(), DescriptorFlags::READ);
    let opened = guest.view().open_at(fd(root), no_follow(), "s".into(), flags.0, flags.1).await;
    assert_eq!(answer(opened).err(), Some(ErrorCode::Loop));

    link(&mut guest, "one", "two").await.unwrap();
    link(&mut guest, "two", "one").await.unwrap();
    let opened = guest.open_at(root, "one", OpenFlags::empty(), DescriptorFlags::READ).await;
    assert_eq!(opened, Err(ErrorCode::Loop));
    assert_eq!(unlink(&mut guest, root, "one").await, Ok(()), "the link, not what it means");
}

#[tokio::test]
async fn a_listing_has_every_entry_once() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    assert!(list(&mut guest, root).await.is_empty());
    let names: Vec<String> = (0..200).map(|number| format!("file {number:03}")).collect();
    for name in &names {
        let file = guest.create(root, name).await;
        guest.close(file).await;
    }
    mkdir(&mut guest, root, "d").await.unwrap();
    answer(guest.view().symlink_at(fd(root), "d".into(), "s".into()).await).unwrap();
    let mut listed = list(&mut guest, root).await;
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    let kinds = |name: &str| listed.iter().find(|entry| entry.name == name).unwrap().type_;
    assert_eq!(kinds("d"), DescriptorType::Directory);
    assert_eq!(kinds("s"), DescriptorType::SymbolicLink);
    let files = listed.iter().filter(|entry| entry.type_ == DescriptorType::RegularFile);
    assert!(files.map(|entry| &entry.name).eq(&names));
}

#[tokio::test]
async fn a_listing_goes_on_while_its_entries_are_removed() {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    for number in 0..150 {
        let file = guest.create(root, &number.to_string()).await;
        guest.close(file).await;
    }
    let stream = answer(guest.view().read_directory(fd(root)).await).unwrap().rep();
    let mut removed = 0;
    while let Some(entry) = next(&mut guest, stream).await {
        unlink(&mut guest, root, &entry.name).await.unwrap();
        removed += 1;
    }
    assert_eq!((removed, list(&mut guest, root).await.len()), (150, 0));
}

async fn mkdir(guest: &mut Guest, base: Fd, path: &str) -> Result<(), ErrorCode> {
    answer(guest.view().create_directory_at(fd(base), path.to_owned()).await)
}

async fn rmdir(guest: &mut Guest, base: Fd, path: &str) -> Result<(), ErrorCode> {
    answer(guest.view().remove_directory_at(fd(base), path.to_owned()).await)
}

async fn unlink(guest: &mut Guest, base: Fd, path: &str) -> Result<(), ErrorCode> {
    answer(guest.view().unlink_file_at(fd(base), path.to_owned()).await)
}

async fn rename(guest: &mut Guest, from: (Fd, &str), to: (Fd, &str)) -> Result<(), ErrorCode> {
    answer(guest.view().rename_at(fd(from.0), from.1.to_owned(), fd(to.0), to.1.to_owned()).await)
}

async fn list(guest: &mut Guest, directory: Fd) -> Vec<DirectoryEntry> {
    let stream = answer(guest.view().read_directory(fd(directory)).await).unwrap().rep();
    let mut entries = Vec::new();
    while let Some(entry) = next(guest, stream).await {
        entries.push(entry);
    }
    assert!(next(guest, stream).await.is_none(), "the end stays the end");
    entries
}

async fn next(guest: &mut Guest, stream: u32) -> Option<DirectoryEntry> {
    answer(guest.view().read_directory_entry(Resource::new_borrow(stream)).await).unwrap()
}
