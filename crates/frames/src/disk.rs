use crate::FrameError;

/// Bytes of a block, the unit of the disk.
pub const BLOCK_LEN: usize = 4096;
/// Most blocks that one request reads or writes: 512 KiB.
pub const MAX_BLOCKS_PER_FRAME: usize = 128;
/// One past the largest block number, and the longest disk, in blocks.
pub const MAX_BLOCKS: u64 = 1 << 48;
/// Bytes of the longest [`DiskHead`].
pub const MAX_DISK_HEAD: usize = 24;

/// What the enclave asks of the disk.
///
/// A payload is a tag byte and three zero bytes, then the numbers as little-endian `u64`, then data. So data starts at
/// a multiple of eight bytes in its frame, which is what copies across the boundary are fast at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskRequest<'a> {
    /// Tag 1: how long is the disk?
    Size,
    /// Tag 2: make it this many blocks long; new blocks read as anything.
    Resize {
        /// At most [`MAX_BLOCKS`].
        blocks: u64,
    },
    /// Tag 3: these blocks' contents.
    Read {
        /// The first.
        block: u64,
        /// 1 to [`MAX_BLOCKS_PER_FRAME`].
        count: u64,
    },
    /// Tag 4: new contents. They may be lost with the power until a flush has been answered.
    Write {
        /// The first.
        block: u64,
        /// 1 to [`MAX_BLOCKS_PER_FRAME`] whole blocks.
        data: &'a [u8],
    },
    /// Tag 5: these contents are not wanted any more. They may read as anything.
    Discard {
        /// The first.
        block: u64,
        /// At least 1.
        count: u64,
    },
    /// Tag 6: make everything that was written before durable.
    Flush,
}

/// What the disk answers; laid out as a [`DiskRequest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskResponse<'a> {
    /// Tag 1: its length in blocks, at most [`MAX_BLOCKS`].
    Size(u64),
    /// Tag 2: the contents asked for, 1 to [`MAX_BLOCKS_PER_FRAME`] whole blocks.
    Data(&'a [u8]),
    /// Tag 3: a resize, write, discard or flush is done.
    Done,
    /// Tag 255: it is not; the reason's code stands in the byte after the tag.
    Failed(DiskFailure),
}

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum DiskFailure {
    /// Code 1: the disk may not grow further, or the host's file system is full.
    #[error("the host has no space left for the disk")]
    NoSpace = 1,
    /// Code 2: the blocks lie beyond the end of the disk.
    #[error("the blocks lie beyond the end of the disk")]
    OutOfRange = 2,
    /// Code 3: the host could not read or write.
    #[error("the host cannot read or write its disk")]
    Io = 3,
}

/// Everything of a frame that stands before its data: the frame's length, the tag and the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskHead {
    bytes: [u8; MAX_DISK_HEAD],
    length: usize,
}

impl DiskHead {
    /// The bytes: 8, 16 or [`MAX_DISK_HEAD`] of them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn new<const N: usize>(start: [u8; 4], numbers: [u64; N], data: &[u8]) -> Self {
        let length = PREFIX + start.len() + N * size_of::<u64>();
        let payload = length - PREFIX + data.len();
        let mut bytes = [0; MAX_DISK_HEAD];
        // Saturated, it is longer than a frame may be, and whoever decodes it says so.
        bytes[..PREFIX].copy_from_slice(&u32::try_from(payload).unwrap_or(u32::MAX).to_le_bytes());
        bytes[PREFIX..PREFIX + start.len()].copy_from_slice(&start);
        for (into, number) in bytes[PREFIX + start.len()..].chunks_exact_mut(size_of::<u64>()).zip(numbers) {
            into.copy_from_slice(&number.to_le_bytes());
        }
        Self { bytes, length }
    }
}

impl<'a> DiskRequest<'a> {
    /// The frame's start; [`Self::data`] follows it.
    pub fn head(&self) -> DiskHead {
        match *self {
            Self::Size => DiskHead::new(start(1), [], &[]),
            Self::Resize { blocks } => DiskHead::new(start(2), [blocks], &[]),
            Self::Read { block, count } => DiskHead::new(start(3), [block, count], &[]),
            Self::Write { block, data } => DiskHead::new(start(4), [block], data),
            Self::Discard { block, count } => DiskHead::new(start(5), [block, count], &[]),
            Self::Flush => DiskHead::new(start(6), [], &[]),
        }
    }

    /// What follows the head: the data of a write.
    pub fn data(&self) -> &'a [u8] {
        match *self {
            Self::Write { data, .. } => data,
            _ => &[],
        }
    }

    /// The request as a frame's payload: a copy.
    pub fn encode(&self) -> Vec<u8> {
        [&self.head().as_bytes()[PREFIX..], self.data()].concat()
    }

    /// The request in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a request.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FrameError> {
        let (tag, rest) = tag(payload)?;
        match tag {
            1 => none(rest).map(|()| Self::Size),
            2 => Ok(Self::Resize { blocks: size(one(rest)?)? }),
            3 => {
                let (block, count) = two(rest)?;
                if count > MAX_BLOCKS_PER_FRAME as u64 {
                    return Err(FrameError::Number);
                }
                range(block, count).map(|()| Self::Read { block, count })
            }
            4 => {
                let (block, data) = number(rest)?;
                range(block, whole_blocks(data)?).map(|()| Self::Write { block, data })
            }
            5 => {
                let (block, count) = two(rest)?;
                range(block, count).map(|()| Self::Discard { block, count })
            }
            6 => none(rest).map(|()| Self::Flush),
            tag => Err(FrameError::Tag(tag)),
        }
    }
}

impl<'a> DiskResponse<'a> {
    /// The frame's start; [`Self::data`] follows it.
    pub fn head(&self) -> DiskHead {
        match *self {
            Self::Size(blocks) => DiskHead::new(start(1), [blocks], &[]),
            Self::Data(data) => DiskHead::new(start(2), [], data),
            Self::Done => DiskHead::new(start(3), [], &[]),
            Self::Failed(failure) => DiskHead::new([255, failure as u8, 0, 0], [], &[]),
        }
    }

    /// What follows the head.
    pub fn data(&self) -> &'a [u8] {
        match *self {
            Self::Data(data) => data,
            _ => &[],
        }
    }

    /// The response as a frame's payload: a copy.
    pub fn encode(&self) -> Vec<u8> {
        [&self.head().as_bytes()[PREFIX..], self.data()].concat()
    }

    /// The response in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a response.
    pub fn decode(payload: &'a [u8]) -> Result<Self, FrameError> {
        if let [255, code, 0, 0] = *payload {
            return DiskFailure::from_code(code).map(Self::Failed);
        }
        let (tag, rest) = tag(payload)?;
        match tag {
            1 => Ok(Self::Size(size(one(rest)?)?)),
            2 => whole_blocks(rest).map(|_| Self::Data(rest)),
            3 => none(rest).map(|()| Self::Done),
            255 => Err(FrameError::Length),
            tag => Err(FrameError::Tag(tag)),
        }
    }
}

impl DiskFailure {
    fn from_code(code: u8) -> Result<Self, FrameError> {
        [Self::NoSpace, Self::OutOfRange, Self::Io]
            .into_iter()
            .find(|failure| *failure as u8 == code)
            .ok_or(FrameError::Number)
    }
}

fn start(tag: u8) -> [u8; 4] {
    [tag, 0, 0, 0]
}

fn tag(payload: &[u8]) -> Result<(u8, &[u8]), FrameError> {
    match payload {
        [tag, 0, 0, 0, rest @ ..] => Ok((*tag, rest)),
        [_, _, _, _, ..] => Err(FrameError::Number),
        _ => Err(FrameError::Length),
    }
}

fn none(rest: &[u8]) -> Result<(), FrameError> {
    if rest.is_empty() { Ok(()) } else { Err(FrameError::Length) }
}

fn one(rest: &[u8]) -> Result<u64, FrameError> {
    let (first, rest) = number(rest)?;
    none(rest).map(|()| first)
}

fn two(rest: &[u8]) -> Result<(u64, u64), FrameError> {
    let (first, rest) = number(rest)?;
    Ok((first, one(rest)?))
}

fn number(bytes: &[u8]) -> Result<(u64, &[u8]), FrameError> {
    let (number, rest) = bytes.split_first_chunk().ok_or(FrameError::Length)?;
    Ok((u64::from_le_bytes(*number), rest))
}

fn size(blocks: u64) -> Result<u64, FrameError> {
    if blocks <= MAX_BLOCKS { Ok(blocks) } else { Err(FrameError::Number) }
}

/// At least one block, and none at or beyond [`MAX_BLOCKS`].
fn range(block: u64, count: u64) -> Result<(), FrameError> {
    let end = block.checked_add(count).ok_or(FrameError::Number)?;
    if count > 0 && end <= MAX_BLOCKS { Ok(()) } else { Err(FrameError::Number) }
}

fn whole_blocks(data: &[u8]) -> Result<u64, FrameError> {
    let count = data.len() / BLOCK_LEN;
    if data.len().is_multiple_of(BLOCK_LEN) && (1..=MAX_BLOCKS_PER_FRAME).contains(&count) {
        Ok(count as u64)
    } else {
        Err(FrameError::Length)
    }
}

/// Bytes of a frame's length.
const PREFIX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{MAX_FRAME, decode_length};
    use proptest::prelude::*;

    fn frame(head: DiskHead, data: &[u8]) -> Vec<u8> {
        [head.as_bytes(), data].concat()
    }

    /// The payload of a whole frame.
    fn payload(frame: &[u8]) -> &[u8] {
        let (prefix, payload) = frame.split_first_chunk().unwrap();
        assert_eq!(decode_length(*prefix), Ok(payload.len()));
        payload
    }

    fn survives_request(request: DiskRequest<'_>) {
        let frame = frame(request.head(), request.data());
        assert_eq!(DiskRequest::decode(payload(&frame)), Ok(request));
        assert_eq!(payload(&frame), request.encode());
    }

    fn survives_response(response: DiskResponse<'_>) {
        let frame = frame(response.head(), response.data());
        assert_eq!(DiskResponse::decode(payload(&frame)), Ok(response));
        assert_eq!(payload(&frame), response.encode());
    }

    #[test]
    fn requests_and_responses_survive_encoding() {
        let data = vec![7; MAX_BLOCKS_PER_FRAME * BLOCK_LEN];
        for request in [
            DiskRequest::Size,
            DiskRequest::Resize { blocks: MAX_BLOCKS },
            DiskRequest::Read { block: MAX_BLOCKS - 128, count: 128 },
            DiskRequest::Write { block: 0, data: &data },
            DiskRequest::Discard { block: 0, count: MAX_BLOCKS },
            DiskRequest::Flush,
        ] {
            survives_request(request);
        }
        for response in [
            DiskResponse::Size(0),
            DiskResponse::Data(&data),
            DiskResponse::Done,
            DiskResponse::Failed(DiskFailure::NoSpace),
            DiskResponse::Failed(DiskFailure::OutOfRange),
            DiskResponse::Failed(DiskFailure::Io),
        ] {
            survives_response(response);
        }
    }

    #[test]
    fn layouts_are_those_of_the_design_page() {
        let request = DiskRequest::Read { block: 0x0102, count: 3 };
        assert_eq!(
            request.head().as_bytes(),
            [20, 0, 0, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0]
        );
        let data = [9; BLOCK_LEN];
        let request = DiskRequest::Write { block: 5, data: &data };
        assert_eq!(request.head().as_bytes(), [12, 16, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(DiskResponse::Data(&data).head().as_bytes(), [4, 16, 0, 0, 2, 0, 0, 0]);
        assert_eq!(
            DiskResponse::Failed(DiskFailure::OutOfRange).head().as_bytes(),
            [4, 0, 0, 0, 255, 2, 0, 0]
        );
    }

    #[test]
    fn the_largest_frames_fit() {
        const { assert!(MAX_DISK_HEAD + MAX_BLOCKS_PER_FRAME * BLOCK_LEN <= MAX_FRAME) }
    }

    #[test]
    fn numbers_and_lengths_out_of_bounds_are_errors() {
        let request = |request: DiskRequest<'_>| {
            let frame = frame(request.head(), request.data());
            DiskRequest::decode(&frame[PREFIX..]).unwrap_err()
        };
        let long = vec![0; (MAX_BLOCKS_PER_FRAME + 1) * BLOCK_LEN];
        assert_eq!(request(DiskRequest::Resize { blocks: MAX_BLOCKS + 1 }), FrameError::Number);
        assert_eq!(request(DiskRequest::Read { block: 0, count: 0 }), FrameError::Number);
        assert_eq!(request(DiskRequest::Read { block: 0, count: 129 }), FrameError::Number);
        assert_eq!(request(DiskRequest::Read { block: MAX_BLOCKS, count: 1 }), FrameError::Number);
        assert_eq!(request(DiskRequest::Discard { block: u64::MAX, count: u64::MAX }), FrameError::Number);
        assert_eq!(request(DiskRequest::Discard { block: 1, count: MAX_BLOCKS }), FrameError::Number);
        assert_eq!(request(DiskRequest::Write { block: 0, data: &long }), FrameError::Length);
        assert_eq!(
            request(DiskRequest::Write { block: 0, data: &long[..BLOCK_LEN + 1] }),
            FrameError::Length
        );
        assert_eq!(request(DiskRequest::Write { block: 0, data: &[] }), FrameError::Length);
        assert_eq!(DiskRequest::decode(&[9, 0, 0, 0]), Err(FrameError::Tag(9)));
        assert_eq!(DiskRequest::decode(&[1, 0, 0]), Err(FrameError::Length));
        assert_eq!(DiskRequest::decode(&[1, 0, 0, 1]), Err(FrameError::Number));
        assert_eq!(DiskResponse::decode(&[255, 0, 0, 0]), Err(FrameError::Number));
        assert_eq!(DiskResponse::decode(&[255, 1, 0, 0, 0]), Err(FrameError::Number));
        assert_eq!(DiskResponse::decode(&[4, 0, 0, 0]), Err(FrameError::Tag(4)));
    }

    fn blocks() -> impl Strategy<Value = Vec<u8>> {
        (1..=4_usize, any::<u8>()).prop_map(|(count, byte)| vec![byte; count * BLOCK_LEN])
    }

    proptest! {
        #[test]
        fn any_request_survives(
            tag in 0..6_u8,
            block in 0..MAX_BLOCKS - 128,
            count in 1..=128_u64,
            data in blocks(),
        ) {
            survives_request(match tag {
                0 => DiskRequest::Size,
                1 => DiskRequest::Resize { blocks: block },
                2 => DiskRequest::Read { block, count },
                3 => DiskRequest::Write { block, data: &data },
                4 => DiskRequest::Discard { block, count },
                _ => DiskRequest::Flush,
            });
        }

        #[test]
        fn any_bytes_are_a_value_that_encodes_to_them_or_an_error(
            tag in prop_oneof![0..8_u8, Just(255)],
            rest in prop_oneof![
                prop::collection::vec(prop_oneof![Just(0), any::<u8>()], 0..24),
                prop::collection::vec(Just(0), 4096..4110),
            ],
        ) {
            let bytes = [&[tag], rest.as_slice()].concat();
            if let Ok(request) = DiskRequest::decode(&bytes) {
                let encoded = frame(request.head(), request.data());
                prop_assert_eq!(payload(&encoded), &bytes);
            }
            if let Ok(response) = DiskResponse::decode(&bytes) {
                let encoded = frame(response.head(), response.data());
                prop_assert_eq!(payload(&encoded), &bytes);
            }
        }
    }
}
