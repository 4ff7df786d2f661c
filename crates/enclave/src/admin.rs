//! Listing, describing and removing apps.

use crate::access::{Owners, Requester};
use crate::app::{App, summary};
use crate::body;
use crate::deploy::not_yours;
use crate::state::{Apps, Enclave, Holder, unknown_app};
use crate::storage::Record;
use cloister_api::{AppList, AppName, Code, Problem, Removal};
use http::{Response, StatusCode};
use std::sync::Arc;

/// The requester's apps; all for the operator.
///
/// # Errors
/// A [`Problem`] where the requester is neither an owner nor the operator.
pub(crate) fn list(enclave: &Enclave, requester: Requester) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner_or_operator(&enclave.configuration)?;
    let lists_all = requester.is_operator(&enclave.configuration);
    let is_listed = |record: &&Record| lists_all || owners.is_some_and(|own| own.include(&record.owner));
    let state = enclave.state();
    let running = state.apps.running.iter().map(|(name, app)| (name, Some(&app.record)));
    let affected = state.apps.affected.iter().map(|(name, affected)| (name, affected.record.as_ref()));
    let own = running
        .chain(affected)
        .filter_map(|(name, record)| record.filter(is_listed).map(|record| summary(name, record)));
    let mut apps: Vec<_> = own.collect();
    apps.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(body::json(StatusCode::OK, &AppList { apps }))
}

/// One app of the requester's.
///
/// # Errors
/// A [`Problem`] where the requester does not own it.
pub(crate) async fn describe(
    enclave: &Enclave,
    requester: Requester,
    name: &AppName,
) -> Result<Response<body::Body>, Problem> {
    let app = own_app(enclave, requester, name)?;
    let described = tokio::task::spawn_blocking(move || app.description()).await;
    let description = described
        .map_err(|_| Problem::new(Code::Internal, "describing the app failed inside the enclave"))?
        .map_err(|error| error.into_problem())?;
    Ok(body::json(StatusCode::OK, &description))
}

/// What one app of the requester's wrote to standard output and error; with `follow=true` also what it writes from now on.
///
/// # Errors
/// A [`Problem`] where the requester does not own it, or `follow` is neither true nor false.
pub(crate) fn logs(
    enclave: &Enclave,
    requester: Requester,
    name: &AppName,
    query: Option<&str>,
) -> Result<Response<body::Body>, Problem> {
    let app = own_app(enclave, requester, name)?;
    let mut said = query.unwrap_or_default().split('&').filter_map(|part| part.strip_prefix("follow="));
    let follows = match (said.next(), said.next()) {
        (None | Some("false"), None) => false,
        (Some("true"), None) => true,
        _ => return Err(Problem::new(Code::BadRequest, "'follow' is true or false, once")),
    };
    if !follows {
        return Ok(body::whole(StatusCode::OK, "text/plain", app.log.read()));
    }
    let mut response = body::whole(StatusCode::OK, "text/plain", "");
    *response.body_mut() = body::Body::unfold(app.log.follow(), |mut follower| async move {
        follower.next().await.map(|piece| (piece, follower))
    });
    Ok(response)
}

/// Which requests one app of the requester's sent.
///
/// # Errors
/// A [`Problem`] where the requester does not own it.
pub(crate) fn egress(
    enclave: &Enclave,
    requester: Requester,
    name: &AppName,
) -> Result<Response<body::Body>, Problem> {
    Ok(body::json(StatusCode::OK, &own_app(enclave, requester, name)?.egress.read()))
}

fn own_app(enclave: &Enclave, requester: Requester, name: &AppName) -> Result<Arc<App>, Problem> {
    let owners = requester.owner(&enclave.configuration)?;
    let app = enclave.app(name)?;
    if owners.include(&app.record.owner) { Ok(app) } else { Err(not_yours(name)) }
}

/// Removes one app of the requester's with its data and its keys, and says what they were. Calls under way finish without
/// them.
///
/// # Errors
/// A [`Problem`] where the requester does not own it, no evidence can be made of the rest, or the disk does not take it.
pub(crate) async fn remove(
    enclave: &Arc<Enclave>,
    requester: Requester,
    name: AppName,
) -> Result<Response<body::Body>, Problem> {
    let owners = requester.owner(&enclave.configuration)?;
    let reservation = enclave.reserve(&name)?;
    let enclave = Arc::clone(enclave);
    // A task of its own: a client that goes away leaves nothing half done.
    let removing = tokio::spawn(async move {
        let _reservation = reservation;
        retire(&enclave, owners, name.clone()).await?;
        purge(&enclave, name).await
    });
    let removal = removing
        .await
        .unwrap_or_else(|_| Err(Problem::new(Code::Internal, "the removal failed inside the enclave")))?;
    Ok(body::json(StatusCode::OK, &removal))
}

/// Takes the app out of the evidence and frees its name.
async fn retire(enclave: &Arc<Enclave>, owners: Owners, name: AppName) -> Result<(), Problem> {
    let change = move |enclave: &Enclave, mut apps: Apps| {
        match apps.holder(&name) {
            Holder::Nobody => return Err(unknown_app(&name, &apps.running)),
            Holder::Owner(owner) if !owners.include(&owner) => return Err(not_yours(&name)),
            // An app that nobody can read any more, and that nobody's key opens.
            Holder::Unknown | Holder::Owner(_) => {}
        }
        apps.running.remove(&name);
        apps.affected.remove(&name);
        let next = enclave.evidence(apps)?;
        enclave.storage.retire(&name).map_err(|error| error.into_problem())?;
        Ok((next, ()))
    };
    enclave.change(change).await
}

/// Removes what belonged to an app that was retired.
async fn purge(enclave: &Arc<Enclave>, name: AppName) -> Result<Removal, Problem> {
    let unchanged = enclave.unchanged().await;
    let (storage, purged) = (enclave.storage.clone(), name.clone());
    let purge = tokio::task::spawn_blocking(move || {
        let _unchanged = unchanged;
        storage.purge(&purged)
    });
    let unfinished = |why: String| {
        let detail = format!(
            "the app '{name}' is removed, and its data is not yet: {why}. It is removed when the enclave starts next"
        );
        Problem::new(Code::StorageUnavailable, detail)
    };
    let usage = purge
        .await
        .map_err(|_| unfinished("that failed inside the enclave".to_owned()))?
        .map_err(|error| unfinished(error.to_string()))?;
    Ok(Removal { name, files: usage.files, bytes: usage.bytes, keys: usage.keys })
}
