//! Random operations, in words that a filesystem, a model and Linux all understand.

use std::collections::BTreeMap;

use proptest::prelude::*;

#[derive(Debug, Clone)]
pub(crate) enum Action {
    Open { slot: usize, path: String, how: How, follow: bool },
    Close { slot: usize },
    Write { slot: usize, offset: u64, length: usize, byte: u8 },
    Append { slot: usize, length: usize, byte: u8 },
    Read { slot: usize, offset: u64, length: usize },
    SetLength { slot: usize, length: u64 },
    StatHandle { slot: usize },
    Stat { path: String, follow: bool },
    MakeDirectory { path: String },
    RemoveDirectory { path: String },
    Unlink { path: String },
    Rename { from: String, to: String },
    Link { from: String, to: String },
    Symlink { target: String, path: String },
    ReadLink { path: String },
    List { path: String },
    SetTimes { path: String, follow: bool, seconds: u32 },
    Commit,
    Remount,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum How {
    Existing,
    Create,
    Exclusive,
    Truncate,
    CreateAndTruncate,
    Directory,
}

/// What an action answers: a value, or the name of the error.
pub(crate) type Answer = Result<Value, String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Done,
    Count(usize),
    Bytes(Vec<u8>),
    Text(String),
    /// Size is that of files and links.
    Stat {
        kind: char,
        links: u64,
        size: u64,
        modified: Option<u32>,
    },
    List(BTreeMap<String, char>),
}

pub(crate) const SLOTS: usize = 3;

/// Handles are in slots; an action on an empty slot answers `NoHandle`, and on a directory's `IsDirectory`.
pub(crate) trait Subject {
    fn act(&mut self, action: &Action) -> Answer;
}

/// Times that were set are later than this, times of changes earlier: both sides can tell which a time is.
pub(crate) const FAR: u32 = 3_000_000_000;

/// Paths from few names, so that they often meet.
fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        6 => Just("a"),
        5 => Just("b"),
        3 => Just("c"),
        1 => Just("."),
        1 => Just(".."),
    ];
    let long = Just("n".repeat(256));
    let tail = prop_oneof![8 => Just(""), 1 => Just("/")];
    let usual = (prop::collection::vec(step, 1..4), tail).prop_map(|(steps, tail)| steps.join("/") + tail);
    prop_oneof![40 => usual, 1 => long, 1 => Just(String::new())]
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Existing),
        6 => Just(How::Create),
        2 => Just(How::Exclusive),
        1 => Just(How::Truncate),
        2 => Just(How::CreateAndTruncate),
        1 => Just(How::Directory),
    ]
}

fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0_u64..9000, 1 => Just(0), 1 => 100_000_u64..300_000]
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    let slot = 0..SLOTS;
    let slot = move || slot.clone();
    let length = || prop_oneof![3 => 1_usize..200, 1 => 1_usize..10_000];
    prop_oneof![
        8 => (slot(), path(), how(), any::<bool>())
            .prop_map(|(slot, path, how, follow)| Action::Open { slot, path, how, follow }),
        1 => slot().prop_map(|slot| Action::Close { slot }),
        5 => (slot(), offset(), length(), 1_u8..)
            .prop_map(|(slot, offset, length, byte)| Action::Write { slot, offset, length, byte }),
        2 => (slot(), length(), 1_u8..)
            .prop_map(|(slot, length, byte)| Action::Append { slot, length, byte }),
        4 => (slot(), offset(), 0_usize..20_000)
            .prop_map(|(slot, offset, length)| Action::Read { slot, offset, length }),
        2 => (slot(), offset()).prop_map(|(slot, length)| Action::SetLength { slot, length }),
        2 => slot().prop_map(|slot| Action::StatHandle { slot }),
        3 => (path(), any::<bool>()).prop_map(|(path, follow)| Action::Stat { path, follow }),
        6 => path().prop_map(|path| Action::MakeDirectory { path }),
        3 => path().prop_map(|path| Action::RemoveDirectory { path }),
        4 => path().prop_map(|path| Action::Unlink { path }),
        7 => (path(), path()).prop_map(|(from, to)| Action::Rename { from, to }),
        4 => (path(), path()).prop_map(|(from, to)| Action::Link { from, to }),
        4 => (path(), path()).prop_map(|(target, path)| Action::Symlink { target, path }),
        1 => path().prop_map(|path| Action::ReadLink { path }),
        2 => path().prop_map(|path| Action::List { path }),
        1 => (path(), any::<bool>(), FAR..)
            .prop_map(|(path, follow, seconds)| Action::SetTimes { path, follow, seconds }),
        1 => Just(Action::Commit),
        1 => Just(Action::Remount),
    ]
}
