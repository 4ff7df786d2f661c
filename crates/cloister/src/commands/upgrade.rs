//! `upgrade`: the volume of a running enclave goes to another image.

use super::serve;
use super::session::{Connection, OwnEnclave, Target};
use crate::arguments::UpgradeArguments;
use crate::failure::{Failure, FileAction};
use crate::output::Printer;
use crate::quantity::Digest;
use crate::settings::{Settings, default_state_path};
use cloister_api::{Configuration, VolumeAdoption};
use cloister_host::{DiskSettings, Launch, LogSink, Running, VOLUME_NAME};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Starts the new image, carries the messages between it and the old one, and writes what the new image needs to take the
/// volume over.
pub(crate) async fn upgrade(
    arguments: &UpgradeArguments,
    settings: &Settings,
    printer: &Printer,
) -> Result<(), Failure> {
    if !arguments.force && arguments.out.exists() {
        return Err(Failure::Usage {
            what: format!("{} exists", arguments.out.display()),
            help: Some("--force replaces it".to_owned()),
        });
    }
    let old = Connection::open(settings, Target::Owner).await?;
    let from = old.mrenclave();
    drop(old);
    let receiver = Receiver::start(arguments)?;
    let new = Connection::to_own(settings, receiver.enclave()?).await?;
    // Connected once more: loading the new image may have taken longer than an idle connection is kept.
    let old = Connection::open(settings, Target::Owner).await?;
    let offer = old.offer_volume().await?;
    let request = new.request_volume(&offer).await?;
    let given = old.hand_over_volume(&request).await?;
    let adoption = new.receive_volume(&given).await?;
    drop(new);
    receiver.stop();
    write(&arguments.out, &adoption, arguments.force).map_err(|source| Failure::File {
        action: FileAction::Write,
        path: arguments.out.clone(),
        source,
    })?;
    let out = arguments.out.display().to_string();
    let value = json!({
        "file": out,
        "volume": adoption.volume,
        "from": Digest(from),
        "to": adoption.to,
    });
    printer.result(&value, || text(&adoption, arguments))
}

/// The new image, started to receive a volume's key.
struct Receiver {
    running: Running,
    /// Holds the file that is lent as its disk, which stays empty.
    _folder: TempDir,
}

impl Receiver {
    fn start(arguments: &UpgradeArguments) -> Result<Self, Failure> {
        let image = serve::image(Some(&arguments.image), &[])?;
        let sigstruct = arguments.sigstruct.clone().unwrap_or_else(|| image.with_extension("sigstruct"));
        let state: PathBuf = match &arguments.state {
            Some(state) => state.clone(),
            None => default_state_path()?,
        };
        let internal = |error: &dyn std::fmt::Display| Failure::Internal(error.to_string());
        let folder = tempfile::tempdir().map_err(|error| internal(&error))?;
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let configuration =
            Configuration { listen: listen.to_string(), receive: true, ..Configuration::default() };
        let launch = Launch {
            device: serve::device(arguments.device),
            listen,
            configuration: serde_json::to_vec(&configuration).map_err(|error| internal(&error))?,
            disk: DiskSettings {
                path: folder.path().join(VOLUME_NAME),
                max_bytes: DiskSettings::DEFAULT_MAX_BYTES,
            },
            log: LogSink::stderr(),
            ..Launch::new(image, sigstruct, state)
        };
        Ok(Self { running: launch.start().map_err(serve::failure)?, _folder: folder })
    }

    fn enclave(&self) -> Result<OwnEnclave, Failure> {
        Ok(OwnEnclave {
            address: self.running.local_addr(serve::START_TIMEOUT).map_err(serve::failure)?,
            mrenclave: self.running.mrenclave(),
            simulated_root: self.running.soft_root_fingerprint(),
        })
    }

    fn stop(self) {
        self.running.shutdown();
        // It has nothing to keep, so how it ends does not matter.
        let _ = self.running.wait();
    }
}

/// Whole and durable, or not there.
fn write(path: &Path, adoption: &VolumeAdoption, force: bool) -> io::Result<()> {
    let mut text = serde_json::to_string_pretty(adoption)?;
    text.push('\n');
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    if force { file.persist(path) } else { file.persist_noclobber(path) }.map_err(|error| error.error)?;
    OpenOptions::new().read(true).open(folder)?.sync_all()
}

/// What the operator does next.
fn text(adoption: &VolumeAdoption, arguments: &UpgradeArguments) -> String {
    let VolumeAdoption { volume, from, to, .. } = adoption;
    let (image, out) = (arguments.image.display(), arguments.out.display());
    format!(
        "handed over  volume {volume}\n  from       {from}\n  to         {to}\nwrote        {out}\n\n\
         The old image goes on serving until you stop it. Then start the new one on the same volume, with the options of\n\
         before (--operator and --image-upgrade stay as they are for the volume's whole life):\n  \
         cloister serve --image {image} --adopt {out} …\n\
         From that start on the old image cannot open this disk any more; later starts need no --adopt.\n\
         Clients accept both images from then on, since the old one made the data: --mrenclave {to} --mrenclave {from}\n"
    )
}

/// What `cloister upgrade` wrote, for the configuration.
pub(super) fn adoption(path: &Path) -> Result<String, Failure> {
    let text = fs::read(path).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })?;
    let adoption: VolumeAdoption = serde_json::from_slice(&text).map_err(|error| Failure::Usage {
        what: format!("{} is not what `cloister upgrade` writes: {error}", path.display()),
        help: None,
    })?;
    Ok(adoption.adoption)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handed_over() -> VolumeAdoption {
        VolumeAdoption {
            version: 1,
            volume: "0a".repeat(16),
            from: "1b".repeat(32),
            to: "2c".repeat(32),
            adoption: "AAEC".into(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adopt.json");
        write(&path, &handed_over(), false).unwrap();
        assert_eq!(adoption(&path).unwrap(), "AAEC");
        let other = VolumeAdoption { adoption: "AwQF".into(), ..handed_over() };
        assert_eq!(write(&path, &other, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(adoption(&path).unwrap(), "AAEC");
        write(&path, &other, true).unwrap();
        assert_eq!(adoption(&path).unwrap(), "AwQF");
    }

    #[test]
    fn a_file_that_is_something_else_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("adopt.json");
        let failure = adoption(&path).unwrap_err().to_string();
        assert!(failure.contains("adopt.json"), "{failure}");
        fs::write(&path, "{}").unwrap();
        let failure = adoption(&path).unwrap_err();
        assert_eq!(failure.exit(), crate::failure::Exit::Usage);
        assert!(failure.to_string().contains("cloister upgrade"), "{failure}");
    }

    #[test]
    fn the_operator_is_told_what_comes_next() {
        let arguments = UpgradeArguments {
            image: "new.sgxs".into(),
            sigstruct: None,
            state: None,
            device: crate::arguments::DeviceChoice::Soft,
            out: "adopt.json".into(),
            force: false,
        };
        let text = text(&handed_over(), &arguments);
        assert!(text.contains("cloister serve --image new.sgxs --adopt adopt.json"), "{text}");
        assert!(text.contains("the old image cannot open this disk"), "{text}");
    }
}
