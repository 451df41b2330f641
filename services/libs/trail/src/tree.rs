//! The Merkle tree of RFC 6962 over the entries: its root, and the hashes that proofs consist of.
//!
//! Leaf `n` (from 0) is entry `n + 1`, and what is hashed is its `entry_hash`, which covers all the entry says. Of the
//! tree's inner nodes those of complete subtrees of 256, 256², … leaves are kept, a row each, never changed. Anything
//! else is computed from at most 255 of them per level, so that appending and proving cost O(log n).

use std::collections::HashMap;
use std::ops::Range;

use sha2::{Digest as _, Sha256};

use crate::hash::Hash;

mod proof;

pub use proof::{Mismatch, verify_consistency, verify_inclusion};

/// Inner nodes are kept at every so many levels.
pub const LEVELS_PER_TILE: u8 = 8;

/// No tree grows beyond so many leaves.
pub const SIZE_MAX: u64 = 1 << 62;

/// Hash of the leaf for an entry: SHA-256 of a zero byte and the `entry_hash`.
pub fn leaf_hash(entry_hash: Hash) -> Hash {
    let mut bytes = [0; 33];
    bytes[1..].copy_from_slice(&entry_hash.0);
    Hash::of(&bytes)
}

/// Hash of an inner node: SHA-256 of a one byte and the hashes of its two children.
pub fn node_hash(left: Hash, right: Hash) -> Hash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(&left.0);
    bytes[33..].copy_from_slice(&right.0);
    Hash::of(&bytes)
}

/// Root of a tree without leaves.
pub fn empty_root() -> Hash {
    Hash(Sha256::digest([]).into())
}

/// A complete subtree that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// It has 2^level leaves; a multiple of [`LEVELS_PER_TILE`].
    pub level: u8,
    /// How many subtrees of this level are to its left.
    pub position: u64,
    /// Its root.
    pub hash: Hash,
}

/// The right edge of a tree: the roots of the complete subtrees that it consists of, the largest first. All that is
/// needed to append.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// The frontier of a tree of `size` leaves, from its peaks one behind the other. `None` if they cannot be.
    pub fn from_bytes(size: u64, peaks: &[u8]) -> Option<Self> {
        let (hashes, rest) = peaks.as_chunks::<32>();
        let fits = size <= SIZE_MAX && rest.is_empty() && hashes.len() == size.count_ones() as usize;
        fits.then(|| Self { size, peaks: hashes.iter().map(|hash| Hash(*hash)).collect() })
    }

    /// The peaks, one behind the other.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.peaks.iter().flat_map(|peak| peak.0).collect()
    }

    /// How many leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf. `keep` is given the node that is to be kept because of it, if there is one.
    pub fn push(&mut self, leaf: Hash, mut keep: impl FnMut(Node)) {
        let (mut hash, mut level, mut left_of_it) = (leaf, 0_u8, self.size);
        while left_of_it & 1 == 1 {
            let left = self.peaks.pop().expect("a peak for each bit of the size");
            hash = node_hash(left, hash);
            (level, left_of_it) = (level + 1, left_of_it >> 1);
            if level % LEVELS_PER_TILE == 0 {
                keep(Node { level, position: left_of_it, hash });
            }
        }
        self.peaks.push(hash);
        self.size += 1;
    }

    /// The tree's root.
    pub fn root(&self) -> Hash {
        let folded = self.peaks.iter().rev().copied().reduce(|right, left| node_hash(left, right));
        folded.unwrap_or_else(empty_root)
    }
}

/// Which leaves the hashes of an inclusion proof are over, in the proof's order (RFC 6962, 2.1.1).
///
/// `index` is below `size`.
pub fn inclusion_ranges(index: u64, size: u64) -> Vec<Range<u64>> {
    let (mut tree, mut ranges) = (0..size, Vec::new());
    while tree.end - tree.start > 1 {
        let middle = middle(&tree);
        let (inside, sibling) = if index < middle {
            (tree.start..middle, middle..tree.end)
        } else {
            (middle..tree.end, tree.start..middle)
        };
        ranges.push(sibling);
        tree = inside;
    }
    ranges.reverse();
    ranges
}

/// Which leaves the hashes of a consistency proof are over, in the proof's order (RFC 6962, 2.1.2). Empty if `old` is 0
/// or not below `new`.
pub fn consistency_ranges(old: u64, new: u64) -> Vec<Range<u64>> {
    if old == 0 || old >= new {
        return Vec::new();
    }
    let (mut tree, mut ranges, mut is_old_tree) = (0..new, Vec::new(), true);
    while tree.end != old {
        let middle = middle(&tree);
        if old <= middle {
            ranges.push(middle..tree.end);
            tree.end = middle;
        } else {
            ranges.push(tree.start..middle);
            (tree.start, is_old_tree) = (middle, false);
        }
    }
    if !is_old_tree {
        ranges.push(tree);
    }
    ranges.reverse();
    ranges
}

/// Where a tree of more than one leaf divides: the left part has the largest power of two below its size.
fn middle(tree: &Range<u64>) -> u64 {
    let size = tree.end - tree.start;
    tree.start + (1 << (u64::BITS - 1 - (size - 1).leading_zeros()))
}

/// Hashes that are side by side at one level: leaves at level 0, else kept nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Level, a multiple of [`LEVELS_PER_TILE`].
    pub level: u8,
    /// Their positions at that level.
    pub positions: Range<u64>,
}

/// The kept hashes that `ranges` are computed from, each once, by level and position.
pub fn needed(ranges: &[Range<u64>]) -> Vec<Run> {
    let mut kept = Vec::new();
    for range in ranges {
        let _ = fold(range.clone(), &mut |level, position| {
            kept.push((level, position));
            Some(empty_root())
        });
    }
    kept.sort_unstable();
    kept.dedup();
    let mut runs: Vec<Run> = Vec::new();
    for (level, position) in kept {
        match runs.last_mut() {
            Some(run) if run.level == level && run.positions.end == position => run.positions.end += 1,
            _ => runs.push(Run { level, positions: position..position + 1 }),
        }
    }
    runs
}

/// Kept hashes, to compute others from.
#[derive(Debug, Clone, Default)]
pub struct Nodes(HashMap<(u8, u64), Hash>);

impl Nodes {
    /// Takes one. At level 0 it is a leaf's.
    pub fn insert(&mut self, node: Node) {
        self.0.insert((node.level, node.position), node.hash);
    }

    /// The root of the subtree over each of `ranges`; `None` if one of the hashes that are [`needed`] is not there.
    pub fn hashes(&self, ranges: &[Range<u64>]) -> Option<Vec<Hash>> {
        let kept = &mut |level, position| self.0.get(&(level, position)).copied();
        ranges.iter().map(|range| fold(range.clone(), kept)).collect()
    }
}

/// The root over `range`, a subtree of some tree, from kept hashes.
fn fold(range: Range<u64>, kept: &mut impl FnMut(u8, u64) -> Option<Hash>) -> Option<Hash> {
    let size = range.end - range.start;
    if size == 0 {
        return Some(empty_root());
    }
    if size.is_power_of_two() {
        let level = u8::try_from(size.trailing_zeros()).expect("at most 63");
        if level % LEVELS_PER_TILE == 0 {
            return kept(level, range.start >> level);
        }
    }
    let middle = middle(&range);
    let left = fold(range.start..middle, kept)?;
    Some(node_hash(left, fold(middle..range.end, kept)?))
}

#[cfg(test)]
mod tests;
