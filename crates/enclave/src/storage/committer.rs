//! Group commit: however many calls wait for their writes, one commit at a time serves all of them.

use cloister_runtime::Unavailable;
use cloister_volume::{State, Volume};
use tokio::sync::{mpsc, oneshot};

/// A handle to the task that commits. The task ends with the last handle.
#[derive(Clone, Debug)]
pub(super) struct Committer {
    /// As many wait as there are calls, which the enclave bounds.
    waiting: mpsc::UnboundedSender<Waiter>,
    volume: Volume,
}

type Waiter = oneshot::Sender<Result<State, Unavailable>>;

impl Committer {
    pub(super) fn start(volume: Volume) -> Self {
        let (waiting, waiters) = mpsc::unbounded_channel();
        tokio::spawn(run(waiters, volume.clone()));
        Self { waiting, volume }
    }

    /// Resolves when everything is durable that was written before this call.
    pub(super) async fn commit(&self) -> Result<State, Unavailable> {
        if !self.volume.has_uncommitted() {
            // A call that only read, of what is on the disk: it need not wait for a thread.
            return Ok(self.volume.state());
        }
        let (waiter, answer) = oneshot::channel();
        self.waiting.send(waiter).map_err(|_| Unavailable)?;
        answer.await.unwrap_or(Err(Unavailable))
    }
}

async fn run(mut waiters: mpsc::UnboundedReceiver<Waiter>, volume: Volume) {
    let mut failing = false;
    while let Some(first) = waiters.recv().await {
        let mut group = vec![first];
        // Whoever comes from here on has written what this commit may miss, and waits for the next.
        while let Ok(next) = waiters.try_recv() {
            group.push(next);
        }
        let volume = volume.clone();
        let committed = tokio::task::spawn_blocking(move || volume.commit()).await;
        let answer = match committed {
            Ok(Ok(state)) => Ok(state),
            Ok(Err(_)) | Err(_) => Err(Unavailable),
        };
        if answer.is_err() && !failing {
            // The error itself can name an app, and the host reads this.
            cloister_boundary::log("the disk does not take what calls wrote; they are told so");
        }
        failing = answer.is_err();
        for waiter in group {
            // Whoever went away is told by nobody.
            let _ = waiter.send(answer);
        }
    }
}
