use crate::transport::{Body, Transport, full};
use crate::volume::{self, Backup, VolumeCheck};
use crate::{Claims, ClientError, Run, Stdin, Upload, VerificationReport, Volume, deploy};
use bytes::Bytes;
use cloister_api::{
    API_PATH, AppDescription, AppList, AppName, CallResponse, CheckEvent, DeploySettings,
    EXPECTED_CODE_HEADER, EgressLog, Endorsement, MAX_CALL_BODY, Removal, RunRequest, VolumeStatistics,
    WAVE_ARGUMENTS,
};
use cloister_attestation::Evidence;
use cloister_attestation::verify::{AppExpectation, Verified, extension_values};
use deploy::{DeployProgress, Parts};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request};
use hyper::body::Incoming;
use rustls::pki_types::CertificateDer;
use serde::Serialize;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

/// A session with an enclave whose evidence was verified for it.
///
/// Requests may be made at once from several tasks; over HTTP/1.1 they wait for each other. When the connection is
/// lost every request fails, and a new session has to be opened and verified.
#[derive(Debug)]
pub struct Session {
    pub(crate) transport: Transport,
    verified: Verified,
    certificate: CertificateDer<'static>,
    evidence: Evidence,
    expected: BTreeMap<AppName, [u8; 32]>,
    latest_epoch: Mutex<Option<u64>>,
}

impl Session {
    pub(crate) fn new(
        transport: Transport,
        verified: Verified,
        certificate: CertificateDer<'static>,
        evidence: Evidence,
        apps: &BTreeMap<AppName, AppExpectation>,
    ) -> Self {
        let latest_epoch = Mutex::new(verified.volume().map(|volume| volume.epoch));
        // Of several codes that are accepted, the one that was verified has to go on answering.
        let expected = |(name, app): (&AppName, &AppExpectation)| {
            let claimed = verified.claims().app(name).filter(|_| app.code.is_asked())?;
            Some((name.clone(), claimed.code_hash))
        };
        let expected = apps.iter().filter_map(expected).collect();
        Self { transport, verified, certificate, evidence, expected, latest_epoch }
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Every check that was made of the evidence.
    pub fn report(&self) -> &VerificationReport {
        self.verified.report()
    }

    /// What was verified when the session began.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// What the enclave said of itself when the session began.
    pub fn claims(&self) -> &Claims {
        self.verified.claims()
    }

    /// MRENCLAVE of the image.
    pub fn mrenclave(&self) -> &[u8; 32] {
        self.verified.mrenclave()
    }

    /// The certificate that the enclave showed, in DER. Its key was verified to be the enclave's.
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// The claims and the quote over them that were verified: what others can appraise too. It does not have the binding to
    /// this session, which means nothing to anybody else.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// What an app shows under the number that ends the object identifier, where the certificate of this session has it: the
    /// endpoint's server name has to be a host name of the app. `None` also where the value is not the one in the claims,
    /// so that the quote covers every value that this gives.
    pub fn extension(&self, app: &AppName, suffix: u32) -> Option<Vec<u8>> {
        let claims = self.claims().app(app)?;
        let values = extension_values(&self.certificate).ok()?;
        values.into_iter().find_map(|(number, value)| {
            (number == suffix && claims.vouches_for(suffix, &value)).then_some(value)
        })
    }

    /// The volume's state when the session began; `None` where the enclave keeps nothing.
    pub fn volume(&self) -> Option<Volume> {
        self.verified.volume()
    }

    /// The highest epoch of the volume that this session saw: in its evidence, or with the results of its calls. What
    /// was durable then is gone where a later session's epoch is lower, so it is the one to pin as the minimum.
    pub fn latest_epoch(&self) -> Option<u64> {
        *self.latest_epoch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whether the enclave serves.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn health(&self) -> Result<(), ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/health"), None, Bytes::new())?;
        self.transport.success(self.transport.send(request).await?, MAX_SMALL).await.map(drop)
    }

    /// The apps of this client's key or token; the operator's list has all. For owners and the operator.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn apps(&self) -> Result<AppList, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/apps"), None, Bytes::new())?;
        self.transport.json(self.transport.send(request).await?).await
    }

    /// What an app is, and what it did. For owners.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn describe(&self, app: &AppName) -> Result<AppDescription, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/apps/{app}"), None, Bytes::new())?;
        self.transport.json(self.transport.send(request).await?).await
    }

    /// Uploads a component, or one with files and assets, under a name that is free, and waits until it answers calls.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::CodeHash`] and [`ClientError::Assets`] where the enclave says that it got other
    /// bytes.
    pub async fn deploy(
        &self,
        app: &AppName,
        upload: impl Into<Upload>,
        settings: &DeploySettings,
        progress: impl FnMut(DeployProgress) + Send,
    ) -> Result<AppDescription, ClientError> {
        let parts = Parts { upload: upload.into(), settings, endorsements: &[] };
        deploy::upload(&self.transport, Method::POST, app, parts, progress).await
    }

    /// Uploads a component in the place of an app's present one. Calls under way finish on the old code.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub async fn replace(
        &self,
        app: &AppName,
        upload: impl Into<Upload>,
        settings: &DeploySettings,
        progress: impl FnMut(DeployProgress) + Send,
    ) -> Result<AppDescription, ClientError> {
        self.replace_endorsed(app, upload, settings, &[], progress).await
    }

    /// As [`replace`](Self::replace), with signatures of keys that the app names as its endorsers.
    ///
    /// # Errors
    /// As [`deploy`](Self::deploy).
    pub async fn replace_endorsed(
        &self,
        app: &AppName,
        upload: impl Into<Upload>,
        settings: &DeploySettings,
        endorsements: &[Endorsement],
        progress: impl FnMut(DeployProgress) + Send,
    ) -> Result<AppDescription, ClientError> {
        let parts = Parts { upload: upload.into(), settings, endorsements };
        deploy::upload(&self.transport, Method::PUT, app, parts, progress).await
    }

    /// Removes an app with its files and keys, and says what went. For its owner.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn remove(&self, app: &AppName) -> Result<Removal, ClientError> {
        let request = request(Method::DELETE, format!("{API_PATH}/apps/{app}"), None, Bytes::new())?;
        self.transport.json(self.transport.send(request).await?).await
    }

    /// The volume in numbers. For owners.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn volume_statistics(&self) -> Result<VolumeStatistics, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/volume"), None, Bytes::new())?;
        self.transport.json(self.transport.send(request).await?).await
    }

    /// Has the enclave read and verify every block of the volume's last commit. For owners.
    ///
    /// # Errors
    /// [`ClientError`] where the check could not be finished. Damage that it found is in the result.
    pub async fn check_volume(
        &self,
        progress: impl FnMut(CheckEvent) + Send,
    ) -> Result<VolumeCheck, ClientError> {
        let request = request(Method::POST, format!("{API_PATH}/volume/check"), None, Bytes::new())?;
        volume::check(&self.transport, self.transport.send(request).await?, progress).await
    }

    /// Begins a sealed copy of the volume as it is at the last commit. For owners.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn backup(&self) -> Result<Backup<'_>, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/volume/backup"), None, Bytes::new())?;
        Backup::begin(&self.transport, self.transport.send(request).await?).await
    }

    /// Calls an export with JSON: an object by parameter name, or an array by position.
    ///
    /// # Errors
    /// [`ClientError`]; [`ClientError::CodeHash`] where the policy expects a code of this app and another answered.
    pub async fn call_json(
        &self,
        app: &AppName,
        export: &str,
        arguments: &serde_json::Value,
    ) -> Result<CallResponse, ClientError> {
        self.call(app, export, "application/json", arguments).await
    }

    /// Calls an export with WAVE, one text for each parameter. The result is WAVE in a JSON string.
    ///
    /// # Errors
    /// As [`call_json`](Self::call_json).
    pub async fn call_wave(
        &self,
        app: &AppName,
        export: &str,
        arguments: &[String],
    ) -> Result<CallResponse, ClientError> {
        self.call(app, export, WAVE_ARGUMENTS, arguments).await
    }

    /// The last of what an app's calls wrote to standard output and error; bytes that are no UTF-8 are replaced. For
    /// its owner.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn logs(&self, app: &AppName) -> Result<String, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/apps/{app}/logs"), None, Bytes::new())?;
        let body = self.transport.success(self.transport.send(request).await?, MAX_METRICS).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// What an app's calls wrote so far, and what they write from now on. For its owner.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn follow_logs(&self, app: &AppName) -> Result<LogStream<'_>, ClientError> {
        let target = format!("{API_PATH}/apps/{app}/logs?follow=true");
        let response = self.transport.send(request(Method::GET, target, None, Bytes::new())?).await?;
        if !response.status().is_success() {
            return Err(self.transport.problem(response).await);
        }
        Ok(LogStream { body: response.into_body(), _session: PhantomData })
    }

    /// The last requests that an app sent over wasi:http and `privasys:enclave-os/https`. For its owner.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn egress(&self, app: &AppName) -> Result<EgressLog, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/apps/{app}/egress"), None, Bytes::new())?;
        self.transport.json(self.transport.send(request).await?).await
    }

    /// Runs an app that is a command.
    ///
    /// # Errors
    /// [`ClientError`]; also [`Run::next`] can say that it failed.
    pub async fn run(
        &self,
        app: &AppName,
        request: &RunRequest,
        stdin: Stdin,
    ) -> Result<Run<'_>, ClientError> {
        let expected = self.expected.get(app).map(hex::encode);
        Run::begin(&self.transport, app, request, stdin, expected, &self.latest_epoch).await
    }

    /// Counters as Prometheus text. For owners.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn metrics(&self) -> Result<String, ClientError> {
        let request = request(Method::GET, format!("{API_PATH}/metrics"), None, Bytes::new())?;
        let body = self.transport.success(self.transport.send(request).await?, MAX_METRICS).await?;
        String::from_utf8(body).map_err(|error| ClientError::UnexpectedResponse(error.to_string()))
    }

    async fn call<T: Serialize + ?Sized>(
        &self,
        app: &AppName,
        export: &str,
        media_type: &'static str,
        arguments: &T,
    ) -> Result<CallResponse, ClientError> {
        let body = serde_json::to_vec(arguments)
            .map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;
        if body.len() > MAX_CALL_BODY {
            let (length, limit) = (body.len(), MAX_CALL_BODY);
            return Err(ClientError::RequestTooLarge { what: "arguments", length, limit });
        }
        let target = format!("{API_PATH}/apps/{app}/calls/{}", percent_encoded(export));
        let mut request = request(Method::POST, target, Some(media_type), body)?;
        let expected = self.expected.get(app).map(hex::encode);
        if let Some(expected) = expected.as_deref().and_then(|hash| HeaderValue::from_str(hash).ok()) {
            request.headers_mut().insert(EXPECTED_CODE_HEADER, expected);
        }
        let response: CallResponse = self.transport.json(self.transport.send(request).await?).await?;
        if let Some(epoch) = response.epoch {
            let mut latest = self.latest_epoch.lock().unwrap_or_else(PoisonError::into_inner);
            *latest = (*latest).max(Some(epoch));
        }
        match expected {
            Some(expected) if expected != response.code_hash => {
                Err(ClientError::CodeHash { app: app.to_string(), expected, answered: response.code_hash })
            }
            _ => Ok(response),
        }
    }
}

/// The log of an app as it grows.
#[derive(Debug)]
pub struct LogStream<'a> {
    body: Incoming,
    /// Which has the connection.
    _session: PhantomData<&'a Session>,
}

impl LogStream<'_> {
    /// What was written next, however long that takes; `None` where the enclave ends it.
    ///
    /// # Errors
    /// [`ClientError::ConnectionLost`]
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        Transport::next_patiently(&mut self.body).await
    }
}

pub(crate) fn request(
    method: Method,
    target: String,
    media_type: Option<&'static str>,
    body: impl Into<Bytes>,
) -> Result<Request<Body>, ClientError> {
    let mut request = Request::builder().method(method).uri(target);
    if let Some(media_type) = media_type {
        request = request.header(CONTENT_TYPE, media_type);
    }
    request.body(full(body)).map_err(|error| ClientError::UnexpectedResponse(error.to_string()))
}

/// All but the unreserved characters of RFC 3986, section 2.3, as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Longest body that is read where none is expected, in bytes.
const MAX_SMALL: usize = 64 << 10;
/// Longest text of counters, in bytes.
const MAX_METRICS: usize = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn export_names_become_one_path_segment() {
        assert_eq!(percent_encoded("greet"), "greet");
        assert_eq!(percent_encoded("a:b/c@0.1.0#d-e"), "a%3Ab%2Fc%400.1.0%23d-e");
        assert_eq!(percent_encoded("ä?"), "%C3%A4%3F");
    }
}
