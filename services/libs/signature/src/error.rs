/// Why a signature was not accepted. For logs and counters only: the caller is told the same in every case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A header that the scheme needs is absent.
    #[error("the signature is missing")]
    Missing,
    /// A header is doubled or not in the scheme's form.
    #[error("the signature is malformed")]
    Malformed,
    /// Well-formed, but no active key made it for these bytes.
    #[error("the signature does not match")]
    Mismatch,
    /// Genuine, but made with a key that is no longer good.
    #[error("the signature was made with an expired key")]
    Expired,
    /// Genuine, but signed too long ago or in the future.
    #[error("the signature is stale")]
    Stale,
}

impl VerifyError {
    /// A short name for counters and subjects.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "signature_missing",
            Self::Malformed => "signature_malformed",
            Self::Mismatch => "signature_mismatch",
            Self::Expired => "signature_expired",
            Self::Stale => "signature_stale",
        }
    }
}

/// The one value of a header that must be there exactly once.
pub(crate) fn only<'v>(values: &[&'v [u8]]) -> Result<&'v [u8], VerifyError> {
    match values {
        [] => Err(VerifyError::Missing),
        [value] => Ok(value),
        _ => Err(VerifyError::Malformed),
    }
}
