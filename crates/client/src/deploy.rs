use crate::ClientError;
use crate::lines::Lines;
use crate::transport::Transport;
use bytes::Bytes;
use cloister_api::{
    AppDescription, AppName, DeployEvent, DeploySettings, MAX_SETTINGS, NDJSON, SETTINGS_HEADER, WASM,
};
use cloister_attestation::sha256;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::Mutex;

/// How far a deploy is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeployProgress {
    /// So many bytes of the component were handed to the connection.
    Uploaded { sent: u64, total: u64 },
    /// The enclave says what it does.
    Enclave(DeployEvent),
}

/// Uploads a component and follows the enclave's events to the last one.
pub(crate) async fn upload(
    transport: &Transport,
    method: Method,
    app: &AppName,
    wasm: Bytes,
    settings: &DeploySettings,
    progress: impl FnMut(DeployProgress) + Send,
) -> Result<AppDescription, ClientError> {
    let code_hash = hex::encode(sha256(&wasm));
    let (sender, body) = Channel::<Bytes, Infallible>::new(1);
    let request = Request::builder()
        .method(method)
        .uri(format!("/v1/apps/{app}"))
        .header(CONTENT_TYPE, WASM)
        .header(CONTENT_LENGTH, wasm.len())
        .header(ACCEPT, NDJSON)
        .header(SETTINGS_HEADER, settings_header(settings)?)
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
    let mut sending = pin!(send_body(sender, wasm, &report));
    let mut answer = pin!(async { follow(transport, transport.send(request).await?, app, &report).await });
    let mut sent = false;
    let deployed = loop {
        tokio::select! {
            biased;
            answer = &mut answer => break answer?,
            () = &mut sending, if !sent => sent = true,
        }
    };
    if deployed.summary.code_hash != code_hash {
        let answered = deployed.summary.code_hash;
        return Err(ClientError::CodeHash { app: app.to_string(), expected: code_hash, answered });
    }
    Ok(deployed)
}

/// Stops early where the connection takes no more: the answer says why.
async fn send_body(mut sender: Sender<Bytes>, wasm: Bytes, report: &(impl Fn(DeployProgress) + Sync)) {
    let total = wasm.len() as u64;
    let mut rest = wasm;
    while !rest.is_empty() {
        let piece = rest.split_to(rest.len().min(PIECE));
        if sender.send_data(piece).await.is_err() {
            return;
        }
        report(DeployProgress::Uploaded { sent: total - rest.len() as u64, total });
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

/// Settings as JSON in ASCII: characters beyond it as `\u` escapes (RFC 8259, section 7).
fn settings_header(settings: &DeploySettings) -> Result<String, ClientError> {
    let json = serde_json::to_string(settings)
        .map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if matches!(character, ' '..='~') {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                ascii.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    if ascii.len() > MAX_SETTINGS {
        let (length, limit) = (ascii.len(), MAX_SETTINGS);
        return Err(ClientError::RequestTooLarge { what: "settings", length, limit });
    }
    Ok(ascii)
}

/// Bytes that are handed to the connection at once.
const PIECE: usize = 64 << 10;

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
