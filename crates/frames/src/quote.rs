use crate::FrameError;

/// Bytes of TARGETINFO (Intel SDM volume 3D, table 38-21).
pub const TARGET_INFO_LEN: usize = 512;
/// Bytes of REPORT (Intel SDM volume 3D, table 38-22).
pub const REPORT_LEN: usize = 432;

/// What the enclave asks of the quoting service. A tag byte, then the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuoteRequest {
    /// Tag 1: the quoting enclave's TARGETINFO.
    TargetInfo,
    /// Tag 2: a quote over this REPORT.
    Quote(Box<[u8; REPORT_LEN]>),
    /// Tag 3: collateral for verifying this platform's quotes.
    Collateral,
    /// Tag 4: what the platform is.
    Platform,
}

/// What a platform is, as the host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlatformKind {
    /// SGX of a CPU.
    Hardware,
    /// SGX in software.
    Simulated,
}

/// What the quoting service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuoteResponse {
    /// Tag 1.
    TargetInfo(Box<[u8; TARGET_INFO_LEN]>),
    /// Tag 2: a DCAP quote.
    Quote(Vec<u8>),
    /// Tag 3: JSON; empty where the platform has none to offer.
    Collateral(Vec<u8>),
    /// Tag 4: one byte, 0 for hardware, 1 where it is simulated.
    Platform(PlatformKind),
    /// Tag 255: why not, in UTF-8.
    Failed(String),
}

impl QuoteRequest {
    /// The request as a frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::TargetInfo => vec![1],
            Self::Quote(report) => [&[2], report.as_slice()].concat(),
            Self::Collateral => vec![3],
            Self::Platform => vec![4],
        }
    }

    /// The request in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a request.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        match payload {
            [] => Err(FrameError::Length),
            [1] => Ok(Self::TargetInfo),
            [2, report @ ..] => Ok(Self::Quote(Box::new(report.try_into().map_err(|_| FrameError::Length)?))),
            [3] => Ok(Self::Collateral),
            [4] => Ok(Self::Platform),
            [1 | 3 | 4, ..] => Err(FrameError::Length),
            [tag, ..] => Err(FrameError::Tag(*tag)),
        }
    }
}

impl QuoteResponse {
    /// The response as a frame's payload.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::TargetInfo(info) => [&[1], info.as_slice()].concat(),
            Self::Quote(quote) => [&[2], quote.as_slice()].concat(),
            Self::Collateral(json) => [&[3], json.as_slice()].concat(),
            Self::Platform(PlatformKind::Hardware) => vec![4, 0],
            Self::Platform(PlatformKind::Simulated) => vec![4, 1],
            Self::Failed(why) => [&[255], why.as_bytes()].concat(),
        }
    }

    /// The response in a frame's payload.
    ///
    /// # Errors
    /// [`FrameError`] where the payload is not a response.
    pub fn decode(payload: &[u8]) -> Result<Self, FrameError> {
        match payload {
            [] => Err(FrameError::Length),
            [1, info @ ..] => {
                Ok(Self::TargetInfo(Box::new(info.try_into().map_err(|_| FrameError::Length)?)))
            }
            [2, quote @ ..] => Ok(Self::Quote(quote.to_vec())),
            [3, json @ ..] => Ok(Self::Collateral(json.to_vec())),
            [4, 0] => Ok(Self::Platform(PlatformKind::Hardware)),
            [4, 1] => Ok(Self::Platform(PlatformKind::Simulated)),
            [4, kind] => Err(FrameError::Tag(*kind)),
            [4, ..] => Err(FrameError::Length),
            [255, why @ ..] => Ok(Self::Failed(String::from_utf8_lossy(why).into_owned())),
            [tag, ..] => Err(FrameError::Tag(*tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_responses_survive_encoding() {
        for request in [
            QuoteRequest::TargetInfo,
            QuoteRequest::Quote(Box::new([7; REPORT_LEN])),
            QuoteRequest::Collateral,
            QuoteRequest::Platform,
        ] {
            assert_eq!(QuoteRequest::decode(&request.encode()), Ok(request));
        }
        for response in [
            QuoteResponse::TargetInfo(Box::new([9; TARGET_INFO_LEN])),
            QuoteResponse::Quote(vec![1, 2, 3]),
            QuoteResponse::Collateral(Vec::new()),
            QuoteResponse::Platform(PlatformKind::Hardware),
            QuoteResponse::Platform(PlatformKind::Simulated),
            QuoteResponse::Failed("no AESM".into()),
        ] {
            assert_eq!(QuoteResponse::decode(&response.encode()), Ok(response));
        }
    }

    #[test]
    fn wrong_lengths_and_tags_are_errors() {
        assert_eq!(QuoteRequest::decode(&[]), Err(FrameError::Length));
        assert_eq!(QuoteRequest::decode(&[1, 0]), Err(FrameError::Length));
        assert_eq!(QuoteRequest::decode(&[2, 0]), Err(FrameError::Length));
        assert_eq!(QuoteRequest::decode(&[4, 0]), Err(FrameError::Length));
        assert_eq!(QuoteRequest::decode(&[9]), Err(FrameError::Tag(9)));
        assert_eq!(QuoteResponse::decode(&[4]), Err(FrameError::Length));
        assert_eq!(QuoteResponse::decode(&[4, 2]), Err(FrameError::Tag(2)));
        assert_eq!(QuoteResponse::decode(&[4, 0, 0]), Err(FrameError::Length));
        assert_eq!(QuoteResponse::decode(&[1; 512]), Err(FrameError::Length));
        assert_eq!(QuoteResponse::decode(&[8]), Err(FrameError::Tag(8)));
    }
}
