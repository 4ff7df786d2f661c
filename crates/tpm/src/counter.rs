//! The counter: an NV index of the TPM that only ever goes up (TPM 2.0 Library, part 3, section 31).

use crate::endorsement::EndorsementKey;
use crate::kdf::{DIGEST, kdfa, sha256};
use crate::session::{Command, Handle, Session};
use crate::wire::{ALG_SHA256, RC_NO_FIRST_HANDLE, RC_NV_DEFINED, RH_OWNER, Reader, Writer};
use crate::{Operation, TpmError, Transport};
use cloister_volume::{Anchor, AnchorError, AnchorProvider, AnchorPurpose};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use zeroize::Zeroizing;

/// Counters of one TPM, one for each volume.
#[derive(Clone, Debug)]
pub struct TpmAnchors {
    transport: Arc<dyn Transport>,
}

impl TpmAnchors {
    /// Counters of the TPM behind this transport. Nothing is sent yet.
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }
}

impl AnchorProvider for TpmAnchors {
    fn open(
        &self,
        volume: &[u8; 16],
        secret: &Zeroizing<[u8; 32]>,
        purpose: AnchorPurpose,
    ) -> Result<Box<dyn Anchor>, AnchorError> {
        let counter = Counter::of(volume, secret);
        let (mut session, endorsement) = Session::start(&*self.transport, None)?;
        let opened = match purpose {
            AnchorPurpose::Create => counter.create(&mut session, &*self.transport),
            AnchorPurpose::Existing => Ok(()),
        };
        let value = opened.and_then(|()| counter.read(&mut session, &*self.transport));
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                session.end(&*self.transport);
                return Err(error.into());
            }
        };
        let state = Mutex::new(State { session: Some(session), value: Some(value) });
        Ok(Box::new(TpmAnchor { transport: Arc::clone(&self.transport), endorsement, counter, state }))
    }
}

/// The counter of one volume, with a session that is kept open.
#[derive(Debug)]
struct TpmAnchor {
    transport: Arc<dyn Transport>,
    /// The one of the first session. All later ones must have the same.
    endorsement: EndorsementKey,
    counter: Counter,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` after a failure.
    session: Option<Session>,
    /// The counter's value; `None` where an increment may have happened or not.
    value: Option<u64>,
}

impl Anchor for TpmAnchor {
    fn value(&self) -> Result<u64, AnchorError> {
        Ok(self.read(&mut self.state())?)
    }

    fn advance(&self) -> Result<u64, AnchorError> {
        let mut state = self.state();
        let before = match state.value {
            Some(value) => value,
            None => self.read(&mut state)?,
        };
        let expected = before.checked_add(1).ok_or(AnchorError::Forged("the counter is at its end"))?;
        // The TPM forgets sessions when it is started again, and the host loses responses. What became of an increment
        // that failed, the counter tells.
        state.value = None;
        if self.increment(&mut state).is_err() && self.read(&mut state)? == before {
            state.value = None;
            self.increment(&mut state)?;
        }
        match self.read(&mut state)? {
            found if found == expected => Ok(found),
            found => Err(AnchorError::OutOfStep { expected, found }),
        }
    }

    fn identity(&self) -> [u8; 32] {
        sha256(&[self.endorsement.public(), &self.counter.handle(Written::Yes).name])
    }
}

impl TpmAnchor {
    /// Reads the counter; in a new session where the present one fails.
    fn read(&self, state: &mut State) -> Result<u64, TpmError> {
        let had_session = state.session.is_some();
        let read = self.in_session(state, |session| self.counter.read(session, &*self.transport));
        let value = match read {
            Err(_) if had_session => {
                self.in_session(state, |session| self.counter.read(session, &*self.transport))?
            }
            read => read?,
        };
        state.value = Some(value);
        Ok(value)
    }

    fn increment(&self, state: &mut State) -> Result<(), TpmError> {
        self.in_session(state, |session| self.counter.increment(session, &*self.transport, Written::Yes))
    }

    /// Does something in the open session, or in a new one. The session ends where it fails.
    fn in_session<T>(
        &self,
        state: &mut State,
        work: impl FnOnce(&mut Session) -> Result<T, TpmError>,
    ) -> Result<T, TpmError> {
        let mut session = match state.session.take() {
            Some(session) => session,
            None => Session::start(&*self.transport, Some(&self.endorsement))?.0,
        };
        let done = work(&mut session);
        match &done {
            Ok(_) => state.session = Some(session),
            Err(_) => session.end(&*self.transport),
        }
        done
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for TpmAnchor {
    fn drop(&mut self) {
        if let Some(session) = self.state().session.take() {
            session.end(&*self.transport);
        }
    }
}

/// Which NV index, and the value that authorizes its use.
struct Counter {
    index: u32,
    /// Without zeros at its end, which the TPM takes away.
    auth: Zeroizing<Vec<u8>>,
}

/// Whether the counter was ever advanced: the TPM marks it then, which changes its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    No,
    Yes,
}

impl Counter {
    fn of(volume: &[u8; 16], secret: &[u8; 32]) -> Self {
        let [a, b, c, d, ..] = sha256(&[INDEX_LABEL, volume]);
        let index = FIRST_INDEX | u32::from_be_bytes([a, b, c, d]) & INDEX_MASK;
        let mut auth = kdfa(secret, AUTH_LABEL, volume, &[], DIGEST);
        let length = auth.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        auth.truncate(length);
        Self { index, auth }
    }

    /// Makes the counter and advances it once, which gives it its first value: more than any counter had that was
    /// removed from the TPM.
    fn create(&self, session: &mut Session, transport: &dyn Transport) -> Result<(), TpmError> {
        let defined = session.run(
            transport,
            &Command {
                operation: Operation::Define,
                handles: &[Handle::permanent(RH_OWNER)],
                auth: &[],
                secret: Some(&self.auth),
                parameters: Writer::default().sized(&self.public(Written::No)).finish(),
            },
        );
        match defined {
            Err(TpmError::Refused { code: RC_NV_DEFINED, .. }) => Err(TpmError::Exists),
            defined => defined.and_then(|_| self.increment(session, transport, Written::No)),
        }
    }

    fn increment(
        &self,
        session: &mut Session,
        transport: &dyn Transport,
        written: Written,
    ) -> Result<(), TpmError> {
        self.run(session, transport, Operation::Increment, written, Vec::new()).map(drop)
    }

    fn read(&self, session: &mut Session, transport: &dyn Transport) -> Result<u64, TpmError> {
        // How many bytes, and from where.
        let parameters = Writer::default().u16(VALUE_LEN).u16(0).finish();
        let read = self.run(session, transport, Operation::Read, Written::Yes, parameters)?;
        let mut reader = Reader::new(Operation::Read, &read);
        let length = reader.u16()?;
        let value = reader.array()?;
        reader.end()?;
        if length == VALUE_LEN {
            Ok(u64::from_be_bytes(value))
        } else {
            Err(TpmError::Malformed(Operation::Read))
        }
    }

    fn run(
        &self,
        session: &mut Session,
        transport: &dyn Transport,
        operation: Operation,
        written: Written,
        parameters: Vec<u8>,
    ) -> Result<Vec<u8>, TpmError> {
        let handle = self.handle(written);
        // The index authorizes its own use.
        let handles = &[handle.clone(), handle];
        let command = Command { operation, handles, auth: &self.auth, secret: None, parameters };
        match session.run(transport, &command) {
            Err(TpmError::Refused { code: RC_NO_FIRST_HANDLE, .. }) => Err(TpmError::Missing),
            done => done,
        }
    }

    /// The index and its name (part 1, section 16): a digest of everything that it is.
    fn handle(&self, written: Written) -> Handle {
        let digest = sha256(&[&self.public(written)]);
        Handle { number: self.index, name: Writer::default().u16(ALG_SHA256).bytes(&digest).finish() }
    }

    /// `TPMS_NV_PUBLIC`.
    fn public(&self, written: Written) -> Vec<u8> {
        let attributes = match written {
            Written::No => ATTRIBUTES,
            Written::Yes => ATTRIBUTES | WRITTEN,
        };
        Writer::default().u32(self.index).u16(ALG_SHA256).u32(attributes).sized(&[]).u16(VALUE_LEN).finish()
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counter({:#010x})", self.index)
    }
}

/// Indices of the owner: 0x01800000 to 0x01bfffff (TCG Registry of Reserved TPM 2.0 Handles, section 2.2).
const FIRST_INDEX: u32 = 0x0180_0000;
const INDEX_MASK: u32 = 0x003f_ffff;
const INDEX_LABEL: &[u8] = b"cloister anchor index\0";
const AUTH_LABEL: &str = "CLOISTER ANCHOR";
/// `TPMA_NV`: AUTHWRITE, the type COUNTER, AUTHREAD, NO_DA. The owner can remove it, and do nothing else with it.
const ATTRIBUTES: u32 = 1 << 2 | 1 << 4 | 1 << 18 | 1 << 25;
/// `TPMA_NV_WRITTEN`.
const WRITTEN: u32 = 1 << 29;
/// Bytes of a counter.
const VALUE_LEN: u16 = 8;

#[cfg(test)]
mod tests;
