//! What an app asks of its enclave: the key that follows from its code, values in its certificates, the end of its
//! configuration.

use crate::app::App;
use crate::seal_key;
use crate::state::{Apps, Enclave, State};
use crate::storage::Record;
use cloister_api::{Code, Problem};
use cloister_attestation::{ConfigurationClaim, MAX_EXTENSION_VALUE, MAX_EXTENSION_VALUES, MAX_EXTENSIONS};
use cloister_runtime::platform::{self, Answer, Refusal};
use cloister_tee::SealingError;
use std::borrow::Cow;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The enclave as one call of an app sees it.
#[derive(Debug)]
pub(crate) struct Own {
    enclave: Arc<Enclave>,
    app: Arc<App>,
}

/// Held while an app declares something of itself: of one app one declaration at a time waits among the enclave's changes.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

impl Own {
    pub(crate) fn new(enclave: &Arc<Enclave>, app: &Arc<App>) -> Self {
        Self { enclave: Arc::clone(enclave), app: Arc::clone(app) }
    }

    /// Makes a declaration part of the evidence, the certificates and the volume, or of none of them.
    fn declare(&self, declaration: Declaration) -> Answer<()> {
        let (enclave, app) = (Arc::clone(&self.enclave), Arc::clone(&self.app));
        Box::pin(async move {
            if declaration.is_made(present(&app, &enclave.state().apps)?) {
                return Ok(());
            }
            let turn = Arc::clone(&app.declaring).lock_owned().await;
            let change = move |enclave: &Enclave, apps: Apps| {
                let _turn = turn;
                declaration.make(&app, enclave, apps)
            };
            enclave.change(change).await.map_err(|Undeclared(refusal)| refusal)
        })
    }
}

impl platform::App for Own {
    fn seal_key(&self) -> Result<Zeroizing<[u8; 32]>, Refusal> {
        let App { name, record, .. } = &*self.app;
        seal_key::derive(&self.code_hash(), record.owner.as_bytes(), name).map_err(|error| match error {
            SealingError::NotAnEnclave(_) => NOT_AN_ENCLAVE,
            SealingError::Refused(_) => NO_SEAL_KEY,
        })
    }

    fn code_hash(&self) -> [u8; 32] {
        self.app.program.code_hash()
    }

    fn owner(&self) -> [u8; 32] {
        *self.app.record.owner.as_bytes()
    }

    fn set_extension(&self, suffix: u32, value: Vec<u8>) -> Answer<()> {
        self.declare(Declaration::Extension { suffix, value })
    }

    fn complete_configuration(&self) -> Answer<()> {
        self.declare(Declaration::Configured)
    }
}

/// What an app says of itself.
#[derive(Debug)]
enum Declaration {
    /// An empty value takes the extension away.
    Extension {
        suffix: u32,
        value: Vec<u8>,
    },
    Configured,
}

impl Declaration {
    /// Whether nothing changes by it. Guests are fresh at each call, and may say the same at each.
    fn is_made(&self, app: &App) -> bool {
        match self {
            Self::Extension { suffix, value } => {
                app.record.extensions.get(suffix).map_or(&[][..], Vec::as_slice) == value
            }
            // Twice is an error.
            Self::Configured => false,
        }
    }

    fn make(self, app: &App, enclave: &Enclave, mut apps: Apps) -> Result<(State, ()), Undeclared> {
        let before = Arc::clone(present(app, &apps)?);
        let after = Arc::new(before.with_record(self.noted(&before.record)?));
        apps.running.insert(app.name.clone(), Arc::clone(&after));
        let next = enclave.evidence(apps)?;
        enclave
            .storage
            .rewrite(&app.name, &after.record, &before.record)
            .map_err(|error| error.into_problem())?;
        Ok((next, ()))
    }

    /// The record with it.
    fn noted(self, record: &Record) -> Result<Record, Refusal> {
        let mut record = record.clone();
        match self {
            Self::Extension { suffix, value } if value.is_empty() => drop(record.extensions.remove(&suffix)),
            Self::Extension { value, .. } if value.len() > MAX_EXTENSION_VALUE => return Err(TOO_LONG),
            Self::Extension { suffix, value } => {
                record.extensions.insert(suffix, value);
                if record.extensions.len() > MAX_EXTENSIONS {
                    return Err(TOO_MANY);
                }
                if record.extensions.values().map(Vec::len).sum::<usize>() > MAX_EXTENSION_VALUES {
                    return Err(TOO_MUCH);
                }
            }
            Self::Configured => match record.configuration() {
                ConfigurationClaim::NotNeeded => return Err(NOTHING_TO_CONFIGURE),
                ConfigurationClaim::Complete => return Err(CONFIGURED),
                ConfigurationClaim::Awaited => record.is_configured = true,
            },
        }
        Ok(record)
    }
}

/// The app as it is now, where it is still the one that a call began with.
fn present<'a>(app: &App, apps: &'a Apps) -> Result<&'a Arc<App>, Refusal> {
    let now = apps.running.get(&app.name);
    now.filter(|now| now.record.generation == app.record.generation).ok_or(GONE)
}

/// Why nothing was changed.
struct Undeclared(Refusal);

impl From<Refusal> for Undeclared {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// A problem is for owners and clients; a guest hears less.
impl From<Problem> for Undeclared {
    fn from(problem: Problem) -> Self {
        Self(match problem.code {
            Code::TooManyApps => NO_ROOM,
            Code::StorageUnavailable | Code::StorageFull => NOT_WRITTEN,
            Code::EvidenceUnavailable => NO_EVIDENCE,
            _ => FAILED,
        })
    }
}

const fn refusal(text: &'static str) -> Refusal {
    Refusal(Cow::Borrowed(text))
}

const GONE: Refusal = refusal("the app was replaced or removed while this call was under way");
const TOO_LONG: Refusal = refusal("the value of an extension is longer than 4096 bytes");
const TOO_MANY: Refusal = refusal("an app has at most 16 extensions; set one to nothing first");
const TOO_MUCH: Refusal = refusal("the values of an app's extensions have at most 8192 bytes together");
const NOTHING_TO_CONFIGURE: Refusal =
    refusal("the app was deployed without an export that configures it, so it awaits no configuration");
const CONFIGURED: Refusal = refusal("the app's configuration is complete already");
const NO_ROOM: Refusal = refusal("the enclave's evidence has no room for more, so nothing was changed");
const NOT_WRITTEN: Refusal = refusal("the volume cannot be written at present, so nothing was changed");
const NO_EVIDENCE: Refusal = refusal("the enclave gets no new evidence at present, so nothing was changed");
const FAILED: Refusal = refusal("that failed inside the enclave, so nothing was changed");
const NOT_AN_ENCLAVE: Refusal = refusal("there is no seal key, since this does not run in an enclave");
const NO_SEAL_KEY: Refusal = refusal("the CPU gave no seal key");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_say_the_bounds() {
        for (text, number) in
            [(TOO_LONG, MAX_EXTENSION_VALUE), (TOO_MANY, MAX_EXTENSIONS), (TOO_MUCH, MAX_EXTENSION_VALUES)]
        {
            assert!(text.0.contains(&number.to_string()), "{text}");
        }
    }
}
