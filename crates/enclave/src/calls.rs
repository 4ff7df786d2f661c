//! Calls: arguments in, a metered result out.

use crate::access::Caller;
use crate::admission::{Entry, admit};
use crate::app::App;
use crate::body::{self, Holding};
use crate::invocation::{Invocation, place};
use crate::state::{ANSWER_UNIT, ANSWER_UNITS, Enclave, SMALL_BODY};
use bytes::Bytes;
use cloister_api::{
    AppName, CallResponse, Code, EXPECTED_CODE_HEADER, MAX_CALL_BODY, Problem, WAVE_ARGUMENTS,
};
use cloister_runtime::{Arguments, Call, Usage};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Body;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, SemaphorePermit};

/// Serves one call of `caller`.
///
/// # Errors
/// A [`Problem`]: of the request, or of the guest.
pub(crate) async fn serve<B: Body<Data = Bytes> + Unpin>(
    enclave: &Arc<Enclave>,
    caller: &Caller,
    name: &AppName,
    export: &str,
    request: Request<B>,
) -> Result<Response<body::Body>, Problem> {
    let app = enclave.app(name)?;
    let notation = Notation::of(request.headers())?;
    check_expected_code(request.headers(), &app)?;
    let export = match app.program.export_name(export) {
        Ok(full) => full,
        Err(near) => {
            // Whoever may call nothing learns no names.
            admit(enclave, &app, Entry::Export(export), caller).await?;
            return Err(unknown_export(name, export, near));
        }
    };
    let caller = admit(enclave, &app, Entry::Export(export), caller).await?;
    let place = place(enclave)?;
    let patience = Duration::from_millis(enclave.configuration.body_timeout_ms);
    let small = request.body().size_hint().upper().is_some_and(|most| most <= SMALL_BODY);
    let _turn = if small { None } else { Some(turn(enclave, patience).await?) };
    let body = body::read(request.into_body(), MAX_CALL_BODY, patience).await?;
    let texts = notation.texts(&body)?;
    let arguments = match &texts {
        None => Arguments::Json(&body),
        Some(texts) => Arguments::Wave(texts),
    };
    let mut invocation = Invocation::new(enclave, Arc::clone(&app), export, caller, &place);
    let outcome = app.program.call(Call { export, arguments, context: invocation.context() }).await;
    let usage = outcome.as_ref().map(|outcome| Usage { fuel: outcome.fuel, wall: outcome.wall });
    let ended = invocation.ended(usage);
    let epoch = invocation.keep(ended).await?;
    let outcome = outcome.map_err(|failure| failure.into_problem())?;
    let response = CallResponse {
        result: outcome.result,
        fuel: outcome.fuel,
        wall_us: u64::try_from(outcome.wall.as_micros()).unwrap_or(u64::MAX),
        code_hash: hex::encode(app.program.code_hash()),
        epoch,
    };
    let answer = body::json(StatusCode::OK, &response);
    drop(response);
    // Held until the client has taken the answer: many clients that do not read must not fill the memory.
    let room = room(enclave, answer.body().size_hint().lower(), patience).await?;
    Ok(answer.map(|body| body::Body::Made(Box::pin(Holding::new(body, (place, room))))))
}

/// Room for an answer that is not small.
async fn room(
    enclave: &Enclave,
    bytes: u64,
    patience: Duration,
) -> Result<Option<OwnedSemaphorePermit>, Problem> {
    if bytes <= SMALL_BODY {
        return Ok(None);
    }
    let busy = || Problem::new(Code::Busy, "other large answers wait to be read by their clients; try again");
    let units = u32::try_from(bytes.div_ceil(ANSWER_UNIT)).unwrap_or(u32::MAX).min(ANSWER_UNITS as u32);
    let room = Arc::clone(&enclave.answers).acquire_many_owned(units);
    tokio::time::timeout(patience, room).await.map_err(|_| busy())?.map(Some).map_err(|_| busy())
}

/// A turn among the calls with large bodies.
async fn turn(enclave: &Enclave, patience: Duration) -> Result<SemaphorePermit<'_>, Problem> {
    let busy = || Problem::new(Code::Busy, "other calls with large arguments are under way; try again");
    let turn = tokio::time::timeout(patience, enclave.large_bodies.acquire()).await;
    turn.map_err(|_| busy())?.map_err(|_| busy())
}

/// The app is held from here on, so what is checked is what answers.
///
/// # Errors
/// [`Code::CodeChanged`].
pub(crate) fn check_expected_code(headers: &HeaderMap, app: &App) -> Result<(), Problem> {
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
