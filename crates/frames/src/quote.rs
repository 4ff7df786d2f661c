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
            [1 | 3, ..] => Err(FrameError::Length),
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
        ] {
            assert_eq!(QuoteRequest::decode(&request.encode()), Ok(request));
        }
        for response in [
            QuoteResponse::TargetInfo(Box::new([9; TARGET_INFO_LEN])),
            QuoteResponse::Quote(vec![1, 2, 3]),
            QuoteResponse::Collateral(Vec::new()),
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
        assert_eq!(QuoteRequest::decode(&[9]), Err(FrameError::Tag(9)));
        assert_eq!(QuoteResponse::decode(&[1; 512]), Err(FrameError::Length));
        assert_eq!(QuoteResponse::decode(&[8]), Err(FrameError::Tag(8)));
    }
}
