//! Commands that need no enclave: `hash`, `completions`, `profile`.

use super::upload::failed;
use crate::arguments::{
    AssetsHashArguments, Cli, CompletionsArguments, GlobalArguments, HashArguments, ProfileCommand,
    ProfileSetArguments,
};
use crate::failure::{Failure, FileAction, near};
use crate::output::Printer;
use crate::profile::{self, Profile, ProfileError, ProfileFile};
use crate::quantity::{Digest, Size};
use crate::settings::{Host, profile_path};
use clap::CommandFactory;
use cloister_client::Tree;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Prints the SHA-256 of a file as `sha256sum` does; under `--quiet` the digest alone.
pub(crate) fn hash(arguments: &HashArguments, printer: &Printer) -> Result<(), Failure> {
    let (digest, size) = hash_file(&arguments.file).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: arguments.file.clone(),
        source,
    })?;
    let name = arguments.file.display().to_string();
    printer.result(&json!({ "file": name, "sha256": digest, "size": size }), || {
        if printer.quiet { format!("{digest}\n") } else { format!("{digest}  {name}  ({})\n", Size(size)) }
    })
}

/// Prints the hash of a directory as assets; under `--quiet` the digest alone.
pub(crate) fn assets_hash(arguments: &AssetsHashArguments, printer: &Printer) -> Result<(), Failure> {
    let tree = Tree::list(&arguments.directory).map_err(failed)?;
    let Some(hash) = tree.assets_hash().map_err(failed)? else {
        return Err(Failure::usage(format!("there are no files in {}", arguments.directory.display())));
    };
    let (hash, name) = (Digest(hash), arguments.directory.display().to_string());
    let value = json!({ "directory": name, "assets": hash, "files": tree.files(), "bytes": tree.bytes() });
    printer.result(&value, || match printer.quiet {
        true => format!("{hash}\n"),
        false => format!("{hash}  {name}  ({} files, {})\n", tree.files(), Size(tree.bytes())),
    })
}

/// Prints the completion script of a shell.
pub(crate) fn completions(arguments: &CompletionsArguments, printer: &Printer) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "cloister", &mut script);
    printer.raw(&String::from_utf8_lossy(&script))
}

/// Shows or changes the profile file. `typed` are the options of the command line alone, without the environment.
pub(crate) fn profile(
    command: &ProfileCommand,
    global: &GlobalArguments,
    typed: &GlobalArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    let path = profile_path(global)?;
    match command {
        ProfileCommand::Set(arguments) => set(arguments, &path, typed, printer),
        ProfileCommand::Show { name } => show(name.as_deref(), &path, printer),
    }
}

fn set(
    arguments: &ProfileSetArguments,
    path: &Path,
    typed: &GlobalArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    if let Some(hash) = typed.code_hash {
        return Err(Failure::Usage {
            what: "a profile pins code by app".to_owned(),
            help: Some(format!("write --pin APP={hash}")),
        });
    }
    if let Some(host) = &typed.host {
        host.parse::<Host>()?;
    }
    if typed.token.as_deref() == Some(Path::new("-")) {
        return Err(Failure::usage("a profile names the file of a token, and - is none"));
    }
    let change = Profile {
        host: typed.host.clone(),
        key: typed.key.as_deref().map(absolute).transpose()?,
        token: typed.token.as_deref().map(absolute).transpose()?,
        policy: typed.policy.as_deref().map(absolute).transpose()?,
        mrenclave: typed.mrenclave.clone(),
        identity: typed.identity,
        simulated_root: typed.allow_simulated,
        collateral: typed.collateral.as_deref().map(absolute).transpose()?,
        min_epoch: typed.min_epoch,
        volume_root: typed.volume_root,
        freshness: typed.freshness,
        code_hashes: arguments.pin.iter().map(|pin| (pin.app.clone(), pin.code_hash)).collect(),
    };
    if change == Profile::default() {
        return Err(Failure::Usage {
            what: "nothing to set".to_owned(),
            help: Some(
                "name at least one of --host, --key, --token, --policy, --mrenclave, --identity, --allow-simulated, \
                 --collateral, --min-epoch, --volume-root, --freshness, --pin"
                    .into(),
            ),
        });
    }
    profile::set(path, &arguments.name, &change)?;
    printer.hint(&format!("wrote profile '{}' to {}", arguments.name, path.display()));
    Ok(())
}

fn show(name: Option<&str>, path: &Path, printer: &Printer) -> Result<(), Failure> {
    let mut file = ProfileFile::load(path)?;
    if let Some(name) = name {
        let Some((name, profile)) = file.profiles.remove_entry(name) else {
            return Err(Failure::Profile(ProfileError::Unknown {
                name: name.to_owned(),
                path: path.to_owned(),
                suggestions: near(name, file.profiles.keys().map(String::as_str)),
            }));
        };
        file.profiles = [(name, profile)].into();
    }
    let toml = toml_edit::ser::to_string_pretty(&file).map_err(|e| Failure::Internal(e.to_string()))?;
    if file.profiles.is_empty() {
        printer.hint(&format!("no profiles in {}; `cloister profile set NAME …` makes one", path.display()));
    }
    printer.result(&file, || if file.profiles.is_empty() { String::new() } else { toml })
}

fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|source| Failure::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })
}

/// SHA-256 and size in bytes of a file.
pub(crate) fn hash_file(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    let mut size = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((Digest(hasher.finalize().into()), size)),
            read => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                size += read as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashing_agrees_with_the_standard() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "abc").unwrap();
        let (digest, size) = hash_file(&path).unwrap();
        // FIPS 180-4, example for "abc".
        assert_eq!(digest.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(size, 3);
        assert!(hash_file(folder.path()).is_err());
    }
}
