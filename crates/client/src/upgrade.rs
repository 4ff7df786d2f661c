use crate::error::ClientError;
use crate::session::{Session, request};
use cloister_api::{API_PATH, HandOver, HandOverOffer, HandOverRequest, VolumeAdoption};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The steps with which the image of an enclave is replaced, in their order. What one returns the next takes, in turns between
/// the enclave that has the volume and the one that takes it over.
impl Session {
    /// Asks the enclave that has the volume to offer it. For the operator.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn offer_volume(&self) -> Result<HandOverOffer, ClientError> {
        self.upgrade("begin", &serde_json::Map::new()).await
    }

    /// Has the enclave that was started to receive a volume ask for it.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn request_volume(&self, offer: &HandOverOffer) -> Result<HandOverRequest, ClientError> {
        self.upgrade("request", offer).await
    }

    /// Has the enclave that has the volume hand its key over, where it may. For the operator.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn hand_over_volume(&self, request: &HandOverRequest) -> Result<HandOver, ClientError> {
        self.upgrade("hand-over", request).await
    }

    /// Has the enclave that was started to receive a volume seal its key for its own first mount.
    ///
    /// # Errors
    /// [`ClientError`]
    pub async fn receive_volume(&self, hand_over: &HandOver) -> Result<VolumeAdoption, ClientError> {
        self.upgrade("receive", hand_over).await
    }

    async fn upgrade<T: Serialize, A: DeserializeOwned>(
        &self,
        step: &str,
        message: &T,
    ) -> Result<A, ClientError> {
        let body = serde_json::to_vec(message)
            .map_err(|error| ClientError::UnexpectedResponse(error.to_string()))?;
        let target = format!("{API_PATH}/upgrade/{step}");
        let request = request(Method::POST, target, Some("application/json"), body)?;
        self.transport.json(self.transport.send(request).await?).await
    }
}
