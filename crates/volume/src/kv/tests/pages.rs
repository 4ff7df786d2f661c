//! Pages in memory, which remember every change and can be made to fail.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::kv::KeyValue;
use crate::kv::backend::Pages;
use crate::{Damage, Part, VolumeError};

/// A clone is the same pages.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryPages(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    log: Vec<Step>,
    /// Reads of pages that have these bytes in them fail.
    damaged: Option<&'static [u8]>,
    /// Changes that still succeed.
    changes_left: Option<usize>,
    reads: usize,
}

/// One change.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(u64, Vec<u8>),
    Length(u64),
}

impl MemoryPages {
    pub(super) fn store(&self) -> KeyValue {
        KeyValue::over(Arc::new(self.clone())).unwrap()
    }

    /// The same bytes, on their own.
    pub(super) fn fork(&self) -> MemoryPages {
        let bytes = self.state().bytes.clone();
        MemoryPages(Arc::new(Mutex::new(State { bytes, ..State::default() })))
    }

    pub(super) fn log(&self) -> Vec<Step> {
        self.state().log.clone()
    }

    pub(super) fn changes(&self) -> usize {
        self.state().log.len()
    }

    pub(super) fn reads(&self) -> usize {
        self.state().reads
    }

    pub(super) fn damage(&self, having: Option<&'static [u8]>) {
        self.state().damaged = having;
    }

    pub(super) fn fail_after(&self, changes: Option<usize>) {
        self.state().changes_left = changes;
    }

    pub(super) fn contain(&self, bytes: &[u8]) -> bool {
        contains(&self.state().bytes, bytes)
    }

    pub(super) fn apply(&self, step: &Step) {
        let mut state = self.state();
        match step {
            Step::Write(offset, bytes) => {
                let start = *offset as usize;
                if state.bytes.len() < start + bytes.len() {
                    state.bytes.resize(start + bytes.len(), 0);
                }
                state.bytes[start..start + bytes.len()].copy_from_slice(bytes);
            }
            Step::Length(length) => state.bytes.resize(*length as usize, 0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn change(&self, step: Step) -> Result<(), VolumeError> {
        if let Some(left) = &mut self.state().changes_left {
            *left = left.checked_sub(1).ok_or(VolumeError::Full)?;
        }
        self.apply(&step);
        self.state().log.push(step);
        Ok(())
    }
}

impl Pages for MemoryPages {
    fn length(&self) -> Result<u64, VolumeError> {
        Ok(self.state().bytes.len() as u64)
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> Result<usize, VolumeError> {
        let mut state = self.state();
        state.reads += 1;
        let rest = state.bytes.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        if state.damaged.is_some_and(|bytes| contains(into, bytes)) {
            return Err(damage(offset).into());
        }
        Ok(length)
    }

    fn set_length(&self, length: u64) -> Result<(), VolumeError> {
        self.change(Step::Length(length))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), VolumeError> {
        self.change(Step::Write(offset, bytes.to_vec()))
    }

    fn is_crowded(&self) -> bool {
        false
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn damage(offset: u64) -> Damage {
    Damage { dataset: "keys".to_owned(), object: Some(1), part: Part::Data, offset, bytes: 4096, block: 9 }
}
