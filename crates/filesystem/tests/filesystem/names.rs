//! Paths and what names mean.

use cloister_filesystem::{Follow, Kind, MAX_SYMLINKS, OpenHow};

use crate::{
    fixture::{self, CREATE, LARGE, PLAIN, Short, assert_consistent, assert_error, filesystem, memory},
    operations::{Action, How, Subject},
    sealed::Sealed,
    tmpfs::Tmpfs,
};

#[test]
fn no_path_leaves_its_directory() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.create_directory_at("inner").unwrap();
    root.create_directory_at("inner/deep").unwrap();
    root.put("secret", b"x");
    let inner = root.open("inner").unwrap();
    root.symlink_at("../secret", "inner/out").unwrap();
    root.symlink_at("deep/../../secret", "inner/detour").unwrap();
    for path in
        ["..", "../secret", "/", "/secret", "deep/../..", "deep/../../inner", "out", "detour", "./../inner"]
    {
        assert_error(inner.open(path), "NotPermitted");
        assert_error(inner.metadata_at(path, Follow::Yes), "NotPermitted");
    }
    for path in ["../new", "/new", "deep/../../new"] {
        assert_error(inner.open_at(path, Follow::Yes, &CREATE), "NotPermitted");
        assert_error(inner.create_directory_at(path), "NotPermitted");
        assert_error(inner.symlink_at("deep", path), "NotPermitted");
        assert_error(inner.rename_at("deep", &inner, path), "NotPermitted");
        assert_error(inner.rename_at(path, &inner, "deep"), "NotPermitted");
        assert_error(inner.link_at("out", Follow::No, &inner, path), "NotPermitted");
        assert_error(inner.unlink_file_at(path), "NotPermitted");
        assert_error(inner.remove_directory_at(path), "NotPermitted");
    }
    // From the root the same link stays inside.
    assert_eq!(root.open("inner/out").unwrap().all(), b"x");
    assert_eq!(root.open("inner/detour").unwrap().all(), b"x");
    assert_consistent(&filesystem);
}

#[test]
fn absolute_links_are_not_made() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    assert_error(root.symlink_at("/etc/passwd", "link"), "NotPermitted");
    assert_error(root.symlink_at("", "link"), "NoEntry");
    assert_error(root.symlink_at("a\0b", "link"), "Invalid");
    assert_error(root.symlink_at(&"x/".repeat(2049), "link"), "NameTooLong");
    root.symlink_at(&"x/".repeat(2048), "link").unwrap();
    assert_eq!(root.read_link_at("link").unwrap(), "x/".repeat(2048));
}

#[test]
fn links_are_followed_forty_times() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.put("0", b"end");
    for number in 1..=MAX_SYMLINKS + 1 {
        root.symlink_at(&format!("{}", number - 1), &format!("{number}")).unwrap();
    }
    assert_eq!(root.open("40").unwrap().all(), b"end");
    assert_error(root.open("41"), "Loop");
    root.symlink_at("ring", "ring").unwrap();
    assert_error(root.open("ring"), "Loop");
    assert_error(root.open("ring/x"), "Loop");
    assert_error(root.open_at("ring", Follow::Yes, &CREATE), "Loop");
}

#[test]
fn link_at_the_end_is_followed_as_asked() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.put("file", b"content");
    root.symlink_at("file", "link").unwrap();
    assert_eq!(root.metadata_at("link", Follow::No).unwrap().kind, Kind::Symlink);
    assert_eq!(root.metadata_at("link", Follow::No).unwrap().size, 4);
    assert_eq!(root.metadata_at("link", Follow::Yes).unwrap().size, 7);
    assert_error(root.open_at("link", Follow::No, &PLAIN), "Loop");
    let directory = OpenHow { directory: true, ..PLAIN };
    assert_error(root.open_at("link", Follow::No, &directory), "NotDirectory");
    assert_error(root.metadata_at("link/", Follow::No), "NotDirectory");
    root.link_at("link", Follow::No, &root, "second-link").unwrap();
    root.link_at("link", Follow::Yes, &root, "second-file").unwrap();
    assert_eq!(root.read_link_at("second-link").unwrap(), "file");
    assert_eq!(root.open("second-file").unwrap().links(), 2);
    assert_consistent(&filesystem);
}

#[test]
fn file_is_made_behind_a_link() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.create_directory_at("directory").unwrap();
    root.symlink_at("directory/new", "link").unwrap();
    let exclusive = OpenHow { exclusive: true, ..CREATE };
    assert_error(root.open_at("link", Follow::Yes, &exclusive), "Exists");
    root.file("link");
    assert_eq!(root.open("directory").unwrap().names(), ["new"]);
}

#[test]
fn open_flags_are_checked_together() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.put("file", b"content");
    for how in [
        OpenHow { directory: true, ..CREATE },
        OpenHow { directory: true, truncate: true, ..PLAIN },
        OpenHow { directory: true, exclusive: true, ..PLAIN },
    ] {
        assert_error(root.open_at("file", Follow::Yes, &how), "Invalid");
    }
    let alone = OpenHow { exclusive: true, ..PLAIN };
    assert!(root.open_at("file", Follow::Yes, &alone).is_ok());
    let truncate = OpenHow { truncate: true, ..PLAIN };
    assert_error(root.open_at(".", Follow::Yes, &truncate), "IsDirectory");
    let file = root.open_at("file", Follow::Yes, &truncate).unwrap();
    assert_eq!(file.metadata().unwrap().size, 0);
    assert_error(file.open("x"), "NotDirectory");
    assert_error(file.entries(None, 1), "NotDirectory");
    assert_error(file.create_directory_at("x"), "NotDirectory");
}

#[test]
fn rename_never_makes_a_ring() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    for path in ["a", "a/b", "a/b/c", "other"] {
        root.create_directory_at(path).unwrap();
    }
    let deep = root.open("a/b/c").unwrap();
    for to in ["x", "x/"] {
        assert_error(root.rename_at("a", &deep, to), "Invalid");
    }
    assert_error(root.rename_at("a/b", &root, "a/b/c/d"), "Invalid");
    assert_error(root.rename_at("a/b/c", &root, "a"), "NotEmpty");
    assert_error(root.rename_at("a/b/..", &root, "x"), "Busy");
    assert_error(root.rename_at("a/.", &root, "x"), "Busy");
    root.rename_at("a/b", &root, "other").unwrap();
    assert_eq!(root.open("other/c").unwrap().metadata().unwrap(), deep.metadata().unwrap());
    assert_eq!(root.open("a").unwrap().names(), Vec::<String>::new());
    // The directory that moved knows where it is.
    assert_error(root.rename_at("other", &deep, "x"), "Invalid");
    root.rename_at("a", &deep, "x").unwrap();
    assert_consistent(&filesystem);
}

#[test]
fn nodes_of_two_filesystems_do_not_mix() {
    let (one, two) = (filesystem(), filesystem());
    let (first, second) = (one.root().unwrap(), two.root().unwrap());
    first.put("file", b"");
    assert_error(first.rename_at("file", &second, "file"), "CrossDevice");
    assert_error(first.link_at("file", Follow::No, &second, "file"), "CrossDevice");
    assert!(!first.is_same(&second));
    assert!(first.is_same(&one.root().unwrap()));
    assert!(first.is_same(&first.open("./.").unwrap()));
}

#[test]
fn directories_have_one_name() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    root.create_directory_at("d").unwrap();
    for from in ["d", "d/", ".", "d/."] {
        assert_error(root.link_at(from, Follow::No, &root, "e"), "NotPermitted");
    }
    assert_error(root.link_at("d", Follow::No, &root, "d"), "Exists");
}

#[test]
fn names_are_utf8_of_255_bytes() {
    let filesystem = filesystem();
    let root = filesystem.root().unwrap();
    let longest = "ü".repeat(127) + "x";
    root.put(&longest, b"");
    assert_eq!(root.names(), [longest.as_str()]);
    for path in ["y".repeat(256), format!("{}/x", "y".repeat(256))] {
        assert_error(root.open(&path), "NameTooLong");
        assert_error(root.open_at(&path, Follow::Yes, &CREATE), "NameTooLong");
        assert_error(root.create_directory_at(&path), "NameTooLong");
        assert_error(root.rename_at(&longest, &root, &path), "NameTooLong");
    }
    assert_error(root.open("x\0"), "Invalid");
    assert_error(root.open(""), "NoEntry");
}

/// The corners that random paths meet seldom, as Linux answers them.
#[test]
fn corners_are_as_on_linux() {
    let mut sealed = Sealed::new(memory(), LARGE);
    let mut tmpfs = Tmpfs::new();
    let mut both = |action: Action| {
        let answer = sealed.act(&action);
        assert_eq!(answer, tmpfs.act(&action), "{action:?}");
    };
    let owned = str::to_owned;
    for path in ["d", "d/e", "empty"] {
        both(Action::MakeDirectory { path: owned(path) });
    }
    both(Action::Open { slot: 0, path: owned("f"), how: How::Create, follow: true });
    for (target, path) in [("d", "ld"), ("f", "lf"), ("gone", "lg"), ("d/", "ls"), ("f/", "lfs")] {
        both(Action::Symlink { target: owned(target), path: owned(path) });
    }
    let paths = [
        "f", "f/", "f/.", "f/..", "d/", "d/.", "d/e/..", "d/..", "ld", "ld/", "ld/.", "lf", "lf/", "lg",
        "lg/", "ls", "ls/", "lfs", "lfs/", "gone", "gone/", "gone/x", "gone/..", "empty", "empty/", ".",
        "./", "ld/e", "ld/e/..",
    ];
    for path in paths {
        for follow in [true, false] {
            both(Action::Stat { path: owned(path), follow });
            for how in [How::Existing, How::Truncate, How::Directory, How::Exclusive] {
                if path != "gone" && path != "lg" {
                    both(Action::Open { slot: 0, path: owned(path), how, follow });
                }
            }
        }
        both(Action::ReadLink { path: owned(path) });
        both(Action::Link { from: owned(path), to: owned("f") });
        both(Action::Link { from: owned("f"), to: owned(path) });
        both(Action::Unlink { path: format!("{path}/.") });
        both(Action::Symlink { target: owned("x"), path: owned(path) });
        both(Action::MakeDirectory { path: owned(path) });
        both(Action::RemoveDirectory { path: owned(path) });
        for other in paths {
            both(Action::Rename { from: owned(path), to: owned(other) });
        }
        both(Action::List { path: owned(".") });
    }
    fixture::assert_consistent(sealed.filesystem());
}
