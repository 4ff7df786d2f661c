//! The exchange between two images on one CPU: who is at the other end is what the CPU says, and nothing that the messenger does.

use super::messages::{Given, Offer, PublicKey, Request, Sealed};
use super::rule::{self, Refusal};
use cloister_api::ImageUpgrade;
use cloister_tee::{
    Identity, NotAnEnclave, REPORT_DATA_LEN, REPORT_LEN, RandomError, ReportError, TargetInfo, VerifiedReport,
};
use cloister_volume::VolumeKey;
use graviola::aead::AesGcm;
use graviola::key_agreement::x25519;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// What the CPU does for an enclave. A trait, so that tests have one without SGX.
pub(super) trait Cpu: Send + Sync {
    fn identity(&self) -> Result<Identity, NotAnEnclave>;
    fn target_info(&self) -> Result<TargetInfo, NotAnEnclave>;
    fn report(
        &self,
        target: &TargetInfo,
        data: &[u8; REPORT_DATA_LEN],
    ) -> Result<Box<[u8; REPORT_LEN]>, NotAnEnclave>;
    fn verify(&self, report: &[u8; REPORT_LEN]) -> Result<VerifiedReport, ReportError>;
}

/// The one that this enclave runs on.
#[derive(Debug)]
pub(super) struct ThisCpu;

impl Cpu for ThisCpu {
    fn identity(&self) -> Result<Identity, NotAnEnclave> {
        cloister_tee::identity()
    }

    fn target_info(&self) -> Result<TargetInfo, NotAnEnclave> {
        cloister_tee::target_info()
    }

    fn report(
        &self,
        target: &TargetInfo,
        data: &[u8; REPORT_DATA_LEN],
    ) -> Result<Box<[u8; REPORT_LEN]>, NotAnEnclave> {
        cloister_tee::report(&target.encode(), data)
    }

    fn verify(&self, report: &[u8; REPORT_LEN]) -> Result<VerifiedReport, ReportError> {
        cloister_tee::verify_report(report)
    }
}

/// The old image after the first message.
pub(super) struct Offered {
    secret: x25519::StaticPrivateKey,
    offer: Offer,
}

impl Offered {
    /// With a new key for one exchange.
    pub(super) fn new(cpu: &dyn Cpu) -> Result<Self, ExchangeError> {
        let secret = draw()?;
        let offer = Offer { target: cpu.target_info()?, key: secret.public_key().as_bytes() };
        Ok(Self { secret, offer })
    }

    /// The first message.
    pub(super) fn message(&self) -> &Offer {
        &self.offer
    }

    /// The third message: the volume's key, for the image that the CPU says sent the second, where the rule allows that image.
    /// `key` is asked for it last.
    pub(super) fn hand_over<E: From<ExchangeError>>(
        self,
        cpu: &dyn Cpu,
        request: &Request,
        rule: &ImageUpgrade,
        key: impl FnOnce() -> Result<VolumeKey, E>,
    ) -> Result<(Given, Identity), E> {
        let VerifiedReport { identity, target, report_data } =
            cpu.verify(&request.report).map_err(ExchangeError::from)?;
        let transcript =
            Transcript::of(&self.offer.key, &request.key, &self.offer.target.mrenclave, &identity.mrenclave);
        if report_data != transcript.request() {
            return Err(ExchangeError::OtherExchange.into());
        }
        let own = cpu.identity().map_err(ExchangeError::from)?;
        rule::check(rule, &own, &identity).map_err(ExchangeError::from)?;
        let cipher = transcript.cipher(self.secret, &request.key)?;
        let key = key()?;
        let mut plain = Zeroizing::new(**key.bytes());
        let mut tag = [0; 16];
        // The cipher's key is for this message alone.
        cipher.encrypt(&NONCE, &transcript.volume(&key.volume()), &mut *plain, &mut tag);
        let mut sealed: Sealed = [0; 48];
        sealed[..32].copy_from_slice(&*plain);
        sealed[32..].copy_from_slice(&tag);
        let report = cpu
            .report(&target, &transcript.hand_over(&key.volume(), &sealed))
            .map_err(ExchangeError::from)?;
        Ok((Given { report, volume: key.volume(), sealed }, identity))
    }
}

/// The new image after the second message.
pub(super) struct Requested {
    secret: x25519::StaticPrivateKey,
    offer: Offer,
    key: PublicKey,
}

impl Requested {
    /// Asks whoever made this offer, with a new key for one exchange: the second message.
    pub(super) fn new(cpu: &dyn Cpu, offer: Offer) -> Result<(Self, Request), ExchangeError> {
        let secret = draw()?;
        let key = secret.public_key().as_bytes();
        let transcript =
            Transcript::of(&offer.key, &key, &offer.target.mrenclave, &cpu.identity()?.mrenclave);
        let report = cpu.report(&offer.target, &transcript.request())?;
        Ok((Self { secret, offer, key }, Request { report, key }))
    }

    /// The volume's key from the third message, and the MRENCLAVE of the image that the CPU says handed it over.
    pub(super) fn receive(
        self,
        cpu: &dyn Cpu,
        given: &Given,
    ) -> Result<(VolumeKey, [u8; 32]), ExchangeError> {
        let VerifiedReport { identity, report_data, .. } = cpu.verify(&given.report)?;
        if identity.debug {
            return Err(ExchangeError::FromDebug);
        }
        let transcript =
            Transcript::of(&self.offer.key, &self.key, &identity.mrenclave, &cpu.identity()?.mrenclave);
        if identity.mrenclave != self.offer.target.mrenclave
            || report_data != transcript.hand_over(&given.volume, &given.sealed)
        {
            return Err(ExchangeError::OtherExchange);
        }
        let cipher = transcript.cipher(self.secret, &self.offer.key)?;
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&given.sealed[..32]);
        cipher
            .decrypt(&NONCE, &transcript.volume(&given.volume), &mut *key, &given.sealed[32..])
            .map_err(|_| ExchangeError::OtherExchange)?;
        Ok((VolumeKey::new(given.volume, key), identity.mrenclave))
    }
}

/// Both keys and both images: what one exchange is.
struct Transcript([u8; 32]);

impl Transcript {
    fn of(old: &PublicKey, new: &PublicKey, from: &[u8; 32], to: &[u8; 32]) -> Self {
        let hash = Sha256::new_with_prefix(EXCHANGE).chain_update(old).chain_update(new);
        Self(hash.chain_update(from).chain_update(to).finalize().into())
    }

    /// Report data of the new image.
    fn request(&self) -> [u8; REPORT_DATA_LEN] {
        report_data(Sha256::new_with_prefix(REQUEST).chain_update(self.0))
    }

    /// Report data of the old image.
    fn hand_over(&self, volume: &[u8; 16], sealed: &Sealed) -> [u8; REPORT_DATA_LEN] {
        let hash = Sha256::new_with_prefix(HAND_OVER).chain_update(self.0);
        report_data(hash.chain_update(volume).chain_update(sealed))
    }

    /// What is authenticated with the volume's key.
    fn volume(&self, volume: &[u8; 16]) -> [u8; 48] {
        let mut bytes = [0; 48];
        bytes[..32].copy_from_slice(&self.0);
        bytes[32..].copy_from_slice(volume);
        bytes
    }

    /// HKDF-SHA256 (RFC 5869) over the shared secret, salted with the transcript.
    fn cipher(&self, secret: x25519::StaticPrivateKey, other: &PublicKey) -> Result<AesGcm, ExchangeError> {
        let shared = secret.diffie_hellman(&x25519::PublicKey::from_array(other));
        let shared = shared.map_err(|_| ExchangeError::BadKey)?;
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&self.0), &shared.0)
            .expand(KEY, &mut *key)
            .expect("32 bytes are less than 255 hashes");
        Ok(AesGcm::new(&*key))
    }
}

/// A key for one exchange.
fn draw() -> Result<x25519::StaticPrivateKey, RandomError> {
    let mut secret = Zeroizing::new([0; 32]);
    cloister_tee::random(&mut *secret)?;
    Ok(x25519::StaticPrivateKey::from_array(&secret))
}

fn report_data(hash: Sha256) -> [u8; REPORT_DATA_LEN] {
    let mut data = [0; REPORT_DATA_LEN];
    data[..32].copy_from_slice(&hash.finalize());
    data
}

const EXCHANGE: &[u8] = b"cloister image upgrade 1\0exchange\0";
const REQUEST: &[u8] = b"cloister image upgrade 1\0request\0";
const HAND_OVER: &[u8] = b"cloister image upgrade 1\0hand-over\0";
const KEY: &[u8] = b"cloister image upgrade 1\0key\0";
const NONCE: [u8; 12] = [0; 12];

/// The exchange is broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error(transparent)]
    NotAnEnclave(#[from] NotAnEnclave),
    #[error("{0}; both images must run on the same CPU, in one exchange")]
    Report(#[from] ReportError),
    #[error("the message belongs to another exchange; begin again")]
    OtherExchange,
    #[error("the message's key is none of X25519")]
    BadKey,
    #[error("the image that has the volume runs as a debug enclave, whose memory the host can read")]
    FromDebug,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Randomness(#[from] RandomError),
}

#[cfg(test)]
mod tests;
