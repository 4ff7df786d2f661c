//! What the certificate says beside its key, compared with what the claims say.

use super::{Compared, not_asked, passed};
use crate::verify::extract::Extracted;
use crate::verify::{Observed, Presented, app_of_host};
use crate::{Claims, sha256};

pub(super) fn code_hash(claims: &Claims, extracted: &Extracted, observed: &Observed<'_>) -> Compared {
    let Some(found) = extracted.statements.as_ref().map_err(Clone::clone)?.code_hash else {
        return not_asked("the certificate carries none");
    };
    let app = app_of_host(observed.server_name).and_then(|name| claims.app(&name));
    match app {
        Some(app) if app.code_hash == found => {
            passed(format!("{}, as claimed for {}", hex::encode(found), app.name))
        }
        Some(app) => Err(format!(
            "it is {}, and the claims say {} of {}",
            hex::encode(found),
            hex::encode(app.code_hash),
            app.name
        )),
        None => Err(no_app(observed)),
    }
}

/// The certificate is as old as the handshake: where the claims have changed since, it rightly says other things.
pub(super) fn claims(
    claims: &Claims,
    extracted: &Extracted,
    presented: &Presented<'_>,
    observed: &Observed<'_>,
) -> Compared {
    let said = extracted.statements.as_ref().map_err(Clone::clone)?;
    if said.is_empty() {
        return not_asked("the certificate carries none");
    }
    if said.evidence.is_some_and(|hash| hash != sha256(presented.claims)) {
        return not_asked(
            "the certificate is of other claims of this enclave: they changed after the handshake",
        );
    }
    if said.boot_configuration.is_some_and(|hash| hash != claims.configuration) {
        return Err("it has another hash of the boot configuration than the claims".to_owned());
    }
    if said.apps.is_some_and(|hash| hash != claims.apps_hash()) {
        return Err("it has another hash of all apps than the claims".to_owned());
    }
    if said.app_configuration.is_none() && said.values.is_empty() {
        return passed("of the boot configuration and of all apps, as claimed");
    }
    let app = app_of_host(observed.server_name).and_then(|name| claims.app(&name));
    let app = app.ok_or_else(|| no_app(observed))?;
    let claimed = app.hash().map_err(|error| error.to_string())?;
    if said.app_configuration.is_some_and(|hash| hash != claimed) {
        return Err(format!("it has another configuration root of {} than the claims", app.name));
    }
    let other = said.values.iter().find(|(suffix, value)| !app.vouches_for(*suffix, value));
    if let Some((suffix, _)) = other {
        return Err(format!("its extension {suffix} is not what the claims say of {}", app.name));
    }
    let shown = |suffix| said.values.iter().any(|(number, _)| *number == suffix);
    if let Some((suffix, _)) = app.extensions.iter().find(|(suffix, _)| !shown(*suffix)) {
        return Err(format!("it lacks the extension {suffix} that the claims say of {}", app.name));
    }
    passed(format!(
        "of the boot configuration, of all apps, and of {} with what it shows, as claimed",
        app.name
    ))
}

fn no_app(observed: &Observed<'_>) -> String {
    format!("the claims list no app for the host name {:?}", observed.server_name)
}
