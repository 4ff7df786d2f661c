use serde::{Deserialize, Serialize};

/// Media type of a call whose body is a JSON array of strings, one WAVE value for each parameter in order. Its result
/// is WAVE in a JSON string.
pub const WAVE_ARGUMENTS: &str = "application/vnd.cloister.wave+json";

/// Header of a call: the SHA-256 of the only component that may see the arguments, lower-case hex. Where other code
/// answers under the name, the call is refused before its body is read.
pub const EXPECTED_CODE_HEADER: &str = "cloister-expected-code";

/// What a call returned and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallResponse {
    /// The result: JSON derived from its WIT type, or a string of WAVE where the arguments were WAVE. `null` where the
    /// function returns nothing.
    pub result: serde_json::Value,
    /// Fuel units burnt.
    pub fuel: u64,
    /// Microseconds from instantiation to the encoded result, by the host's clock.
    pub wall_us: u64,
    /// SHA-256 of the component that answered, lower-case hex.
    pub code_hash: String,
    /// The volume's epoch in which everything that the call wrote is on disk; absent where the call used no storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
}
