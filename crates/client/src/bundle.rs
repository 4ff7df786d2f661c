use crate::tree::{PIECE, TreeFile};
use crate::{ClientError, Tree};
use bytes::Bytes;
use cloister_api::{EntryHead, EntryKind};
use cloister_attestation::{AssetsHash, ContentsHash, sha256};
use std::sync::mpsc::{Receiver, sync_channel};

/// What is deployed: a component, and perhaps directories that come with it.
#[derive(Clone, Debug)]
pub struct Upload {
    pub wasm: Bytes,
    /// Files that a new app's tree begins with.
    pub files: Option<Tree>,
    /// Read-only files that belong to the code, and that evidence names.
    pub assets: Option<Tree>,
}

impl From<Bytes> for Upload {
    /// A component and nothing else.
    fn from(wasm: Bytes) -> Self {
        Self { wasm, files: None, assets: None }
    }
}

impl From<Vec<u8>> for Upload {
    fn from(wasm: Vec<u8>) -> Self {
        Bytes::from(wasm).into()
    }
}

impl Upload {
    pub(crate) fn code_hash(&self) -> String {
        hex::encode(sha256(&self.wasm))
    }

    /// Whether it is a bundle; a component alone is sent as it is.
    pub(crate) fn is_bundle(&self) -> bool {
        self.files.is_some() || self.assets.is_some()
    }

    /// Bytes of the body.
    pub(crate) fn length(&self) -> u64 {
        if !self.is_bundle() {
            return self.wasm.len() as u64;
        }
        let head = cloister_api::BUNDLE_ENTRY_HEAD as u64;
        let entries = self.entries().map(|(_, file)| head + file.path.len() as u64 + file.size);
        head + self.wasm.len() as u64 + entries.sum::<u64>() + head
    }

    /// Makes the body on a thread of its own, which ends when the pieces are taken or nobody takes them any more.
    pub(crate) fn pieces(self) -> Pieces {
        let (sender, pieces) = sync_channel(2);
        std::thread::spawn(move || {
            let send = |piece: Bytes| sender.send(Ok(Piece::Body(piece))).map_err(|_| Stopped::Unwanted);
            let last = match self.send(&send) {
                Ok(assets) => Ok(Piece::End { assets }),
                Err(Stopped::Unwanted) => return,
                Err(Stopped::Failed(error)) => Err(error),
            };
            // Nobody may want it any more.
            let _ = sender.send(last);
        });
        Pieces(Some(pieces))
    }

    fn send(&self, send: &dyn Fn(Bytes) -> Result<(), Stopped>) -> Result<Option<[u8; 32]>, Stopped> {
        if !self.is_bundle() {
            send_bytes(&self.wasm, send)?;
            return Ok(None);
        }
        let size = self.wasm.len() as u64;
        send(Bytes::copy_from_slice(&EntryHead { kind: EntryKind::Component, path: 0, size }.encode()))?;
        send_bytes(&self.wasm, send)?;
        let mut assets = AssetsHash::new();
        for (kind, file) in self.entries() {
            let contents = send_file(kind, file, send)?;
            if kind == EntryKind::Asset {
                file.add_to(&mut assets, contents).map_err(failed)?;
            }
        }
        send(Bytes::copy_from_slice(&EntryHead { kind: EntryKind::End, path: 0, size: 0 }.encode()))?;
        Ok(assets.finish())
    }

    /// In the order of a bundle.
    fn entries(&self) -> impl Iterator<Item = (EntryKind, &TreeFile)> {
        let files = self.files.iter().flat_map(|tree| &tree.files);
        let assets = self.assets.iter().flat_map(|tree| &tree.files);
        files.map(|file| (EntryKind::File, file)).chain(assets.map(|file| (EntryKind::Asset, file)))
    }
}

/// A body that is made while it is sent.
pub(crate) struct Pieces(Option<Receiver<Result<Piece, ClientError>>>);

/// A part of a body, or that it is whole.
pub(crate) enum Piece {
    Body(Bytes),
    End { assets: Option<[u8; 32]> },
}

impl Pieces {
    /// The next piece, not taken again after the end or an error.
    pub(crate) async fn next(&mut self) -> Result<Piece, ClientError> {
        let gone = || ClientError::ConnectionLost("the upload was broken off".to_owned());
        let pieces = self.0.take().ok_or_else(gone)?;
        let (piece, pieces) =
            tokio::task::spawn_blocking(move || (pieces.recv(), pieces)).await.map_err(|_| gone())?;
        self.0 = Some(pieces);
        piece.map_err(|_| gone())?
    }
}

enum Stopped {
    /// Nobody takes the pieces any more.
    Unwanted,
    Failed(ClientError),
}

fn failed(error: crate::TreeError) -> Stopped {
    Stopped::Failed(error.into())
}

fn send_bytes(bytes: &Bytes, send: &dyn Fn(Bytes) -> Result<(), Stopped>) -> Result<(), Stopped> {
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        send(rest.split_to(rest.len().min(PIECE)))?;
    }
    Ok(())
}

fn send_file(
    kind: EntryKind,
    file: &TreeFile,
    send: &dyn Fn(Bytes) -> Result<(), Stopped>,
) -> Result<ContentsHash, Stopped> {
    let path = file.path.as_bytes();
    let head = EntryHead { kind, path: path.len() as u16, size: file.size };
    send([&head.encode()[..], path].concat().into())?;
    let mut reading = file.open().map_err(failed)?;
    let (mut contents, mut piece) = (ContentsHash::new(), vec![0; PIECE]);
    loop {
        let read = reading.read(&mut piece).map_err(failed)?;
        if read.is_empty() {
            return Ok(contents);
        }
        contents.update(read);
        send(Bytes::copy_from_slice(read))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TreeError;

    async fn body(upload: Upload) -> Result<(Vec<u8>, Option<[u8; 32]>), ClientError> {
        let mut pieces = upload.pieces();
        let mut body = Vec::new();
        loop {
            match pieces.next().await? {
                Piece::Body(piece) => body.extend_from_slice(&piece),
                Piece::End { assets } => return Ok((body, assets)),
            }
        }
    }

    #[tokio::test]
    async fn a_component_alone_is_its_bytes() {
        let upload = Upload::from(vec![7; 200_000]);
        assert_eq!(upload.length(), 200_000);
        assert_eq!(body(upload).await.unwrap(), (vec![7; 200_000], None));
    }

    #[tokio::test]
    async fn a_bundle_has_the_documented_bytes() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("b"), b"xy").unwrap();
        std::fs::write(directory.path().join("a"), b"").unwrap();
        let tree = Tree::list(directory.path()).unwrap();
        let wasm = Bytes::from_static(b"wasm");
        let upload = Upload { wasm, files: Some(tree.clone()), assets: Some(tree.clone()) };
        let expected = [
            &[1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0][..],
            b"wasm",
            &[2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            b"a",
            &[2, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0],
            b"bxy",
            &[3, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            b"a",
            &[3, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0],
            b"bxy",
            &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        assert_eq!(upload.length(), expected.len() as u64);
        assert_eq!(body(upload).await.unwrap(), (expected, tree.assets_hash().unwrap()));
    }

    #[tokio::test]
    async fn a_file_that_is_gone_ends_the_upload() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a"), b"x").unwrap();
        let tree = Tree::list(directory.path()).unwrap();
        std::fs::remove_file(directory.path().join("a")).unwrap();
        let upload = Upload { wasm: Bytes::new(), files: Some(tree), assets: None };
        assert!(matches!(body(upload).await, Err(ClientError::Tree(TreeError::Unreadable { .. }))));
    }
}
