//! On a real volume: power cuts and damage of the disk below.

use std::collections::BTreeMap;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::app;
use crate::kv::backend::{ObjectPages, Pages};
use crate::kv::{KeyValue, Namespace};
use crate::{
    BLOCK, Disk, FaultyDisk, MemoryDisk, Options, Quota, SealingError, SealingKey, Volume, VolumeError,
};

/// Commits the volume after every change of the database's object, in the middle of its transactions too.
#[derive(Debug)]
struct CommittedPages {
    pages: ObjectPages,
    volume: Volume,
}

impl Pages for CommittedPages {
    fn length(&self) -> Result<u64, VolumeError> {
        self.pages.length()
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError> {
        self.pages.read(offset, into)
    }

    fn set_length(&self, length: u64) -> Result<(), VolumeError> {
        self.pages.set_length(length)?;
        self.volume.commit().map(drop)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        self.pages.write(offset, bytes)?;
        self.volume.commit().map(drop)
    }

    fn is_crowded(&self) -> bool {
        self.pages.is_crowded()
    }
}

struct FixedKey;

impl SealingKey for FixedKey {
    fn sealing_key(&self, _: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        Ok(Zeroizing::new([7; 16]))
    }
}

fn created() -> (MemoryDisk, Volume) {
    let disk = MemoryDisk::new(1 << 16);
    let volume = Volume::create(Arc::new(disk.clone()), &FixedKey, Options::default()).unwrap();
    volume.create_dataset(&volume.begin(), "keys", Quota { bytes: 1 << 30, objects: 10 }).unwrap();
    volume.commit().unwrap();
    (disk, volume)
}

fn mounted(disk: Arc<dyn Disk>) -> Volume {
    Volume::mount(disk, &FixedKey, Options::default()).unwrap()
}

fn store(volume: &Volume) -> KeyValue {
    KeyValue::open(&volume.dataset("keys").unwrap().unwrap()).unwrap()
}

fn contents(keys: &Namespace) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let names = keys.list(None, 1000).unwrap().keys;
    let contents: BTreeMap<_, _> =
        names.into_iter().map(|name| (name.clone(), keys.get(&name).unwrap().unwrap())).collect();
    assert_eq!(keys.usage().unwrap().keys, contents.len() as u64);
    contents
}

#[test]
fn what_was_set_is_there_after_a_commit_and_a_mount() {
    let (disk, volume) = created();
    let large = vec![9; 500_000];
    {
        let keys = app(&store(&volume), "app:a");
        keys.set(b"large", &large).unwrap();
        keys.increment(b"n", 3).unwrap();
    }
    volume.commit().unwrap();
    drop(volume);
    let keys = app(&store(&mounted(Arc::new(disk))), "app:a");
    assert_eq!(keys.get(b"large").unwrap().unwrap(), large);
    assert_eq!(keys.increment(b"n", 0).unwrap(), 3);
}

#[test]
fn a_cut_anywhere_leaves_what_was_done_and_nothing_by_halves() {
    let (disk, volume) = created();
    drop(store(&volume));
    volume.commit().unwrap();
    drop(volume);

    let disk = FaultyDisk::over(&disk);
    let volume = mounted(Arc::new(disk.clone()));
    let pages = ObjectPages::of(&volume.dataset("keys").unwrap().unwrap()).unwrap();
    let store = KeyValue::over(Arc::new(CommittedPages { pages, volume: volume.clone() })).unwrap();
    let keys = app(&store, "app:a");
    let pairs: Vec<_> = (0..30).map(|n| (format!("{n:02}"), vec![n; 150])).collect();
    let steps: [&dyn Fn(); 6] = [
        &|| keys.set(b"k", b"first").unwrap(),
        &|| keys.set_many(&pairs).unwrap(),
        &|| keys.set(b"k", &[3; 9000]).unwrap(),
        &|| assert_eq!(keys.increment(b"n", 7).unwrap(), 7),
        &|| assert_eq!(keys.delete_many(&["03", "04", "k"]).unwrap(), 3),
        &|| keys.set(b"k", b"last").unwrap(),
    ];
    let mut states = vec![(disk.operations(), contents(&keys))];
    for step in steps {
        step();
        states.push((disk.operations(), contents(&keys)));
    }

    assert!(disk.operations() > 400, "{}", disk.operations());
    let mut seed = 1_u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        seed >> 33
    };
    for cut in disk.cuts() {
        let done = states.iter().rposition(|(end, _)| *end <= cut.moment()).unwrap_or(0);
        for fates in cut.fates(3, &mut random) {
            let found = contents(&app(&self::store(&mounted(Arc::new(cut.disk(&fates)))), "app:a"));
            let is_one_of_two = states[done..].iter().take(2).any(|(_, state)| *state == found);
            assert!(is_one_of_two, "operation {}, step {done}, {fates:?}", cut.moment());
        }
    }
}

#[test]
fn whatever_block_is_damaged_no_value_is_wrong() {
    let (disk, volume) = created();
    {
        let store = store(&volume);
        for name in ["app:a", "app:b"] {
            let pairs: Vec<_> = (0..120).map(|n| (format!("{n:03}"), format!("{name} {n}"))).collect();
            app(&store, name).set_many(&pairs).unwrap();
        }
    }
    volume.commit().unwrap();
    drop(volume);
    let bytes = disk.snapshot();
    let (mut unharmed, mut partly) = (0, 0);
    for block in 2..bytes.len() / BLOCK {
        let mut bytes = bytes.clone();
        bytes[block * BLOCK + 100] ^= 1;
        let Ok(volume) =
            Volume::mount(Arc::new(MemoryDisk::from_bytes(&bytes, 1 << 16)), &FixedKey, Options::default())
        else {
            continue;
        };
        let Ok(Some(dataset)) = volume.dataset("keys") else { continue };
        let Ok(store) = KeyValue::open(&dataset) else { continue };
        let mut intact = 0;
        for name in ["app:a", "app:b"] {
            let keys = app(&store, name);
            let values: Vec<_> = (0..120).map(|n| keys.get(format!("{n:03}").as_bytes())).collect();
            intact += usize::from(values.iter().all(Result::is_ok));
            for (n, value) in values.into_iter().enumerate() {
                assert!(value.is_err() || value.unwrap().unwrap() == format!("{name} {n}").as_bytes());
            }
        }
        match intact {
            2 => unharmed += 1,
            1 => partly += 1,
            _ => {}
        }
    }
    assert!(unharmed > 0 && partly > 0, "{unharmed} {partly}");
}
