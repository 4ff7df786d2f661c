//! Receiving a deploy: the component into memory, everything else into the volume as it comes.

use super::bundle::{Bounds, Part, Reader, too_large};
use crate::body;
use crate::state::{Enclave, Reservation};
use crate::storage::{Destination, StorageError, Upload};
use bytes::{Bytes, BytesMut};
use cloister_api::{Code, Problem};
use cloister_filesystem::FsError;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// Keeps other deploys off the app's name, and too many of them off the enclave.
pub(crate) type Held = (Reservation, OwnedSemaphorePermit);

/// A deploy that is being received. Where its client goes away, what was written is removed, and then the name is free.
pub(crate) struct Receiver {
    limit: usize,
    patience: Duration,
    upload: Option<(Upload, Held)>,
}

impl Receiver {
    pub(crate) fn new(enclave: &Enclave, upload: Upload, held: Held) -> Self {
        Self {
            limit: enclave.settings.max_component,
            patience: Duration::from_millis(enclave.configuration.body_timeout_ms),
            upload: Some((upload, held)),
        }
    }

    /// A body that is a component and nothing else.
    ///
    /// # Errors
    /// [`Code::ComponentTooLarge`], [`Code::RequestTimeout`], [`Code::BadRequest`]; nothing is left then.
    pub(crate) async fn component<B>(self, body: B) -> Result<(Bytes, Upload, Held), Problem>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let read = body::read(body, self.limit, self.patience).await;
        let wasm = read.map_err(|problem| match problem.code {
            Code::BodyTooLarge => too_large(self.limit as u64),
            _ => problem,
        });
        self.done(wasm).await
    }

    /// A bundle. `files` bounds the bytes of its files; `None` where it must have none.
    ///
    /// # Errors
    /// As of [`component`](Self::component), [`Code::InvalidBundle`], or what the volume says; nothing is left then.
    pub(crate) async fn bundle<B>(
        mut self,
        body: B,
        files: Option<u64>,
    ) -> Result<(Bytes, Upload, Held), Problem>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let wasm = self.entries(body, files).await;
        self.done(wasm).await
    }

    /// Writes what comes with the component, which is the answer.
    async fn entries<B>(&mut self, mut body: B, files: Option<u64>) -> Result<Bytes, Problem>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let mut reader = Reader::new(Bounds { component: self.limit as u64, files });
        let (mut wasm, mut in_component) = (BytesMut::new(), false);
        let (mut parts, mut batch, mut weight) = (Vec::new(), Vec::new(), 0);
        let mut received = 0;
        while let Some(bytes) = body::part(&mut body, self.patience, received).await? {
            received += bytes.len() as u64;
            reader.push(bytes, &mut parts)?;
            for part in parts.drain(..) {
                match part {
                    Part::Component { .. } => in_component = true,
                    Part::Contents(bytes) if in_component => wasm.extend_from_slice(&bytes),
                    part => {
                        in_component = false;
                        weight += weight_of(&part);
                        batch.push(part);
                    }
                }
            }
            if weight >= BATCH {
                self.write(std::mem::take(&mut batch)).await?;
                weight = 0;
            }
        }
        reader.finish()?;
        self.write(batch).await?;
        Ok(wasm.freeze())
    }

    /// Writes on a thread that may wait for the disk. No such thread waits for a client.
    async fn write(&mut self, parts: Vec<Part>) -> Result<(), Problem> {
        let Some((mut upload, held)) = self.upload.take() else { return Err(failed()) };
        let writing = tokio::task::spawn_blocking(move || {
            let written = parts.into_iter().try_for_each(|part| write(&mut upload, part));
            // Where nobody waits any more, the upload goes before the name is free.
            (written, (upload, held))
        });
        let (written, upload) = writing.await.map_err(|_| failed())?;
        self.upload = Some(upload);
        written
    }

    /// Whoever is told of a failure may try again at once: what was written is gone by then.
    async fn done(mut self, wasm: Result<Bytes, Problem>) -> Result<(Bytes, Upload, Held), Problem> {
        let (upload, held) = self.upload.take().ok_or_else(failed)?;
        match wasm {
            Ok(wasm) => Ok((wasm, upload, held)),
            Err(problem) => {
                let _ = tokio::task::spawn_blocking(move || remove(upload, held)).await;
                Err(problem)
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        if let Some((upload, held)) = self.upload.take() {
            tokio::task::spawn_blocking(move || remove(upload, held));
        }
    }
}

/// The upload goes before the name is free.
fn remove(upload: Upload, held: Held) {
    drop(upload);
    drop(held);
}

fn write(upload: &mut Upload, part: Part) -> Result<(), Problem> {
    let (written, what) = match part {
        Part::Component { .. } => return Ok(()),
        Part::File { path, size } => (upload.file(Destination::Files, &path, size), path),
        Part::Asset { path, size } => (upload.file(Destination::Assets, &path, size), path),
        Part::Contents(bytes) => (upload.contents(&bytes), String::new()),
    };
    written.map_err(|error| match error {
        StorageError::Files(FsError::Exists | FsError::NotDirectory | FsError::IsDirectory) => Problem::new(
            Code::InvalidBundle,
            format!("the bundle cannot be used: a part of the path '{what}' is a file in it"),
        ),
        StorageError::Files(FsError::Quota) => Problem::new(
            Code::InvalidBundle,
            "the bundle cannot be used: its files are more than the app's limits 'storage' and 'files' allow",
        ),
        error => error.into_problem(),
    })
}

/// Bytes of memory that a part holds, about.
fn weight_of(part: &Part) -> usize {
    match part {
        Part::Component { .. } => 0,
        Part::File { path, .. } | Part::Asset { path, .. } => path.len() + size_of::<Part>(),
        Part::Contents(bytes) => bytes.len() + size_of::<Part>(),
    }
}

fn failed() -> Problem {
    Problem::new(Code::Internal, "receiving the upload failed inside the enclave")
}

/// Bytes that are collected before they are written.
const BATCH: usize = 1 << 20;
