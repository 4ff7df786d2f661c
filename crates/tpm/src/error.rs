use cloister_volume::AnchorError;
use std::fmt;
use std::io;

/// A TPM could not be asked, or what it said is no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TpmError {
    /// The host carries no command to a TPM, or no response back.
    #[error("the TPM cannot be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// The TPM, or the host in its name, refuses a command. Error responses carry no authorization.
    #[error("the TPM refused {operation} with code {code:#x}")]
    Refused {
        /// What was refused.
        operation: Operation,
        /// TPM_RC (TPM 2.0 Library, part 2, section 6.6).
        code: u32,
    },
    /// The response has not the form that the command's response has.
    #[error("the response to {0} cannot be read")]
    Malformed(Operation),
    /// The response was not made by the TPM that has the counter, or not for this command.
    #[error("the response to {0} is not authentic")]
    Forged(Operation),
    /// The endorsement key is another one than before.
    #[error("the TPM was exchanged: it has another endorsement key")]
    Exchanged,
    /// There is no counter for the volume.
    #[error(
        "the TPM has no counter for this volume: it was removed, the TPM was cleared, or it is another TPM"
    )]
    Missing,
    /// The volume's counter exists already, or another volume's at the same index.
    #[error("the TPM already has a counter at this volume's index")]
    Exists,
    /// The counter moved by itself.
    #[error("the counter stands at {found} where {expected} was expected")]
    OutOfStep {
        /// One more than before.
        expected: u64,
        /// What it says.
        found: u64,
    },
    /// The CPU gives no random numbers.
    #[error("there are no random numbers for nonces")]
    NoRandom,
}

/// A command of the TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// TPM2_CreatePrimary of the endorsement key.
    LoadKey,
    /// TPM2_StartAuthSession.
    StartSession,
    /// TPM2_FlushContext.
    Flush,
    /// TPM2_GetCapability.
    ListHandles,
    /// TPM2_NV_DefineSpace.
    Define,
    /// TPM2_NV_Increment.
    Increment,
    /// TPM2_NV_Read.
    Read,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadKey => "the endorsement key",
            Self::StartSession => "a session",
            Self::Flush => "to forget an object",
            Self::ListHandles => "the list of its objects",
            Self::Define => "to make the counter",
            Self::Increment => "to advance the counter",
            Self::Read => "to read the counter",
        })
    }
}

impl From<TpmError> for AnchorError {
    fn from(error: TpmError) -> Self {
        match error {
            TpmError::Unreachable(kind) => Self::Unreachable(kind),
            TpmError::Refused { code, .. } => Self::Refused(code),
            TpmError::Malformed(_) => Self::Forged("a response cannot be read"),
            TpmError::Forged(_) => {
                Self::Forged("a response was made by something else than the TPM with this counter")
            }
            TpmError::Exchanged => Self::Forged("the TPM was exchanged: it has another endorsement key"),
            TpmError::Missing => Self::Missing,
            TpmError::Exists => Self::Exists,
            TpmError::OutOfStep { expected, found } => Self::OutOfStep { expected, found },
            TpmError::NoRandom => Self::Unreachable(io::ErrorKind::Other),
        }
    }
}
