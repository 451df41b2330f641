//! Every row of every table of the queue; and the rows that the pure fold of a history makes, column by column, without
//! the code that writes them. The end-to-end tests use this file, too.

use std::collections::BTreeSet;

use hookstream_phase_queue::{Announcement, MIGRATIONS, Outcome, Phase, Queue, State};
use hookstream_store::Client;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The names of the tables, from the migrations: none is forgotten.
pub(crate) fn names() -> Vec<&'static str> {
    let statements = MIGRATIONS.migrations.iter().flat_map(|(_, sql)| sql.split(';'));
    let named = |statement: &'static str| {
        let words = statement.split_once("CREATE TABLE ")?.1;
        words.split_whitespace().next()
    };
    statements.filter_map(named).collect()
}

/// Every row, as table name and JSON, sorted.
pub(crate) async fn stored(client: &Client) -> anyhow::Result<Vec<String>> {
    let mut rows = Vec::new();
    for table in names() {
        for row in client.query(&format!("SELECT to_jsonb(r)::text FROM {table} AS r"), &[]).await? {
            let mut columns: Map<String, Value> = serde_json::from_str(row.try_get(0)?)?;
            for (name, value) in &mut columns {
                if let Some(text) = value.as_str().filter(|_| name.ends_with("_at")) {
                    *value = instant(OffsetDateTime::parse(text, &Rfc3339)?);
                }
            }
            rows.push(format!("{table} {}", Value::from(columns)));
        }
    }
    rows.sort();
    Ok(rows)
}

/// The rows that `fold` makes, which must have begun with nothing, while `untold` is still to be announced.
pub(crate) fn folded(fold: &Queue, untold: &[Announcement]) -> Vec<String> {
    let mut rows = Vec::new();
    let mut row = |table: &str, columns: Value| rows.push(format!("{table} {columns}"));
    for added in fold.added() {
        row("phase_queue", phase(added.phase, added.phase_data));
        for edge in edges(added.phase) {
            row("phase_dependencies", edge);
        }
    }
    let control = fold.control();
    let config = |key: &str, value: String, at: Option<OffsetDateTime>| {
        let at = instant(at.unwrap_or(OffsetDateTime::UNIX_EPOCH));
        json!({"config_key": key, "config_value": value, "updated_at": at})
    };
    row("queue_config", config("queue_paused", control.paused.to_string(), control.paused_at));
    row("queue_config", config("max_concurrent", control.max_concurrent.to_string(), control.configured_at));
    let state =
        json!({"singleton": true, "active": control.active, "early_reports": fold.last_early_report()});
    row("queue_state", state);
    for kept in fold.early_reports_added() {
        let report = &kept.report;
        let early = json!({
            "queue_id": kept.queue_id, "ordinal": kept.ordinal, "adw_id": report.adw_id, "failed": report.failed,
            "trigger_next": report.trigger_next, "reported_at": instant(kept.at),
        });
        row("early_reports", early);
    }
    for shelved in fold.shelf_added() {
        let shelved = json!({
            "queue_id": shelved.queue_id, "parent_issue": shelved.parent_issue,
            "phase_number": shelved.phase_number, "issue_number": shelved.issue_number,
            "depends_on_phases": shelved.depends_on_phases, "phase_data": shelved.phase_data.json,
            "priority": shelved.priority,
        });
        row("shelved_phases", shelved);
    }
    for told in untold {
        let outbox = json!({
            "cause": told.cause, "ordinal": told.ordinal, "queue_id": told.queue_id,
            "queue_position": told.queue_position, "subject": told.subject, "phase": told.phase,
            "phase_data": gone(fold, told),
        });
        row("phase_outbox", outbox);
    }
    rows.sort();
    rows
}

/// Fails unless both hold the same rows; shows only those that differ.
pub(crate) fn assert_same(stored: &[String], folded: &[String], when: &str) {
    let differ = |one: &[String], other: &[String]| -> Vec<String> {
        let other: BTreeSet<&String> = other.iter().collect();
        one.iter().filter(|row| !other.contains(row)).cloned().collect()
    };
    assert_eq!(differ(stored, folded), differ(folded, stored), "stored, and as the fold has it, {when}");
    assert_eq!(stored.len(), folded.len(), "{when}");
}

/// What a phase was to run that is no more in the queue; null for one that still is.
fn gone(fold: &Queue, told: &Announcement) -> Option<Map<String, Value>> {
    let key = (told.queue_id.clone(), told.queue_position);
    fold.orphans().find(|(orphan, _)| **orphan == key).map(|(_, phase_data)| phase_data.clone())
}

/// What is told in stream `PHASES`: the whole payload.
#[allow(dead_code, reason = "the end-to-end tests compare the stream with it")]
pub(crate) fn payload(fold: &Queue, told: &Announcement) -> Value {
    let mut payload: Value = serde_json::from_str(&told.phase).expect("an object");
    let is_there =
        |phase: &Phase| phase.queue_id == told.queue_id && phase.queue_position == told.queue_position;
    let there = fold.added().find(|added| is_there(added.phase)).map(|added| added.phase_data.clone());
    payload["phase_data"] = json!(there.or_else(|| gone(fold, told)));
    payload
}

fn phase(phase: &Phase, phase_data: &Map<String, Value>) -> Value {
    let mut row = json!({
        "queue_id": phase.queue_id, "parent_issue": phase.parent_issue, "phase_number": phase.phase_number,
        "issue_number": phase.issue_number, "status": "", "held": false, "announcements": phase.announcements,
        "depends_on_phases": phase.depends_on, "waiting_on": phase.waiting_on, "blocked_on": phase.blocked_on,
        "early_report": phase.early, "phase_data": phase_data, "priority": phase.priority,
        "queue_position": phase.queue_position, "adw_id": phase.adw_id, "error_message": null,
        "content_sha256": format!("\\x{}", phase.content), "created_at": instant(phase.created_at),
        "updated_at": instant(phase.updated_at), "ready_at": null, "announced_at": null, "started_at": null,
        "finished_at": null,
    });
    let mut set = |status: &str, columns: &[(&str, Value)]| {
        row["status"] = status.into();
        for (name, value) in columns {
            row[*name] = value.clone();
        }
    };
    match &phase.state {
        State::Queued => set("queued", &[]),
        State::Blocked { why } => set("blocked", &[("error_message", json!(why))]),
        State::Ready { since, held, announced_at } => set(
            "ready",
            &[
                ("ready_at", instant(*since)),
                ("held", json!(held)),
                ("announced_at", announced_at.map_or(Value::Null, instant)),
            ],
        ),
        State::Running { ready_at, started_at } => {
            set("running", &[("ready_at", instant(*ready_at)), ("started_at", instant(*started_at))]);
        }
        State::Finished { outcome, ready_at, started_at, finished_at } => {
            let (status, why) = match outcome {
                Outcome::Completed => ("completed", None),
                Outcome::Failed { why } => ("failed", Some(why)),
            };
            set(
                status,
                &[
                    ("error_message", json!(why)),
                    ("ready_at", instant(*ready_at)),
                    ("started_at", started_at.map_or(Value::Null, instant)),
                    ("finished_at", instant(*finished_at)),
                ],
            );
        }
    }
    row
}

/// For a phase that waits, one for each number that it depends on.
fn edges(phase: &Phase) -> Vec<Value> {
    let is_waiting = matches!(phase.state, State::Queued | State::Blocked { .. });
    let numbers = phase.depends_on.iter().filter(|_| is_waiting);
    let edge = |number: &i32| {
        json!({
            "parent_issue": phase.parent_issue, "phase_number": phase.phase_number, "depends_on": number,
            "plan_position": if phase.parent_issue == 0 { phase.queue_position } else { 0 },
            "queue_id": phase.queue_id,
        })
    };
    numbers.map(edge).collect()
}

/// Microseconds since 1970, as Postgres keeps them.
fn instant(at: OffsetDateTime) -> Value {
    let microseconds = i64::try_from(at.unix_timestamp_nanos() / 1000).expect("a time of these centuries");
    microseconds.into()
}
