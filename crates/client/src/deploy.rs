use crate::bundle::{Piece, Pieces, Upload};
use crate::lines::Lines;
use crate::transport::{BodyError, Transport};
use crate::{ClientError, ascii};
use bytes::Bytes;
use cloister_api::{
    API_PATH, AppDescription, AppName, BUNDLE, DeployEvent, DeploySettings, ENDORSEMENTS_HEADER, Endorsement,
    MAX_ENDORSEMENTS_TEXT, MAX_SETTINGS, NDJSON, SETTINGS_HEADER, WASM,
};
use cloister_channel_body::{Channel, Sender};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use std::pin::pin;
use std::sync::Mutex;
use tokio::time::timeout;

/// How far a deploy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeployProgress {
    /// So many bytes of the upload were handed to the connection.
    Uploaded { sent: u64, total: u64 },
    /// The enclave says what it does.
    Enclave(DeployEvent),
}

/// What is sent of an app beside its name.
pub(crate) struct Parts<'a> {
    pub(crate) upload: Upload,
    pub(crate) settings: &'a DeploySettings,
    pub(crate) endorsements: &'a [Endorsement],
}

/// Uploads a component with what comes with it, and follows the enclave's events to the last one.
pub(crate) async fn upload(
    transport: &Transport,
    method: Method,
    app: &AppName,
    parts: Parts<'_>,
    progress: impl FnMut(DeployProgress) + Send,
) -> Result<AppDescription, ClientError> {
    let Parts { upload, settings, endorsements } = parts;
    let (code_hash, total) = (upload.code_hash(), upload.length());
    let (sender, body) = Channel::<Bytes, BodyError>::new(1);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{API_PATH}/apps/{app}"))
        .header(CONTENT_TYPE, if upload.is_bundle() { BUNDLE } else { WASM })
        .header(CONTENT_LENGTH, total)
        .header(ACCEPT, NDJSON)
        .header(SETTINGS_HEADER, settings_header(settings)?);
    if !endorsements.is_empty() {
        let endorsements = ascii::json(&endorsements, "endorsements", MAX_ENDORSEMENTS_TEXT)?;
        request = request.header(ENDORSEMENTS_HEADER, endorsements);
    }
    let request = request
        .body(body.boxed_unsync())
        .map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;

    // The enclave may answer while the body is still on its way, so both go on side by side. Whatever it answers
    // ends the upload with it.
    let progress = Mutex::new(progress);
    let report = |step| {
        if let Ok(mut progress) = progress.lock() {
            progress(step);
        }
    };
    let mut sending = pin!(send_body(transport, sender, upload.pieces(), total, &report));
    let mut head = pin!(transport.send_patiently(request));
    let mut sent = None;
    let response = loop {
        let late = async {
            match sent {
                None => std::future::pending().await,
                Some(_) => tokio::time::sleep(transport.idle()).await,
            }
        };
        tokio::select! {
            biased;
            response = &mut head => break response?,
            // Only what this side could not read ends the upload before the enclave does.
            done = &mut sending, if sent.is_none() => sent = Some(done?),
            () = late => {
                let doing = "waiting for the enclave's answer";
                return Err(ClientError::TimedOut { doing, after: transport.idle() });
            }
        }
    };
    let mut following = pin!(follow(transport, response, app, &report));
    let deployed = loop {
        tokio::select! {
            biased;
            deployed = &mut following => break deployed?,
            done = &mut sending, if sent.is_none() => sent = Some(done?),
        }
    };
    if deployed.summary.code_hash != code_hash {
        let answered = deployed.summary.code_hash;
        return Err(ClientError::CodeHash { app: app.to_string(), expected: code_hash, answered });
    }
    let answered = deployed.assets.as_ref().map(|assets| assets.hash.as_str());
    match sent {
        Some(Sent::Whole { assets }) if assets.map(hex::encode).as_deref() != answered => {
            let text = |hash: Option<String>| hash.unwrap_or_else(|| "none".to_owned());
            Err(ClientError::Assets {
                expected: text(assets.map(hex::encode)),
                answered: text(answered.map(str::to_owned)),
            })
        }
        _ => Ok(deployed),
    }
}

/// How much of a body was sent.
#[derive(Clone, Copy, Debug)]
enum Sent {
    /// All of it, with assets of this hash.
    Whole { assets: Option<[u8; 32]> },
    /// The connection took no more: the answer says why.
    Part,
}

/// # Errors
/// [`ClientError::Tree`] where a file cannot be read, [`ClientError::TimedOut`] where the peer takes nothing.
async fn send_body(
    transport: &Transport,
    mut sender: Sender<Bytes, BodyError>,
    mut pieces: Pieces,
    total: u64,
    report: &(impl Fn(DeployProgress) + Sync),
) -> Result<Sent, ClientError> {
    let mut sent = 0;
    loop {
        match pieces.next().await? {
            Piece::Body(piece) => {
                let length = piece.len() as u64;
                let (doing, after) = ("the upload", transport.idle());
                match timeout(after, sender.send_data(piece)).await {
                    Err(_) => return Err(ClientError::TimedOut { doing, after }),
                    Ok(Err(_)) => return Ok(Sent::Part),
                    Ok(Ok(())) => sent += length,
                }
                report(DeployProgress::Uploaded { sent, total });
            }
            Piece::End { assets } => return Ok(Sent::Whole { assets }),
        }
    }
}

async fn follow(
    transport: &Transport,
    response: Response<Incoming>,
    app: &AppName,
    report: &(impl Fn(DeployProgress) + Sync),
) -> Result<AppDescription, ClientError> {
    if !response.status().is_success() {
        return Err(transport.problem(response).await);
    }
    let mut body = response.into_body();
    let mut lines = Lines::default();
    while let Some(piece) = transport.next(&mut body).await? {
        for line in lines.push(&piece)? {
            let event: DeployEvent = serde_json::from_slice(&line)
                .map_err(|error| ClientError::UnexpectedResponse(format!("a line of progress: {error}")))?;
            report(DeployProgress::Enclave(event.clone()));
            match event {
                DeployEvent::Deployed { app } => return Ok(*app),
                DeployEvent::Failed { problem } => return Err(ClientError::Problem(Box::new(problem))),
                DeployEvent::Received { .. } | DeployEvent::Queued | DeployEvent::Compiling { .. } => {}
            }
        }
    }
    Err(ClientError::ConnectionLost(format!("the enclave did not say whether {app} was deployed")))
}

fn settings_header(settings: &DeploySettings) -> Result<String, ClientError> {
    ascii::json(settings, "settings", MAX_SETTINGS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_api::EnvironmentVariable;

    #[test]
    fn settings_are_ascii_and_mean_the_same() {
        let variable = EnvironmentVariable { name: "GREETING".into(), value: "Grüße 🐚\n".into() };
        let settings = DeploySettings { environment: vec![variable], ..Default::default() };
        let header = settings_header(&settings).unwrap();
        assert!(header.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{header}");
        assert_eq!(serde_json::from_str::<DeploySettings>(&header).unwrap(), settings);
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_here() {
        let variable = EnvironmentVariable { name: "X".into(), value: "x".repeat(MAX_SETTINGS) };
        let settings = DeploySettings { environment: vec![variable], ..Default::default() };
        assert!(matches!(settings_header(&settings), Err(ClientError::RequestTooLarge { .. })));
    }
}
