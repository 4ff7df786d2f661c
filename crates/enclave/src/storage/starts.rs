//! How often the volume was started.

use super::{Storage, StorageError};

impl Storage {
    /// Counts a start of this volume, durably, and says how many there have been with it.
    ///
    /// # Errors
    /// [`StorageError`] where the volume cannot be read or written.
    pub(crate) fn count_start(&self) -> Result<u64, StorageError> {
        let before = match self.files.read(STARTS, BYTES) {
            Ok(count) => count.first_chunk().map_or(self.state().epoch, |bytes| u64::from_le_bytes(*bytes)),
            Err(error) if error.is_absence() => 0,
            Err(error) if error.is_damage() => {
                cloister_boundary::log(
                    "the count of starts on the disk is damaged; it goes on from the epoch",
                );
                // Each start makes a commit, so there were no more starts than this.
                self.state().epoch
            }
            Err(error) => return Err(error),
        };
        let count = before.saturating_add(1);
        self.files.replace(STARTS, &[&count.to_le_bytes()])?;
        self.commit_now()?;
        Ok(count)
    }
}

/// A number, little-endian.
const STARTS: &str = "starts";
const BYTES: u64 = 8;
