//! One transaction: the position, the rows, the remembered ids, the dead letters.

use std::collections::HashSet;
use std::time::Duration;

use hookstream_event::{BodyDigest, attribute};
use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_store::dead_letters::{self, DeadLetter};
use hookstream_store::memory::{self, Remembered};
use hookstream_store::{Connection, Transaction, together};

use crate::batch::Batch;
use crate::claims::Known;
use crate::failure::{Failure, bounded, call};
use crate::isolation::{self, Isolated, isolate};
use crate::verdict::{Mode, Trials};
use crate::{Claim, ClaimedEvent, Projection};

/// The stream is the truth, and it is on disk. What Postgres loses of the last moments before a crash it loses together with
/// the checkpoint behind it, and so it is applied again: its disk need not be waited for.
const NOT_AT_ONCE: &str = "SET LOCAL synchronous_commit = off";

/// A batch whose effects are in Postgres.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) dead_letters: Vec<DeadLetter>,
    /// How many events ended so.
    pub(crate) tally: Tally,
}

/// Events by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) applied: u64,
    pub(crate) suspected_replays: u64,
    pub(crate) rejected_replays: u64,
    pub(crate) redelivered: u64,
    pub(crate) conflicts: u64,
    pub(crate) dead_letters: u64,
}

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time for one step: the whole batch, or each part of it in isolation.
    pub(crate) step: Duration,
    /// How often an event alone is tried again after a fault that may pass.
    pub(crate) retries_max: u32,
}

/// Applies `batch` behind `from` and commits. After an error nothing of it is in Postgres, unless the session broke
/// while it was being committed.
pub(crate) async fn commit<P: Projection>(
    projection: &P,
    connection: &mut Connection,
    from: &Checkpoint,
    batch: &mut Batch,
    trials: Trials,
    limits: Limits,
) -> Result<Committed, Failure> {
    let begun = async {
        let tx = connection.transaction().await?;
        let sequence = batch.last().stream_sequence;
        let advancing = checkpoint::advance(&tx, from, sequence, batch.last_message_id());
        let asking = async { Ok(tx.batch_execute(NOT_AT_ONCE).await?) };
        let ((), checkpoint) = tokio::try_join!(asking, advancing)?;
        if !batch.is_claimed() {
            let known = recall::<P>(&tx, batch.given()).await?;
            batch.claim(known, P::SEES_REPEATS);
        }
        Ok((tx, checkpoint))
    };
    let (mut tx, checkpoint) = bounded(limits.step, begun).await?;
    let remembering = async { Ok(memory::remember(&tx, P::NAME, &to_remember(batch.given())).await?) };
    let remembering = bounded(limits.step, remembering);
    let given_up = match trials.mode() {
        Mode::Whole => {
            let applying = bounded(limits.step, call(projection, &tx, batch.given()));
            let ((), applied) = together(remembering, applying).await?;
            Isolated { refused: applied.refused, condemned: Vec::new() }
        }
        Mode::Isolated => {
            remembering.await?;
            let limits = isolation::Limits {
                begins_anew: trials.has_retries(),
                retries_max: limits.retries_max,
                part: limits.step,
            };
            isolate(projection, &mut tx, batch.given(), limits).await?
        }
    };
    let letters = letters(batch, given_up, trials);
    let dead: HashSet<u64> = letters.iter().map(|letter| letter.stream_sequence).collect();
    let finished = async {
        dead_letters::insert(&tx, P::NAME, &letters).await?;
        memory::mark_unprocessed(&tx, P::NAME, dead.iter().copied()).await?;
        Ok(tx.commit().await?)
    };
    bounded(limits.step, finished).await?;
    Ok(Committed { checkpoint, tally: tally(batch, &dead), dead_letters: letters })
}

/// What could not be read, what the projection refused, and what isolation found.
fn letters(batch: &Batch, given_up: Isolated, trials: Trials) -> Vec<DeadLetter> {
    let refused =
        given_up.refused.into_iter().map(|event| (event.stream_sequence, event.reason, event.error));
    let condemned =
        given_up.condemned.into_iter().map(|event| (event.stream_sequence, event.reason, event.error));
    let of_events = refused
        .chain(condemned)
        .filter_map(|(sequence, reason, error)| batch.dead_letter(sequence, reason, error, trials.number()));
    batch.unreadable().iter().cloned().chain(of_events).collect()
}

async fn recall<P: Projection>(tx: &Transaction<'_>, events: &[ClaimedEvent]) -> Result<Known, Failure> {
    let given = events.iter().map(|claimed| &claimed.event.envelope).filter(|event| !event.id_derived);
    let (ids, digests): (Vec<&str>, HashSet<BodyDigest>) =
        given.map(|event| (event.id.as_str(), event.body_sha256)).unzip();
    let digests: Vec<BodyDigest> = digests.into_iter().collect();
    Ok(Known::from(memory::recall(tx, P::NAME, &ids, &digests).await?))
}

/// The new events; of two with the same id, which the horizon may part, the later.
fn to_remember(events: &[ClaimedEvent]) -> Vec<Remembered> {
    let mut seen = HashSet::new();
    let mut remembered: Vec<Remembered> = events
        .iter()
        .rev()
        .filter(|claimed| claimed.claim.is_new())
        .filter(|claimed| {
            claimed.event.envelope.id_derived || seen.insert(claimed.event.envelope.id.as_str())
        })
        .map(remember)
        .collect();
    remembered.reverse();
    remembered
}

fn remember(claimed: &ClaimedEvent) -> Remembered {
    let envelope = &claimed.event.envelope;
    Remembered {
        stream_sequence: claimed.event.stream_sequence,
        event_id: envelope.id.clone(),
        event_type: envelope.event_type.as_str().to_owned(),
        body_sha256: envelope.body_sha256,
        adw_id: envelope.attributes.text(attribute::ADW_ID).map(str::to_owned),
        issue_number: envelope.attributes.number(attribute::ISSUE),
        received_at: envelope.received_at,
        id_derived: envelope.id_derived,
        processed: true,
    }
}

fn tally(batch: &Batch, dead: &HashSet<u64>) -> Tally {
    let mut tally = Tally { dead_letters: dead.len() as u64, ..Tally::default() };
    for claimed in batch.given().iter().chain(batch.repeats()) {
        if dead.contains(&claimed.event.stream_sequence) {
            continue;
        }
        match claimed.claim {
            Claim::Fresh => tally.applied += 1,
            Claim::SuspectedReplay => tally.suspected_replays += 1,
            Claim::RejectedReplay => tally.rejected_replays += 1,
            Claim::Redelivered => tally.redelivered += 1,
            Claim::Conflict => tally.conflicts += 1,
        }
    }
    tally
}
