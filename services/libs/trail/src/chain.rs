//! The chain of hashes: where it ends, and whether each entry follows the one before it.

use crate::entry::{Entry, VERSION};
use crate::hash::{GENESIS, Hash};

/// The end of a chain: what the next entry has to follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Position of the last entry; 0 before the first.
    pub audit_sequence: i64,
    /// Hash of the last entry; [`GENESIS`] before the first.
    pub entry_hash: Hash,
}

impl Head {
    /// The end of a chain without entries.
    pub const EMPTY: Self = Self { audit_sequence: 0, entry_hash: GENESIS };
}

/// A chain is broken. Names the first entry that is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("audit entry {audit_sequence}: {fault}")]
pub struct Broken {
    /// Position of the first wrong entry, as it should be.
    pub audit_sequence: i64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Another entry is in its place: it, and perhaps others, are gone.
    #[error("is missing, entry {found} comes next")]
    Missing {
        /// Position of the entry found instead.
        found: i64,
    },
    /// An entry of this or an earlier position came again.
    #[error("entry {found} comes instead, out of order")]
    OutOfOrder {
        /// Position of the entry found instead.
        found: i64,
    },
    /// Nobody writes this version.
    #[error("has version {0}, which this build does not know")]
    Version(i16),
    /// Its `previous_hash` is not the hash of the entry before: one of the two was replaced.
    #[error("does not follow the entry before it: its previous_hash is another")]
    PreviousHash,
    /// Its `entry_hash` is not the hash of its fields: one of them was changed.
    #[error("was changed: its entry_hash is not the hash of its fields")]
    EntryHash,
    /// A column holds what none ever held: a null, or a digest of another length.
    #[error("was changed: a column holds what no entry has")]
    Unreadable,
    /// The trail ends before it, although its head says that there were more.
    #[error("is missing at the end: there were entries up to {last}")]
    Gone {
        /// Position of the last entry there was.
        last: i64,
    },
    /// The trail ends before it, although the checkpoint says that an event was recorded after the last entry.
    #[error("is missing at the end: the checkpoint is at stream sequence {stream_sequence}")]
    Tail {
        /// Stream sequence of the last event that was recorded.
        stream_sequence: i64,
    },
}

/// Checks a chain entry by entry, in constant memory.
#[derive(Debug, Clone)]
pub struct Verifier {
    head: Head,
    buffer: Vec<u8>,
}

impl Verifier {
    /// Begins behind `head`: [`Head::EMPTY`] for a whole chain.
    pub fn after(head: Head) -> Self {
        Self { head, buffer: Vec::new() }
    }

    /// Checks the next entry.
    pub fn check<T: AsRef<str>>(&mut self, entry: &Entry<T>) -> Result<(), Broken> {
        let expected = self.head.audit_sequence.saturating_add(1);
        if let Some(fault) = self.fault(expected, entry) {
            return Err(Broken { audit_sequence: expected, fault });
        }
        self.head = entry.head();
        Ok(())
    }

    /// The end of what was checked.
    pub fn head(&self) -> Head {
        self.head
    }

    fn fault<T: AsRef<str>>(&mut self, expected: i64, entry: &Entry<T>) -> Option<Fault> {
        let found = entry.audit_sequence;
        if found > expected {
            Some(Fault::Missing { found })
        } else if found < expected {
            Some(Fault::OutOfOrder { found })
        } else if entry.version != VERSION {
            Some(Fault::Version(entry.version))
        } else if entry.entry_hash != entry.computed_hash(&mut self.buffer) {
            // Before the link, because a changed previous_hash changes this hash too.
            Some(Fault::EntryHash)
        } else if entry.previous_hash != self.head.entry_hash {
            Some(Fault::PreviousHash)
        } else {
            None
        }
    }
}

/// Checks that `entries` follow `head`, each the one before it; returns where they end.
///
/// What is missing at the end cannot be seen from the entries alone: compare the head with one noted elsewhere.
pub fn verify<'e, T: AsRef<str> + 'e>(
    head: Head,
    entries: impl IntoIterator<Item = &'e Entry<T>>,
) -> Result<Head, Broken> {
    let mut verifier = Verifier::after(head);
    entries.into_iter().try_for_each(|entry| verifier.check(entry))?;
    Ok(verifier.head())
}

#[cfg(test)]
mod tests;
