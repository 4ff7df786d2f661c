//! What an app that awaits its configuration answers, and whom.

use crate::access::Caller;
use crate::app::App;
use cloister_api::{Code, Problem};
use cloister_attestation::ConfigurationClaim;

/// What a request asks of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// A call of the export with this full name.
    Export(&'a str),
    /// A run of the command.
    Run,
    /// A request to the web service.
    Web,
}

/// Lets a request in, or says why not. The export that configures an app is its owner's, before the app is configured and
/// after.
///
/// # Errors
/// [`Code::NotConfigured`]; [`Code::Unauthenticated`] or [`Code::Forbidden`] where only the owner may ask for this.
pub(crate) fn admit(app: &App, entry: Entry<'_>, caller: Caller) -> Result<(), Problem> {
    let Some(configuring) = &app.record.configure_with else { return Ok(()) };
    let name = &app.name;
    if entry == Entry::Export(configuring) {
        return match caller.key() {
            Some(key) if key == app.record.owner => Ok(()),
            Some(_) => Err(Problem::new(
                Code::Forbidden,
                format!(
                    "'{configuring}' configures the app '{name}', and only the key that deployed it may call it"
                ),
            )),
            None => Err(Problem::new(
                Code::Unauthenticated,
                format!(
                    "'{configuring}' configures the app '{name}': this call needs a TLS client certificate with the key \
                     that deployed it"
                ),
            )),
        };
    }
    match app.record.configuration() {
        ConfigurationClaim::NotNeeded | ConfigurationClaim::Complete => Ok(()),
        ConfigurationClaim::Awaited => Err(Problem::new(
            Code::NotConfigured,
            format!(
                "the app '{name}' answers nothing until its owner has configured it with '{configuring}'"
            ),
        )),
    }
}
