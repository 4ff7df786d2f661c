//! `volume restore`: a backup in the place of the volume, while no enclave runs on it.

use super::volume::{folder, sync_folder};
use crate::arguments::RestoreArguments;
use crate::failure::{Failure, FileAction};
use crate::output::Printer;
use crate::quantity::Size;
use crate::settings::default_state_path;
use cloister_api::BACKUP_BLOCK;
use cloister_host::VOLUME_NAME;
use serde_json::json;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Puts the backup in the place of the volume, and says what an operator has to know then.
pub(crate) fn restore(arguments: &RestoreArguments, printer: &Printer) -> Result<(), Failure> {
    let Restored { place, id, copied, kept } = put_back(arguments)?;
    let place = place.display().to_string();
    let kept = kept.map(|path| path.display().to_string());
    let value = json!({ "restored": place, "volume": hex::encode(id), "bytes": copied, "kept": kept });
    printer.result(&value, || match &kept {
        Some(kept) => format!("restored {place} ({}); what was there is {kept}\n", Size(copied)),
        None => format!("restored {place} ({})\n", Size(copied)),
    })?;
    printer.hint(AFTER);
    Ok(())
}

/// What was put where.
#[derive(Debug)]
struct Restored {
    place: PathBuf,
    /// The volume's identifier.
    id: [u8; 16],
    /// Bytes that are no holes.
    copied: u64,
    /// Where the volume is that was there before.
    kept: Option<PathBuf>,
}

/// Copies the backup beside the volume, and gives it the volume's name when it is whole.
fn put_back(arguments: &RestoreArguments) -> Result<Restored, Failure> {
    let place = match (&arguments.volume, &arguments.state) {
        (Some(volume), _) => volume.clone(),
        (None, Some(state)) => state.join(VOLUME_NAME),
        (None, None) => default_state_path()?.join(VOLUME_NAME),
    };
    let backup = &arguments.backup;
    let source = File::open(backup).map_err(failed(FileAction::Read, backup))?;
    let id = volume_id(&source, backup)?;
    // Held to the end, so that no enclave starts on what is about to go.
    let present = Present::lock(&place)?;
    let keeps = match &present {
        None => false,
        Some(present) if present.is_same(&source).map_err(failed(FileAction::Read, backup))? => {
            return Err(Failure::usage(format!("{} is the volume itself", backup.display())));
        }
        Some(present) => !present.is_blank().map_err(failed(FileAction::Read, &place))?,
    };
    if keeps && !arguments.force {
        return Err(Failure::Usage {
            what: format!("there is a volume at {}", place.display()),
            help: Some(
                "--force puts the backup in its place, and keeps it beside the restored one".to_owned(),
            ),
        });
    }
    let partial = NamedTempFile::new_in(folder(&place)).map_err(failed(FileAction::Create, &place))?;
    let copied = copy(&source, partial.as_file(), backup, &place)?;
    let kept = if keeps { Some(keep(&place).map_err(failed(FileAction::Write, &place))?) } else { None };
    let put = if present.is_some() { partial.persist(&place) } else { partial.persist_noclobber(&place) };
    put.map_err(|error| failed(FileAction::Write, &place)(error.error))?;
    sync_folder(&place).map_err(failed(FileAction::Write, &place))?;
    Ok(Restored { place, id, copied, kept })
}

/// A file where the volume goes, locked as `serve` locks it.
struct Present(File);

impl Present {
    fn lock(path: &Path) -> Result<Option<Self>, Failure> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(FileAction::Write, path)(error)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) => Err(Failure::Usage {
                what: format!("an enclave runs on the volume {}", path.display()),
                help: Some("stop its `cloister serve` first".to_owned()),
            }),
            Err(TryLockError::Error(error)) => Err(failed(FileAction::Write, path)(error)),
        }
    }

    fn is_same(&self, other: &File) -> io::Result<bool> {
        let (a, b) = (self.0.metadata()?, other.metadata()?);
        Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
    }

    /// Whether no volume was ever made in it: both superblocks are zeros or absent.
    fn is_blank(&self) -> io::Result<bool> {
        let mut start = [0; 2 * BACKUP_BLOCK];
        let length = read_up_to(&self.0, &mut start, 0)?;
        Ok(start.iter().take(length).all(|byte| *byte == 0))
    }
}

/// Gives the volume a second name, which stays when the backup takes the first one.
fn keep(volume: &Path) -> io::Result<PathBuf> {
    for number in 1..=MAX_KEPT {
        let mut name = volume.as_os_str().to_owned();
        name.push(if number == 1 { ".old".to_owned() } else { format!(".old-{number}") });
        match fs::hard_link(volume, &name) {
            Ok(()) => return Ok(name.into()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other(format!("{MAX_KEPT} older volumes lie beside it; remove some")))
}

/// Copies what is not zero: a sealed block never is. Returns the bytes that were written.
fn copy(source: &File, target: &File, backup: &Path, volume: &Path) -> Result<u64, Failure> {
    let mut buffer = vec![0; PIECE];
    let (mut at, mut copied) = (0, 0);
    loop {
        let length = read_up_to(source, &mut buffer, at).map_err(failed(FileAction::Read, backup))?;
        if length == 0 {
            break;
        }
        let piece = buffer.get(..length).unwrap_or_default();
        for (block, number) in piece.chunks(BACKUP_BLOCK).zip(0_u64..) {
            if block.iter().any(|byte| *byte != 0) {
                let place = at + number * BACKUP_BLOCK as u64;
                target.write_all_at(block, place).map_err(failed(FileAction::Write, volume))?;
                copied += block.len() as u64;
            }
        }
        at += length as u64;
    }
    target.set_len(at).and_then(|()| target.sync_all()).map_err(failed(FileAction::Write, volume))?;
    Ok(copied)
}

/// The identifier of the volume in a backup, which stands in the plain header of either superblock
/// (`docs/design/volume.md`).
fn volume_id(file: &File, path: &Path) -> Result<[u8; 16], Failure> {
    let mut start = [0; 2 * BACKUP_BLOCK];
    let length = read_up_to(file, &mut start, 0).map_err(failed(FileAction::Read, path))?;
    let found = start.get(..length).unwrap_or_default().chunks_exact(BACKUP_BLOCK).find_map(|superblock| {
        let (magic, rest) = superblock.split_first_chunk::<8>()?;
        let (version, rest) = rest.split_first_chunk::<4>()?;
        // Four bytes of zeros come before the identifier.
        let id = rest.get(4..20)?.try_into().ok()?;
        (*magic == MAGIC && u32::from_le_bytes(*version) == VERSION).then_some(id)
    });
    found.ok_or_else(|| Failure::Usage {
        what: format!("{} is not a backup of a volume", path.display()),
        help: Some("`cloister volume backup --out FILE` makes one".to_owned()),
    })
}

/// Fills as much of the buffer as the file has from there on.
fn read_up_to(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, at + filled as u64) {
            Ok(0) => break,
            Ok(length) => filled += length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn failed(action: FileAction, path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::File { action, path: path.clone(), source }
}

/// First bytes and version of a superblock.
const MAGIC: [u8; 8] = *b"CLOISVOL";
const VERSION: u32 = 1;
/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;
/// Volumes that were replaced and are kept beside the present one.
const MAX_KEPT: u32 = 100;
const AFTER: &str = "\
An enclave with a freshness anchor (`cloister serve --tpm`) refuses this older volume: start it once with
--accept-epoch N, where N is the epoch that `cloister volume backup` printed. Clients that pin a later epoch
with --min-epoch refuse it in any case.";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arguments::{Cli, Command, VolumeCommand};
    use clap::Parser;

    fn superblock(fill: u8) -> Vec<u8> {
        let mut block = vec![fill; BACKUP_BLOCK];
        block[..8].copy_from_slice(&MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_le_bytes());
        block[12..16].fill(0);
        block
    }

    /// A backup with a hole of 2 MiB.
    fn backup(folder: &Path, fill: u8) -> (PathBuf, Vec<u8>) {
        let whole = [superblock(fill), vec![0; 2 << 20], vec![fill; 3 * BACKUP_BLOCK]].concat();
        let path = folder.join("backup");
        fs::write(&path, &whole).unwrap();
        (path, whole)
    }

    fn run(backup: &Path, volume: &Path, more: &[&str]) -> Result<Restored, Failure> {
        let line = ["cloister", "volume", "restore", backup.to_str().unwrap(), "--volume"];
        let line = [&line[..], &[volume.to_str().unwrap()], more].concat();
        match Cli::try_parse_from(line).unwrap().command {
            Command::Volume(VolumeCommand::Restore(arguments)) => put_back(&arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_backup_becomes_the_volume_and_keeps_its_holes() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, whole) = backup(folder.path(), 7);
        let volume = folder.path().join("volume");
        let restored = run(&backup, &volume, &[]).unwrap();
        assert_eq!((restored.id, restored.copied, restored.kept), ([7; 16], 4 * BACKUP_BLOCK as u64, None));
        assert_eq!(fs::read(&volume).unwrap(), whole);
        let allocated = fs::metadata(&volume).unwrap().blocks() * 512;
        assert!(allocated < 1 << 20, "{allocated} bytes are allocated");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing else was left");
    }

    #[test]
    fn a_volume_is_replaced_on_demand_alone_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, whole) = backup(folder.path(), 7);
        let volume = folder.path().join("volume");
        let present = [superblock(1), superblock(2)].concat();
        fs::write(&volume, &present).unwrap();
        let failure = run(&backup, &volume, &[]).unwrap_err();
        assert!(failure.to_string().contains("there is a volume"), "{failure}");
        assert_eq!(fs::read(&volume).unwrap(), present);

        run(&backup, &volume, &["--force"]).unwrap();
        run(&backup, &volume, &["--force"]).unwrap();
        assert_eq!(fs::read(&volume).unwrap(), whole);
        assert_eq!(fs::read(folder.path().join("volume.old")).unwrap(), present);
        assert_eq!(fs::read(folder.path().join("volume.old-2")).unwrap(), whole);
    }

    #[test]
    fn a_file_in_which_no_volume_was_made_needs_no_force() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, whole) = backup(folder.path(), 7);
        let volume = folder.path().join("volume");
        for blank in [Vec::new(), vec![0; 5 * BACKUP_BLOCK]] {
            fs::write(&volume, blank).unwrap();
            run(&backup, &volume, &[]).unwrap();
            assert_eq!(fs::read(&volume).unwrap(), whole);
        }
        fs::write(&volume, [1]).unwrap();
        assert!(run(&backup, &volume, &[]).is_err(), "something is there");
    }

    #[test]
    fn a_volume_in_use_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (backup, _) = backup(folder.path(), 7);
        let volume = folder.path().join("volume");
        fs::write(&volume, superblock(1)).unwrap();
        let serving = File::open(&volume).unwrap();
        serving.lock().unwrap();
        let failure = run(&backup, &volume, &["--force"]).unwrap_err();
        assert!(failure.to_string().contains("an enclave runs on the volume"), "{failure}");
        assert_eq!(fs::read(&volume).unwrap(), superblock(1));
        drop(serving);
        run(&backup, &volume, &["--force"]).unwrap();
    }

    #[test]
    fn what_is_no_backup_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (file, volume) = (folder.path().join("file"), folder.path().join("volume"));
        let mut later = superblock(0);
        later[8] = 2;
        for bad in [Vec::new(), b"CLOISVOL".to_vec(), vec![7; 3 * BACKUP_BLOCK], later] {
            fs::write(&file, bad).unwrap();
            let failure = run(&file, &volume, &[]).unwrap_err();
            assert!(failure.to_string().contains("is not a backup"), "{failure}");
        }
        assert!(!volume.exists());
        assert!(run(Path::new("/nonexistent"), &volume, &[]).is_err());
    }

    #[test]
    fn either_superblock_is_enough() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, [vec![0; BACKUP_BLOCK], superblock(9), superblock(1)].concat()).unwrap();
        let id = volume_id(&File::open(&file).unwrap(), &file).unwrap();
        assert_eq!(id, [9; 16]);
    }

    #[test]
    fn the_volume_is_no_backup_of_itself() {
        let folder = tempfile::tempdir().unwrap();
        let volume = folder.path().join("volume");
        fs::write(&volume, superblock(1)).unwrap();
        let failure = run(&volume, &volume, &["--force"]).unwrap_err();
        assert!(failure.to_string().contains("is the volume itself"), "{failure}");
        assert_eq!(fs::read(&volume).unwrap(), superblock(1));
    }
}
