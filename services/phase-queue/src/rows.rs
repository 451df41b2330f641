//! The queue as rows: a fixed number of statements per batch, whatever its size.

mod phases;
mod write;

use std::collections::BTreeMap;

use hookstream_event::BodyDigest;
use hookstream_event::internal::{PhaseData, PhaseEnqueued};
use hookstream_store::types::Json;
use hookstream_store::{Row, StoreError, Transaction};
use serde_json::{Map, Value};

use crate::{Concerns, Control, EarlyReport, KeptReport, Outcome, Phase, Queue, Reach, State};
pub(crate) use write::write;

/// Loads all that steps with these concerns may touch or look at.
pub(crate) async fn load(tx: &Transaction<'_>, concerns: &Concerns) -> Result<Queue, StoreError> {
    let row = tx.query_one(include_str!("rows/load_control.sql"), &[]).await?;
    let fallback = Control::default();
    let control = Control {
        active: row.try_get("active")?,
        paused: row.try_get::<_, Option<bool>>("paused")?.unwrap_or(fallback.paused),
        max_concurrent: row.try_get::<_, Option<i32>>("max_concurrent")?.unwrap_or(fallback.max_concurrent),
        ..fallback
    };
    let issues: Vec<i64> = concerns.issues.iter().copied().collect();
    let (ids, _) = split(&concerns.queue_ids);
    let mut rows = load_phases(tx, concerns, &issues).await?;
    let candidates_max = concerns.announcements_max(&control);
    rows.extend(tx.query(include_str!("rows/load_candidates.sql"), &[&candidates_max]).await?);
    let phases: Vec<Phase> = rows.iter().map(read).collect::<Result<_, _>>()?;
    let early = tx.query(include_str!("rows/load_early_reports.sql"), &[&ids, &issues]).await?;
    let early = early.iter().map(read_early).collect::<Result<_, StoreError>>()?;
    let queue = Queue::load(phases, control).with_early_reports(row.try_get("early_reports")?, early);
    if issues.is_empty() { Ok(queue) } else { load_shelf(tx, queue, &issues).await }
}

async fn load_phases(
    tx: &Transaction<'_>,
    concerns: &Concerns,
    issues: &[i64],
) -> Result<Vec<Row>, StoreError> {
    let (ids, id_reaches) = split(&concerns.queue_ids);
    let (runs, run_reaches) = split(&concerns.runs);
    let parents: Vec<i64> = concerns.places.keys().map(|(issue, _)| *issue).collect();
    let numbers: Vec<i32> = concerns.places.keys().map(|(_, number)| *number).collect();
    let reaches: Vec<i32> = concerns.places.values().map(|reach| *reach as i32).collect();
    let statement = include_str!("rows/load_phases.sql");
    Ok(tx
        .query(statement, &[&ids, &id_reaches, &runs, &run_reaches, &parents, &numbers, &reaches, &issues])
        .await?)
}

async fn load_shelf(tx: &Transaction<'_>, queue: Queue, issues: &[i64]) -> Result<Queue, StoreError> {
    let shelved = tx.query(include_str!("rows/load_shelf.sql"), &[&issues]).await?;
    let shelved = shelved.iter().map(read_shelved).collect::<Result<_, StoreError>>()?;
    let mut contents = BTreeMap::new();
    for row in tx.query(include_str!("rows/load_contents.sql"), &[&issues]).await? {
        let Json(content): Json<Map<String, Value>> = row.try_get("phase_data")?;
        contents.insert(row.try_get("queue_id")?, content);
    }
    Ok(queue.with_shelf(shelved, contents))
}

fn split(concerns: &BTreeMap<String, Reach>) -> (Vec<&str>, Vec<i32>) {
    concerns.iter().map(|(name, reach)| (name.as_str(), *reach as i32)).unzip()
}

fn read_early(row: &Row) -> Result<KeptReport, StoreError> {
    Ok(KeptReport {
        queue_id: row.try_get("queue_id")?,
        ordinal: row.try_get("ordinal")?,
        at: row.try_get("reported_at")?,
        report: EarlyReport {
            adw_id: row.try_get("adw_id")?,
            failed: row.try_get("failed")?,
            trigger_next: row.try_get("trigger_next")?,
        },
    })
}

fn read_shelved(row: &Row) -> Result<PhaseEnqueued, StoreError> {
    let Json(json): Json<Map<String, Value>> = row.try_get("phase_data")?;
    let phase_data = PhaseData::from_valid(json);
    Ok(PhaseEnqueued {
        queue_id: row.try_get("queue_id")?,
        parent_issue: row.try_get("parent_issue")?,
        phase_number: row.try_get("phase_number")?,
        phase_data,
        depends_on_phases: row.try_get("depends_on_phases")?,
        priority: row.try_get("priority")?,
        issue_number: row.try_get("issue_number")?,
    })
}

fn read(row: &Row) -> Result<Phase, StoreError> {
    let content: &[u8] = row.try_get("content_sha256")?;
    let content = content.try_into().map_err(|_| StoreError::OutOfRange { column: "content_sha256" })?;
    Ok(Phase {
        queue_id: row.try_get("queue_id")?,
        parent_issue: row.try_get("parent_issue")?,
        phase_number: row.try_get("phase_number")?,
        depends_on: row.try_get("depends_on_phases")?,
        issue_number: row.try_get("issue_number")?,
        priority: row.try_get("priority")?,
        queue_position: row.try_get("queue_position")?,
        adw_id: row.try_get("adw_id")?,
        state: read_state(row)?,
        announcements: row.try_get("announcements")?,
        waiting_on: row.try_get("waiting_on")?,
        blocked_on: row.try_get("blocked_on")?,
        early: row.try_get::<_, Option<Json<EarlyReport>>>("early_report")?.map(|Json(early)| early),
        content: BodyDigest(content),
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
    })
}

/// The columns that a state needs are there: the table's constraints see to it.
fn read_state(row: &Row) -> Result<State, StoreError> {
    let finished = |outcome| -> Result<State, StoreError> {
        Ok(State::Finished {
            outcome,
            ready_at: row.try_get("ready_at")?,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    };
    match row.try_get("status")? {
        "queued" => Ok(State::Queued),
        "blocked" => Ok(State::Blocked { why: row.try_get("error_message")? }),
        "ready" => Ok(State::Ready {
            since: row.try_get("ready_at")?,
            held: row.try_get("held")?,
            announced_at: row.try_get("announced_at")?,
        }),
        "running" => {
            Ok(State::Running { ready_at: row.try_get("ready_at")?, started_at: row.try_get("started_at")? })
        }
        "completed" => finished(Outcome::Completed),
        "failed" => finished(Outcome::Failed { why: row.try_get("error_message")? }),
        _ => Err(StoreError::OutOfRange { column: "status" }),
    }
}
