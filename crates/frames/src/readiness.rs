/// Bytes of one encoded [`Event`].
pub const EVENT_LEN: usize = 16;
/// The file descriptor of an event that asks the enclave to finish its work and exit.
pub const SHUTDOWN_FD: u64 = u64::MAX;

/// One change of a socket: `fd` (`u64`), flags (`u32`: 1 readable, 2 writable), four zero bytes; little-endian.
///
/// A socket that failed or was closed by its peer is both readable and writable: the next operation tells which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    pub fd: u64,
    pub readable: bool,
    pub writable: bool,
}

impl Event {
    /// The event as bytes.
    pub fn encode(self) -> [u8; EVENT_LEN] {
        let flags = u32::from(self.readable) | u32::from(self.writable) << 1;
        let mut bytes = [0; EVENT_LEN];
        bytes[..8].copy_from_slice(&self.fd.to_le_bytes());
        bytes[8..12].copy_from_slice(&flags.to_le_bytes());
        bytes
    }

    /// The event in these bytes. Unknown flags are ignored: an event is a hint, and believing a false one costs a
    /// `WouldBlock`.
    pub fn decode(bytes: &[u8; EVENT_LEN]) -> Self {
        let (fd, rest) = bytes.split_first_chunk::<8>().expect("16 bytes hold 8");
        let flags = rest[0];
        Self { fd: u64::from_le_bytes(*fd), readable: flags & 1 != 0, writable: flags & 2 != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_encoding() {
        for (readable, writable) in [(false, false), (true, false), (false, true), (true, true)] {
            let event = Event { fd: 0x0102_0304_0506_0708, readable, writable };
            assert_eq!(Event::decode(&event.encode()), event);
        }
    }

    #[test]
    fn any_bytes_are_some_event() {
        let event = Event::decode(&[0xff; EVENT_LEN]);
        assert_eq!(event, Event { fd: SHUTDOWN_FD, readable: true, writable: true });
    }
}
