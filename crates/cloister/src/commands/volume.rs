//! `volume stats`, `volume check` and `volume backup`: the sealed volume of an enclave that runs.

use super::session::{BackupStream, Connection, Target};
use crate::arguments::BackupArguments;
use crate::failure::{Failure, FileAction};
use crate::output::{self, Printer, printable};
use crate::progress::Meter;
use crate::quantity::{Size, grouped};
use crate::settings::Settings;
use cloister_api::{BACKUP_BLOCK, CheckEvent};
use cloister_client::VolumeCheck;
use serde::Serialize;
use serde_json::json;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use tempfile::NamedTempFile;

/// Shows the volume in numbers.
pub(crate) async fn stats(settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let statistics = Connection::open(settings, Target::Owner).await?.volume_statistics().await?;
    printer.result(&statistics, || output::volume(&statistics))
}

/// Has the volume checked and lists the damage, which is a failure.
pub(crate) async fn check(settings: &Settings, printer: &Printer) -> Result<(), Failure> {
    let connection = Connection::open(settings, Target::Owner).await?;
    let mut meter = Meter::new("checking", printer);
    let mut damage = Vec::new();
    let result = connection
        .check_volume(|event| match event {
            CheckEvent::Progress { done, total } => {
                meter.reached(bytes(done), Some(bytes(total)));
            }
            CheckEvent::Damaged { app, object, offset, what } if damage.len() < MAX_LISTED => {
                damage.push(Place { app: app.map(String::from), object, offset, what });
            }
            CheckEvent::Damaged { .. } | CheckEvent::Done { .. } | CheckEvent::Failed { .. } => {}
        })
        .await;
    meter.finish();
    let check = result?;
    let value = json!({
        "epoch": check.epoch, "blocks": check.blocks, "damaged": check.damaged, "places": damage,
    });
    printer.result(&value, || checked(&check, &damage))?;
    match check.damaged {
        0 => Ok(()),
        places => Err(Failure::Damaged { places }),
    }
}

/// Copies the volume into a file, which is there when it is whole.
pub(crate) async fn backup(
    arguments: &BackupArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    let out = &arguments.out;
    if !arguments.force && out.symlink_metadata().is_ok() {
        return Err(exists(out));
    }
    let partial = NamedTempFile::new_in(folder(out)).map_err(unwritable(out))?;
    let connection = Connection::open(settings, Target::Owner).await?;
    let mut stream = connection.backup().await?;
    let mut meter = Meter::new("copying", printer);
    let copied = copy(&mut stream, partial.as_file(), out, &mut meter).await;
    meter.finish();
    let copied = copied?;
    let kept = if arguments.force { partial.persist(out) } else { partial.persist_noclobber(out) };
    kept.map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => exists(out),
        _ => unwritable(out)(error.error),
    })?;
    sync_folder(out).map_err(unwritable(out))?;
    let epoch = stream.epoch();
    let value = json!({ "file": out.display().to_string(), "epoch": epoch, "bytes": copied });
    printer.result(&value, || {
        format!("wrote {}: {}, epoch {epoch}\n", printable(&out.display().to_string()), Size(copied))
    })
}

/// Writes every chunk where it belongs; free blocks become holes. Returns the bytes that were written.
async fn copy(
    stream: &mut BackupStream<'_>,
    file: &File,
    out: &Path,
    meter: &mut Meter,
) -> Result<u64, Failure> {
    let mut copied = 0;
    while let Some(chunk) = stream.next_chunk().await? {
        file.write_all_at(&chunk.bytes, bytes(chunk.block)).map_err(unwritable(out))?;
        copied += chunk.bytes.len() as u64;
        meter.reached(copied, None);
    }
    if copied == 0 {
        return Err(Failure::Internal("the enclave's backup has no blocks".to_owned()));
    }
    file.sync_all().map_err(unwritable(out))?;
    Ok(copied)
}

/// Where something does not verify.
#[derive(Debug, Serialize)]
struct Place {
    app: Option<String>,
    object: Option<u64>,
    offset: Option<u64>,
    what: String,
}

fn checked(check: &VolumeCheck, damage: &[Place]) -> String {
    let mut text = String::new();
    for Place { app, object, offset, what } in damage {
        text.push_str(app.as_deref().unwrap_or("(not of your apps)"));
        if let Some(object) = object {
            let _ = write!(text, ", object {object}");
        }
        if let Some(offset) = offset {
            let _ = write!(text, ", from byte {offset}");
        }
        let _ = writeln!(text, ": {}", printable(what));
    }
    let more = check.damaged.saturating_sub(damage.len() as u64);
    if more > 0 {
        let _ = writeln!(text, "and {} more", grouped(more));
    }
    let verdict = if check.damaged == 0 { "all intact" } else { "DAMAGED" };
    let (blocks, size) = (grouped(check.blocks), Size(bytes(check.blocks)));
    let _ = writeln!(text, "{blocks} blocks ({size}) of epoch {}: {verdict}", check.epoch);
    text
}

/// The folder that a file is in.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes the names in a file's folder durable.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn exists(path: &Path) -> Failure {
    Failure::Usage {
        what: format!("{} exists", path.display()),
        help: Some("--force replaces it".to_owned()),
    }
}

fn unwritable(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::File { action: FileAction::Write, path: path.clone(), source }
}

fn bytes(blocks: u64) -> u64 {
    blocks.saturating_mul(BACKUP_BLOCK as u64)
}

/// Damaged places that are listed; more are counted.
const MAX_LISTED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intact_volume_is_one_line() {
        let check = VolumeCheck { blocks: 2_048, damaged: 0, epoch: 7 };
        assert_eq!(checked(&check, &[]), "2,048 blocks (8 MiB) of epoch 7: all intact\n");
    }

    #[test]
    fn damage_is_listed_by_app_and_place() {
        let place = |app: Option<&str>, object, offset| Place {
            app: app.map(str::to_owned),
            object,
            offset,
            what: "a block does not verify\x1b".to_owned(),
        };
        let damage = [place(Some("hello"), Some(4), Some(8_192)), place(None, None, None)];
        let check = VolumeCheck { blocks: 1, damaged: 5, epoch: 7 };
        assert_eq!(
            checked(&check, &damage),
            "hello, object 4, from byte 8192: a block does not verify\\u{1b}\n\
             (not of your apps): a block does not verify\\u{1b}\nand 3 more\n\
             1 blocks (4 KiB) of epoch 7: DAMAGED\n"
        );
    }

    #[test]
    fn a_file_without_a_folder_is_in_the_present_one() {
        assert_eq!(folder(Path::new("a")), Path::new("."));
        assert_eq!(folder(Path::new("/b/a")), Path::new("/b"));
    }
}
