use crate::hash::Hash;
use crate::note::{self, NoteError, PublicKey, Signer};

/// A promise of a log about itself: so many entries, and this root over them. Its text is that of
/// <https://c2sp.org/tlog-checkpoint>.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log, by a name that no other has.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// A checkpoint is not to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The note is not what one of our keys has signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// What was signed is no checkpoint.
    #[error("what was signed is no checkpoint: {0}")]
    Malformed(&'static str),
}

impl Checkpoint {
    /// The note of it.
    pub fn sign(&self, signer: &Signer) -> String {
        signer.sign(&format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64()))
    }

    /// The checkpoint of a note that one of `keys` has signed.
    pub fn open(note: &str, keys: &[PublicKey]) -> Result<Self, CheckpointError> {
        Self::parse(note::open(note, keys)?)
    }

    /// Reads the text of a note. Lines behind the third are extensions, and say nothing to us.
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let mut lines = text.split('\n');
        let mut line = |what| lines.next().filter(|line| !line.is_empty()).ok_or(malformed(what));
        let origin = line("it has no origin")?.to_owned();
        let size_text = line("it has no size")?;
        let size: u64 = size_text.parse().map_err(|_| malformed("its size is no number"))?;
        if size.to_string() != size_text {
            return Err(malformed("its size is no plain number"));
        }
        let root =
            Hash::from_base64(line("it has no root")?).ok_or(malformed("its root is no hash in base64"))?;
        Ok(Self { origin, size, root })
    }
}
