//! A signing key that does not leave its token, through PKCS #11.

use crate::arguments::TokenArguments;
use crate::failure::{Failure, FileAction};
use cloister_soft_sgx::sigstruct::Unsigned;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use sgx_isa::Sigstruct;
use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Has the token sign, and gives back what it signed.
pub(super) fn sign(
    arguments: &TokenArguments,
    module: &Path,
    unsigned: Unsigned,
) -> Result<Sigstruct, Failure> {
    let label = arguments.pkcs11_token.as_deref().unwrap_or_default();
    let name = arguments.pkcs11_key.as_deref().unwrap_or_default();
    let failed = |doing: &'static str| move |error: Error| token_failure(doing, label, &error);
    let library = Pkcs11::new(module).map_err(|error| Failure::Usage {
        what: format!("{} cannot be loaded: {error}", module.display()),
        help: Some("--pkcs11-module names the library of the token, such as libsofthsm2.so".to_owned()),
    })?;
    library
        .initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))
        .map_err(failed("begin to use"))?;
    let slots = library.get_slots_with_token().map_err(failed("find"))?;
    let is_it = |slot: &_| library.get_token_info(*slot).is_ok_and(|token| token.label() == label);
    let slot = slots.into_iter().find(is_it).ok_or_else(|| Failure::Usage {
        what: format!("there is no token with the label '{label}'"),
        help: Some("`pkcs11-tool --module FILE.so --list-token-slots` lists them".to_owned()),
    })?;
    let session = library.open_ro_session(slot).map_err(failed("open"))?;
    let pin = pin(arguments.pkcs11_pin_file.as_deref(), label)?;
    session.login(UserType::User, Some(&AuthPin::new(pin.as_str().into()))).map_err(failed("log into"))?;
    let sigstruct = signed(&session, name, unsigned, failed);
    // The session ends with the process, if not here.
    let _ = session.logout();
    sigstruct
}

fn signed<F: FnOnce(Error) -> Failure>(
    session: &Session,
    name: &str,
    unsigned: Unsigned,
    failed: impl Fn(&'static str) -> F,
) -> Result<Sigstruct, Failure> {
    let wanted = [
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Label(name.as_bytes().to_vec()),
    ];
    let keys = session.find_objects(&wanted).map_err(failed("look for the key in"))?;
    let [key] = keys[..] else {
        let how_many = if keys.is_empty() { "no RSA key" } else { "more than one RSA key" };
        return Err(Failure::Usage {
            what: format!("the token has {how_many} with the label '{name}'"),
            help: Some("`pkcs11-tool --module FILE.so --login --list-objects` lists them".to_owned()),
        });
    };
    let attributes = session
        .get_attributes(key, &[AttributeType::Modulus])
        .map_err(failed("read the key's modulus from"))?;
    let modulus = attributes.into_iter().find_map(|attribute| match attribute {
        Attribute::Modulus(modulus) => Some(modulus),
        _ => None,
    });
    let modulus =
        modulus.ok_or_else(|| Failure::usage("the token does not say what the key's modulus is"))?;
    let signature = session
        .sign(&Mechanism::Sha256RsaPkcs, key, &unsigned.to_be_signed())
        .map_err(failed("sign with"))?;
    unsigned.with_signature(&modulus, &signature).map_err(|error| Failure::usage(error.to_string()))
}

fn token_failure(doing: &str, label: &str, error: &Error) -> Failure {
    let help = match error {
        Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _) => {
            Some("the PIN is wrong; a token locks itself after some wrong ones".to_owned())
        }
        Error::Pkcs11(RvError::PinLocked, _) => Some("the token's PIN is locked".to_owned()),
        _ => None,
    };
    Failure::Usage { what: format!("cannot {doing} the token '{label}': {error}"), help }
}

/// From the file, the environment, or whoever is at the terminal: never from an argument, which every process can read.
fn pin(file: Option<&Path>, label: &str) -> Result<Zeroizing<String>, Failure> {
    if let Some(path) = file {
        let text = fs::read_to_string(path).map(Zeroizing::new);
        let text =
            text.map_err(|source| Failure::File { action: FileAction::Read, path: path.to_owned(), source })?;
        return Ok(first_line(&text));
    }
    if let Ok(pin) = std::env::var(PIN) {
        return Ok(Zeroizing::new(pin));
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage {
            what: format!("the token '{label}' needs its PIN"),
            help: Some(format!("put it into {PIN}, or into a file that --pkcs11-pin-file names")),
        });
    }
    eprint!("PIN of the token '{label}': ");
    let _ = io::stderr().flush();
    let read = without_echo(|| {
        let mut line = Zeroizing::new(String::new());
        io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    eprintln!();
    let line = read.map_err(|error| Failure::Internal(format!("cannot read the PIN: {error}")))?;
    Ok(first_line(&line))
}

fn first_line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}

/// The terminal does not show what is typed meanwhile.
fn without_echo<T>(read: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let terminal = io::stdin();
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
    let read = read();
    tcsetattr(&terminal, OptionalActions::Flush, &before)?;
    read
}

const PIN: &str = "CLOISTER_PKCS11_PIN";
