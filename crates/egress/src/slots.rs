//! How many requests and connections there are at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::{EgressError, kept};

/// Whose turn a request waits for.
#[derive(Clone, Copy, Debug)]
pub enum Turn<'a> {
    /// One of a call's, of which as many are under way at once as this has permits.
    OfCall(&'a Arc<Semaphore>),
    /// One that is alone in its call.
    Alone,
    /// One that a [`Check`](crate::Check) makes while the request that it is for is under way.
    Check,
}

impl Turn<'_> {
    pub(crate) async fn wait(self) -> Result<Lane, EgressError> {
        let closed = |_| EgressError::Internal;
        let of_call = match self {
            Self::OfCall(lanes) => Some(Arc::clone(lanes).acquire_owned().await.map_err(closed)?),
            Self::Alone | Self::Check => None,
        };
        let all = match self {
            Self::Check => &CHECKS,
            _ => &REQUESTS,
        };
        let of_all = all.acquire().await.map_err(closed)?;
        Ok(Lane { _of_call: of_call, _of_all: of_all })
    }
}

/// The turn of a request: few are under way at once, of its call and of the enclave.
#[derive(Debug)]
pub(crate) struct Lane {
    _of_call: Option<OwnedSemaphorePermit>,
    _of_all: SemaphorePermit<'static>,
}

/// What a connection takes as long as it is there.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: SemaphorePermit<'static>,
}

impl Slot {
    /// A connection that nobody uses gives way. As many requests as have a lane can have a connection of their own, so the
    /// wait ends as soon as those that are being closed are.
    pub(crate) async fn wait() -> Result<Self, EgressError> {
        if let Ok(free) = CONNECTIONS.try_acquire() {
            return Ok(Self { _permit: free });
        }
        kept::make_room();
        let freed = CONNECTIONS.acquire().await.map_err(|_| EgressError::Internal)?;
        Ok(Self { _permit: freed })
    }
}

/// Connections of all apps at once, those that are kept included: TLS and HTTP/2 hold up to half a mebibyte for each.
pub const MAX_CONNECTIONS: usize = 128;
/// Requests of checks at once. They have a share of their own, so that requests that wait for their checks do not keep
/// these from ever being made.
pub const MAX_CHECKS_UNDER_WAY: usize = 16;

static CONNECTIONS: Semaphore = Semaphore::const_new(MAX_CONNECTIONS);
static REQUESTS: Semaphore = Semaphore::const_new(MAX_CONNECTIONS - MAX_CHECKS_UNDER_WAY);
static CHECKS: Semaphore = Semaphore::const_new(MAX_CHECKS_UNDER_WAY);
