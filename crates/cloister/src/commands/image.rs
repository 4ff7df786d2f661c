//! `image`: what a builder of enclave images does after compiling.

mod token;

use super::keys::write_new;
use super::local::hash_file;
use crate::arguments::{
    GlobalArguments, ImageAttachArguments, ImageCommand, ImageDigestArguments, ImageIdentityArguments,
    ImageSignArguments,
};
use crate::failure::{Failure, FileAction};
use crate::output::{Printer, printable};
use crate::quantity::Digest;
use cloister_soft_sgx::sigstruct::{SigningKey, SigstructParameters, Unsigned, mrsigner, public_modulus};
use cloister_soft_sgx::{Finding, forbidden_instructions};
use serde_json::json;
use sgx_isa::{AttributesFlags, Sigstruct};
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
        ImageCommand::Digest(arguments) => digest(arguments, printer),
        ImageCommand::Attach(arguments) => attach(arguments, printer),
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
    let image = &arguments.image;
    let mrenclave = measurement(image)?;
    let parameters = parameters(&arguments.identity, printer);
    let sigstruct = match (&arguments.token.pkcs11_module, key) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("--key and --pkcs11-module both name a signing key"));
        }
        (Some(module), None) => {
            token::sign(&arguments.token, module, Unsigned::new(mrenclave.0, &parameters))?
        }
        (None, Some(path)) => signing_key(path, printer)?
            .sign(mrenclave.0, &parameters)
            .map_err(|error| Failure::Internal(format!("cannot sign: {error}")))?,
        (None, None) => {
            return Err(Failure::Usage {
                what: "the signing key is not named".to_owned(),
                help: Some(
                    "name it with --key FILE, and a new one is made where there is no such file; or with --pkcs11-module, \
                     --pkcs11-token and --pkcs11-key"
                        .to_owned(),
                ),
            });
        }
    };
    let out = arguments.out.clone().unwrap_or_else(|| image.with_extension("sigstruct"));
    write(&out, &sigstruct, printer)
}

/// What a key that is elsewhere is to sign.
fn digest(arguments: &ImageDigestArguments, printer: &Printer) -> Result<(), Failure> {
    let mrenclave = measurement(&arguments.image)?;
    let unsigned = Unsigned::new(mrenclave.0, &parameters(&arguments.identity, printer));
    let out = &arguments.out;
    fs::write(out, unsigned.to_be_signed()).map_err(|source| file(FileAction::Write, out, source))?;
    let shown = out.display().to_string();
    printer.result(&json!({ "to_be_signed": shown, "mrenclave": mrenclave }), || {
        format!("to be signed  {shown}\nMRENCLAVE     {mrenclave}\n")
    })
}

/// Puts the signature of such a key to what it signed.
fn attach(arguments: &ImageAttachArguments, printer: &Printer) -> Result<(), Failure> {
    let read = |path: &Path| fs::read(path).map_err(|source| file(FileAction::Read, path, source));
    let refused = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::usage(format!("{} is refused: {error}", path.display()))
    };
    let signed = &arguments.signed;
    let unsigned = Unsigned::from_to_be_signed(&read(signed)?).map_err(|error| refused(signed, &error))?;
    let public_key = &arguments.public_key;
    let pem = fs::read_to_string(public_key).map_err(|source| file(FileAction::Read, public_key, source))?;
    let modulus = public_modulus(&pem).map_err(|error| refused(public_key, &error))?;
    let signature = &arguments.signature;
    let sigstruct =
        unsigned.with_signature(&modulus, &read(signature)?).map_err(|error| refused(signature, &error))?;
    write(&arguments.out, &sigstruct, printer)
}

/// MRENCLAVE: the stream of an image is exactly what ECREATE, EADD and EEXTEND hash.
fn measurement(image: &Path) -> Result<Digest, Failure> {
    let (mrenclave, _) = hash_file(image).map_err(|source| file(FileAction::Read, image, source))?;
    Ok(mrenclave)
}

fn parameters(identity: &ImageIdentityArguments, printer: &Printer) -> SigstructParameters {
    let ImageIdentityArguments { product, svn, date, debug } = *identity;
    let mut parameters = SigstructParameters { isvprodid: product, isvsvn: svn, date, ..Default::default() };
    if debug {
        parameters.attributes.flags |= AttributesFlags::DEBUG;
        printer.hint("with --debug the host reads everything in the enclave, and every verifier refuses it");
    }
    parameters
}

fn write(out: &Path, sigstruct: &Sigstruct, printer: &Printer) -> Result<(), Failure> {
    fs::write(out, sigstruct.as_ref() as &[u8]).map_err(|source| file(FileAction::Write, out, source))?;
    let (mrenclave, signer) = (Digest(sigstruct.enclavehash), Digest(mrsigner(sigstruct)));
    let (product, svn) = (sigstruct.isvprodid, sigstruct.isvsvn);
    let shown = out.display().to_string();
    let value = json!({
        "sigstruct": shown, "mrenclave": mrenclave, "mrsigner": signer, "product": product, "svn": svn,
    });
    printer.result(&value, || {
        format!(
            "sigstruct  {shown}\nMRENCLAVE  {mrenclave}\nMRSIGNER   {signer}\nISVPRODID  {product}\nISVSVN     {svn}\n"
        )
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
