//! Finding the events at fault: the batch is halved under savepoints until each of them stands alone.

use std::ops::Range;
use std::time::Duration;

use hookstream_store::{Kind, StoreError, Transaction};

use crate::failure::{Failure, bounded, call};
use crate::{ClaimedEvent, Projection, Refused};

/// Pause before an event alone is tried again.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a deferred constraint fail here, under the savepoint, and not at the commit.
const CHECK_NOW: &str = include_str!("isolation/check_now.sql");

/// An event that could not be applied.
#[derive(Debug)]
pub(crate) struct Condemned {
    pub(crate) stream_sequence: u64,
    pub(crate) reason: &'static str,
    pub(crate) error: String,
    /// Failed with a fault that may pass.
    transient: bool,
}

/// What isolation found. Everything else is applied.
#[derive(Debug, Default)]
pub(crate) struct Isolated {
    pub(crate) refused: Vec<Refused>,
    pub(crate) condemned: Vec<Condemned>,
}

/// How hard an event is tried before it is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// After a fault that may pass, the whole transaction is tried again. A deadlock does not pass while the parts before
    /// hold their locks.
    pub(crate) begins_anew: bool,
    /// Else, how often an event alone is tried again after such a fault.
    pub(crate) retries_max: u32,
    /// Longest time for one part, on our clock.
    pub(crate) part: Duration,
}

/// Applies `events` in order but for those at fault. Fails where Postgres, not an event, is to blame; then the caller
/// rolls everything back.
pub(crate) async fn isolate<P: Projection>(
    projection: &P,
    tx: &mut Transaction<'_>,
    events: &[ClaimedEvent],
    limits: Limits,
) -> Result<Isolated, Failure> {
    let mut isolated = Isolated::default();
    // The parts still to be applied, the next one last.
    let mut parts = Vec::from([Range { start: 0, end: events.len() }]);
    let mut retries = 0;
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        let trying = try_part(projection, tx, &events[part.clone()]);
        let failure = match bounded(limits.part, trying).await? {
            Ok(refused) => {
                isolated.refused.extend(refused);
                retries = 0;
                continue;
            }
            Err(failure) => failure,
        };
        let may_pass = failure.kind() == Kind::Transient;
        match fault(&failure, &events[part.clone()]) {
            Fault::Nobody => return Err(failure),
            _ if may_pass && limits.begins_anew => return Err(failure),
            Fault::Of(_) if may_pass && retries < limits.retries_max => {
                retries += 1;
                tokio::time::sleep(PAUSE * retries).await;
                parts.push(part);
            }
            Fault::Of(at) => {
                retries = 0;
                let at = part.start + at;
                isolated.condemned.push(condemn(&events[at], &failure));
                parts.extend([at + 1..part.end, part.start..at]);
            }
            Fault::Somewhere => parts.extend(halves(&part)),
        }
    }
    blame_postgres_if_none_was_applied(&isolated, events.len())?;
    Ok(isolated)
}

/// Applies a part under a savepoint, which is rolled back if that fails: the inner result. The outer one is about the
/// savepoint itself.
async fn try_part<P: Projection>(
    projection: &P,
    tx: &mut Transaction<'_>,
    part: &[ClaimedEvent],
) -> Result<Result<Vec<Refused>, Failure>, Failure> {
    let savepoint = tx.savepoint("part").await?;
    let outcome = apply_part(projection, &savepoint, part).await;
    if outcome.is_ok() {
        savepoint.commit().await?;
    } else {
        savepoint.rollback().await?;
    }
    Ok(outcome)
}

async fn apply_part<P: Projection>(
    projection: &P,
    savepoint: &Transaction<'_>,
    part: &[ClaimedEvent],
) -> Result<Vec<Refused>, Failure> {
    let applied = call(projection, savepoint, part).await?;
    savepoint.batch_execute(CHECK_NOW).await?;
    Ok(applied.refused)
}

enum Fault {
    /// No event's.
    Nobody,
    /// That of the event at this place.
    Of(usize),
    /// That of one or more events.
    Somewhere,
}

fn fault(failure: &Failure, part: &[ClaimedEvent]) -> Fault {
    // Somebody holds a lock: each event would fail for it.
    if !matches!(failure.kind(), Kind::Event | Kind::Transient) || failure.is_lock_timeout() {
        return Fault::Nobody;
    }
    let named = match failure {
        Failure::Event { stream_sequence, .. } => {
            part.iter().position(|claimed| claimed.event.stream_sequence == *stream_sequence)
        }
        _ => None,
    };
    match named {
        Some(at) => Fault::Of(at),
        None if part.len() == 1 => Fault::Of(0),
        None => Fault::Somewhere,
    }
}

/// Right half below left half, so that the left one is applied first.
fn halves(part: &Range<usize>) -> [Range<usize>; 2] {
    let middle = part.start + part.len() / 2;
    [middle..part.end, part.start..middle]
}

fn condemn(claimed: &ClaimedEvent, failure: &Failure) -> Condemned {
    let error = match failure {
        Failure::Event { error, .. } => error.clone(),
        other => other.chain(),
    };
    Condemned {
        stream_sequence: claimed.event.stream_sequence,
        reason: failure.reason(),
        error,
        transient: failure.kind() == Kind::Transient,
    }
}

/// A fault that may pass is an event's own only if another event was applied meanwhile; else it is the weather. Whoever
/// waits behind such an event brings the proof, so it holds nobody up.
fn blame_postgres_if_none_was_applied(isolated: &Isolated, events: usize) -> Result<(), Failure> {
    let none_was_applied = isolated.condemned.len() == events;
    if none_was_applied && isolated.condemned.iter().any(|condemned| condemned.transient) {
        return Err(Failure::Store(StoreError::NoneApplied { events }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_keep_the_order_and_lose_nothing() {
        assert_eq!(halves(&(0..2)), [1..2, 0..1]);
        assert_eq!(halves(&(4..9)), [6..9, 4..6]);
    }

    #[test]
    fn a_batch_of_which_nothing_was_applied_condemns_nothing_that_may_pass() {
        let condemned = |transient| Condemned {
            stream_sequence: 1,
            reason: "retries_used_up",
            error: String::new(),
            transient,
        };
        let isolated = |kinds: &[bool]| Isolated {
            refused: Vec::new(),
            condemned: kinds.iter().map(|transient| condemned(*transient)).collect(),
        };
        let blamed =
            |kinds: &[bool], events| blame_postgres_if_none_was_applied(&isolated(kinds), events).is_err();
        assert!(blamed(&[true, true], 2) && blamed(&[true, false], 2) && blamed(&[true], 1));
        assert!(
            !blamed(&[true], 2) && !blamed(&[false, false], 2) && !blamed(&[false], 1) && !blamed(&[], 0)
        );
    }
}
