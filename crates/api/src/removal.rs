use crate::AppName;
use serde::{Deserialize, Serialize};

/// What went with an app that was removed. None of it can be read again: its keys are gone too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removal {
    pub name: AppName,
    /// Files, directories and symbolic links.
    pub files: u64,
    /// Bytes of the volume that held the app's files.
    pub bytes: u64,
    /// Entries of its key-value store.
    pub keys: u64,
}
