//! A volume that goes from one enclave image to another.

use crate::counter::Counter;
use crate::keys::options;
use crate::random::{Random, amount};
use cloister_volume::{
    Adoption, Disk, FaultyDisk, MemoryDisk, MountError, Options, Quota, SealingError, SealingKey, Volume,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// An image's sealing keys on one CPU.
#[derive(Clone, Copy, Debug)]
struct Image(u8);

impl Image {
    fn mrenclave(self) -> [u8; 32] {
        [self.0; 32]
    }
}

impl SealingKey for Image {
    fn sealing_key(&self, key_id: &[u8; 32]) -> Result<Zeroizing<[u8; 16]>, SealingError> {
        let mut key = Zeroizing::new([self.0; 16]);
        key.iter_mut().zip(key_id).for_each(|(key, id)| *key ^= id);
        Ok(key)
    }
}

const OLD: Image = Image(0xa0);
const NEW: Image = Image(0xb0);
const NEXT: Image = Image(0xc0);

fn with(adopt: Option<Adoption>, counter: Option<&Counter>) -> Options {
    Options { adopt, anchor: counter.map(Counter::provider), ..options() }
}

fn mount(disk: &dyn Fork, image: Image, options: Options) -> Result<Volume, MountError> {
    Volume::mount(disk.same(), &image, options)
}

/// A handle of the same disk.
trait Fork {
    fn same(&self) -> Arc<dyn Disk>;
}

impl Fork for MemoryDisk {
    fn same(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

impl Fork for FaultyDisk {
    fn same(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }
}

/// A volume of the old image's with something in it, and what the new image needs to take it over.
fn handed_over(disk: &dyn Fork, counter: Option<&Counter>) -> Adoption {
    let volume = Volume::create(disk.same(), &OLD, with(None, counter)).unwrap();
    let adoption = volume.key(&OLD).unwrap().adoption(OLD.mrenclave(), &NEW).unwrap();
    let operation = volume.begin();
    let data = volume.create_dataset(&operation, "app", Quota::UNLIMITED).unwrap();
    let id = data.create_object(&operation, &[7; 64]).unwrap();
    data.write(&operation, id, 0, TEXT).unwrap();
    data.set_root(&operation, id).unwrap();
    drop(operation);
    // After the key was handed over: it is the same volume and the same key.
    volume.commit().unwrap();
    adoption
}

#[track_caller]
fn has_its_data(volume: &Volume) {
    let data = volume.dataset("app").unwrap().unwrap();
    let mut back = [0; TEXT.len() + 1];
    assert_eq!(data.read(data.root().unwrap(), 0, &mut back).unwrap(), TEXT.len());
    assert_eq!(&back[..TEXT.len()], TEXT);
}

const TEXT: &[u8] = b"written by the old image";

#[test]
fn the_new_image_has_all_of_it_and_the_old_one_nothing_any_more() {
    for counter in [None, Some(Counter::new())] {
        let counter = counter.as_ref();
        let disk = MemoryDisk::new(100_000);
        let adoption = handed_over(&disk, counter);
        assert_eq!(mount(&disk, NEW, with(None, counter)).err(), Some(MountError::WrongKey));

        let volume = mount(&disk, NEW, with(Some(adoption), counter)).unwrap();
        has_its_data(&volume);
        assert_eq!(volume.lineage(), [OLD.mrenclave()]);
        drop(volume);
        assert_eq!(mount(&disk, OLD, with(None, counter)).err(), Some(MountError::WrongKey));

        // The sealed key is not needed any more, and does no harm.
        for adopt in [None, Some(adoption)] {
            let volume = mount(&disk, NEW, with(adopt, counter)).unwrap();
            has_its_data(&volume);
            assert_eq!(volume.lineage(), [OLD.mrenclave()]);
        }
    }
}

#[test]
fn each_image_is_named_once_however_often_it_had_the_volume() {
    let disk = MemoryDisk::new(100_000);
    let mut adoption = handed_over(&disk, None);
    for (from, to, lineage) in [
        (NEW, OLD, vec![OLD]),
        (OLD, NEXT, vec![OLD, NEW]),
        (NEXT, NEW, vec![OLD, NEW]),
        (NEW, OLD, vec![OLD, NEW, NEXT]),
    ] {
        let volume = mount(&disk, from, with(Some(adoption), None)).unwrap();
        let expected: Vec<_> = lineage.into_iter().map(Image::mrenclave).collect();
        assert_eq!(volume.lineage(), expected);
        adoption = volume.key(&from).unwrap().adoption(from.mrenclave(), &to).unwrap();
    }
}

#[test]
fn a_volume_that_has_gone_through_too_many_hands_stays_where_it_is() {
    let disk = MemoryDisk::new(100_000);
    let mut adoption = handed_over(&disk, None);
    for image in 1..=cloister_volume::MAX_LINEAGE as u8 {
        let to = if image == 1 { NEW } else { Image(image) };
        let volume = mount(&disk, to, with(Some(adoption), None)).unwrap();
        assert_eq!(volume.lineage().len(), usize::from(image));
        let key = volume.key(&to).unwrap();
        adoption = key.adoption(to.mrenclave(), &Image(image + 1)).unwrap();
    }
    let last = Image(cloister_volume::MAX_LINEAGE as u8);
    let refused = mount(&disk, Image(last.0 + 1), with(Some(adoption), None)).err();
    assert_eq!(refused, Some(MountError::TooManyImages));
    has_its_data(&mount(&disk, last, with(None, None)).unwrap());
}

#[test]
fn another_volumes_key_and_another_images_are_refused_and_nothing_is_written() {
    let (disk, other) = (MemoryDisk::new(100_000), MemoryDisk::new(100_000));
    let adoption = handed_over(&disk, None);
    let elsewhere = handed_over(&other, None);
    let before = disk.snapshot();
    let refused = mount(&disk, NEW, with(Some(elsewhere), None)).err();
    assert!(
        matches!(refused, Some(MountError::AdoptionElsewhere { given, .. }) if given == elsewhere.volume())
    );
    let refused = mount(&disk, NEXT, with(Some(adoption), None)).err();
    assert_eq!(refused, Some(MountError::AdoptionOfAnother));
    assert_eq!(disk.snapshot(), before);
    has_its_data(&mount(&disk, OLD, with(None, None)).unwrap());
}

#[test]
fn another_volume_under_the_same_identifier_does_not_verify() {
    let (disk, other) = (MemoryDisk::new(100_000), MemoryDisk::new(100_000));
    let adoption = handed_over(&disk, None);
    handed_over(&other, None);
    for slot in 0..2 {
        other.modify(slot, |block| block[16..32].copy_from_slice(&adoption.volume()));
    }
    let refused = mount(&other, NEW, with(Some(adoption), None)).err();
    assert!(matches!(refused, Some(MountError::Damaged(_))), "{refused:?}");
}

#[test]
fn with_an_anchor_an_older_disk_is_refused_to_the_new_image_too() {
    let (disk, counter) = (MemoryDisk::new(100_000), Counter::new());
    let adoption = handed_over(&disk, Some(&counter));
    let old = disk.fork();
    drop(mount(&disk, NEW, with(Some(adoption), Some(&counter))).unwrap());
    for (image, adopt) in [(NEW, Some(adoption)), (OLD, None)] {
        let refused = mount(&old, image, with(adopt, Some(&counter))).err();
        assert!(matches!(refused, Some(MountError::RolledBack { .. })), "{image:?}: {refused:?}");
    }
}

#[test]
fn after_a_power_cut_at_any_write_it_is_taken_over_once_more() {
    let mut random = Random::seeded("after_a_power_cut_at_any_write_it_is_taken_over_once_more");
    let mut disks = 0;
    for counter in [None, Some(Counter::new())] {
        let base = MemoryDisk::new(100_000);
        let adoption = handed_over(&base, counter.as_ref());
        let disk = FaultyDisk::over(&base);
        let counter = counter.map(|counter| counter.beside(&disk));
        drop(mount(&disk, NEW, with(Some(adoption), counter.as_ref())).unwrap());
        for cut in disk.cuts() {
            let counters = match &counter {
                None => vec![None],
                Some(counter) => counter.possible(cut.moment()).map(Some).collect(),
            };
            for fates in cut.fates(amount(128, 4096), &mut || random.next()) {
                for counter in &counters {
                    disks += 1;
                    let left = cut.disk(&fates);
                    let opens = |image| {
                        let counter = counter.as_ref().map(Counter::copy);
                        mount(&left.fork(), image, with(None, counter.as_ref())).is_ok()
                    };
                    assert!(opens(OLD) || opens(NEW), "nobody opens it after {} operations", cut.moment());

                    let counter = counter.as_ref().map(Counter::copy);
                    let volume = mount(&left, NEW, with(Some(adoption), counter.as_ref()))
                        .unwrap_or_else(|error| panic!("after {} operations: {error}", cut.moment()));
                    has_its_data(&volume);
                    assert_eq!(volume.lineage(), [OLD.mrenclave()]);
                    drop(volume);
                    let refused = mount(&left, OLD, with(None, counter.as_ref())).err();
                    assert_eq!(refused, Some(MountError::WrongKey), "after {} operations", cut.moment());
                }
            }
        }
    }
    println!("{disks} disks");
    assert!(disks > 20);
}
