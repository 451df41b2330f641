//! One pass over the entries: what is computed, and what is remembered of it.

use hookstream_store::{Row, StoreError};
use hookstream_trail::chain::Verifier;
use hookstream_trail::tree::{Frontier, Node, leaf_hash};
use hookstream_trail::{Checkpoint, Entry, Hash, Head, Resumption, kind};

use super::{CheckpointFault, Expectations, Verified, VerifyError, unreadable};
use crate::Misfit;
use crate::record::WEBHOOKS;
use hookstream_proofs::rows;

/// Between two entries, messages of the stream have none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
    pub(super) audit_sequence: i64,
    pub(super) expected: i64,
    pub(super) found: i64,
}

pub(super) struct Pass<'e> {
    expectations: &'e Expectations,
    verifier: Verifier,
    frontier: Frontier,
    /// Computed since they were last compared.
    nodes: Vec<Node>,
    gaps: Vec<Gap>,
    checkpoints: u64,
    /// Indices of the checkpoints from elsewhere, by size, that are still to come.
    outside: Vec<usize>,
    misfits: Vec<(usize, Misfit)>,
    resumptions: Vec<Resumption>,
    /// Stream sequence that comes next.
    next_in_stream: Option<i64>,
}

impl<'e> Pass<'e> {
    pub(super) fn new(expectations: &'e Expectations) -> Self {
        let mut outside: Vec<usize> = (0..expectations.outside.len()).collect();
        // The next one last.
        outside.sort_by_key(|at| std::cmp::Reverse(expectations.outside[*at].1.size));
        let mut pass = Self {
            expectations,
            verifier: Verifier::after(Head::EMPTY),
            frontier: Frontier::default(),
            nodes: Vec::new(),
            gaps: Vec::new(),
            checkpoints: 0,
            outside,
            misfits: Vec::new(),
            resumptions: Vec::new(),
            next_in_stream: None,
        };
        pass.compare_outside();
        pass
    }

    pub(super) fn head(&self) -> Head {
        self.verifier.head()
    }

    pub(super) fn size(&self) -> u64 {
        self.frontier.size()
    }

    pub(super) fn frontier(&self) -> &Frontier {
        &self.frontier
    }

    pub(super) fn take_nodes(&mut self) -> Vec<Node> {
        std::mem::take(&mut self.nodes)
    }

    pub(super) fn take_gaps(&mut self) -> Vec<Gap> {
        std::mem::take(&mut self.gaps)
    }

    /// Checks the next entries, and the checkpoints of sizes among theirs, in order.
    pub(super) fn check(&mut self, rows: &[Row], checkpoints: &[Row]) -> Result<(), VerifyError> {
        let mut checkpoints = checkpoints.iter();
        let mut checkpoint = checkpoints.next();
        for row in rows {
            let entry = rows::entry(row).map_err(|_| unreadable(self))?;
            self.verifier.check(&entry)?;
            let nodes = &mut self.nodes;
            self.frontier.push(leaf_hash(entry.entry_hash), |node| nodes.push(node));
            self.follow_stream(&entry);
            self.compare_outside();
            while let Some(row) = checkpoint {
                let size: i64 = row.try_get(0).map_err(StoreError::from)?;
                if size > entry.audit_sequence {
                    break;
                }
                self.check_checkpoint(size, row)?;
                checkpoint = checkpoints.next();
            }
        }
        Ok(())
    }

    fn follow_stream(&mut self, entry: &Entry<&str>) {
        let record = &entry.record;
        if record.kind == kind::RESUMED {
            if let Ok(resumption) = serde_json::from_str::<Resumption>(record.details) {
                if let Some(gap) = &resumption.stream {
                    self.next_in_stream = i64::try_from(gap.next).ok();
                }
                self.resumptions.push(resumption);
            }
            return;
        }
        let (Some(WEBHOOKS), Some(found)) = (record.stream, record.stream_sequence) else { return };
        if let Some(expected) = self.next_in_stream.filter(|expected| *expected != found) {
            self.gaps.push(Gap { audit_sequence: entry.audit_sequence, expected, found });
        }
        self.next_in_stream = found.checked_add(1);
    }

    /// The checkpoints from elsewhere that cover exactly the entries so far.
    fn compare_outside(&mut self) {
        while let Some(at) = self.outside.last().copied() {
            let (_, checkpoint) = &self.expectations.outside[at];
            let (size, signed) = (checkpoint.size, checkpoint.root);
            if size > self.size() {
                return;
            }
            self.outside.pop();
            let found = self.frontier.root();
            if found != signed {
                self.misfits.push((at, Misfit::OtherRoot { size, signed, found }));
            }
        }
    }

    fn check_checkpoint(&mut self, size: i64, row: &Row) -> Result<(), VerifyError> {
        let fault = |error| VerifyError::Checkpoint { size, error };
        let note: &str = row.try_get(1).map_err(StoreError::from)?;
        let checkpoint = self.open(note).map_err(fault)?;
        if i64::try_from(checkpoint.size) != Ok(size) {
            return Err(fault(CheckpointFault::Size(checkpoint.size)));
        }
        let (signed, found) = (checkpoint.root, self.frontier.root());
        if signed != found {
            return Err(fault(CheckpointFault::Root { signed, found }));
        }
        self.checkpoints += 1;
        Ok(())
    }

    fn open(&self, note: &str) -> Result<Checkpoint, CheckpointFault> {
        let Expectations { keys, origin, .. } = self.expectations;
        let checkpoint = if keys.is_empty() {
            Checkpoint::parse(note.rsplit_once("\n\n").map_or(note, |(text, _)| text))?
        } else {
            Checkpoint::open(note, keys)?
        };
        match origin {
            Some(origin) if *origin != checkpoint.origin => Err(CheckpointFault::Origin(checkpoint.origin)),
            _ => Ok(checkpoint),
        }
    }

    /// What was verified, unless a checkpoint from elsewhere does not fit, for no reason that the trail gives.
    pub(super) fn finish(mut self) -> Result<Verified, VerifyError> {
        let end = self.size();
        let outside = &self.expectations.outside;
        let shorter =
            self.outside.iter().rev().map(|at| (*at, Misfit::Shorter { size: outside[*at].1.size, end }));
        let misfits: Vec<_> = self.misfits.drain(..).chain(shorter).collect();
        let explained =
            |checkpoint| self.resumptions.iter().any(|resumption| resumption.explains(checkpoint));
        // The newest: it tells how much is missing.
        let misfit = misfits.into_iter().filter(|(at, _)| !explained(&outside[*at].1));
        if let Some((at, misfit)) = misfit.max_by_key(|(at, _)| outside[*at].1.size) {
            return Err(VerifyError::Outside { place: outside[at].0.clone(), misfit });
        }
        let root: Hash = self.frontier.root();
        Ok(Verified {
            head: self.verifier.head(),
            root,
            checkpoints: self.checkpoints,
            outside: outside.len() as u64,
            resumptions: self.resumptions,
        })
    }
}
