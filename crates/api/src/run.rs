use crate::EnvironmentVariable;
use serde::{Deserialize, Serialize};

/// Media type of what a run answers: frames, each a tag (u8), a length (u32, little-endian) and that many bytes, at most
/// [`MAX_RUN_FRAME`]. The tags are [`RunTag`]'s; the last frame is the end or a problem.
pub const RUN: &str = "application/vnd.cloister.run";

/// Header of a run: [`RunRequest`] as JSON in ASCII. The body is the guest's standard input.
pub const RUN_HEADER: &str = "cloister-run";

/// Longest value of [`RUN_HEADER`], in bytes.
pub const MAX_RUN_REQUEST: usize = 16 << 10;

/// Bytes of a frame before its contents: the tag and the length.
pub const RUN_FRAME_HEAD: usize = 5;

/// Most bytes that one frame of a run contains.
pub const MAX_RUN_FRAME: usize = 1 << 20;

/// What a frame of a run holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RunTag {
    /// Bytes that the guest wrote to its standard output.
    Stdout = 1,
    /// Bytes that the guest wrote to its standard error.
    Stderr = 2,
    /// [`RunEnd`] as JSON: the guest ended by itself.
    End = 3,
    /// [`Problem`](crate::Problem) as JSON: the run ended otherwise.
    Problem = 4,
}

impl RunTag {
    /// The tag of this number.
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Stdout, Self::Stderr, Self::End, Self::Problem].into_iter().find(|tag| *tag as u8 == byte)
    }

    /// The head of a frame with this tag and `length` bytes of contents, at most [`MAX_RUN_FRAME`].
    pub fn head(self, length: u32) -> [u8; RUN_FRAME_HEAD] {
        let [a, b, c, d] = length.to_le_bytes();
        [self as u8, a, b, c, d]
    }
}

/// How a command is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RunRequest {
    /// Without the program's own name, which is the app's.
    pub arguments: Vec<String>,
    /// Beside the environment that the app was deployed with; a name that is in both has this value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<EnvironmentVariable>,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunEnd {
    /// 0 where it succeeded.
    pub exit_code: u8,
    /// Fuel units burnt.
    pub fuel: u64,
    /// Microseconds from instantiation to the end, by the host's clock.
    pub wall_us: u64,
    /// SHA-256 of the component that ran, lower-case hex.
    pub code_hash: String,
    /// The volume's epoch in which everything that the run wrote is on disk; absent where it used no storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_numbers_from_1_to_4() {
        for byte in 1..=4 {
            assert_eq!(RunTag::from_byte(byte).unwrap() as u8, byte);
        }
        assert!(RunTag::from_byte(0).is_none() && RunTag::from_byte(5).is_none());
        assert_eq!(RunTag::Stderr.head(0x0102), [2, 2, 1, 0, 0]);
    }

    #[test]
    fn a_run_may_say_nothing() {
        assert_eq!(serde_json::from_str::<RunRequest>("{}").unwrap(), RunRequest::default());
        let request = RunRequest { arguments: vec!["-v".into()], environment: vec![] };
        assert_eq!(serde_json::to_string(&request).unwrap(), r#"{"arguments":["-v"]}"#);
        assert!(serde_json::from_str::<RunRequest>(r#"{"stdin":""}"#).is_err());
    }
}
