use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hyper::rt::Executor;
use tokio::task::JoinSet;

/// The tasks of one connection. They end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Arc<Mutex<JoinSet<()>>>);

impl Tasks {
    pub(crate) fn spawner(&self) -> Spawner {
        Spawner(Arc::downgrade(&self.0))
    }
}

/// Adds to [`Tasks`], and does nothing once they are dropped. The tasks themselves may hold it.
#[derive(Clone, Debug)]
pub(crate) struct Spawner(Weak<Mutex<JoinSet<()>>>);

impl<F> Executor<F> for Spawner
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
            // A connection lives for many requests, each of which has had its tasks.
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }
}
