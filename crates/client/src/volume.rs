use crate::ClientError;
use crate::lines::Lines;
use crate::transport::Transport;
use bytes::{Buf, Bytes, BytesMut};
use cloister_api::{
    BACKUP_BLOCK, BACKUP_END, BACKUP_EPOCH_HEADER, CheckEvent, MAX_BACKUP_CHUNK, MAX_VOLUME_BLOCKS,
};
use http::Response;
use hyper::body::Incoming;

/// What a check of the whole volume found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeCheck {
    /// Blocks that were read, of 4096 bytes.
    pub blocks: u64,
    /// Places that do not verify, each of which was an event.
    pub damaged: u64,
    /// The commit that was checked.
    pub epoch: u64,
}

/// Follows the enclave's events to the last one.
pub(crate) async fn check(
    transport: &Transport,
    response: Response<Incoming>,
    mut progress: impl FnMut(CheckEvent) + Send,
) -> Result<VolumeCheck, ClientError> {
    if !response.status().is_success() {
        return Err(transport.problem(response).await);
    }
    let mut body = response.into_body();
    let mut lines = Lines::default();
    while let Some(piece) = transport.next(&mut body).await? {
        for line in lines.push(&piece)? {
            let event: CheckEvent = serde_json::from_slice(&line)
                .map_err(|error| ClientError::UnexpectedResponse(format!("a line of progress: {error}")))?;
            progress(event.clone());
            match event {
                CheckEvent::Done { blocks, damaged, epoch } => {
                    return Ok(VolumeCheck { blocks, damaged, epoch });
                }
                CheckEvent::Failed { problem } => return Err(ClientError::Problem(Box::new(problem))),
                CheckEvent::Progress { .. } | CheckEvent::Damaged { .. } => {}
            }
        }
    }
    Err(ClientError::ConnectionLost("the check ended without a result".to_owned()))
}

/// A backup on its way: the blocks of one commit, sealed as they are on the host's disk. Blocks that no chunk has are
/// free. Whoever stops before [`next_chunk`](Self::next_chunk) answered `None` has no backup.
#[derive(Debug)]
pub struct Backup<'a> {
    transport: &'a Transport,
    body: Incoming,
    epoch: u64,
    decoder: Decoder,
}

/// Some blocks of a backup that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupChunk {
    /// Number of the first one; its place on the disk is 4096 times that.
    pub block: u64,
    /// Whole blocks, at least one.
    pub bytes: Bytes,
}

impl<'a> Backup<'a> {
    pub(crate) async fn begin(
        transport: &'a Transport,
        response: Response<Incoming>,
    ) -> Result<Self, ClientError> {
        if !response.status().is_success() {
            return Err(transport.problem(response).await);
        }
        let epoch =
            response.headers().get(BACKUP_EPOCH_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let epoch = epoch.ok_or_else(|| unexpected("the backup does not say of which epoch it is"))?;
        Ok(Self { transport, body: response.into_body(), epoch, decoder: Decoder::default() })
    }

    /// The commit that this is a backup of. An enclave with a freshness anchor mounts it only where its operator
    /// accepts this very epoch.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The next blocks; `None` when all of them came.
    ///
    /// # Errors
    /// [`ClientError`], also where the stream ends too early.
    pub async fn next_chunk(&mut self) -> Result<Option<BackupChunk>, ClientError> {
        loop {
            match self.decoder.next()? {
                Decoded::Chunk(chunk) => return Ok(Some(chunk)),
                Decoded::End => return Ok(None),
                Decoded::NeedsMore => match self.transport.next(&mut self.body).await? {
                    Some(piece) => self.decoder.push(&piece),
                    None => return Err(ClientError::ConnectionLost("the backup is not whole".to_owned())),
                },
            }
        }
    }
}

/// Cuts the stream of a backup into its chunks; holds at most one of them and one piece.
#[derive(Debug, Default)]
struct Decoder {
    buffer: BytesMut,
    ended: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Decoded {
    Chunk(BackupChunk),
    NeedsMore,
    End,
}

impl Decoder {
    fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    fn next(&mut self) -> Result<Decoded, ClientError> {
        if self.ended {
            return if self.buffer.is_empty() {
                Ok(Decoded::End)
            } else {
                Err(unexpected("the backup goes on after its end"))
            };
        }
        let Some(mut head) = self.buffer.get(..HEAD) else { return Ok(Decoded::NeedsMore) };
        let (block, count) = (head.get_u64_le(), head.get_u32_le());
        if (block, count) == (BACKUP_END, 0) {
            self.buffer.advance(HEAD);
            self.ended = true;
            return self.next();
        }
        let fits = block.checked_add(count.into()).is_some_and(|end| end <= MAX_VOLUME_BLOCKS);
        if !(1..=MAX_BACKUP_CHUNK).contains(&count) || !fits {
            return Err(unexpected("the backup has a chunk out of bounds"));
        }
        let length = count as usize * BACKUP_BLOCK;
        if self.buffer.len() < HEAD + length {
            return Ok(Decoded::NeedsMore);
        }
        self.buffer.advance(HEAD);
        Ok(Decoded::Chunk(BackupChunk { block, bytes: self.buffer.split_to(length).freeze() }))
    }
}

fn unexpected(what: &str) -> ClientError {
    ClientError::UnexpectedResponse(what.to_owned())
}

/// Bytes of a chunk's head: the number of its first block, and how many there are.
const HEAD: usize = 8 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(block: u64, count: u32, fill: u8) -> Vec<u8> {
        let blocks = vec![fill; count as usize * BACKUP_BLOCK];
        [&block.to_le_bytes()[..], &count.to_le_bytes(), &blocks].concat()
    }

    fn end() -> Vec<u8> {
        [&BACKUP_END.to_le_bytes()[..], &[0; 4]].concat()
    }

    fn decode(stream: &[u8], piece: usize) -> Result<(Vec<BackupChunk>, Decoded), ClientError> {
        let mut decoder = Decoder::default();
        let mut chunks = Vec::new();
        for piece in stream.chunks(piece) {
            decoder.push(piece);
            while let Decoded::Chunk(chunk) = decoder.next()? {
                chunks.push(chunk);
            }
        }
        Ok((chunks, decoder.next()?))
    }

    #[test]
    fn chunks_are_found_however_the_stream_is_cut() {
        let stream = [chunk(0, 2, 1), chunk(700, 1, 2), chunk(5, 256, 3), end()].concat();
        for piece in [1, 11, 12, 13, 4096, 9000, stream.len()] {
            let (chunks, last) = decode(&stream, piece).unwrap();
            assert_eq!(last, Decoded::End);
            let places = Vec::from_iter(chunks.iter().map(|chunk| (chunk.block, chunk.bytes.len())));
            assert_eq!(places, [(0, 8192), (700, 4096), (5, 256 * 4096)]);
            assert!(chunks[2].bytes.iter().all(|byte| *byte == 3));
        }
    }

    #[test]
    fn a_stream_without_its_end_is_not_whole() {
        let stream = [chunk(0, 1, 1), end()].concat();
        for length in 0..stream.len() {
            assert_eq!(decode(&stream[..length], 4096).unwrap().1, Decoded::NeedsMore, "{length} bytes");
        }
    }

    #[test]
    fn chunks_out_of_bounds_and_bytes_after_the_end_are_refused() {
        let head = |block: u64, count: u32| [&block.to_le_bytes()[..], &count.to_le_bytes()].concat();
        for bad in [
            head(0, 0),
            head(0, MAX_BACKUP_CHUNK + 1),
            head(BACKUP_END, 1),
            head(u64::MAX - 1, 2),
            head(MAX_VOLUME_BLOCKS, 1),
            [end(), vec![0]].concat(),
        ] {
            assert!(decode(&bad, 4096).is_err(), "{bad:02x?}");
        }
    }
}
