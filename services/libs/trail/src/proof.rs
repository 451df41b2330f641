use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::entry::{Entry, VERSION};
use crate::hash::Hash;
use crate::note::PublicKey;
use crate::tree::{Mismatch, leaf_hash, verify_inclusion};

/// An entry, and all that shows that it is in the trail: checked with nothing else but a public key. As JSON, it is what
/// `hookstream audit prove` writes, and a line of what `hookstream audit export` writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The entry.
    pub entry: Entry,
    /// The hashes from its leaf to the root, in hex.
    pub inclusion: Vec<Hash>,
    /// The signed note of a checkpoint that covers it.
    pub checkpoint: String,
}

/// A proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The checkpoint is not to be trusted.
    #[error("the checkpoint is not to be trusted: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// It is a checkpoint of another log.
    #[error("the checkpoint is of the log {found}, not of {wanted}")]
    Origin {
        /// The log that it is of.
        found: String,
        /// The log that was asked for.
        wanted: String,
    },
    /// The entry's encoding is not known.
    #[error("the entry has version {0}, which this build does not know")]
    Version(i16),
    /// The entry is not what its hash is of.
    #[error("the entry was changed: its entry_hash is not the hash of its fields")]
    Entry,
    /// The entry is not in the tree that was signed.
    #[error("the entry is not in the trail that was signed: {0}")]
    Inclusion(#[from] Mismatch),
}

impl Proof {
    /// Checks all of it, and returns the checkpoint. With `origin`, it must be one of that log.
    pub fn check(&self, keys: &[PublicKey], origin: Option<&str>) -> Result<Checkpoint, ProofError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, keys)?;
        if let Some(wanted) = origin.filter(|wanted| *wanted != checkpoint.origin) {
            return Err(ProofError::Origin { found: checkpoint.origin, wanted: wanted.to_owned() });
        }
        if self.entry.version != VERSION {
            return Err(ProofError::Version(self.entry.version));
        }
        if self.entry.entry_hash != self.entry.computed_hash(&mut Vec::new()) {
            return Err(ProofError::Entry);
        }
        let index = u64::try_from(self.entry.audit_sequence.saturating_sub(1)).map_err(|_| Mismatch)?;
        let leaf = leaf_hash(self.entry.entry_hash);
        verify_inclusion(leaf, index, checkpoint.size, &self.inclusion, checkpoint.root)?;
        Ok(checkpoint)
    }
}
