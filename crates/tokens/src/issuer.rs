//! One issuer, and its keys while they are fresh.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

use crate::claims::Claims;
use crate::jws::Jws;
use crate::key::{Found, KeySet};
use crate::object::Object;
use crate::settings::{Settings, check_url};
use crate::{
    CLOCK_SKEW, Documents, FETCH_TIMEOUT, KeysError, MAX_KEY_AGE, REFRESH_AFTER, RETRY_AFTER, TokenError,
    VerifiedToken,
};

/// An issuer whose tokens are accepted.
pub(crate) struct Issuer {
    pub(crate) settings: Settings,
    shared: Arc<Shared>,
}

/// What fetches have in common with those who wait for them.
struct Shared {
    documents: Arc<dyn Documents>,
    kept: Mutex<Kept>,
    /// Held by the one fetch that is under way.
    turn: Arc<Turn<()>>,
}

/// What earlier fetches left.
#[derive(Default)]
struct Kept {
    keys: Option<Fetched>,
    /// When a fetch failed last, unless one succeeded since.
    failed: Option<SystemTime>,
    /// When keys were fetched last for the sake of one that was not there.
    missed: Option<SystemTime>,
}

#[derive(Clone)]
struct Fetched {
    keys: Arc<KeySet>,
    at: SystemTime,
    /// How many fetches there were before.
    count: u64,
}

/// Why keys are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    /// There are none, or they are too old.
    Any,
    /// They could be newer.
    Newer,
    /// A key is not among those of this fetch.
    Missing { count: u64 },
}

impl Issuer {
    pub(crate) fn new(settings: Settings, documents: Arc<dyn Documents>) -> Self {
        let shared = Shared { documents, kept: Mutex::default(), turn: Arc::default() };
        Self { settings, shared: Arc::new(shared) }
    }

    /// Whether the token is one of this issuer's, for this audience, at this time.
    pub(crate) async fn verify(
        &self,
        jws: &Jws<'_>,
        claims: &Claims,
        now: SystemTime,
    ) -> Result<VerifiedToken, TokenError> {
        let mut fetched = self.keys(now).await?;
        if matches!(fetched.keys.find(jws.key_id.as_deref()), Found::None) {
            // A failure is not this token's: its key is not among those that are there.
            if let Ok(newer) = self.fetch(Need::Missing { count: fetched.count }, now).await {
                fetched = newer;
            }
        }
        self.check_signature(jws, &fetched.keys)?;
        claims.check_audience(&self.settings.audience)?;
        let expires = claims.check_times(now)?;
        Ok(VerifiedToken {
            issuer: self.settings.name.clone(),
            issuer_url: self.settings.url.clone(),
            subject: claims.subject()?.to_owned(),
            roles: claims.roles(&self.settings.roles_claim)?,
            expires,
        })
    }

    fn check_signature(&self, jws: &Jws<'_>, keys: &KeySet) -> Result<(), TokenError> {
        let issuer = self.settings.name.clone();
        let candidates = match keys.find(jws.key_id.as_deref()) {
            Found::None => return Err(TokenError::UnknownKey { issuer }),
            Found::NameNeeded => return Err(TokenError::KeyNeeded { issuer }),
            Found::These(candidates) => candidates,
        };
        let mut candidates = candidates.into_iter().filter(|key| key.algorithm() == jws.algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(TokenError::WrongAlgorithm { issuer });
        }
        if candidates.any(|key| key.signed(jws.signed.as_bytes(), &jws.signature)) {
            Ok(())
        } else {
            Err(TokenError::Signature { issuer })
        }
    }

    /// Keys that are fresh; or older ones, where the issuer cannot be reached or somebody asks it already.
    async fn keys(&self, now: SystemTime) -> Result<Fetched, TokenError> {
        let kept = self.shared.lock().keys.clone();
        let fetched = match kept {
            Some(kept) if kept.is_within(REFRESH_AFTER, now) => Ok(kept),
            Some(kept) if kept.is_within(MAX_KEY_AGE, now) => {
                Ok(self.fetch(Need::Newer, now).await.unwrap_or(kept))
            }
            _ => self.fetch(Need::Any, now).await,
        };
        fetched.map_err(|error| TokenError::Keys { issuer: self.settings.name.clone(), error })
    }

    async fn fetch(&self, need: Need, now: SystemTime) -> Result<Fetched, KeysError> {
        let turn = Arc::clone(&self.shared.turn);
        let turn = match need {
            // Old ones will do until whoever is there first has new ones.
            Need::Newer => turn.try_lock_owned().map_err(|_| KeysError::FailedBefore)?,
            Need::Any | Need::Missing { .. } => turn.lock_owned().await,
        };
        if let Some(settled) = self.shared.lock().settle(need, now) {
            return settled;
        }
        // The fetch goes on where whoever waits for it gives up: none of them can keep it from ever being made.
        let fetching = fetch_and_keep(Arc::clone(&self.shared), self.settings.clone(), turn, need, now);
        tokio::spawn(fetching).await.unwrap_or(Err(KeysError::GivenUp))
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Fetched {
    /// A time long before that of the fetch says that the clock was put back, and nothing about the age.
    fn is_within(&self, age: Duration, now: SystemTime) -> bool {
        is_within(self.at, age, now)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// What there is to say without a fetch, once it is one's turn.
    fn settle(&self, need: Need, now: SystemTime) -> Option<Result<Fetched, KeysError>> {
        if let Some(keys) = &self.keys {
            let met = match need {
                Need::Any | Need::Newer => keys.is_within(REFRESH_AFTER, now),
                // Somebody else has fetched them meanwhile.
                Need::Missing { count } => keys.count != count,
            };
            if met {
                return Some(Ok(keys.clone()));
            }
        }
        let missed = self.missed.filter(|_| matches!(need, Need::Missing { .. }));
        let too_soon = [self.failed, missed].into_iter().flatten().any(|at| is_within(at, RETRY_AFTER, now));
        too_soon.then_some(Err(KeysError::FailedBefore))
    }
}

async fn fetch_and_keep(
    shared: Arc<Shared>,
    settings: Settings,
    _turn: OwnedMutexGuard<()>,
    need: Need,
    now: SystemTime,
) -> Result<Fetched, KeysError> {
    if matches!(need, Need::Missing { .. }) {
        shared.lock().missed = Some(now);
    }
    let keys = tokio::time::timeout(FETCH_TIMEOUT, fetch_keys(&*shared.documents, &settings)).await;
    let keys = keys.unwrap_or(Err(KeysError::Timeout));
    let mut kept = shared.lock();
    match keys {
        Ok(keys) => {
            let count = kept.keys.as_ref().map_or(0, |before| before.count + 1);
            let fetched = Fetched { keys: Arc::new(keys), at: now, count };
            kept.keys = Some(fetched.clone());
            kept.failed = None;
            Ok(fetched)
        }
        Err(error) => {
            kept.failed = Some(now);
            Err(error)
        }
    }
}

async fn fetch_keys(documents: &dyn Documents, settings: &Settings) -> Result<KeySet, KeysError> {
    let url = match &settings.key_set {
        Some(url) => url.clone(),
        None => {
            let description = documents.get(&settings.discovery()).await?;
            let description = Object::parse(&description).ok_or(KeysError::Discovery)?;
            // OpenID Connect Discovery 1.0, section 4.3: identical.
            if description.text("issuer") != Some(&settings.url) {
                return Err(KeysError::OtherIssuer);
            }
            // It may be another host's: the issuer says so, over TLS.
            let url = description.text("jwks_uri").filter(|url| check_url(url).is_ok());
            url.ok_or(KeysError::NoKeySet)?.to_owned()
        }
    };
    KeySet::parse(&documents.get(&url).await?)
}

/// Whether less than `age` passed from `at` until `now`. Requests read the clock in one order and come here in another, so
/// `now` may be a little earlier.
fn is_within(at: SystemTime, age: Duration, now: SystemTime) -> bool {
    match now.duration_since(at) {
        Ok(passed) => passed < age,
        Err(earlier) => earlier.duration() <= CLOCK_SKEW,
    }
}
