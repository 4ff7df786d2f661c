//! Connections that outlive a request, for the next one of the same app.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use http::Request;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until};

use crate::Target;
use crate::connection::{Connection, Http1, Http2, Sent, Tls};
use crate::tls::TrustId;
use crate::upload::Upload;

/// An app that has connections. What is kept for it is closed when this is dropped.
#[derive(Debug)]
pub(crate) struct Owner {
    id: u64,
    /// Closes what is idle for too long, while there is something.
    sweeper: Mutex<Option<AbortHandle>>,
}

/// What a request has to have in common with the ones before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    host: String,
    port: u16,
    trust: TrustId,
}

/// Where a connection comes back to.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    owner: Weak<Owner>,
    key: Key,
}

/// A connection for one request.
#[derive(Debug)]
pub(crate) enum Lease {
    /// Its own, until it comes back to its home, where it has one.
    Alone(Box<Http1>, Option<Home>),
    /// One that others have too.
    Shared(User),
}

/// One of the requests that share a connection.
#[derive(Debug)]
pub(crate) struct User {
    connection: Arc<Http2>,
    entry: u64,
    owner: Weak<Owner>,
    /// Where this was made: it may be dropped elsewhere.
    runtime: Handle,
}

impl Owner {
    pub(crate) fn new() -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), sweeper: Mutex::default() })
    }

    /// A connection that is kept, and may have been closed by the server meanwhile.
    pub(crate) fn take(self: &Arc<Self>, key: &Key) -> Option<Lease> {
        let (taken, closed) = lock().take(self.id, key, Instant::now());
        // Not under the lock: it ends tasks.
        drop(closed);
        Some(match taken? {
            Taken::Alone(connection) => {
                Lease::Alone(connection, Some(Home { owner: Arc::downgrade(self), key: key.clone() }))
            }
            Taken::Shared(connection, entry) => Lease::Shared(self.user(connection, entry)),
        })
    }

    /// A new connection, of which this request is the first.
    pub(crate) fn first(self: &Arc<Self>, connection: Connection, key: Option<Key>) -> Lease {
        let connection = match (connection, &key) {
            (Connection::Http1(connection), _) => {
                let home = key.map(|key| Home { owner: Arc::downgrade(self), key });
                return Lease::Alone(Box::new(connection), home);
            }
            (Connection::Http2(connection), _) => Arc::new(connection),
        };
        let entry = key.map_or(UNKNOWN, |key| lock().share(self.id, key, Arc::clone(&connection)));
        Lease::Shared(self.user(connection, entry))
    }

    fn user(self: &Arc<Self>, connection: Arc<Http2>, entry: u64) -> User {
        User { connection, entry, owner: Arc::downgrade(self), runtime: Handle::current() }
    }

    /// Sees to it that what is idle is closed in time.
    fn sweep(self: &Arc<Self>, runtime: &Handle) {
        let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        if sweeper.as_ref().is_some_and(|sweeper| !sweeper.is_finished()) {
            return;
        }
        let owner = Arc::downgrade(self);
        let task = runtime.spawn(async move {
            while let Some(next) = owner.upgrade().and_then(|owner| owner.close_expired()) {
                sleep_until(next).await;
            }
        });
        *sweeper = Some(task.abort_handle());
    }

    /// Says when to look again, where there is something to look at.
    fn close_expired(&self) -> Option<Instant> {
        let mut sweeper = self.sweeper.lock().unwrap_or_else(PoisonError::into_inner);
        let (closed, next) = lock().expire(self.id, Instant::now());
        if next.is_none() {
            *sweeper = None;
        }
        drop(closed);
        next
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let closed = lock().forget(self.id);
        drop(closed);
    }
}

impl Key {
    pub(crate) fn new(target: &Target, trust: TrustId) -> Self {
        Self { host: target.host().to_owned(), port: target.port(), trust }
    }
}

impl Lease {
    pub(crate) async fn send(&mut self, request: Request<Upload>, target: &Target) -> Sent {
        match self {
            Self::Alone(connection, _) => connection.send(request, target).await,
            Self::Shared(user) => user.connection.send(request).await,
        }
    }

    /// Whether it can be used, as far as is known.
    pub(crate) async fn is_ready(&mut self) -> bool {
        match self {
            Self::Alone(connection, _) => connection.is_ready().await,
            Self::Shared(user) => user.connection.is_open(),
        }
    }

    pub(crate) fn tls(&self) -> Option<Tls> {
        match self {
            Self::Alone(connection, _) => connection.tls(),
            Self::Shared(user) => user.connection.tls(),
        }
    }

    /// Bytes that came over it so far; of one that is shared nobody knows whom they are for.
    pub(crate) fn received(&self) -> Option<u64> {
        match self {
            Self::Alone(connection, _) => Some(connection.received()),
            Self::Shared(_) => None,
        }
    }

    /// Request and response went over it whole. Within a runtime.
    pub(crate) fn give_back(self) {
        let Self::Alone(connection, Some(Home { owner, key })) = self else { return };
        let Some(owner) = owner.upgrade() else { return };
        let closed = lock().put(owner.id, key, connection, Instant::now());
        drop(closed);
        owner.sweep(&Handle::current());
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let closed = lock().release(self.entry, Instant::now());
        drop(closed);
        if let Some(owner) = self.owner.upgrade() {
            owner.sweep(&self.runtime);
        }
    }
}

/// Closes the connection that nobody has used for longest.
pub(crate) fn make_room() {
    let closed = lock().oldest_idle();
    drop(closed);
}

/// The connections of all apps.
#[derive(Debug)]
struct Kept {
    entries: Vec<Entry>,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    owner: u64,
    key: Key,
    connection: Member,
    /// None while requests use it.
    idle: Option<Instant>,
}

#[derive(Debug)]
enum Member {
    /// Not here while it is used.
    Alone(Box<Http1>),
    Shared {
        connection: Arc<Http2>,
        users: usize,
    },
}

#[derive(Debug)]
enum Taken {
    Alone(Box<Http1>),
    Shared(Arc<Http2>, u64),
}

impl Kept {
    const fn new() -> Self {
        Self { entries: Vec::new(), next: UNKNOWN + 1 }
    }

    /// The one that was used last, for it is the least likely to be closed; and those that cannot be used any more.
    fn take(&mut self, owner: u64, key: &Key, now: Instant) -> (Option<Taken>, Vec<Entry>) {
        let closed = self.remove(|entry| entry.owner == owner && entry.is_done(now));
        let fitting = self.entries.iter_mut().enumerate().filter(|(_, entry)| {
            entry.owner == owner && entry.key == *key && entry.has_room() && entry.is_young(now)
        });
        // One that is in use lets the idle ones be closed in time.
        let Some((index, entry)) = fitting.max_by_key(|(_, entry)| (entry.idle.is_none(), entry.idle)) else {
            return (None, closed);
        };
        if let Member::Shared { connection, users } = &mut entry.connection {
            *users += 1;
            entry.idle = None;
            connection.wake();
            return (Some(Taken::Shared(Arc::clone(connection), entry.id)), closed);
        }
        let taken = match self.entries.swap_remove(index).connection {
            Member::Alone(connection) => Some(Taken::Alone(connection)),
            Member::Shared { .. } => None,
        };
        (taken, closed)
    }

    /// A connection that one request uses and others may.
    fn share(&mut self, owner: u64, key: Key, connection: Arc<Http2>) -> u64 {
        let id = self.new_id();
        let connection = Member::Shared { connection, users: 1 };
        self.entries.push(Entry { id, owner, key, connection, idle: None });
        id
    }

    /// A connection that nobody uses now. The answer is what has to be closed.
    fn put(&mut self, owner: u64, key: Key, connection: Box<Http1>, now: Instant) -> Vec<Entry> {
        let id = self.new_id();
        let connection = Member::Alone(connection);
        self.entries.push(Entry { id, owner, key, connection, idle: Some(now) });
        self.bound(owner, now)
    }

    /// One request less uses this one.
    fn release(&mut self, id: u64, now: Instant) -> Vec<Entry> {
        let Some(entry) = self.entries.iter_mut().find(|entry| entry.id == id) else { return Vec::new() };
        if let Member::Shared { connection, users } = &mut entry.connection {
            *users = users.saturating_sub(1);
            if *users == 0 {
                entry.idle = Some(now);
                connection.rest();
            }
        }
        let owner = entry.owner;
        self.bound(owner, now)
    }

    /// Takes out what this app has beyond its bounds, and what all have beyond theirs.
    fn bound(&mut self, owner: u64, now: Instant) -> Vec<Entry> {
        let mut closed = self.remove(|entry| entry.owner == owner && entry.is_done(now));
        closed.extend(self.oldest_beyond(MAX_IDLE_OF_APP, |entry| entry.owner == owner));
        closed.extend(self.oldest_beyond(MAX_IDLE, |_| true));
        closed
    }

    /// Takes out what is idle for too long, and says when to look again.
    fn expire(&mut self, owner: u64, now: Instant) -> (Vec<Entry>, Option<Instant>) {
        let closed = self.remove(|entry| entry.owner == owner && entry.is_done(now));
        let own = self.entries.iter().filter(|entry| entry.owner == owner);
        let next = own.filter_map(|entry| entry.idle).min();
        (closed, next.map(|since| since + MAX_IDLE_TIME))
    }

    fn forget(&mut self, owner: u64) -> Vec<Entry> {
        self.remove(|entry| entry.owner == owner)
    }

    fn oldest_idle(&mut self) -> Option<Entry> {
        let idle = self.entries.iter().enumerate().filter_map(|(index, entry)| Some((entry.idle?, index)));
        let (_, index) = idle.min()?;
        Some(self.entries.swap_remove(index))
    }

    fn oldest_beyond(&mut self, most: usize, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        let mut idle: Vec<(Instant, u64)> = self
            .entries
            .iter()
            .filter(|entry| which(entry))
            .filter_map(|entry| Some((entry.idle?, entry.id)))
            .collect();
        let Some(surplus) = idle.len().checked_sub(most).filter(|&surplus| surplus > 0) else {
            return Vec::new();
        };
        idle.sort_unstable();
        idle.truncate(surplus);
        self.remove(|entry| idle.iter().any(|&(_, id)| id == entry.id))
    }

    fn remove(&mut self, which: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.entries.extract_if(.., |entry| which(entry)).collect()
    }

    fn new_id(&mut self) -> u64 {
        let id = self.next;
        self.next += 1;
        id
    }
}

impl Entry {
    /// Whether nobody may use it any more.
    fn is_done(&self, now: Instant) -> bool {
        let open = match &self.connection {
            Member::Alone(connection) => connection.is_open(),
            Member::Shared { connection, .. } => connection.is_open(),
        };
        let idle = self.idle.map(|since| now.saturating_duration_since(since));
        !open || idle.is_some_and(|idle| idle >= MAX_IDLE_TIME || !self.is_young(now))
    }

    fn is_young(&self, now: Instant) -> bool {
        let born = match &self.connection {
            Member::Alone(connection) => connection.born(),
            Member::Shared { connection, .. } => connection.born(),
        };
        now.saturating_duration_since(born) < MAX_AGE
    }

    fn has_room(&self) -> bool {
        match &self.connection {
            Member::Alone(_) => true,
            Member::Shared { connection, users } => *users < connection.streams(),
        }
    }
}

fn lock() -> MutexGuard<'static, Kept> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}

static KEPT: Mutex<Kept> = Mutex::new(Kept::new());

/// Connections that are kept for an app while no request uses them.
pub const MAX_IDLE_OF_APP: usize = 8;
/// Connections that are kept for all apps while no request uses them.
pub const MAX_IDLE: usize = 64;
/// How long a connection is kept that no request uses.
pub const MAX_IDLE_TIME: Duration = Duration::from_secs(30);
/// From when on a connection is not used for further requests: what the server proved when it began may hold no longer.
pub const MAX_AGE: Duration = Duration::from_secs(600);
/// No entry has it.
const UNKNOWN: u64 = 0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Protection;
    use crate::connection::{Metered, Spoken};
    use crate::slots::Slot;

    /// A connection to nobody, which is open as long as the other end is there.
    async fn connection() -> (Box<Http1>, tokio::io::DuplexStream) {
        let (here, there) = tokio::io::duplex(100);
        let stream = Metered::new(here, Slot::wait().await.unwrap());
        let Connection::Http1(connection) = Connection::over(stream, Spoken::PLAINTEXT).await.unwrap() else {
            unreachable!("plaintext is HTTP/1.1")
        };
        (Box::new(connection), there)
    }

    fn key(host: &str) -> Key {
        Key::new(&Target::new(Protection::Tls, host).unwrap(), TrustId::App)
    }

    #[tokio::test]
    async fn the_oldest_give_way_to_those_of_other_apps() {
        let mut kept = Kept::new();
        let mut others = Vec::new();
        let start = Instant::now();
        for number in 0..MAX_IDLE as u64 + 3 {
            let (connection, other) = connection().await;
            let at = start + Duration::from_millis(number);
            let closed = kept.put(number / 4, key("a.example"), connection, at);
            assert_eq!(closed.len(), usize::from(number >= MAX_IDLE as u64), "{number}");
            // The first three go, one after the other.
            assert!(closed.iter().all(|entry| entry.owner == 0));
            others.push(other);
        }
        assert_eq!(kept.entries.len(), MAX_IDLE);
        // The fourth is the next to make room.
        assert_eq!(kept.oldest_idle().map(|entry| entry.owner), Some(0));
        assert!(kept.take(0, &key("a.example"), start).0.is_none());
        assert!(kept.take(1, &key("b.example"), start).0.is_none());
        assert!(kept.take(1, &key("a.example"), start).0.is_some());
    }

    #[tokio::test]
    async fn what_is_closed_too_old_or_idle_for_long_is_not_used() {
        let mut kept = Kept::new();
        let start = Instant::now();
        let (old, _old_end) = connection().await;
        kept.put(0, key("a.example"), old, start);
        let (taken, closed) = kept.take(0, &key("a.example"), start + MAX_IDLE_TIME);
        assert!(taken.is_none() && closed.len() == 1);

        let (aged, _aged_end) = connection().await;
        assert_eq!(kept.put(0, key("a.example"), aged, start + MAX_AGE + MAX_IDLE_TIME).len(), 1);

        let (ended, other_end) = connection().await;
        kept.put(0, key("a.example"), ended, start);
        drop(other_end);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (taken, closed) = kept.take(0, &key("a.example"), start);
        assert!(taken.is_none() && closed.len() == 1);
        assert!(kept.entries.is_empty());
    }
}
