//! Paths and flags at the edges, against what the interface and POSIX say of them.

use super::streams::borrow;
use super::*;
use crate::bindings::wasi::filesystem::types::{Advice, DescriptorType, NewTimestamp};
use crate::bindings::wasi::io::streams::HostOutputStream;

/// A file `f`, a directory `d` with a file `d/f`, an empty directory `e`, and the links `lf`, `ld`, `dead` and `loop`.
async fn tree() -> (Guest, Fd) {
    let mut guest = Bench::new().guest();
    let root = guest.root().await;
    guest.create_with(root, "f", b"hello").await;
    for directory in ["d", "e"] {
        answer(guest.view().create_directory_at(fd(root), directory.into()).await).unwrap();
    }
    guest.create(root, "d/f").await;
    for (target, path) in [("f", "lf"), ("d", "ld"), ("nothing", "dead"), ("loop", "loop")] {
        answer(guest.view().symlink_at(fd(root), target.into(), path.into()).await).unwrap();
    }
    (guest, root)
}

#[tokio::test]
async fn opening_at_the_edges() {
    use ErrorCode::*;
    let (mut guest, root) = tree().await;
    let read = DescriptorFlags::READ;
    let (none, create, directory) = (OpenFlags::empty(), OpenFlags::CREATE, OpenFlags::DIRECTORY);
    let (truncate, exclusive) = (OpenFlags::TRUNCATE, OpenFlags::CREATE | OpenFlags::EXCLUSIVE);
    let (follow, stay) = (follow(), no_follow());
    let refused = [
        ("", none, read, follow, NoEntry),
        ("/f", none, read, follow, NotPermitted),
        ("f\0", none, read, follow, Invalid),
        ("f/", none, read, follow, NotDirectory),
        ("f/.", none, read, follow, NotDirectory),
        ("f/..", none, read, follow, NotDirectory),
        ("f/g", create, read_write(), follow, NotDirectory),
        ("new/", create, read_write(), follow, IsDirectory),
        ("new/g", create, read_write(), follow, NoEntry),
        ("d", directory | create, read, follow, Invalid),
        ("new", directory | create, read, follow, Invalid),
        ("d", directory | truncate, read, follow, Invalid),
        ("d", truncate, read_write(), follow, IsDirectory),
        ("d", none, read_write(), follow, IsDirectory),
        ("d", exclusive, read_write(), follow, Exist),
        (".", create, read_write(), follow, IsDirectory),
        (".", exclusive, read_write(), follow, Exist),
        ("..", none, read, follow, NotPermitted),
        ("d/../..", none, read, follow, NotPermitted),
        ("f", exclusive, read_write(), follow, Exist),
        ("f", directory, read, follow, NotDirectory),
        ("lf", none, read, stay, Loop),
        ("lf", create, read_write(), stay, Loop),
        ("lf", truncate, read_write(), stay, Loop),
        ("lf", exclusive, read_write(), follow, Exist),
        ("lf", directory, read, follow, NotDirectory),
        ("ld", directory, read, stay, NotDirectory),
        ("dead", none, read, follow, NoEntry),
        ("dead", exclusive, read_write(), follow, Exist),
        ("loop", none, read, follow, Loop),
        ("loop/f", none, read, stay, Loop),
        ("nothing", truncate, read_write(), follow, NoEntry),
    ];
    for (path, how, flags, path_flags, code) in refused {
        let opened = guest.view().open_at(fd(root), path_flags, path.into(), how, flags).await;
        assert_eq!(answer(opened).err(), Some(code), "{path:?} {how:?} {path_flags:?}");
    }
    for path in ["x".repeat(256), "d/../".repeat(900), format!("d/{}", "x".repeat(256))] {
        assert_eq!(guest.open_at(root, &path, create, read_write()).await, Err(NameTooLong));
    }

    let opened = [
        ("d/", none, follow),
        ("./d//.", directory, follow),
        ("ld/f", none, stay),
        ("ld/", directory, stay),
        ("d/../f", none, follow),
        (".", directory, follow),
        ("dead", create, follow),
        ("ld", none, follow),
    ];
    for (path, how, path_flags) in opened {
        let opened = guest.view().open_at(fd(root), path_flags, path.into(), how, read).await;
        assert!(answer(opened).is_ok(), "{path:?} {how:?}");
    }
    assert!(guest.open_at(root, "nothing", none, read).await.is_ok(), "made through the link");
}

#[tokio::test]
async fn naming_at_the_edges() {
    use ErrorCode::*;
    let (mut guest, root) = tree().await;
    let mut refused = Vec::new();
    let view = &mut guest.view();
    for (path, code) in [
        ("", NoEntry),
        ("d", Exist),
        ("f/", Exist),
        (".", Exist),
        ("..", Exist),
        ("lf", Exist),
        ("/x", NotPermitted),
    ] {
        refused.push((answer(view.create_directory_at(fd(root), path.into()).await), code, "mkdir", path));
    }
    for (path, code) in [
        (".", Invalid),
        ("d", NotEmpty),
        ("f", NotDirectory),
        ("ld", NotDirectory),
        ("d/..", NotEmpty),
        ("", NoEntry),
    ] {
        refused.push((answer(view.remove_directory_at(fd(root), path.into()).await), code, "rmdir", path));
    }
    for (path, code) in [
        ("d", IsDirectory),
        ("d/", IsDirectory),
        (".", IsDirectory),
        ("f/", NotDirectory),
        ("no", NoEntry),
        ("/f", NotPermitted),
    ] {
        refused.push((answer(view.unlink_file_at(fd(root), path.into()).await), code, "unlink", path));
    }
    for (from, to, code) in [
        ("f", "d", IsDirectory),
        ("f", "e/", NotDirectory),
        ("f/", "g", NotDirectory),
        ("d", "f", NotDirectory),
        ("e", "d", NotEmpty),
        ("d", "d/x", Invalid),
        ("d", "d/x/", Invalid),
        ("d/f", "d", NotEmpty),
        (".", "x", Busy),
        ("d", "e/.", Busy),
        ("no", "x", NoEntry),
        ("f", "no/x", NoEntry),
        ("", "x", NoEntry),
        ("f", "", NoEntry),
        ("f", "/x", NotPermitted),
        ("../f", "x", NotPermitted),
    ] {
        refused.push((
            answer(view.rename_at(fd(root), from.into(), fd(root), to.into()).await),
            code,
            from,
            to,
        ));
    }
    for (from, to, code) in [
        ("f", "d", Exist),
        ("f", "lf", Exist),
        ("f", "x/", NoEntry),
        ("f/", "x", NotDirectory),
        ("d", "x", NotPermitted),
        ("no", "x", NoEntry),
        ("f", "../x", NotPermitted),
    ] {
        let linked = view.link_at(fd(root), no_follow(), from.into(), fd(root), to.into()).await;
        refused.push((answer(linked), code, from, to));
    }
    for (target, path, code) in [
        ("/f", "x", NotPermitted),
        ("", "x", NoEntry),
        ("f", "d", Exist),
        ("f", "x/", NoEntry),
        ("a\0", "x", Invalid),
    ] {
        refused.push((
            answer(view.symlink_at(fd(root), target.into(), path.into()).await),
            code,
            target,
            path,
        ));
    }
    for (path, code) in
        [("f", Invalid), ("d", Invalid), (".", Invalid), ("ld/", Invalid), ("", NoEntry), ("no", NoEntry)]
    {
        let target = answer(view.readlink_at(fd(root), path.into()).await);
        refused.push((target.map(drop), code, "readlink", path));
    }
    for (path, code) in
        [("", NoEntry), ("/", NotPermitted), ("f/", NotDirectory), ("dead", NoEntry), ("loop", Loop)]
    {
        let stat = answer(view.stat_at(fd(root), follow(), path.into()).await);
        refused.push((stat.map(drop), code, "stat", path));
        let set =
            view.set_times_at(fd(root), follow(), path.into(), NewTimestamp::Now, NewTimestamp::Now).await;
        refused.push((answer(set), code, "set-times", path));
        let hash = answer(view.metadata_hash_at(fd(root), follow(), path.into()).await);
        refused.push((hash.map(drop), code, "hash", path));
    }
    for (result, code, one, other) in refused {
        assert_eq!(result, Err(code), "{one:?} {other:?}");
    }
}

#[tokio::test]
async fn links_are_followed_only_as_flags_say() {
    let (mut guest, root) = tree().await;
    let view = &mut guest.view();
    let stat = answer(view.stat_at(fd(root), no_follow(), "dead".into()).await).unwrap();
    assert_eq!((stat.type_, stat.size), (DescriptorType::SymbolicLink, 7));
    let stat = answer(view.stat_at(fd(root), no_follow(), "ld/".into()).await).unwrap();
    assert_eq!(stat.type_, DescriptorType::Directory, "a slash follows");
    for (flags, path) in [(follow(), "to-file"), (no_follow(), "to-link")] {
        answer(view.link_at(fd(root), flags, "lf".into(), fd(root), path.into()).await).unwrap();
    }
    let kind = async |view: &mut WasiCtxView<'_>, path: &str| {
        answer(view.stat_at(fd(root), no_follow(), path.into()).await).unwrap().type_
    };
    assert_eq!(kind(view, "to-file").await, DescriptorType::RegularFile);
    assert_eq!(kind(view, "to-link").await, DescriptorType::SymbolicLink);
    answer(view.unlink_file_at(fd(root), "ld".into()).await).unwrap();
    assert_eq!(kind(view, "d").await, DescriptorType::Directory);
    let one = answer(view.metadata_hash_at(fd(root), follow(), "lf".into()).await).unwrap();
    let other = answer(view.metadata_hash_at(fd(root), no_follow(), "lf".into()).await).unwrap();
    assert_ne!((one.lower, one.upper), (other.lower, other.upper));
}

#[tokio::test]
async fn files_at_the_edges() {
    let (mut guest, root) = tree().await;
    let file = guest.open_at(root, "f", OpenFlags::empty(), read_write()).await.unwrap();
    let advices = [
        Advice::Normal,
        Advice::Sequential,
        Advice::Random,
        Advice::WillNeed,
        Advice::DontNeed,
        Advice::NoReuse,
    ];
    for advice in advices {
        assert_eq!(answer(guest.view().advise(fd(file), u64::MAX, u64::MAX, advice).await), Ok(()));
    }
    assert_eq!(guest.write(file, 1 << 30, b"").await, Ok(0));
    assert_eq!(answer(guest.view().stat(fd(file)).await).unwrap().size, 5, "no bytes lengthen nothing");

    let beyond = guest.input(file, 6).await.unwrap().rep();
    assert!(guest.take(beyond, 1).await.is_err());
    let gap = guest.output(file, 8).await.unwrap().rep();
    HostOutputStream::write(&mut guest.view(), borrow(gap), b"x".to_vec()).await.unwrap();
    assert_eq!(guest.read(file, 0, 99).await, Ok((b"hello\0\0\0x".to_vec(), false)));
    let far = guest.output(file, u64::MAX).await.unwrap().rep();
    let failed = HostOutputStream::write(&mut guest.view(), borrow(far), b"x".to_vec()).await.unwrap_err();
    assert_eq!(guest.code(failed).await, Some(ErrorCode::FileTooLarge));

    let end = guest.appender(file).await.unwrap().rep();
    answer(guest.view().set_size(fd(file), 2).await).unwrap();
    HostOutputStream::write(&mut guest.view(), borrow(end), b"!".to_vec()).await.unwrap();
    assert_eq!(guest.read(file, 0, 99).await, Ok((b"he!".to_vec(), false)), "the end is where it is now");
    HostOutputStream::write(&mut guest.view(), borrow(gap), b"y".to_vec()).await.unwrap();
    assert_eq!(guest.read(file, 0, 99).await, Ok((b"he!\0\0\0\0\0\0y".to_vec(), false)));
}

#[tokio::test]
async fn a_removed_directory_holds_nothing() {
    let (mut guest, root) = tree().await;
    let e = guest.open_at(root, "e", OpenFlags::DIRECTORY, DescriptorFlags::READ).await.unwrap();
    answer(guest.view().remove_directory_at(fd(root), "e".into()).await).unwrap();
    assert_eq!(guest.open_at(e, "new", OpenFlags::CREATE, read_write()).await, Err(ErrorCode::NoEntry));
    let made = guest.view().create_directory_at(fd(e), "new".into()).await;
    assert_eq!(answer(made), Err(ErrorCode::NoEntry));
    let moved = guest.view().rename_at(fd(root), "f".into(), fd(e), "f".into()).await;
    assert_eq!(answer(moved), Err(ErrorCode::NoEntry));
    assert_eq!(answer(guest.view().stat(fd(e)).await).unwrap().link_count, 0);
}
