/// Proof that a body carried a genuine signature.
///
/// Only the `verify` functions of this crate can make one, so code that asks for it need not ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    key_id: String,
    signature: String,
    signed_at: Option<i64>,
}

impl Verified {
    pub(crate) fn new(key_id: &str, signature: &str, signed_at: Option<i64>) -> Self {
        Self { key_id: key_id.to_owned(), signature: signature.to_owned(), signed_at }
    }

    /// Id of the key that matched; never the key.
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The signature header as received, visible ASCII and spaces, so that history can be verified again.
    pub fn signature(&self) -> &str {
        &self.signature
    }

    /// The signed time in Unix seconds, where the scheme has one. Standard Webhooks cannot be verified again
    /// without it.
    pub fn signed_at(&self) -> Option<i64> {
        self.signed_at
    }
}
