use crate::{PatientRecord, PublicKey, SignedDiagnosis};
use cloister_client::api::{AppName, NetworkPolicy};
use cloister_client::{
    Client, ClientError, Endpoint, Identity, Measurement, Policy, Session, TrustAnchor, VerificationReport,
};
use serde_json::{Value, json};

/// What this hospital accepts. Each of these is a decision of its own, made before it connects to anybody.
#[derive(Clone, Debug)]
pub struct Expected {
    /// Whose hardware: Intel's, or one soft platform for a demo.
    pub anchor: TrustAnchor,
    /// Which image of Cloister: somebody built it, and got this measurement.
    pub mrenclave: [u8; 32],
    pub app: AppName,
    /// Which component: somebody read its source, built it, and got this hash.
    pub code_hash: [u8; 32],
    /// The most that it may do on the network: ask the medical API, and no more.
    pub network: NetworkPolicy,
}

/// A verified enclave that runs the expected code. There is no other way to send a record.
#[derive(Debug)]
pub struct SecondOpinion {
    session: Session,
    app: AppName,
    key: PublicKey,
}

impl SecondOpinion {
    /// Connects to `host:port` and verifies, in this order: hardware, image, session, code, network rules. Then takes the key
    /// that signs diagnoses from the evidence.
    ///
    /// # Errors
    /// [`HospitalError::Client`] where something is not as expected: nothing but a request for evidence was sent then.
    /// [`HospitalError::NoKey`] where the app shows no key.
    pub async fn connect(
        address: &str,
        expected: &Expected,
        identity: Option<Identity>,
    ) -> Result<Self, HospitalError> {
        let Expected { anchor, mrenclave, app, code_hash, network } = expected.clone();
        let policy = Policy::new(anchor, Measurement::Exactly(vec![mrenclave]))
            .with_app(app.clone(), code_hash)
            .with_network(app.clone(), network);
        let mut client = Client::new(policy);
        if let Some(identity) = identity {
            client = client.with_identity(identity);
        }
        // Under the app's own host name the certificate has what the app shows.
        let endpoint = Endpoint { address: address.to_owned(), server_name: format!("{app}.localhost") };
        let session = client.connect(&endpoint).await?;
        let key = session.extension(&app, KEY_EXTENSION).ok_or(HospitalError::NoKey)?;
        Ok(Self { session, app, key: PublicKey::from_spki_der(key)? })
    }

    /// What was verified, line by line, and what was not.
    pub fn report(&self) -> &VerificationReport {
        self.session.report()
    }

    /// The key that signs diagnoses. The quote covers its hash.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Sends a record, and gives the diagnosis if its signature verifies and it is of this very record.
    ///
    /// # Errors
    /// [`HospitalError`]
    pub async fn ask(&self, record: &PatientRecord) -> Result<SignedDiagnosis, HospitalError> {
        let answer = self.session.call_json(&self.app, "diagnose", &json!([record])).await?;
        let signed = result(answer.result)?;
        signed.verified(&self.key, &record.hash())?;
        Ok(signed)
    }
}

/// `result<signed-diagnosis, string>` as JSON.
fn result(answer: Value) -> Result<SignedDiagnosis, HospitalError> {
    if let Some(error) = answer.get("err").and_then(Value::as_str) {
        return Err(HospitalError::App(error.to_owned()));
    }
    let signed = answer.get("ok").cloned().unwrap_or_default();
    serde_json::from_value(signed).map_err(|error| HospitalError::Answer(error.to_string()))
}

/// Why there is no diagnosis.
#[derive(Debug, thiserror::Error)]
pub enum HospitalError {
    /// The enclave is not the expected one, cannot be reached, or refused the call.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The app has no signing key in its evidence.
    #[error("the evidence vouches for no signing key: was the app set up?")]
    NoKey,
    /// What the evidence vouches for is not a P-256 key.
    #[error("the signing key in the evidence is not a P-256 key")]
    Key,
    /// The diagnosis was not signed by the key in the evidence.
    #[error("the diagnosis is not signed by the key that the evidence vouches for: it was dropped")]
    Signature,
    /// The diagnosis is somebody else's.
    #[error("the diagnosis is of another record: it was dropped")]
    OtherRecord,
    /// The app gave no diagnosis.
    #[error("the app gave no diagnosis: {0}")]
    App(String),
    /// The app's answer is not of its own type.
    #[error("the app's answer cannot be understood: {0}")]
    Answer(String),
}

/// Under which number the app shows its key: the last arc of the object identifier.
const KEY_EXTENSION: u32 = 1;
