//! Listing, describing and removing apps.

use crate::access::Caller;
use crate::app::App;
use crate::body;
use crate::deploy::not_yours;
use crate::state::{Enclave, unknown_app};
use cloister_api::{AppList, AppName, Problem};
use http::{Response, StatusCode};
use std::sync::Arc;

/// The caller's apps.
///
/// # Errors
/// A [`Problem`] where the caller is no owner.
pub(crate) fn list(enclave: &Enclave, caller: Caller) -> Result<Response<body::Body>, Problem> {
    let owner = caller.owner(&enclave.configuration)?;
    let state = enclave.state();
    let apps = state.apps.values().filter(|app| app.owner == owner).map(|app| app.summary()).collect();
    Ok(body::json(StatusCode::OK, &AppList { apps }))
}

/// One app of the caller's.
///
/// # Errors
/// A [`Problem`] where the caller does not own it.
pub(crate) fn describe(
    enclave: &Enclave,
    caller: Caller,
    name: &AppName,
) -> Result<Response<body::Body>, Problem> {
    Ok(body::json(StatusCode::OK, &own_app(enclave, caller, name)?.description()))
}

/// What one app of the caller's wrote to standard output and error.
///
/// # Errors
/// A [`Problem`] where the caller does not own it.
pub(crate) fn logs(
    enclave: &Enclave,
    caller: Caller,
    name: &AppName,
) -> Result<Response<body::Body>, Problem> {
    Ok(body::whole(StatusCode::OK, "text/plain", own_app(enclave, caller, name)?.log.read()))
}

fn own_app(enclave: &Enclave, caller: Caller, name: &AppName) -> Result<Arc<App>, Problem> {
    let owner = caller.owner(&enclave.configuration)?;
    let app = enclave.app(name)?;
    if app.owner == owner { Ok(app) } else { Err(not_yours(name)) }
}

/// Removes one app of the caller's. Calls under way finish.
///
/// # Errors
/// A [`Problem`] where the caller does not own it, or no evidence can be made of the rest.
pub(crate) async fn remove(
    enclave: &Arc<Enclave>,
    caller: Caller,
    name: AppName,
) -> Result<Response<body::Body>, Problem> {
    let owner = caller.owner(&enclave.configuration)?;
    let _reservation = enclave.reserve(&name)?;
    enclave
        .change(move |apps| match apps.get(&name) {
            None => Err(unknown_app(&name, apps)),
            Some(app) if app.owner != owner => Err(not_yours(&name)),
            Some(_) => {
                apps.remove(&name);
                Ok(())
            }
        })
        .await?;
    Ok(body::empty(StatusCode::NO_CONTENT))
}
