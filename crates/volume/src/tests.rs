//! The volume through its public interface.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::*;

/// A sealing key that every test has.
struct Fixed(u8);

impl SealingKey for Fixed {
    fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        let mut key = [self.0; 16];
        key.copy_from_slice(&key_id[..16]);
        key[0] ^= self.0;
        Ok(Zeroizing::new(key))
    }
}

fn create(disk: &MemoryDisk) -> Volume {
    Volume::create(Arc::new(disk.clone()), &Fixed(1), Options::default()).unwrap()
}

fn mount(disk: &MemoryDisk) -> Volume {
    Volume::mount(Arc::new(disk.clone()), &Fixed(1), Options::default()).unwrap()
}

fn dataset(volume: &Volume, name: &str) -> Dataset {
    volume.create_dataset(&volume.begin(), name, Quota::UNLIMITED).unwrap()
}

fn pattern(length: usize, seed: u8) -> Vec<u8> {
    (0..length).map(|at| (at as u64).wrapping_mul(0x9e37_79b9).to_le_bytes()[1] ^ seed).collect()
}

#[test]
fn what_was_committed_is_there_after_a_mount() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let bytes = pattern(3_000_001, 1);
    let id = {
        let operation = volume.begin();
        let id = data.create_object(&operation, &[7; 64]).unwrap();
        data.write(&operation, id, 12_345, &bytes).unwrap();
        data.set_root(&operation, id).unwrap();
        id
    };
    let mut back = vec![0xee; 12_345 + bytes.len() + 100];
    assert_eq!(data.read(id, 0, &mut back).unwrap(), 12_345 + bytes.len());
    assert_eq!(&back[12_345..12_345 + bytes.len()], &bytes[..]);
    let state = volume.commit().unwrap();
    assert!(!volume.has_uncommitted());
    drop((data, volume));

    let volume = mount(&disk);
    assert_eq!(volume.state(), state);
    let data = volume.dataset("app").unwrap().unwrap();
    assert_eq!(data.root(), Some(id));
    let object = data.object(id).unwrap();
    assert_eq!((object.length, object.attributes), (12_345 + bytes.len() as u64, [7; 64]));
    let mut back = vec![0xee; 12_345 + bytes.len()];
    assert_eq!(data.read(id, 0, &mut back).unwrap(), back.len());
    assert_eq!(&back[..12_345], &[0; 12_345][..]);
    assert_eq!(&back[12_345..], &bytes[..]);
    let report = volume.check(&mut |_, _| ()).unwrap();
    assert_eq!((report.damaged, report.unreachable), (0, 0), "{report:?}");
}

#[test]
fn what_was_not_committed_is_gone_after_a_mount() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    volume.commit().unwrap();
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    assert!(volume.has_uncommitted());
    drop((data, volume));
    let data = mount(&disk).dataset("app").unwrap().unwrap();
    assert_eq!(data.object(id), Err(VolumeError::NoObject(1)));
    assert_eq!(data.usage(), Usage::default());
}

#[test]
fn thousands_of_small_commits_keep_the_map_of_used_blocks_right() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let mut ids = Vec::new();
    for round in 0..600_u64 {
        let operation = volume.begin();
        if round % 7 == 6 {
            let id = ids.remove((round as usize * 13) % ids.len());
            data.remove_object(&operation, id).unwrap();
        } else {
            let id = data.create_object(&operation, &[round as u8; 64]).unwrap();
            data.write(&operation, id, (round % 5) * 100_000, &pattern(5_000 + round as usize * 37, 3))
                .unwrap();
            ids.push(id);
        }
        if round % 11 == 10 {
            data.set_length(&operation, ids[round as usize % ids.len()], round * 91).unwrap();
        }
        drop(operation);
        volume.commit().unwrap();
    }
    let usage = data.usage();
    let blocks = ids.iter().map(|id| data.object(*id).unwrap().blocks).sum::<u64>();
    assert_eq!(usage, Usage { bytes: blocks * BLOCK as u64, objects: ids.len() as u64 });
    for volume in [volume, mount(&disk)] {
        let report = volume.check(&mut |_, _| ()).unwrap();
        assert_eq!((report.damaged, report.unreachable), (0, 0), "{report:?}");
        assert_eq!(report.blocks + 2, volume.statistics().used);
    }
}

#[test]
fn objects_shrink_and_grow_as_posix_says() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    let bytes = pattern(1_200_000, 9);
    data.write(&volume.begin(), id, 0, &bytes).unwrap();
    volume.commit().unwrap();
    data.set_length(&volume.begin(), id, 700_001).unwrap();
    data.set_length(&volume.begin(), id, 1_000_000).unwrap();
    let check = |data: &Dataset| {
        let mut back = vec![1; 1_000_001];
        assert_eq!(data.read(id, 0, &mut back).unwrap(), 1_000_000);
        assert_eq!(&back[..700_001], &bytes[..700_001]);
        assert!(back[700_001..1_000_000].iter().all(|&byte| byte == 0));
        assert_eq!(data.usage().bytes, 171 * BLOCK as u64);
    };
    check(&data);
    volume.commit().unwrap();
    check(&mount(&disk).dataset("app").unwrap().unwrap());
    data.set_length(&volume.begin(), id, 0).unwrap();
    volume.commit().unwrap();
    assert_eq!(data.usage().bytes, 0);
    assert_eq!(data.object(id).unwrap().blocks, 0);
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().unreachable, 0);
}

#[test]
fn a_far_byte_costs_a_few_blocks() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    data.write(&volume.begin(), id, 0, b"near").unwrap();
    data.write(&volume.begin(), id, MAX_LENGTH - 3, b"far").unwrap();
    assert_eq!(
        data.write(&volume.begin(), id, MAX_LENGTH - 3, b"farther"),
        Err(VolumeError::TooLarge(MAX_LENGTH + 4))
    );
    volume.commit().unwrap();
    let data = mount(&disk).dataset("app").unwrap().unwrap();
    let mut near = [0; 6];
    data.read(id, 0, &mut near).unwrap();
    assert_eq!(&near, b"near\0\0");
    let mut far = [0; 6];
    assert_eq!(data.read(id, MAX_LENGTH - 5, &mut far).unwrap(), 5);
    assert_eq!(&far, b"\0\0far\0");
    assert_eq!(data.object(id).unwrap().blocks, 2);
}

#[test]
fn quotas_hold_before_anything_changes() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let operation = volume.begin();
    let quota = Quota { bytes: 10 * BLOCK as u64, objects: 2 };
    let data = volume.create_dataset(&operation, "app", quota).unwrap();
    let id = data.create_object(&operation, &[0; 64]).unwrap();
    data.write(&operation, id, 0, &[1; 9 * BLOCK]).unwrap();
    let refused = data.write(&operation, id, 8 * BLOCK as u64, &[2; 3 * BLOCK]);
    assert!(matches!(refused, Err(VolumeError::QuotaExceeded(QuotaExceeded::Bytes { .. }))));
    let refused = data.write(&operation, id, 0, &vec![2; 3_000_000]);
    assert!(matches!(refused, Err(VolumeError::QuotaExceeded(_))));
    let mut back = [0; 9 * BLOCK + 1];
    assert_eq!(data.read(id, 0, &mut back).unwrap(), 9 * BLOCK);
    assert_eq!(&back[..9 * BLOCK], &[1; 9 * BLOCK]);
    data.write(&operation, id, 0, &[3; 9 * BLOCK]).unwrap();
    data.create_object(&operation, &[0; 64]).unwrap();
    let refused = data.create_object(&operation, &[0; 64]);
    assert_eq!(refused, Err(VolumeError::QuotaExceeded(QuotaExceeded::Objects { allowed: 2 })));
}

#[test]
fn a_full_volume_says_so_and_space_comes_back() {
    let disk = MemoryDisk::new(2_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let mut ids = Vec::new();
    let full = loop {
        let operation = volume.begin();
        let id = data.create_object(&operation, &[0; 64]);
        let written = id.and_then(|id| {
            ids.push(id);
            data.write(&operation, id, 0, &[5; 20 * BLOCK])
        });
        drop(operation);
        if let Err(error) = written.and_then(|()| volume.commit().map(drop)) {
            break error;
        }
    };
    assert_eq!(full, VolumeError::Full);
    assert!(ids.len() > 50, "{}", ids.len());
    volume.commit().unwrap();
    data.write(&volume.begin(), ids[0], 0, &[6; BLOCK]).unwrap();
    volume.commit().unwrap();
    for id in &ids {
        data.remove_object(&volume.begin(), *id).unwrap();
    }
    volume.commit().unwrap();
    volume.commit().unwrap();
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    data.write(&volume.begin(), id, 0, &[5; 500 * BLOCK]).unwrap();
    volume.commit().unwrap();
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().unreachable, 0);
}

#[test]
fn the_disk_shrinks_when_its_end_is_free() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    data.write(&volume.begin(), id, 0, &vec![5; 60 << 20]).unwrap();
    volume.commit().unwrap();
    let before = disk.blocks().unwrap();
    data.remove_object(&volume.begin(), id).unwrap();
    volume.commit().unwrap();
    dataset(&volume, "other");
    volume.commit().unwrap();
    assert!(before > 15_000 && disk.blocks().unwrap() < 3_000, "{before} {}", disk.blocks().unwrap());
    let volume = mount(&disk);
    assert_eq!(volume.datasets().len(), 2);
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().unreachable, 0);
}

#[test]
fn a_removed_dataset_is_gone_with_all_it_held() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let (data, other) = (dataset(&volume, "app"), dataset(&volume, "other"));
    volume.commit().unwrap();
    volume.commit().unwrap();
    let used = volume.statistics().used;
    for number in 0..100 {
        let operation = volume.begin();
        let id = data.create_object(&operation, &[0; 64]).unwrap();
        data.write(&operation, id, 0, &pattern(number * 1000 + 1, 1)).unwrap();
    }
    volume.commit().unwrap();
    assert_eq!(
        volume.create_dataset(&volume.begin(), "app", Quota::UNLIMITED).unwrap_err(),
        VolumeError::Exists("app".into())
    );
    let usage = volume.remove_dataset(&volume.begin(), "app").unwrap();
    assert_eq!(usage.objects, 100);
    assert_eq!(data.object(ObjectId(1)), Err(VolumeError::Removed));
    assert_eq!(data.create_object(&volume.begin(), &[0; 64]), Err(VolumeError::Removed));
    volume.commit().unwrap();
    assert_eq!(volume.statistics().used, used);
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().unreachable, 0);
    let again = dataset(&volume, "app");
    assert_eq!(again.object(ObjectId(1)), Err(VolumeError::NoObject(1)));
    assert_ne!(*again.derive_key("x"), *data.derive_key("x"));
    assert_ne!(*other.derive_key("x"), *other.derive_key("y"));
    assert_eq!(mount(&disk).dataset("other").unwrap().unwrap().derive_key("x"), other.derive_key("x"));
}

#[test]
fn numbers_come_back_with_another_generation() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let first = data.create_object(&volume.begin(), &[1; 64]).unwrap();
    data.write(&volume.begin(), first, 0, b"old").unwrap();
    volume.commit().unwrap();
    data.remove_object(&volume.begin(), first).unwrap();
    assert_eq!(data.remove_object(&volume.begin(), first), Err(VolumeError::NoObject(1)));
    let second = data.create_object(&volume.begin(), &[2; 64]).unwrap();
    assert_eq!(first, second);
    let object = data.object(second).unwrap();
    assert_eq!((object.generation, object.length, object.blocks), (2, 0, 0));
    data.set_length(&volume.begin(), second, 3).unwrap();
    let mut back = [9; 3];
    data.read(second, 0, &mut back).unwrap();
    assert_eq!(back, [0; 3]);
}

#[test]
fn a_backup_is_of_one_moment_and_can_be_mounted() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    let bytes = pattern(2_000_000, 1);
    data.write(&volume.begin(), id, 0, &bytes).unwrap();
    let state = volume.commit().unwrap();
    let mut backup = volume.backup().unwrap();
    let copy = MemoryDisk::new(100_000);
    let mut round = 0;
    while let Some(chunk) = backup.next_chunk().unwrap() {
        assert!(Volume::mount(Arc::new(copy.clone()), &Fixed(1), Options::default()).is_err());
        let end = chunk.block + (chunk.bytes.len() / BLOCK) as u64;
        if copy.blocks().unwrap() < end {
            copy.resize(end).unwrap();
        }
        copy.write(chunk.block, &chunk.bytes).unwrap();
        round += 1;
        data.write(&volume.begin(), id, 0, &pattern(2_000_000, round)).unwrap();
        volume.commit().unwrap();
    }
    assert_eq!(backup.state(), state);
    drop(backup);
    let restored = mount(&copy);
    assert_eq!(restored.state(), state);
    let mut back = vec![0; bytes.len()];
    restored.dataset("app").unwrap().unwrap().read(id, 0, &mut back).unwrap();
    assert!(back == bytes);
    assert_eq!(restored.check(&mut |_, _| ()).unwrap().damaged, 0);
    volume.commit().unwrap();
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().unreachable, 0);
}

#[test]
fn a_damaged_block_is_reported_and_the_rest_stays_readable() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    data.write(&volume.begin(), id, 0, &pattern(400_000, 1)).unwrap();
    volume.commit().unwrap();
    drop((data, volume));
    // The first blocks placed are data.
    disk.modify(12, |block| block[100] ^= 1);
    let volume = mount(&disk);
    let report = volume.check(&mut |_, _| ()).unwrap();
    assert_eq!(report.damaged, 1);
    let damage = &report.damage[0];
    assert_eq!((damage.dataset.as_str(), damage.object, damage.part), ("app", Some(1), Part::Data));
    let data = volume.dataset("app").unwrap().unwrap();
    let mut back = vec![0; 400_000];
    let mut failed = 0;
    for (index, block) in back.chunks_mut(BLOCK).enumerate() {
        let read = data.read(id, (index * BLOCK) as u64, block);
        if let Err(VolumeError::Damaged(found)) = &read {
            assert_eq!(**found, *damage);
            failed += 1;
        } else {
            read.unwrap();
        }
    }
    assert_eq!(failed, 1);
    assert!(matches!(data.read(id, 0, &mut back), Err(VolumeError::Damaged(_))));
    data.remove_object(&volume.begin(), id).unwrap();
    volume.commit().unwrap();
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().damaged, 0);
}

#[test]
fn a_damaged_bitmap_is_rebuilt() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    data.write(&volume.begin(), id, 0, &pattern(400_000, 1)).unwrap();
    volume.commit().unwrap();
    let used = volume.statistics().used;
    let bitmap = volume.inner.lock().bitmap.root().unwrap().block;
    drop((data, volume));
    disk.modify(bitmap, |block| block.fill(0));
    let volume = mount(&disk);
    assert_eq!(volume.statistics().used, used);
    assert_eq!(volume.check(&mut |_, _| ()).unwrap().damaged, 0);
    let volume = mount(&disk);
    assert_eq!(
        volume.check(&mut |_, _| ()).unwrap(),
        CheckReport { damaged: 0, unreachable: 0, ..volume.check(&mut |_, _| ()).unwrap() }
    );
}

#[test]
fn blank_wrong_and_damaged_disks_are_told_apart() {
    let attempt = |disk: &MemoryDisk, key| {
        Volume::mount(Arc::new(disk.clone()), &Fixed(key), Options::default()).map(drop)
    };
    let disk = MemoryDisk::new(100_000);
    assert_eq!(attempt(&disk, 1), Err(MountError::Blank));
    disk.resize(10).unwrap();
    assert_eq!(attempt(&disk, 1), Err(MountError::Blank));
    let volume = create(&disk);
    drop(volume);
    let refused = Volume::create(Arc::new(disk.clone()), &Fixed(1), Options::default()).map(drop);
    assert_eq!(refused, Err(MountError::NotBlank));
    assert_eq!(attempt(&disk, 2), Err(MountError::WrongKey));
    let other = disk.fork();
    other.modify(1, |block| block[200] ^= 1);
    assert!(matches!(attempt(&other, 1), Err(MountError::Damaged(_))));
    other.modify(1, |block| block[0] ^= 1);
    assert!(matches!(attempt(&other, 1), Err(MountError::Damaged(_))));
    disk.modify(1, |block| block[8] = 9);
    assert_eq!(attempt(&disk, 1), Err(MountError::Version(9)));
}

#[test]
fn handles_can_be_used_from_other_threads() {
    fn assert_shared<T: Send + Sync + 'static>() {}
    assert_shared::<Volume>();
    assert_shared::<Dataset>();
    assert_shared::<Backup>();
}

#[test]
fn concurrent_writers_share_commits_and_read_what_they_wrote() {
    let disk = MemoryDisk::new(100_000);
    let volume = create(&disk);
    let data = dataset(&volume, "app");
    volume.commit().unwrap();
    let threads = (0..8_u8).map(|thread| {
        let data = data.clone();
        std::thread::spawn(move || {
            let volume = data.volume().clone();
            let id = data.create_object(&volume.begin(), &[thread; 64]).unwrap();
            for round in 0..60_usize {
                let bytes = pattern(round * 700 + 1, thread ^ round as u8);
                data.write(&volume.begin(), id, (round * 300) as u64, &bytes).unwrap();
                volume.commit().unwrap();
                let mut back = vec![0; bytes.len()];
                data.read(id, (round * 300) as u64, &mut back).unwrap();
                assert!(back == bytes);
                if round % 20 == 19 {
                    data.set_length(&volume.begin(), id, 0).unwrap();
                }
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
    let report = volume.check(&mut |_, _| ()).unwrap();
    assert_eq!((report.damaged, report.unreachable), (0, 0), "{report:?}");
}

#[test]
fn a_cache_too_small_for_anything_changes_only_the_speed() {
    let disk = MemoryDisk::new(100_000);
    let options = || Options { cache_bytes: 0, ..Options::default() };
    let volume = Volume::create(Arc::new(disk.clone()), &Fixed(1), options()).unwrap();
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0; 64]).unwrap();
    let mut model = Vec::new();
    let mut random = 7_u64;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for round in 0..400 {
        let offset = next(9_000_000) as usize;
        match next(10) {
            0 => {
                data.set_length(&volume.begin(), id, offset as u64).unwrap();
                model.resize(offset, 0);
            }
            1..6 => {
                let bytes = pattern(next(120_000) as usize + 1, round as u8);
                data.write(&volume.begin(), id, offset as u64, &bytes).unwrap();
                let end = offset + bytes.len();
                model.resize(model.len().max(end), 0);
                model[offset..end].copy_from_slice(&bytes);
            }
            6 => drop(volume.commit().unwrap()),
            _ => {
                let mut back = vec![0xaa; next(1_500_000) as usize];
                let read = data.read(id, offset as u64, &mut back).unwrap();
                let expected = model.get(offset..).unwrap_or_default();
                assert_eq!(read, expected.len().min(back.len()), "round {round}");
                assert!(back[..read] == expected[..read], "round {round}");
            }
        }
    }
    volume.commit().unwrap();
    let volume = Volume::mount(Arc::new(disk), &Fixed(1), options()).unwrap();
    let mut back = vec![0; model.len()];
    volume.dataset("app").unwrap().unwrap().read(id, 0, &mut back).unwrap();
    assert!(back == model);
    let report = volume.check(&mut |_, _| ()).unwrap();
    assert_eq!((report.damaged, report.unreachable), (0, 0));
}

#[test]
fn nothing_of_what_is_stored_is_shown_for_debugging() {
    let volume = create(&MemoryDisk::new(1000));
    let data = dataset(&volume, "app");
    let id = data.create_object(&volume.begin(), &[0x5a; 64]).unwrap();
    data.write(&volume.begin(), id, 0, &[0x5a; 100]).unwrap();
    let shown = format!("{volume:?} {data:?} {:?} {:?}", volume.begin(), volume.backup());
    assert!(!shown.contains("90, 90"), "{shown}");
    assert!(shown.len() < 3000, "{} bytes are shown", shown.len());
}
