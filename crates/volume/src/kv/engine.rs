//! The database: transactions, and opening it again when the volume below failed.
//!
//! `redb` takes any failed read or write for the end of its database: each later operation fails too. So the operation
//! that met the failure reports it, and the next one opens the database again. Nothing is lost by it, since every
//! transaction is whole in the dataset when it ends.

use std::fmt;
use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use redb::{Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table};
use redb::{TableDefinition, TableError, WriteTransaction};

use super::backend::{Backend, Fence, Fenced, Pages};
use super::seal::SEAL;
use super::{KEY_COST, KvError, Name, Prefix};
use crate::VolumeError;

pub(super) struct Engine {
    pages: Arc<dyn Pages>,
    /// Held by the one writer, and by who opens the database again.
    writer: Mutex<()>,
    opened: RwLock<Opened>,
}

struct Opened {
    /// Counts the openings.
    generation: u64,
    /// None where the last try to open it failed.
    database: Option<Database>,
    fence: Fence,
}

/// What a read transaction sees.
pub(super) type View = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// What one step of a namespace's removal did.
pub(super) struct Step {
    pub(super) keys: u64,
    /// It met the end of what it removes.
    pub(super) is_last: bool,
}

/// Where a removal begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    First,
    Last,
}

impl Engine {
    pub(super) fn open(pages: Arc<dyn Pages>) -> Result<Engine, KvError> {
        let (database, fence) = match open_database(&pages) {
            Ok((database, fence)) => (Some(database), fence),
            // Each operation tries again, and says what is damaged.
            Err(error) if error.is_damage() => (None, Fence::default()),
            Err(error) => return Err(error),
        };
        let opened = Opened { generation: 0, database, fence };
        Ok(Engine { pages, writer: Mutex::default(), opened: RwLock::new(opened) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened.read().unwrap_or_else(PoisonError::into_inner).database.is_some()
    }

    pub(super) fn pages(&self) -> &dyn Pages {
        &*self.pages
    }

    /// Runs `body` over the state after the last transaction that ended.
    pub(super) fn read<T>(&self, body: impl Fn(&View) -> Result<T, Failure>) -> Result<T, KvError> {
        for _ in 0..ATTEMPTS {
            let (generation, begun) = self.begin(begin_read);
            match begun.and_then(|transaction| body(&view(&transaction)?)) {
                Err(Failure::Redb(error)) if is_interruption(&error) => {
                    self.open_again(generation, &lock(&self.writer))?;
                }
                done => return done.map_err(KvError::from),
            }
        }
        Err(KvError::Interrupted)
    }

    /// Runs `body` in one transaction. Where it fails, or does not change anything, there is none.
    pub(super) fn write<T>(
        &self,
        prefix: &Prefix,
        body: impl Fn(&mut Change<'_>) -> Result<T, Failure>,
    ) -> Result<T, KvError> {
        let writer = lock(&self.writer);
        for _ in 0..ATTEMPTS {
            let (generation, begun) = self.begin(begin_write);
            let error = match begun
                .and_then(|transaction| change(&transaction, prefix, &body).map(|done| (transaction, done)))
            {
                Ok((transaction, Changed { value, record: None })) => {
                    // Nothing was changed, so nothing is lost where this fails.
                    let _ = transaction.abort();
                    return Ok(value);
                }
                Ok((transaction, Changed { value, record: Some(record) })) => match transaction.commit() {
                    Ok(()) => return Ok(value),
                    Err(error) => {
                        self.open_again(generation, &writer)?;
                        // The failure may have come after the write that made the transaction the last one.
                        let (_, begun) = self.begin(begin_read);
                        if begun.and_then(|transaction| read_record(&view(&transaction)?, prefix))? == record
                        {
                            return Ok(value);
                        }
                        error.into()
                    }
                },
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Redb(error)) => {
                    self.open_again(generation, &writer)?;
                    error
                }
            };
            if !is_interruption(&error) {
                return Err(Failure::Redb(error).into());
            }
        }
        Err(KvError::Interrupted)
    }

    /// Deletes up to `limit` entries of a name, all its incarnations', in one transaction.
    pub(super) fn remove_some(&self, name: &Name, side: Side, limit: usize) -> Result<Step, KvError> {
        let writer = lock(&self.writer);
        for _ in 0..ATTEMPTS {
            let (generation, begun) = self.begin(begin_write);
            let removed = begun.and_then(|transaction| {
                let step = remove(&transaction, name, side, limit)?;
                transaction.commit()?;
                Ok(step)
            });
            let error = match removed {
                Ok(step) => return Ok(step),
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Redb(error)) => error,
            };
            self.open_again(generation, &writer)?;
            if !is_interruption(&error) {
                return Err(Failure::Redb(error).into());
            }
        }
        Err(KvError::Interrupted)
    }

    /// The record of a namespace; none where it never had a key.
    pub(super) fn record(&self, prefix: &Prefix) -> Result<Option<Record>, KvError> {
        self.read(|table| read_record(table, prefix))
    }

    fn begin<T>(&self, begin: impl Fn(&Database) -> Result<T, Failure>) -> (u64, Result<T, Failure>) {
        let opened = self.opened.read().unwrap_or_else(PoisonError::into_inner);
        let begun = match &opened.database {
            Some(database) => begin(database),
            None => Err(Failure::Redb(redb::Error::DatabaseClosed)),
        };
        (opened.generation, begun)
    }

    /// Opens the database again, unless that was done since `generation`.
    fn open_again(&self, generation: u64, _writer: &MutexGuard<'_, ()>) -> Result<(), KvError> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        if opened.generation != generation {
            return Ok(());
        }
        // What the old one still has in memory must not reach the dataset.
        opened.fence.raise();
        if let Some(database) = opened.database.take() {
            let _ = database.close();
        }
        let (database, fence) = open_database(&self.pages)?;
        *opened = Opened { generation: generation + 1, database: Some(database), fence };
        Ok(())
    }
}

/// A transaction that changes keys of one namespace.
pub(super) struct Change<'a> {
    table: Table<'a, &'static [u8], &'static [u8]>,
    prefix: &'a Prefix,
    before: Option<Record>,
    record: Option<Record>,
}

impl Change<'_> {
    /// A key's sealed value.
    pub(super) fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
        Ok(self.table.get(key)?.map(|value| value.value().to_vec()))
    }

    pub(super) fn put(&mut self, key: &[u8], sealed: &[u8]) -> Result<(), Failure> {
        let old = self.table.insert(key, sealed)?.map(|old| old.value().len());
        if let Some(old) = old {
            self.count(-1, key, old);
        }
        self.count(1, key, sealed.len());
        Ok(())
    }

    /// Says whether the key was there.
    pub(super) fn remove(&mut self, key: &[u8]) -> Result<bool, Failure> {
        let old = self.table.remove(key)?.map(|old| old.value().len());
        if let Some(old) = old {
            self.count(-1, key, old);
        }
        Ok(old.is_some())
    }

    /// Refuses what takes the namespace over its quota; one that is over it already may shrink.
    pub(super) fn within(&self, quota: u64) -> Result<(), Failure> {
        let bytes = |record: Option<Record>| record.map_or(0, |record| record.bytes);
        let wanted = bytes(self.record);
        if wanted > quota && wanted > bytes(self.before) {
            return Err(KvError::QuotaExceeded { wanted, allowed: quota }.into());
        }
        Ok(())
    }

    fn count(&mut self, sign: i64, key: &[u8], sealed: usize) {
        let record = self.record.get_or_insert_default();
        let bytes = KEY_COST + (key.len() - self.prefix.record().len() + sealed).saturating_sub(SEAL) as u64;
        record.keys = record.keys.saturating_add_signed(sign);
        record.bytes = record.bytes.saturating_add_signed(sign * bytes as i64);
        record.sequence = self.before.map_or(0, |before| before.sequence) + 1;
    }
}

/// What a namespace holds, kept under its prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) keys: u64,
    pub(super) bytes: u64,
    /// Transactions that changed the namespace.
    sequence: u64,
}

impl Record {
    /// Three numbers of 8 bytes, little-endian.
    fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (into, number) in bytes.chunks_exact_mut(8).zip([self.keys, self.bytes, self.sequence]) {
            into.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Result<Record, Failure> {
        let malformed =
            || Failure::Redb(redb::Error::Corrupted("a namespace's record is malformed".to_owned()));
        let (numbers, rest) = bytes.as_chunks::<8>();
        match (numbers, rest) {
            ([keys, bytes, sequence], []) => Ok(Record {
                keys: u64::from_le_bytes(*keys),
                bytes: u64::from_le_bytes(*bytes),
                sequence: u64::from_le_bytes(*sequence),
            }),
            _ => Err(malformed()),
        }
    }
}

/// Why a transaction did not happen.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was not allowed.
    Refused(KvError),
    /// The database or the volume below failed.
    Redb(redb::Error),
}

impl From<KvError> for Failure {
    fn from(error: KvError) -> Self {
        Failure::Refused(error)
    }
}

macro_rules! failures {
    ($($error:ident)*) => { $(
        impl From<redb::$error> for Failure {
            fn from(error: redb::$error) -> Self {
                Failure::Redb(error.into())
            }
        }
    )* };
}
failures!(StorageError TableError TransactionError CommitError DatabaseError);

impl From<Failure> for KvError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(error) => error,
            Failure::Redb(error) => match volume_error(&error) {
                Some(error) => KvError::Volume(error.clone()),
                None => KvError::Database(Arc::new(error)),
            },
        }
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("pages", &self.pages).finish_non_exhaustive()
    }
}

struct Changed<T> {
    value: T,
    /// The namespace's record after it; the outer none where nothing was changed.
    record: Option<Option<Record>>,
}

fn change<T>(
    transaction: &WriteTransaction,
    prefix: &Prefix,
    body: impl Fn(&mut Change<'_>) -> Result<T, Failure>,
) -> Result<Changed<T>, Failure> {
    let table = transaction.open_table(TABLE)?;
    let before = read_record(&table, prefix)?;
    let mut change = Change { table, prefix, before, record: before };
    let value = body(&mut change)?;
    let Change { mut table, record, .. } = change;
    if record == before {
        return Ok(Changed { value, record: None });
    }
    match record {
        Some(record) => table.insert(prefix.record(), &record.to_bytes()[..])?,
        None => table.remove(prefix.record())?,
    };
    Ok(Changed { value, record: Some(record) })
}

fn remove(transaction: &WriteTransaction, name: &Name, side: Side, limit: usize) -> Result<Step, Failure> {
    let mut table = transaction.open_table(TABLE)?;
    let keys = {
        let (first, end) = name.range();
        let mut range = table.range::<&[u8]>((Bound::Included(first), Bound::Excluded(&end[..])))?;
        let next = || match side {
            Side::First => range.next(),
            Side::Last => range.next_back(),
        };
        let keys = std::iter::from_fn(next).take(limit).map(|entry| Ok(entry?.0.value().to_vec()));
        keys.collect::<Result<Vec<Vec<u8>>, Failure>>()?
    };
    let mut step = Step { keys: 0, is_last: keys.len() < limit };
    for key in &keys {
        table.remove(&key[..])?;
        step.keys += u64::from(name.is_key(key));
    }
    Ok(step)
}

fn read_record(
    table: &impl ReadableTable<&'static [u8], &'static [u8]>,
    prefix: &Prefix,
) -> Result<Option<Record>, Failure> {
    table.get(prefix.record())?.map(|record| Record::from_bytes(record.value())).transpose()
}

fn view(transaction: &ReadTransaction) -> Result<View, Failure> {
    Ok(transaction.open_table(TABLE)?)
}

fn open_database(pages: &Arc<dyn Pages>) -> Result<(Database, Fence), KvError> {
    let mut magic = [0; 8];
    if pages.length()? > 0 && pages.read(0, &mut magic)? > 0 && magic == [0; 8] {
        // Power went while it was created: its first bytes are written last.
        pages.set_length(0)?;
    }
    let fence = Fence::default();
    let database = create(Backend::new(Arc::clone(pages), fence.clone())).inspect_err(|_| fence.raise())?;
    Ok((database, fence))
}

fn create(backend: Backend) -> Result<Database, Failure> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(backend)?;
    match begin_read(&database)?.open_table(TABLE) {
        Ok(_) => {}
        Err(TableError::TableDoesNotExist(_)) => {
            let transaction = begin_write(&database)?;
            transaction.open_table(TABLE)?;
            transaction.commit()?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(database)
}

fn begin_read(database: &Database) -> Result<ReadTransaction, Failure> {
    Ok(database.begin_read()?)
}

/// A transaction that leaves in the dataset all that opening needs.
fn begin_write(database: &Database) -> Result<WriteTransaction, Failure> {
    let mut transaction = database.begin_write()?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

/// The database failed before this operation, or was opened again during it.
fn is_interruption(error: &redb::Error) -> bool {
    match error {
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => true,
        redb::Error::Io(error) => inner::<Fenced>(error).is_some(),
        _ => false,
    }
}

fn volume_error(error: &redb::Error) -> Option<&VolumeError> {
    match error {
        redb::Error::Io(error) => inner(error),
        _ => None,
    }
}

fn inner<E: std::error::Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref()?.downcast_ref()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const TABLE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("keys");
/// What the database keeps of its pages in memory. The volume has a cache of its own below.
const CACHE_BYTES: usize = 8 << 20;
/// How often an operation is tried that others' failures interrupt.
const ATTEMPTS: usize = 5;
