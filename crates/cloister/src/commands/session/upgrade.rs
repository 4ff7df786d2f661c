//! The sessions of an image upgrade: with the enclave that has the volume, and with the one that takes it over.

use super::errors::unconnected;
use super::policy::policy;
use super::{Connection, client};
use crate::failure::Failure;
use crate::settings::{Host, Settings};
use cloister_api::{HandOver, HandOverOffer, HandOverRequest, VolumeAdoption};
use cloister_client::{Endpoint, Measurement, Policy, TrustAnchor};
use std::net::SocketAddr;

/// An enclave that this process started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnEnclave {
    pub(crate) address: SocketAddr,
    pub(crate) mrenclave: [u8; 32],
    /// Of a soft platform: the fingerprint of its root.
    pub(crate) simulated_root: Option<[u8; 32]>,
}

impl Connection {
    /// Connects to an enclave that this process started, and verifies that it is what was started.
    pub(crate) async fn to_own(settings: &Settings, own: OwnEnclave) -> Result<Self, Failure> {
        let anchor = match own.simulated_root {
            Some(root_fingerprint) => TrustAnchor::Simulated { root_fingerprint },
            None => TrustAnchor::Intel,
        };
        let accepted = Policy::new(anchor, Measurement::Exactly(vec![own.mrenclave]));
        let accepted = Policy { tcb: policy(settings).tcb, ..accepted };
        let endpoint = Endpoint { address: own.address.to_string(), server_name: "localhost".to_owned() };
        let session = client(settings, accepted, None)?
            .connect(&endpoint)
            .await
            .map_err(|error| unconnected(error, settings))?;
        let host = Host { name: own.address.ip().to_string(), port: own.address.port() };
        Ok(Self { session, host })
    }

    pub(crate) fn mrenclave(&self) -> [u8; 32] {
        *self.session.mrenclave()
    }

    pub(crate) async fn offer_volume(&self) -> Result<HandOverOffer, Failure> {
        self.session.offer_volume().await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn request_volume(&self, offer: &HandOverOffer) -> Result<HandOverRequest, Failure> {
        self.session.request_volume(offer).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn hand_over_volume(&self, request: &HandOverRequest) -> Result<HandOver, Failure> {
        self.session.hand_over_volume(request).await.map_err(|error| self.failed(error))
    }

    pub(crate) async fn receive_volume(&self, given: &HandOver) -> Result<VolumeAdoption, Failure> {
        self.session.receive_volume(given).await.map_err(|error| self.failed(error))
    }
}
