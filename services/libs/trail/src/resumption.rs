//! What an entry of kind `resumed` says.

use serde::{Deserialize, Serialize};

use crate::checkpoint::Checkpoint;
use crate::hash::Hash;

/// The `details` of an entry of kind `resumed`: what is missing before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumption {
    /// The trail's end that was found: all entries up to here were kept.
    pub kept: u64,
    /// The newest checkpoint that was known and does not fit what was found: entries behind `kept`, up to its size, are
    /// lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// What was wrong with the stream, and from where it is followed now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<StreamGap>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A checkpoint of a trail that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many entries it had.
    pub size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

/// Events of the stream that have no entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGap {
    /// Last sequence that has an entry, of the stream as it was known.
    pub applied: u64,
    /// The next sequence that will have one, of the stream as it is.
    pub next: u64,
    /// What was found.
    pub found: String,
}

impl Resumption {
    /// Whether this resumption explains that `checkpoint` does not fit the trail: it lost that checkpoint, or one of
    /// the same lost stretch before it.
    pub fn explains(&self, checkpoint: &Checkpoint) -> bool {
        self.lost.as_ref().is_some_and(|lost| {
            (lost.size == checkpoint.size && lost.root == checkpoint.root)
                || (self.kept < checkpoint.size && checkpoint.size < lost.size)
        })
    }
}
