//! The state folder, and the TPM.

use super::{Finding, Machine};
use cloister_host::TpmPath;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;

pub(super) fn findings(machine: &Machine) -> Vec<Finding> {
    vec![state(&machine.state), tpm(machine)]
}

fn state(folder: &Path) -> Finding {
    let check = "state folder";
    let shown = folder.display();
    // The first start makes it, below the first folder that is there.
    let Some(there) = folder.ancestors().find(|ancestor| ancestor.exists()) else {
        return Finding::lacking(check, format!("{shown} cannot be made"), "name another with --state DIR");
    };
    if let Err(error) = tempfile::tempfile_in(there) {
        return Finding::lacking(
            check,
            format!("{} cannot be written to: {error}", there.display()),
            "give it to the user that serves, or name another with --state DIR",
        );
    }
    if there != folder {
        return Finding::ok(check, format!("{shown} will be made"));
    }
    let others = fs::metadata(folder).map_or(0, |metadata| metadata.permissions().mode() & 0o077);
    if others != 0 {
        return Finding::advice(
            check,
            format!("{shown} is open to other users"),
            format!("`chmod 700 {shown}`: the volume is sealed, but others could remove it"),
        );
    }
    Finding::ok(check, format!("{shown}, of this user alone"))
}

fn tpm(machine: &Machine) -> Finding {
    let check = "TPM";
    let Some(named) = &machine.tpm else {
        let usual = machine.system("dev/tpmrm0");
        return match OpenOptions::new().read(true).write(true).open(&usual) {
            Ok(_) => Finding::advice(
                check,
                "/dev/tpmrm0 opens, and --tpm does not name it",
                "with --tpm /dev/tpmrm0 an older disk is refused from the first start on",
            ),
            Err(_) => Finding::ok(
                check,
                "none, and none is asked for: nothing keeps an older disk from being put back",
            ),
        };
    };
    let opens = match named {
        TpmPath::Device(path) => OpenOptions::new().read(true).write(true).open(path).map(drop),
        TpmPath::Socket(path) => fs::metadata(path).and_then(|metadata| {
            if metadata.file_type().is_socket() { Ok(()) } else { Err(std::io::ErrorKind::NotFound.into()) }
        }),
    };
    match opens {
        Ok(()) => Finding::ok(check, format!("{named} is there")),
        Err(error) => Finding::lacking(
            check,
            format!("{named}: {error}"),
            "put the user that serves into the group tss, or name another with --tpm",
        ),
    }
}
