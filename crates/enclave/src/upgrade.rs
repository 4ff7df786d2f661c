//! Another image takes this one's place: the volume's key goes from the one to the other. `docs/design/upgrade.md`.

mod exchange;
mod messages;
mod rule;

use crate::access::Requester;
use crate::body::{self, Body};
use crate::state::Enclave;
use crate::storage::{Storage, StorageError};
use cloister_api::{Code, HandOver, HandOverOffer, HandOverRequest, MAX_HAND_OVER, Problem};
use exchange::{Cpu, ExchangeError, Offered, Requested, ThisCpu};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use messages::{Given, Offer};
use serde::de::DeserializeOwned;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The exchange under way, if any. Beginning another ends it.
#[derive(Default)]
pub(crate) struct Upgrade {
    /// Of the image that has the volume, and since when.
    offered: Mutex<Option<(Offered, Instant)>>,
    /// Of the image that takes it over.
    requested: Mutex<Option<Requested>>,
}

impl std::fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upgrade").finish_non_exhaustive()
    }
}

/// The first message: this image offers its volume. For the operator.
///
/// # Errors
/// A [`Problem`] where the caller is not the operator, or this build has no CPU to ask.
pub(crate) fn begin(enclave: &Enclave, asks: Requester) -> Result<Response<Body>, Problem> {
    asks.operator(&enclave.configuration)?;
    let offered = Offered::new(&ThisCpu)?;
    let message = HandOverOffer::from(offered.message());
    *lock(&enclave.upgrade.offered) = Some((offered, Instant::now()));
    Ok(body::json(StatusCode::OK, &message))
}

/// The third message: the volume's key, for the image that sent the second. For the operator.
///
/// # Errors
/// A [`Problem`]: [`Code::UpgradeRefused`] where that image may not have it.
pub(crate) async fn hand_over(
    enclave: &Arc<Enclave>,
    asks: Requester,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    asks.operator(&enclave.configuration)?;
    let request = read::<HandOverRequest>(enclave, request).await?.try_into()?;
    let offered = lock(&enclave.upgrade.offered).take();
    let offered = offered.filter(|(_, since)| since.elapsed() < PATIENCE).map(|(offered, _)| offered);
    let offered = offered.ok_or_else(|| refused("no exchange is under way; begin again"))?;
    let own = Arc::clone(enclave);
    let handing = tokio::task::spawn_blocking(move || {
        let storage = &own.storage;
        let key = || storage.volume_key().map_err(StorageError::into_problem);
        offered.hand_over::<Problem>(&ThisCpu, &request, &storage.founding().image_upgrade, key)
    });
    let (given, to) = handing.await.map_err(|_| internal())??;
    cloister_boundary::log(&format!(
        "the volume's key was handed to the image with MRENCLAVE {}",
        hex::encode(to.mrenclave)
    ));
    Ok(body::json(StatusCode::OK, &HandOver::from(&given)))
}

/// The second message: this image asks for the volume that another one offers.
///
/// # Errors
/// A [`Problem`] where the message is none.
pub(crate) async fn request(
    enclave: &Enclave,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    let offer = Offer::try_from(read::<HandOverOffer>(enclave, request).await?)?;
    let (requested, message) = Requested::new(&ThisCpu, offer)?;
    *lock(&enclave.upgrade.requested) = Some(requested);
    Ok(body::json(StatusCode::OK, &HandOverRequest::from(&message)))
}

/// The end: this image seals the volume's key for its own first mount of the volume.
///
/// # Errors
/// A [`Problem`] where the message is not of this exchange.
pub(crate) async fn receive(
    enclave: &Enclave,
    request: Request<Incoming>,
) -> Result<Response<Body>, Problem> {
    let given = Given::try_from(read::<HandOver>(enclave, request).await?)?;
    let requested = lock(&enclave.upgrade.requested).take();
    let requested = requested.ok_or_else(|| refused("no exchange is under way; begin again"))?;
    let (key, from) = requested.receive(&ThisCpu, &given)?;
    let adoption = Storage::adoption(&key, from).map_err(StorageError::into_problem)?;
    let own = ThisCpu.identity().map_err(ExchangeError::from)?;
    Ok(body::json(StatusCode::OK, &messages::adoption(&adoption, own.mrenclave)))
}

async fn read<T: DeserializeOwned>(enclave: &Enclave, request: Request<Incoming>) -> Result<T, Problem> {
    let patience = Duration::from_millis(enclave.configuration.body_timeout_ms);
    let body = body::read(request.into_body(), MAX_HAND_OVER, patience).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Problem::new(Code::BadRequest, format!("not a message of an image upgrade: {error}"))
    })
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(why: &str) -> Problem {
    Problem::new(Code::UpgradeRefused, why)
}

fn internal() -> Problem {
    Problem::new(Code::Internal, "handing the volume over failed inside the enclave")
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        let code = match error {
            ExchangeError::NotAnEnclave(_) | ExchangeError::Randomness(_) => Code::Internal,
            _ => Code::UpgradeRefused,
        };
        Problem::new(code, error.to_string())
    }
}

/// How long an offer stands.
const PATIENCE: Duration = Duration::from_secs(600);
