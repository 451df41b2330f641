//! Against `ct-merkle`, another implementation of RFC 6962.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof};
use proptest::prelude::*;
use sha2::Sha256;

use super::*;

type Other = MemoryBackedTree<Sha256, [u8; 32]>;

fn entry_hash(number: u64) -> Hash {
    Hash::of(&number.to_be_bytes())
}

/// Grows leaf by leaf, beside the other implementation.
#[derive(Default)]
struct Both {
    frontier: Frontier,
    nodes: Nodes,
    other: Other,
}

impl Both {
    fn of(size: u64) -> Self {
        let mut both = Self::default();
        (0..size).for_each(|_| both.push());
        both
    }

    fn push(&mut self) {
        let position = self.frontier.size();
        let entry_hash = entry_hash(position);
        let leaf = leaf_hash(entry_hash);
        self.nodes.insert(Node { level: 0, position, hash: leaf });
        let mut kept = Vec::new();
        self.frontier.push(leaf, |node| kept.push(node));
        for node in kept {
            self.nodes.insert(node);
        }
        self.other.push(entry_hash.0);
    }

    fn check_root(&self) {
        let bytes = self.frontier.to_bytes();
        assert_eq!(Frontier::from_bytes(self.frontier.size(), &bytes).as_ref(), Some(&self.frontier));
        assert_eq!(&self.frontier.root().0[..], &self.other.root().as_bytes()[..]);
    }

    /// Ours is theirs, byte for byte, and is accepted.
    fn check_inclusion(&self, index: u64) {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let ranges = inclusion_ranges(index, size);
        let proof = self.nodes.hashes(&ranges).expect("all that is needed is there");
        let theirs = self.other.prove_inclusion(usize::try_from(index).unwrap());
        assert_eq!(concatenated(&proof), theirs.as_bytes(), "leaf {index} of {size}");
        assert_eq!(verify_inclusion(leaf_hash(entry_hash(index)), index, size, &proof, root), Ok(()));
        let ours = InclusionProof::<Sha256>::from_bytes(concatenated(&proof));
        self.other.root().verify_inclusion(&entry_hash(index).0, index, &ours).expect("they accept ours");
    }

    fn check_consistency(&self, old: &Frontier) {
        let (size, root) = (self.frontier.size(), self.frontier.root());
        let proof = self.nodes.hashes(&consistency_ranges(old.size(), size)).expect("all is there");
        assert_eq!(verify_consistency(old.size(), size, old.root(), root, &proof), Ok(()));
        if old.size() == 0 {
            return;
        }
        let theirs = self.other.prove_consistency(usize::try_from(size - old.size()).unwrap());
        assert_eq!(concatenated(&proof), theirs.as_bytes(), "{} of {size}", old.size());
        let old_root = ct_merkle::RootHash::<Sha256>::new(old.root().0.into(), old.size());
        let ours = ConsistencyProof::<Sha256>::try_from_bytes(concatenated(&proof)).unwrap();
        self.other.root().verify_consistency(&old_root, &ours).expect("they accept ours");
    }
}

#[derive(serde::Deserialize)]
struct Vectors {
    tree: TreeVectors,
}

/// `tree` of `vectors.json`, in hex.
#[derive(serde::Deserialize)]
struct TreeVectors {
    leaves: Vec<String>,
    roots: Vec<String>,
    inclusion: Vec<Inclusion>,
    consistency: Vec<Consistency>,
}

#[derive(serde::Deserialize)]
struct Inclusion {
    index: u64,
    size: u64,
    hashes: Vec<String>,
}

#[derive(serde::Deserialize)]
struct Consistency {
    old: u64,
    new: u64,
    hashes: Vec<String>,
}

#[test]
fn the_published_vectors_hold() {
    let text = include_str!("../../../../../schemas/postgres/audit/vectors.json");
    let vectors = serde_json::from_str::<Vectors>(text).unwrap().tree;
    let hash = |hex: &String| Hash::from_hex(hex).unwrap();
    let leaves: Vec<Hash> = vectors.leaves.iter().map(hash).collect();
    let (mut frontier, mut nodes) = (Frontier::default(), Nodes::default());
    assert_eq!(frontier.root(), hash(&vectors.roots[0]));
    for (leaf, (root, position)) in leaves.iter().zip(vectors.roots[1..].iter().zip(0..)) {
        nodes.insert(Node { level: 0, position, hash: *leaf });
        frontier.push(*leaf, |_| unreachable!("fewer than 256"));
        assert_eq!(frontier.root(), hash(root));
    }
    for proof in &vectors.inclusion {
        let expected: Vec<Hash> = proof.hashes.iter().map(hash).collect();
        assert_eq!(nodes.hashes(&inclusion_ranges(proof.index, proof.size)), Some(expected));
    }
    for proof in &vectors.consistency {
        let expected: Vec<Hash> = proof.hashes.iter().map(hash).collect();
        assert_eq!(nodes.hashes(&consistency_ranges(proof.old, proof.new)), Some(expected));
    }
}

fn concatenated(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn every_proof_of_every_size_up_to_300_is_that_of_another_implementation() {
    let (mut both, mut olds) = (Both::default(), Vec::new());
    for size in 0..=300 {
        both.check_root();
        olds.push(both.frontier.clone());
        for index in 0..size {
            both.check_inclusion(index);
        }
        for old in &olds {
            both.check_consistency(old);
        }
        both.push();
    }
}

/// Past two levels of kept nodes.
#[test]
fn proofs_of_a_large_tree_are_those_of_another_implementation() {
    let size = 2 * 65_536 + 300;
    let mut both = Both::default();
    let mut olds = Vec::new();
    for at in 0..size {
        if [1, 2, 255, 256, 257, 4097, 65_535, 65_536, 65_537, 99_999, 131_072, size - 1].contains(&at) {
            olds.push(both.frontier.clone());
        }
        both.push();
    }
    both.check_root();
    for index in [0, 1, 255, 256, 65_535, 65_536, 70_001, 131_071, 131_072, size - 2, size - 1] {
        both.check_inclusion(index);
    }
    for old in &olds {
        both.check_consistency(old);
    }
}

#[test]
fn proofs_of_random_large_trees_are_those_of_another_implementation() {
    let config = ProptestConfig { cases: 4, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(size in 1_000_u64..20_000, parts in prop::collection::vec(0.0..1.0_f64, 8))| {
        let both = Both::of(size);
        both.check_root();
        for part in parts {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
            let index = ((size as f64 * part) as u64).min(size - 1);
            both.check_inclusion(index);
            both.check_consistency(&Both::of(index).frontier);
        }
    });
}

#[test]
fn what_a_proof_needs_is_few_hashes_however_large_the_tree() {
    for size in [1, 300, 1_000_003, (1 << 40) + 12_345, SIZE_MAX] {
        for index in [0, size / 3, size - 1] {
            for ranges in [inclusion_ranges(index, size), consistency_ranges(index, size)] {
                assert!(ranges.len() <= 63, "{size}");
                let hashes: u64 =
                    needed(&ranges).iter().map(|run| run.positions.end - run.positions.start).sum();
                assert!(hashes <= 256 * 8, "{hashes} for {index} of {size}");
            }
        }
    }
}

#[test]
fn a_proof_of_something_else_is_refused() {
    let both = Both::of(300);
    let root = both.frontier.root();
    let proof = both.nodes.hashes(&inclusion_ranges(7, 300)).unwrap();
    let leaf = leaf_hash(entry_hash(7));
    assert_eq!(verify_inclusion(leaf, 7, 300, &proof, root), Ok(()));
    for at in 0..proof.len() {
        let mut other = proof.clone();
        other[at].0[at % 32] ^= 1;
        assert_eq!(verify_inclusion(leaf, 7, 300, &other, root), Err(Mismatch), "hash {at}");
    }
    let (shorter, longer) = (&proof[..proof.len() - 1], [proof.clone(), vec![root]].concat());
    for (leaf, index, size, proof) in [
        (leaf_hash(entry_hash(8)), 7, 300, &proof[..]),
        (leaf, 6, 300, &proof),
        (leaf, 300, 300, &proof),
        (leaf, 7, 0, &[]),
        (leaf, 7, 300, shorter),
        (leaf, 7, 300, &longer),
        // An inner node is no leaf.
        (entry_hash(7), 7, 300, &proof),
    ] {
        assert_eq!(verify_inclusion(leaf, index, size, proof, root), Err(Mismatch));
    }
}

#[test]
fn a_tree_that_does_not_extend_the_other_is_refused() {
    let (old, new) = (Both::of(100).frontier, Both::of(300));
    let root = new.frontier.root();
    let proof = new.nodes.hashes(&consistency_ranges(100, 300)).unwrap();
    let check = |old_size, new_size, old_root, proof: &[Hash]| {
        verify_consistency(old_size, new_size, old_root, root, proof)
    };
    assert_eq!(check(100, 300, old.root(), &proof), Ok(()));
    for at in 0..proof.len() {
        let mut other = proof.clone();
        other[at].0[0] ^= 1;
        assert_eq!(check(100, 300, old.root(), &other), Err(Mismatch), "hash {at}");
    }
    assert_eq!(check(100, 300, Hash([7; 32]), &proof), Err(Mismatch));
    assert_eq!(check(99, 300, old.root(), &proof), Err(Mismatch));
    assert_eq!(check(100, 300, old.root(), &[]), Err(Mismatch));
    assert_eq!(check(100, 300, old.root(), &proof[1..]), Err(Mismatch));
    assert_eq!(check(300, 300, old.root(), &[]), Err(Mismatch));
    assert_eq!(check(300, 300, root, &[root]), Err(Mismatch));
    assert_eq!(check(301, 300, root, &[]), Err(Mismatch));
}

#[test]
fn peaks_that_do_not_fit_the_size_are_no_frontier() {
    assert_eq!(Frontier::from_bytes(0, &[]), Some(Frontier::default()));
    assert_eq!(Frontier::default().root(), empty_root());
    for (size, bytes) in [(0, 32), (1, 0), (1, 31), (1, 64), (3, 32), (u64::MAX, 64 * 32)] {
        assert_eq!(Frontier::from_bytes(size, &vec![0; bytes]), None, "{size} {bytes}");
    }
}
