//! A salted HMAC session: it authorizes commands and verifies responses (TPM 2.0 Library, part 1, section 19).

use crate::endorsement::{self, EndorsementKey, Loaded};
use crate::kdf::{DIGEST, hmac, is_hmac, kdfa, sha256};
use crate::wire::{self, ALG_SHA256, ALG_XOR, RC_CROWDED, RH_NULL, Reader, Tag, Writer};
use crate::{Operation, TpmError, Transport};
use graviola::key_agreement::p256::StaticPrivateKey;
use std::fmt;
use zeroize::Zeroizing;

/// What a session is to authorize.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub(crate) operation: Operation,
    /// The first one is authorized.
    pub(crate) handles: &'a [Handle],
    /// Authorization value of the first handle.
    pub(crate) auth: &'a [u8],
    /// The first parameter, a `TPM2B`, where the host is not to see it.
    pub(crate) secret: Option<&'a [u8]>,
    /// The others.
    pub(crate) parameters: Vec<u8>,
}

/// An object of the TPM as a command names it.
#[derive(Clone, Debug)]
pub(crate) struct Handle {
    pub(crate) number: u32,
    /// What the command's HMAC is over: the number could stand for anything, the name cannot.
    pub(crate) name: Vec<u8>,
}

impl Handle {
    /// A hierarchy or another thing that is always there: its number is its name.
    pub(crate) fn permanent(number: u32) -> Self {
        Self { number, name: number.to_be_bytes().to_vec() }
    }
}

/// An open session.
pub(crate) struct Session {
    handle: u32,
    key: Zeroizing<Vec<u8>>,
    /// The TPM's newest.
    nonce: Vec<u8>,
}

impl Session {
    /// Opens a session whose key only the TPM with the endorsement key can know.
    ///
    /// # Errors
    /// [`TpmError::Exchanged`] where the endorsement key is not the one that is `known`.
    pub(crate) fn start(
        transport: &dyn Transport,
        known: Option<&EndorsementKey>,
    ) -> Result<(Self, EndorsementKey), TpmError> {
        match Self::attempt(transport, known) {
            Err(TpmError::Refused { code, .. }) if RC_CROWDED.contains(&code) => {
                // What a process that was killed left behind. A resource manager shows no others' objects.
                clear(transport)?;
                Self::attempt(transport, known)
            }
            done => done,
        }
    }

    fn attempt(
        transport: &dyn Transport,
        known: Option<&EndorsementKey>,
    ) -> Result<(Self, EndorsementKey), TpmError> {
        let loaded = endorsement::load(transport)?;
        let session = if known.is_some_and(|known| *known != loaded.key) {
            Err(TpmError::Exchanged)
        } else {
            Self::salted(transport, &loaded)
        };
        // It is the TPM's own memory that is wasted where this fails.
        let _ = forget(transport, loaded.handle);
        Ok((session?, loaded.key))
    }

    fn salted(transport: &dyn Transport, loaded: &Loaded) -> Result<Self, TpmError> {
        let operation = Operation::StartSession;
        let (salt, encrypted) = loaded.key.secret(&ephemeral()?)?;
        let ours = fresh_nonce()?;
        let body = Writer::default()
            .u32(loaded.handle)
            .u32(RH_NULL)
            .sized(&ours)
            .sized(&encrypted)
            .u8(HMAC_SESSION)
            .u16(ALG_XOR)
            .u16(ALG_SHA256)
            .u16(ALG_SHA256)
            .finish();
        let response = wire::send(transport, operation, Tag::Bare, &body)?;
        let mut reader = Reader::new(operation, &response);
        let (handle, nonce) = (reader.u32()?, reader.sized()?.to_vec());
        reader.end()?;
        let key = kdfa(&salt, "ATH", &nonce, &ours, DIGEST);
        Ok(Self { handle, key, nonce })
    }

    /// Runs a command, and returns its response's parameters. The session cannot be used any more after an error.
    ///
    /// # Errors
    /// [`TpmError::Forged`] where the response's HMAC is not that of the TPM with the session and the authorization
    /// value.
    pub(crate) fn run(
        &mut self,
        transport: &dyn Transport,
        command: &Command<'_>,
    ) -> Result<Vec<u8>, TpmError> {
        let operation = command.operation;
        let code = operation.code().to_be_bytes();
        let key = Zeroizing::new([self.key.as_slice(), command.auth].concat());
        let ours = fresh_nonce()?;
        let attributes = CONTINUE | if command.secret.is_some() { DECRYPT } else { 0 };

        let parameters = match command.secret {
            Some(secret) => {
                let mask = kdfa(&key, "XOR", &ours, &self.nonce, secret.len());
                let hidden: Vec<u8> =
                    secret.iter().zip(mask.iter()).map(|(byte, mask)| byte ^ mask).collect();
                Writer::default().sized(&hidden).bytes(&command.parameters).finish()
            }
            None => command.parameters.clone(),
        };
        let names: Vec<u8> = command.handles.iter().flat_map(|handle| handle.name.iter().copied()).collect();
        let digest = sha256(&[&code, &names, &parameters]);
        let tag = hmac(&key, &[&digest, &ours, &self.nonce, &[attributes]]);
        let authorization =
            Writer::default().u32(self.handle).sized(&ours).u8(attributes).sized(&tag).finish();
        let handles = command.handles.iter().fold(Writer::default(), |body, handle| body.u32(handle.number));
        let body = handles.u32(authorization.len() as u32).bytes(&authorization).bytes(&parameters).finish();

        let response = wire::send(transport, operation, Tag::Sessions, &body)?;
        let mut reader = Reader::new(operation, &response);
        let length = reader.u32()?;
        let parameters = reader.bytes(length as usize)?;
        let (theirs, told, tag) = (reader.sized()?, reader.u8()?, reader.sized()?);
        reader.end()?;
        let digest = sha256(&[&SUCCESS, &code, parameters]);
        let is_authentic = is_hmac(&key, &[&digest, theirs, &ours, &[told]], tag);
        if !is_authentic || told & CONTINUE == 0 {
            return Err(TpmError::Forged(operation));
        }
        self.nonce = theirs.to_vec();
        Ok(parameters.to_vec())
    }

    /// Frees the session in the TPM, as well as it can be done.
    pub(crate) fn end(self, transport: &dyn Transport) {
        let _ = forget(transport, self.handle);
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("handle", &self.handle).finish_non_exhaustive()
    }
}

fn forget(transport: &dyn Transport, handle: u32) -> Result<(), TpmError> {
    wire::send(transport, Operation::Flush, Tag::Bare, &handle.to_be_bytes()).map(drop)
}

/// Makes the TPM forget all loaded objects and sessions that it shows.
fn clear(transport: &dyn Transport) -> Result<(), TpmError> {
    let operation = Operation::ListHandles;
    for first in [FIRST_OBJECT, FIRST_SESSION] {
        let body = Writer::default().u32(CAPABILITY_HANDLES).u32(first).u32(MANY).finish();
        let response = wire::send(transport, operation, Tag::Bare, &body)?;
        let mut reader = Reader::new(operation, &response);
        let (_more, _capability, count) = (reader.u8()?, reader.u32()?, reader.u32()?);
        for _ in 0..count.min(MANY) {
            let _ = forget(transport, reader.u32()?);
        }
    }
    Ok(())
}

fn fresh_nonce() -> Result<[u8; DIGEST], TpmError> {
    let mut nonce = [0; DIGEST];
    cloister_tee::random(&mut nonce).map_err(|_| TpmError::NoRandom)?;
    Ok(nonce)
}

fn ephemeral() -> Result<StaticPrivateKey, TpmError> {
    // A random number is no private key once in 2^32.
    for _ in 0..8 {
        let mut bytes = Zeroizing::new([0; 32]);
        cloister_tee::random(&mut *bytes).map_err(|_| TpmError::NoRandom)?;
        if let Ok(key) = StaticPrivateKey::from_bytes(&*bytes) {
            return Ok(key);
        }
    }
    Err(TpmError::NoRandom)
}

/// `TPM_SE_HMAC`.
const HMAC_SESSION: u8 = 0;
/// Session attribute: the session stays open after the command.
const CONTINUE: u8 = 1;
/// Session attribute: the command's first parameter is encrypted.
const DECRYPT: u8 = 1 << 5;
/// `TPM_RC_SUCCESS`.
const SUCCESS: [u8; 4] = [0; 4];
/// `TPM_CAP_HANDLES`.
const CAPABILITY_HANDLES: u32 = 1;
/// Where the numbers of loaded objects begin.
const FIRST_OBJECT: u32 = 0x8000_0000;
/// Where the numbers of loaded sessions begin.
const FIRST_SESSION: u32 = 0x0200_0000;
/// More objects and sessions than a TPM holds at once.
const MANY: u32 = 64;
