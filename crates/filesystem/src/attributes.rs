//! What an inode's 64 attribute bytes hold (`docs/design/filesystem.md` has the table).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Bytes.
    File,
    /// Names of nodes.
    Directory,
    /// A path that stands for another.
    Symlink,
}

impl Kind {
    pub(crate) fn code(self) -> u8 {
        match self {
            Kind::File => 1,
            Kind::Directory => 2,
            Kind::Symlink => 3,
        }
    }

    pub(crate) fn of_code(code: u8) -> Option<Kind> {
        match code {
            1 => Some(Kind::File),
            2 => Some(Kind::Directory),
            3 => Some(Kind::Symlink),
            _ => None,
        }
    }
}

/// The attributes of an inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inode {
    pub(crate) kind: Kind,
    /// Directory entries that name it; for a directory 2 and one for each subdirectory. 0: unlinked.
    pub(crate) links: u32,
    pub(crate) accessed: Time,
    pub(crate) modified: Time,
    pub(crate) changed: Time,
    /// Of a directory: the directory that holds it (the root: itself). 0 for other kinds.
    pub(crate) parent: u64,
    /// The next unlinked inode that is waiting to be freed, 0 at the end; in the root the first of them.
    pub(crate) next_orphan: u64,
    /// The unlinked inode before this one, 0 where the root is before it.
    pub(crate) previous_orphan: u64,
    /// Changes of content so far: two contents never share it, even where the clock stands still.
    pub(crate) changes: u64,
}

impl Inode {
    pub(crate) fn new(kind: Kind, parent: u64) -> Inode {
        let now = Time::now();
        let (links, parent) = match kind {
            Kind::Directory => (2, parent),
            Kind::File | Kind::Symlink => (1, 0),
        };
        Inode {
            kind,
            links,
            accessed: now,
            modified: now,
            changed: now,
            parent,
            next_orphan: 0,
            previous_orphan: 0,
            changes: 0,
        }
    }

    /// Its content is another now.
    pub(crate) fn content_changed(&mut self) {
        self.modified = Time::now();
        self.changed = self.modified;
        self.changes = self.changes.wrapping_add(1);
    }

    pub(crate) fn encode(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0] = VERSION;
        bytes[1] = self.kind.code();
        bytes[4..8].copy_from_slice(&self.links.to_le_bytes());
        for (slot, value) in [
            self.accessed.0.cast_unsigned(),
            self.modified.0.cast_unsigned(),
            self.changed.0.cast_unsigned(),
            self.parent,
            self.next_orphan,
            self.previous_orphan,
            self.changes,
        ]
        .into_iter()
        .enumerate()
        {
            bytes[8 * (slot + 1)..8 * (slot + 2)].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    /// # Errors
    ///
    /// What is wrong with them, where these bytes are not an inode's.
    pub(crate) fn decode(bytes: &[u8; 64]) -> Result<Inode, &'static str> {
        if bytes[0] != VERSION {
            return Err("the object is not an inode");
        }
        if bytes[2..4] != [0, 0] {
            return Err("an inode has unknown flags");
        }
        let kind = Kind::of_code(bytes[1]).ok_or("an inode has an unknown kind")?;
        let word = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        Ok(Inode {
            kind,
            links: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            accessed: Time(word(8).cast_signed()),
            modified: Time(word(16).cast_signed()),
            changed: Time(word(24).cast_signed()),
            parent: word(32),
            next_orphan: word(40),
            previous_orphan: word(48),
            changes: word(56),
        })
    }
}

/// Nanoseconds since 1970, from the year 1677 to 2262: what an `i64` holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Time(pub(crate) i64);

impl Time {
    /// The host's clock, which may say anything.
    pub(crate) fn now() -> Time {
        Time::from(SystemTime::now())
    }
}

/// Times outside the range become its end.
impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Time {
        Time(match time.duration_since(UNIX_EPOCH) {
            Ok(after) => i64::try_from(after.as_nanos()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |nanos| -nanos),
        })
    }
}

/// 1970 where the platform's clock cannot say the time.
impl From<Time> for SystemTime {
    fn from(time: Time) -> SystemTime {
        let distance = Duration::from_nanos(time.0.unsigned_abs());
        let time =
            if time.0 < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) };
        time.unwrap_or(UNIX_EPOCH)
    }
}

/// First of the 64 bytes: tells an inode from other objects that a dataset may have.
const VERSION: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn layout_is_that_of_the_design_page() {
        let inode = Inode {
            kind: Kind::Directory,
            links: 0x0102_0304,
            accessed: Time(1),
            modified: Time(-2),
            changed: Time(3),
            parent: 4,
            next_orphan: 5,
            previous_orphan: 6,
            changes: 7,
        };
        let bytes = inode.encode();
        assert_eq!(bytes[..8], [1, 2, 0, 0, 4, 3, 2, 1]);
        assert_eq!(bytes[8..16], [1, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bytes[16..24], [254, 255, 255, 255, 255, 255, 255, 255]);
        assert_eq!([bytes[24], bytes[32], bytes[40], bytes[48], bytes[56]], [3, 4, 5, 6, 7]);
        assert_eq!(Inode::decode(&bytes), Ok(inode));
    }

    #[test]
    fn times_out_of_range_become_its_ends() {
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(Time::from(far), Time(i64::MAX));
        let long_ago = UNIX_EPOCH - Duration::from_secs(1 << 40);
        assert_eq!(Time::from(long_ago), Time(i64::MIN));
        assert_eq!(SystemTime::from(Time(i64::MIN)), UNIX_EPOCH - Duration::from_nanos(1 << 63));
    }

    proptest! {
        #[test]
        fn times_survive(nanos in any::<i64>()) {
            prop_assert_eq!(Time::from(SystemTime::from(Time(nanos))), Time(nanos));
        }

        #[test]
        fn what_decodes_encodes_to_the_same(mut bytes in any::<[u8; 64]>(), kind in 0_u8..5) {
            bytes[..4].copy_from_slice(&[1, kind, 0, 0]);
            match Inode::decode(&bytes) {
                Ok(inode) => prop_assert_eq!(inode.encode(), bytes),
                Err(_) => prop_assert!(kind == 0 || kind == 4),
            }
        }
    }
}
