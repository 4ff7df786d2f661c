//! Calls: arguments in, a metered result out.

use crate::app::{App, Ended, Outcome};
use crate::body;
use crate::state::{Enclave, SMALL_BODY};
use bytes::Bytes;
use cloister_api::{
    AppName, CallResponse, Code, EXPECTED_CODE_HEADER, MAX_CALL_BODY, Problem, WAVE_ARGUMENTS,
};
use cloister_runtime::{Arguments, Call, LogSink};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Body;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::SemaphorePermit;

/// Serves one call.
///
/// # Errors
/// A [`Problem`]: of the request, or of the guest.
pub(crate) async fn serve<B: Body<Data = Bytes> + Unpin>(
    enclave: &Enclave,
    name: &AppName,
    export: &str,
    request: Request<B>,
) -> Result<Response<body::Body>, Problem> {
    let app = enclave.app(name)?;
    let notation = Notation::of(request.headers())?;
    check_expected_code(request.headers(), &app)?;
    let _permit = enclave.calls.try_acquire().map_err(|_| {
        Problem::new(
            Code::Busy,
            format!(
                "{} calls are under way, the most that this enclave takes",
                enclave.configuration.max_concurrent_calls
            ),
        )
    })?;
    let patience = Duration::from_millis(enclave.configuration.body_timeout_ms);
    let small = request.body().size_hint().upper().is_some_and(|most| most <= SMALL_BODY);
    let _turn = if small { None } else { Some(turn(enclave, patience).await?) };
    let body = body::read(request.into_body(), MAX_CALL_BODY, patience).await?;
    let texts = notation.texts(&body)?;
    let arguments = match &texts {
        None => Arguments::Json(&body),
        Some(texts) => Arguments::Wave(texts),
    };
    let export = app.program.export_name(export).map_err(|near| unknown_export(name, export, near))?;
    let mut counting = Counting { app: &app, export, began: Instant::now(), ended: None };
    let used: Arc<AtomicBool> = Arc::default();
    let outcome = app
        .program
        .call(Call {
            export,
            arguments,
            limits: &app.record.limits,
            environment: Arc::clone(&app.environment),
            log: Arc::clone(&app.log) as Arc<dyn LogSink>,
            storage: Some(app.storage.for_call(&enclave.storage, &used)),
        })
        .await;
    let (ended, fuel, wall) = match &outcome {
        Ok(outcome) => (Outcome::Returned, outcome.fuel, outcome.wall),
        Err(failure) => (Outcome::Failed, failure.fuel, failure.wall),
    };
    counting.ended = Some(Ended { outcome: ended, fuel, wall });
    // Also where the guest failed: what it wrote before stays written.
    let epoch = match used.load(Ordering::Acquire) {
        true => Some(kept(enclave, ended).await?),
        false => None,
    };
    let outcome = outcome.map_err(|failure| failure.into_problem())?;
    let response = CallResponse {
        result: outcome.result,
        fuel: outcome.fuel,
        wall_us: u64::try_from(outcome.wall.as_micros()).unwrap_or(u64::MAX),
        code_hash: hex::encode(app.program.code_hash()),
        epoch,
    };
    Ok(body::json(StatusCode::OK, &response))
}

/// Waits until what the call wrote is on the disk, and says in which epoch.
async fn kept(enclave: &Enclave, ended: Outcome) -> Result<u64, Problem> {
    let committed = enclave.storage.commit().await;
    committed.map(|state| state.epoch).map_err(|error| {
        let ended = match ended {
            Outcome::Returned => "returned",
            Outcome::Failed => "ended without a result",
        };
        Problem::new(
            Code::StorageUnavailable,
            format!("the call {ended}, but {error}: it may be there or not after a restart, and is there until then"),
        )
    })
}

/// A turn among the calls with large bodies.
async fn turn(enclave: &Enclave, patience: Duration) -> Result<SemaphorePermit<'_>, Problem> {
    let busy = || Problem::new(Code::Busy, "other calls with large arguments are under way; try again");
    let turn = tokio::time::timeout(patience, enclave.large_bodies.acquire()).await;
    turn.map_err(|_| busy())?.map_err(|_| busy())
}

/// The app is held from here on, so what is checked is what answers.
fn check_expected_code(headers: &HeaderMap, app: &App) -> Result<(), Problem> {
    let Some(expected) = headers.get(EXPECTED_CODE_HEADER) else { return Ok(()) };
    let own = hex::encode(app.program.code_hash());
    if expected.as_bytes() == own.as_bytes() {
        return Ok(());
    }
    Err(Problem::new(
        Code::CodeChanged,
        format!("the app '{}' is now the code {own}; its arguments were not read", app.name),
    ))
}

/// Counts a call when it ends, also where its client went away.
struct Counting<'a> {
    app: &'a App,
    export: &'a str,
    began: Instant,
    ended: Option<Ended>,
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        let abandoned = || Ended { outcome: Outcome::Failed, fuel: 0, wall: self.began.elapsed() };
        self.app.counters.record(self.export, self.ended.unwrap_or_else(abandoned));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notation {
    Json,
    Wave,
}

impl Notation {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let given = headers.get(header::CONTENT_TYPE).map_or(Ok("application/json"), |value| value.to_str());
        let media_type = given.unwrap_or("").split(';').next().unwrap_or("").trim();
        match media_type {
            "application/json" => Ok(Self::Json),
            WAVE_ARGUMENTS => Ok(Self::Wave),
            other => Err(Problem::new(
                Code::UnsupportedMediaType,
                format!(
                    "arguments come as application/json or {WAVE_ARGUMENTS}, and this request says '{other}'"
                ),
            )),
        }
    }

    /// The texts of WAVE arguments; `None` for JSON.
    fn texts(self, body: &[u8]) -> Result<Option<Vec<String>>, Problem> {
        match self {
            Self::Json => Ok(None),
            Self::Wave if body.is_empty() => Ok(Some(Vec::new())),
            Self::Wave => serde_json::from_slice(body).map(Some).map_err(|error| {
                Problem::new(
                    Code::MalformedArguments,
                    format!("WAVE arguments are a JSON array of strings, one for each parameter: {error}"),
                )
            }),
        }
    }
}

fn unknown_export(app: &AppName, export: &str, near: Vec<String>) -> Problem {
    let shortened: String = export.chars().take(200).collect();
    Problem::new(
        Code::UnknownExport,
        format!("the app '{app}' has no export '{shortened}', or the name means several"),
    )
    .with_suggestions(near)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn notation(media_type: &str) -> Result<Notation, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(media_type).unwrap());
        Notation::of(&headers).map_err(|problem| problem.code)
    }

    #[test]
    fn the_media_type_decides_the_notation() {
        assert_eq!(Notation::of(&HeaderMap::new()).unwrap(), Notation::Json);
        assert_eq!(notation("application/json; charset=utf-8"), Ok(Notation::Json));
        assert_eq!(notation(WAVE_ARGUMENTS), Ok(Notation::Wave));
        assert_eq!(notation("text/plain"), Err(Code::UnsupportedMediaType));
    }

    #[test]
    fn wave_arguments_are_strings() {
        assert_eq!(Notation::Wave.texts(b"[\"1\"]"), Ok(Some(vec!["1".to_owned()])));
        assert_eq!(Notation::Json.texts(b"1"), Ok(None));
        assert_eq!(Notation::Wave.texts(b"[1]").unwrap_err().code, Code::MalformedArguments);
    }
}
