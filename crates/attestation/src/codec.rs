//! The subset of CBOR that claims and evidence use, in its core deterministic encoding (RFC 8949, section 4.2.1):
//! definite lengths, shortest heads, map keys ascending. The reader accepts nothing else.

use crate::claims::{MAX_EXTENSIONS, VERSION};
use cloister_api::{InvalidTokenIssuer, MAX_ENDORSERS, MAX_ISSUERS, MAX_LISTED_IMAGES};

/// Longest encoding of claims, in bytes: with a quote, twice, it has to fit a TLS certificate message (RFC 8446, section
/// 4.4.2), of which rustls reads at most 64 KiB.
pub const MAX_CLAIMS: usize = 48 << 10;

/// The bytes are not claims, or the claims cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Longer than [`MAX_CLAIMS`].
    #[error("the claims are {0} bytes long, and the limit is {MAX_CLAIMS}")]
    TooLong(usize),
    /// A version that this program does not know.
    #[error(
        "the claims are of version {0}, and this program knows version {VERSION}: use one of the enclave's release"
    )]
    Version(u64),
    /// The encoding ends too early, or goes on after its end.
    #[error("the encoding has the wrong length")]
    Length,
    /// The encoding is not the canonical one of RFC 8949, section 4.2.1.
    #[error("the encoding is not canonical")]
    NotCanonical,
    /// Something else stands where this is expected.
    #[error("{expected} was expected and is not there")]
    Shape { expected: &'static str },
    /// The list is not in ascending order, or has an entry twice.
    #[error("the {0} are not in ascending order, each once")]
    Order(&'static str),
    /// An app shows more values than it may.
    #[error("an app has {0} extensions, and may have at most {MAX_EXTENSIONS}")]
    TooManyExtensions(usize),
    /// Too many issuers of tokens in one list.
    #[error("there are {0} issuers of tokens in one list, and there may be at most {MAX_ISSUERS}")]
    TooManyIssuers(usize),
    /// An issuer of tokens that no configuration can name.
    #[error("an issuer of tokens is none: {0}")]
    Issuer(#[from] InvalidTokenIssuer),
    /// No image that the volume may be handed to, or too many.
    #[error("{0} images are listed that the volume may be handed to: 1 to {MAX_LISTED_IMAGES} can be")]
    Images(usize),
    /// Endorsements that no set of keys could give, or that nobody would have to.
    #[error(
        "{threshold} endorsements by {keys} keys are no policy: it takes at least 1, at most one by each key, and at most \
         {MAX_ENDORSERS} keys"
    )]
    Threshold { threshold: u64, keys: usize },
    /// Roots of a token issuer that are not base64.
    #[error("the roots of the token issuer {0} are not certificates in base64")]
    IssuerRoots(String),
}

/// Writes items in the deterministic encoding; the order of map keys is the caller's duty.
#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    /// A map's key; its value follows.
    pub(crate) fn key(&mut self, key: u64) -> &mut Self {
        self.uint(key);
        self
    }

    pub(crate) fn uint(&mut self, value: u64) {
        self.head(UNSIGNED, value);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.head(BYTES, bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    pub(crate) fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub(crate) fn array(&mut self, items: usize) {
        self.head(ARRAY, items as u64);
    }

    pub(crate) fn map(&mut self, entries: u64) {
        self.head(MAP, entries);
    }

    pub(crate) fn tag(&mut self, tag: u64) {
        self.head(TAG, tag);
    }

    pub(crate) fn null(&mut self) {
        self.0.push(NULL);
    }

    /// A byte string, or null where there is none.
    pub(crate) fn optional_bytes<const N: usize>(&mut self, bytes: Option<&[u8; N]>) {
        match bytes {
            None => self.null(),
            Some(bytes) => self.bytes(bytes),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }

    /// RFC 8949, section 3: the major type in the high three bits, the argument in its shortest form.
    fn head(&mut self, major: u8, argument: u64) {
        let major = major << 5;
        let bytes = argument.to_be_bytes();
        match argument {
            0..=23 => self.0.push(major | bytes[7]),
            24..=0xff => self.0.extend_from_slice(&[major | 24, bytes[7]]),
            0x100..=0xffff => {
                self.0.push(major | 25);
                self.0.extend_from_slice(&bytes[6..]);
            }
            0x1_0000..=0xffff_ffff => {
                self.0.push(major | 26);
                self.0.extend_from_slice(&bytes[4..]);
            }
            _ => {
                self.0.push(major | 27);
                self.0.extend_from_slice(&bytes);
            }
        }
    }
}

/// Reads items of the deterministic encoding, and refuses every other.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Takes a map's key, which has to be this one; its value follows.
    pub(crate) fn key(&mut self, key: u64) -> Result<&mut Self, ClaimsError> {
        if self.uint()? == key {
            Ok(self)
        } else {
            Err(ClaimsError::Shape { expected: "the next key of the map" })
        }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, ClaimsError> {
        self.head(UNSIGNED, "a number")
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], ClaimsError> {
        self.byte_string()?
            .try_into()
            .map_err(|_| ClaimsError::Shape { expected: "a byte string of its fixed length" })
    }

    /// A number that fits `T`.
    pub(crate) fn narrow<T: TryFrom<u64>>(&mut self, expected: &'static str) -> Result<T, ClaimsError> {
        T::try_from(self.uint()?).map_err(|_| ClaimsError::Shape { expected })
    }

    /// A byte string of this length, or null.
    pub(crate) fn optional_bytes<const N: usize>(&mut self) -> Result<Option<[u8; N]>, ClaimsError> {
        if self.null() { Ok(None) } else { self.bytes().map(Some) }
    }

    pub(crate) fn byte_string(&mut self) -> Result<&'a [u8], ClaimsError> {
        let length = self.head(BYTES, "a byte string")?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, ClaimsError> {
        let length = self.head(TEXT, "a text")?;
        std::str::from_utf8(self.take(length)?).map_err(|_| ClaimsError::Shape { expected: "UTF-8" })
    }

    pub(crate) fn array(&mut self) -> Result<u64, ClaimsError> {
        self.head(ARRAY, "an array")
    }

    /// An array of items that this function reads. Memory grows with the items that are there, whatever the head says.
    pub(crate) fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, ClaimsError>,
    ) -> Result<Vec<T>, ClaimsError> {
        let mut items = Vec::new();
        for _ in 0..self.array()? {
            items.push(read(self)?);
        }
        Ok(items)
    }

    pub(crate) fn map(&mut self) -> Result<u64, ClaimsError> {
        self.head(MAP, "a map")
    }

    pub(crate) fn map_of(&mut self, entries: u64) -> Result<(), ClaimsError> {
        let expected = "a map with exactly its known entries";
        if self.map()? == entries { Ok(()) } else { Err(ClaimsError::Shape { expected }) }
    }

    pub(crate) fn tag(&mut self) -> Result<u64, ClaimsError> {
        self.head(TAG, "a tag")
    }

    /// Takes a null where there is one.
    pub(crate) fn null(&mut self) -> bool {
        match self.0 {
            [NULL, rest @ ..] => {
                self.0 = rest;
                true
            }
            _ => false,
        }
    }

    /// Whether the next item is an array.
    pub(crate) fn is_array(&self) -> bool {
        self.0.first().is_some_and(|head| head >> 5 == ARRAY)
    }

    pub(crate) fn end(&self) -> Result<(), ClaimsError> {
        if self.0.is_empty() { Ok(()) } else { Err(ClaimsError::Length) }
    }

    fn head(&mut self, major: u8, expected: &'static str) -> Result<u64, ClaimsError> {
        let (&first, rest) = self.0.split_first().ok_or(ClaimsError::Length)?;
        if first >> 5 != major {
            return Err(ClaimsError::Shape { expected });
        }
        self.0 = rest;
        let (width, least) = match first & 0x1f {
            argument @ 0..=23 => return Ok(argument.into()),
            24 => (1, 24),
            25 => (2, 0x100),
            26 => (4, 0x1_0000),
            27 => (8, 0x1_0000_0000),
            _ => return Err(ClaimsError::NotCanonical),
        };
        let argument = self.take(width)?.iter().fold(0, |value, byte| value << 8 | u64::from(*byte));
        if argument < least { Err(ClaimsError::NotCanonical) } else { Ok(argument) }
    }

    fn take(&mut self, length: u64) -> Result<&'a [u8], ClaimsError> {
        let length = usize::try_from(length).map_err(|_| ClaimsError::Length)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(ClaimsError::Length)?;
        self.0 = rest;
        Ok(taken)
    }
}

/// Major types, RFC 8949, section 3.1.
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;
/// The simple value null, RFC 8949, section 3.3.
const NULL: u8 = 0xf6;

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8949, appendix A.
    #[test]
    fn numbers_have_the_encodings_of_the_rfc() {
        for (value, encoded) in [
            (0, "00"),
            (23, "17"),
            (24, "1818"),
            (100, "1864"),
            (1000, "1903e8"),
            (1_000_000, "1a000f4240"),
            (1_000_000_000_000, "1b000000e8d4a51000"),
            (u64::MAX, "1bffffffffffffffff"),
        ] {
            let mut writer = Writer::default();
            writer.uint(value);
            let bytes = writer.finish();
            assert_eq!(hex::encode(&bytes), encoded);
            assert_eq!(Reader::new(&bytes).uint(), Ok(value));
        }
    }

    #[test]
    fn longer_heads_than_needed_are_refused() {
        for encoded in ["1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c", "1f"] {
            let bytes = hex::decode(encoded).unwrap();
            assert_eq!(Reader::new(&bytes).uint(), Err(ClaimsError::NotCanonical), "{encoded}");
        }
    }

    #[test]
    fn lengths_beyond_the_input_are_refused_without_allocating() {
        let bytes = hex::decode("5bffffffffffffffff00").unwrap();
        assert_eq!(Reader::new(&bytes).byte_string(), Err(ClaimsError::Length));
        let bytes = hex::decode("9bffffffffffffffff00").unwrap();
        assert_eq!(Reader::new(&bytes).list(Reader::uint), Err(ClaimsError::Length));
    }

    #[test]
    fn indefinite_lengths_and_bad_text_are_refused() {
        assert_eq!(Reader::new(&[0x9f, 0xff]).array(), Err(ClaimsError::NotCanonical));
        assert!(matches!(Reader::new(&[0x61, 0xff]).text(), Err(ClaimsError::Shape { .. })));
    }
}
