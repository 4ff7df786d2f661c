use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::{Collateral, CollateralError, CollateralServer, expiry};

/// Keeps the collateral of one platform until it should be asked for anew: a day, or until it expires. Where the service cannot
/// be reached then, what is kept is used as long as it is valid.
#[derive(Debug)]
pub struct CollateralCache {
    server: CollateralServer,
    kept: Mutex<Option<Kept>>,
}

impl CollateralCache {
    /// A cache of what this service says.
    pub fn new(server: CollateralServer) -> Self {
        Self { server, kept: Mutex::default() }
    }

    /// The collateral for quotes of the platform that made this one. Blocks while the service is asked, and others who ask
    /// meanwhile. `failed` is told why the service gave nothing where something older is given in its place.
    ///
    /// # Errors
    /// [`CollateralError`] where the service gives none and nothing valid is kept.
    pub fn collateral(
        &self,
        quote: &[u8],
        now: SystemTime,
        failed: impl FnOnce(&CollateralError),
    ) -> Result<Arc<Collateral>, CollateralError> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = &*kept
            && now < kept.ask_again
            && now >= kept.asked
        {
            return Ok(Arc::clone(&kept.collateral));
        }
        match self.server.fetch(quote) {
            Ok(collateral) => {
                let collateral = Arc::new(collateral);
                let expires = expiry(&collateral).unwrap_or(now);
                let ask_again = expires.min(now + ASK_AGAIN);
                *kept = Some(Kept { collateral: Arc::clone(&collateral), asked: now, ask_again, expires });
                Ok(collateral)
            }
            Err(error) => match &mut *kept {
                Some(kept) if now < kept.expires => {
                    failed(&error);
                    kept.ask_again = now + TRY_AGAIN;
                    Ok(Arc::clone(&kept.collateral))
                }
                _ => Err(error),
            },
        }
    }
}

#[derive(Debug)]
struct Kept {
    collateral: Arc<Collateral>,
    asked: SystemTime,
    ask_again: SystemTime,
    expires: SystemTime,
}

/// Revocations are to be known within a day.
const ASK_AGAIN: Duration = Duration::from_hours(24);
/// After the service failed.
const TRY_AGAIN: Duration = Duration::from_mins(10);
