//! `image`: what a builder of enclave images does after compiling.

use super::keys::write_new;
use super::local::hash_file;
use crate::arguments::{GlobalArguments, ImageCommand, ImageSignArguments};
use crate::failure::{Failure, FileAction};
use crate::output::{Printer, printable};
use crate::quantity::Digest;
use cloister_soft_sgx::sigstruct::{SigningKey, SigstructParameters};
use cloister_soft_sgx::{Finding, forbidden_instructions};
use serde_json::json;
use std::path::Path;
use std::{fs, io};

/// Checks or signs an image. `typed` are the options of the command line alone: a signing key comes from nowhere else.
pub(crate) fn image(
    command: &ImageCommand,
    typed: &GlobalArguments,
    printer: &Printer,
) -> Result<(), Failure> {
    match command {
        ImageCommand::Check { elf } => check(elf, printer),
        ImageCommand::Sign(arguments) => sign(arguments, typed.key.as_deref(), printer),
    }
}

fn check(elf: &Path, printer: &Printer) -> Result<(), Failure> {
    let bytes = fs::read(elf).map_err(|source| file(FileAction::Read, elf, source))?;
    let findings = forbidden_instructions(&bytes).map_err(|error| Failure::usage(error.to_string()))?;
    let (in_functions, elsewhere): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().partition(|finding| finding.symbol.is_some());
    if !elsewhere.is_empty() {
        printer.hint(&format!(
            "{} places outside functions look like forbidden instructions; data may",
            elsewhere.len()
        ));
    }
    if in_functions.is_empty() {
        return printer.result(&json!({ "elf": elf, "forbidden": [] }), || {
            format!("{}: every instruction of its functions is legal in an enclave\n", elf.display())
        });
    }
    Err(Failure::Enclave {
        what: format!(
            "{} holds instructions that fault in a real enclave: {}",
            elf.display(),
            list(&in_functions)
        ),
        help: Some("find what calls them and turn it off for this target".to_owned()),
    })
}

fn sign(arguments: &ImageSignArguments, key: Option<&Path>, printer: &Printer) -> Result<(), Failure> {
    let Some(key_path) = key else {
        return Err(Failure::Usage {
            what: "the signing key is not named".to_owned(),
            help: Some("name it with --key FILE; a new one is made where there is no such file".to_owned()),
        });
    };
    let image = &arguments.image;
    // The stream of an image is exactly what ECREATE, EADD and EEXTEND hash.
    let (mrenclave, _) = hash_file(image).map_err(|source| file(FileAction::Read, image, source))?;
    let key = signing_key(key_path, printer)?;
    let sigstruct = key
        .sign(mrenclave.0, &SigstructParameters::default())
        .map_err(|error| Failure::Internal(format!("cannot sign: {error}")))?;
    let out = arguments.out.clone().unwrap_or_else(|| image.with_extension("sigstruct"));
    fs::write(&out, sigstruct.as_ref() as &[u8]).map_err(|source| file(FileAction::Write, &out, source))?;
    let (signer, shown) = (Digest(key.mrsigner()), out.display().to_string());
    printer.result(&json!({ "sigstruct": shown, "mrenclave": mrenclave, "mrsigner": signer }), || {
        format!("sigstruct  {shown}\nMRENCLAVE  {mrenclave}\nMRSIGNER   {signer}\n")
    })
}

/// The key in a file, which is made where it is absent.
fn signing_key(path: &Path, printer: &Printer) -> Result<SigningKey, Failure> {
    match fs::read_to_string(path) {
        Ok(pem) => SigningKey::from_pem(&pem)
            .map_err(|error| Failure::usage(format!("{} is not a signing key: {error}", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let made = SigningKey::generate().and_then(|key| Ok((key.to_pem()?, key)));
            let (pem, key) =
                made.map_err(|error| Failure::Internal(format!("cannot make a key: {error}")))?;
            write_new(path, pem.as_bytes()).map_err(|source| file(FileAction::Create, path, source))?;
            printer.hint(&format!("made a signing key in {}", path.display()));
            Ok(key)
        }
        Err(source) => Err(file(FileAction::Read, path, source)),
    }
}

fn list(findings: &[&Finding]) -> String {
    let mut lines: Vec<String> = findings
        .iter()
        .take(MAX_LISTED)
        .map(|finding| {
            let symbol = finding.symbol.as_deref().unwrap_or("?");
            format!("{} at {:#x} in {}", finding.instruction, finding.address, printable(symbol))
        })
        .collect();
    if findings.len() > MAX_LISTED {
        lines.push(format!("{} more", findings.len() - MAX_LISTED));
    }
    lines.join("; ")
}

fn file(action: FileAction, path: &Path, source: io::Error) -> Failure {
    Failure::File { action, path: path.to_owned(), source }
}

/// More findings than these do not help.
const MAX_LISTED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_name_instruction_place_and_function() {
        let finding = Finding { address: 0x1000, instruction: "cpuid".into(), symbol: Some("main".into()) };
        assert_eq!(list(&[&finding]), "cpuid at 0x1000 in main");
        assert!(list(&[&finding; 12]).ends_with("; 2 more"));
    }
}
