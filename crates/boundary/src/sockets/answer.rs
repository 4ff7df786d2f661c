use crate::lanes::{Lane, PREFIX, Patience, Received, lied, send};
use crate::net::SocketError;
use cloister_frames::{
    Family, MAX_ADDRESSES, MAX_SOCKET_PAYLOAD, SocketFailure, SocketRequest, SocketResponse, decode_length,
    encode_length,
};
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Sends a request's payload and takes the payload of its answer.
///
/// # Errors
/// As the host says; [`io::ErrorKind::InvalidData`] for anything but exactly one frame. The lane cannot be used any more
/// after an error.
pub(super) fn exchange(lane: &mut impl Lane, payload: &[u8]) -> io::Result<Vec<u8>> {
    let prefix = encode_length(payload.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    if payload.len() > MAX_SOCKET_PAYLOAD {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    lane.put(0, &prefix);
    lane.put(PREFIX, payload);
    let mut patience = Patience::default();
    send(lane, 0..PREFIX + payload.len(), &mut patience)?;
    let limit = PREFIX + MAX_SOCKET_PAYLOAD;
    let mut received = Received::default();
    received.until(PREFIX, limit, lane, &mut patience)?;
    let mut prefix = [0; PREFIX];
    lane.take(0, &mut prefix);
    let length = decode_length(prefix).map_err(|_| lied("a frame that is too long"))?;
    if length > MAX_SOCKET_PAYLOAD {
        return Err(lied("a frame that is too long"));
    }
    if received.until(PREFIX + length, limit, lane, &mut patience)? != PREFIX + length {
        return Err(lied("an answer of another length"));
    }
    let mut answer = vec![0; length];
    lane.take(PREFIX, &mut answer);
    Ok(answer)
}

/// What is wanted of an answer, or why the host could not.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for an answer of another kind, or a failure that the request cannot have.
pub(super) fn take<T>(
    request: &SocketRequest<'_>,
    answer: &[u8],
    wanted: impl FnOnce(SocketResponse<'_>) -> Option<T>,
) -> io::Result<Result<T, SocketError>> {
    match SocketResponse::decode(answer) {
        Ok(SocketResponse::Failed(failure)) if is_possible(request, failure) => Ok(Err(failure.into())),
        Ok(response) => wanted(response).map(Ok).ok_or_else(|| lied("an answer of another kind")),
        Err(_) => Err(lied("no answer of its sockets")),
    }
}

/// The answer to a lookup as it comes: one frame, and nothing after it is looked at.
#[derive(Debug, Default)]
pub(crate) struct Found {
    bytes: Vec<u8>,
}

impl Found {
    /// Most bytes that are still to come.
    pub(crate) fn missing(&self) -> Result<usize, SocketError> {
        let Some(prefix) = self.bytes.first_chunk() else { return Ok(PREFIX - self.bytes.len()) };
        let length = decode_length(*prefix).map_err(|_| SocketError::Host)?;
        if length > MAX_FOUND {
            return Err(SocketError::Host);
        }
        Ok((PREFIX + length).saturating_sub(self.bytes.len()))
    }

    /// Adds bytes: at least one, and at most as many as are missing.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The addresses, once nothing is missing.
    ///
    /// # Errors
    /// Why there are none, or [`SocketError::Host`].
    pub(crate) fn addresses(&self) -> Result<Vec<IpAddr>, SocketError> {
        match SocketResponse::decode(self.bytes.get(PREFIX..).unwrap_or_default()) {
            Ok(SocketResponse::Found(addresses)) => Ok(addresses),
            Ok(SocketResponse::Failed(SocketFailure::WouldBlock)) => Err(SocketError::Host),
            Ok(SocketResponse::Failed(failure)) => Err(failure.into()),
            Ok(_) | Err(_) => Err(SocketError::Host),
        }
    }
}

/// The address, where a socket of this family can have it.
///
/// # Errors
/// [`SocketError::Host`] where it cannot. IPv4 inside IPv6 counts as IPv4, which sockets of IPv6 never speak.
pub(crate) fn of_family(address: SocketAddr, family: Family) -> Result<SocketAddr, SocketError> {
    let right = match (address, family) {
        (SocketAddr::V4(_), Family::V4) => true,
        (SocketAddr::V6(address), Family::V6) => address.ip().to_ipv4_mapped().is_none(),
        (SocketAddr::V4(_), Family::V6) | (SocketAddr::V6(_), Family::V4) => false,
    };
    if right { Ok(address) } else { Err(SocketError::Host) }
}

/// Only what can wait may have to, or whoever asked would wait for something that never comes.
fn is_possible(request: &SocketRequest<'_>, failure: SocketFailure) -> bool {
    let can_wait = matches!(
        request,
        SocketRequest::FinishConnect { .. }
            | SocketRequest::Accept { .. }
            | SocketRequest::Receive { .. }
            | SocketRequest::Send { .. }
    );
    can_wait || failure != SocketFailure::WouldBlock
}

/// Bytes of the longest answer to a lookup: a tag, and addresses of 17 bytes each.
const MAX_FOUND: usize = 1 + 17 * MAX_ADDRESSES;
