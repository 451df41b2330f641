use crate::hash::Hash;
use crate::tree::node_hash;

/// A proof does not lead to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hashes of the proof do not lead to the root of the checkpoint")]
pub struct Mismatch;

/// Whether the leaf at `index` (from 0) is in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: Hash,
) -> Result<(), Mismatch> {
    if index >= size {
        return Err(Mismatch);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, leaf);
    for sibling in proof {
        if last == 0 {
            return Err(Mismatch);
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(*sibling, hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node_hash(hash, *sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && hash == root { Ok(()) } else { Err(Mismatch) }
}

/// Whether the tree of `new` leaves begins with all of the tree of `old` leaves (RFC 9162, 2.1.4.2).
pub fn verify_consistency(
    old: u64,
    new: u64,
    old_root: Hash,
    new_root: Hash,
    proof: &[Hash],
) -> Result<(), Mismatch> {
    if old == 0 || old >= new {
        let same = old == 0 || (old == new && old_root == new_root);
        return if same && proof.is_empty() { Ok(()) } else { Err(Mismatch) };
    }
    let (mut at, mut last) = (old - 1, new - 1);
    let skip = at.trailing_ones();
    (at, last) = (at >> skip, last >> skip);
    let (mut hashes, start) = (proof.iter().copied(), (at == 0).then_some(old_root));
    // The old tree is a complete subtree of the new one: the proof leaves its root out.
    let Some(start) = start.or_else(|| hashes.next()) else { return Err(Mismatch) };
    let (mut old_hash, mut new_hash) = (start, start);
    for hash in hashes {
        if last == 0 {
            return Err(Mismatch);
        }
        if at & 1 == 1 || at == last {
            (old_hash, new_hash) = (node_hash(hash, old_hash), node_hash(hash, new_hash));
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            new_hash = node_hash(new_hash, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && old_hash == old_root && new_hash == new_root { Ok(()) } else { Err(Mismatch) }
}
