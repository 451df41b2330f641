//! Everything that is written beside the phases themselves.

use std::collections::BTreeMap;

use hookstream_store::types::Json;
use hookstream_store::{StoreError, Transaction};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::phases::{self, array_literal};
use crate::{Control, EARLY_REPORTS_MAX, KeptReport, Phase, Queue};

/// Writes what has changed since the queue was loaded: so many statements at most, whatever has.
pub(crate) async fn write(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    if !queue.announcements().is_empty() {
        insert_outbox(tx, queue).await?;
    }
    write_edges(tx, include_str!("delete_edges.sql"), &Edges::of(queue.overlinked()), false).await?;
    phases::phases(tx, queue).await?;
    write_edges(tx, include_str!("insert_edges.sql"), &Edges::of(queue.unlinked()), true).await?;
    write_early_reports(tx, queue).await?;
    write_shelf(tx, queue).await?;
    write_control(tx, queue).await
}

async fn write_control(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    let control: Control = queue.control();
    let statement = include_str!("set_state.sql");
    tx.execute(statement, &[&control.active, &queue.last_early_report()]).await?;
    let paused = control.paused_at.map(|at| ("queue_paused", control.paused.to_string(), at));
    let most = control.configured_at.map(|at| ("max_concurrent", control.max_concurrent.to_string(), at));
    let changes: Vec<_> = paused.into_iter().chain(most).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let keys: Vec<&str> = changes.iter().map(|(key, ..)| *key).collect();
    let values: Vec<&str> = changes.iter().map(|(_, value, _)| value.as_str()).collect();
    let times: Vec<OffsetDateTime> = changes.iter().map(|(.., at)| *at).collect();
    tx.execute(include_str!("set_config.sql"), &[&keys, &values, &times]).await?;
    Ok(())
}

async fn insert_outbox(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    let told = queue.announcements();
    let orphans: BTreeMap<(&str, i64), &Map<String, Value>> =
        queue.orphans().map(|((queue_id, position), data)| ((queue_id.as_str(), *position), data)).collect();
    let causes: Vec<i64> = told.iter().map(|told| told.cause).collect();
    let ordinals: Vec<i32> = told.iter().map(|told| told.ordinal).collect();
    let queue_ids: Vec<&str> = told.iter().map(|told| told.queue_id.as_str()).collect();
    let positions: Vec<i64> = told.iter().map(|told| told.queue_position).collect();
    let subjects: Vec<&str> = told.iter().map(|told| told.subject.as_str()).collect();
    let phases: Vec<&str> = told.iter().map(|told| told.phase.as_str()).collect();
    let data: Vec<Option<Json<&Map<String, Value>>>> = told
        .iter()
        .map(|told| orphans.get(&(told.queue_id.as_str(), told.queue_position)).copied().map(Json))
        .collect();
    let statement = include_str!("insert_outbox.sql");
    tx.execute(statement, &[&causes, &ordinals, &queue_ids, &positions, &subjects, &phases, &data]).await?;
    Ok(())
}

/// Edges from phases to what they wait for, column by column.
#[derive(Default)]
struct Edges<'q> {
    parent_issue: Vec<i64>,
    plan_position: Vec<i64>,
    depends_on: Vec<i32>,
    queue_id: Vec<&'q str>,
    phase_number: Vec<i32>,
}

impl<'q> Edges<'q> {
    fn of(phases: impl Iterator<Item = &'q Phase>) -> Self {
        let mut edges = Self::default();
        for phase in phases {
            for number in &phase.depends_on {
                edges.parent_issue.push(phase.parent_issue);
                edges.plan_position.push(if phase.parent_issue == 0 { phase.queue_position } else { 0 });
                edges.depends_on.push(*number);
                edges.queue_id.push(&phase.queue_id);
                edges.phase_number.push(phase.phase_number);
            }
        }
        edges
    }
}

async fn write_edges(
    tx: &Transaction<'_>,
    statement: &'static str,
    edges: &Edges<'_>,
    with_number: bool,
) -> Result<(), StoreError> {
    let Edges { parent_issue, plan_position, depends_on, queue_id, phase_number } = edges;
    if queue_id.is_empty() {
        return Ok(());
    }
    if with_number {
        tx.execute(statement, &[parent_issue, plan_position, depends_on, queue_id, phase_number]).await?;
    } else {
        tx.execute(statement, &[parent_issue, plan_position, depends_on, queue_id]).await?;
    }
    Ok(())
}

async fn write_early_reports(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    let removed: Vec<&str> = queue.early_reports_removed().collect();
    let added: Vec<&KeptReport> = queue.early_reports_added().collect();
    if removed.is_empty() && added.is_empty() {
        return Ok(());
    }
    let oldest = queue.last_early_report() - EARLY_REPORTS_MAX;
    tx.execute(include_str!("delete_early_reports.sql"), &[&removed, &oldest]).await?;
    let ids: Vec<&str> = added.iter().map(|kept| kept.queue_id.as_str()).collect();
    let ordinals: Vec<i64> = added.iter().map(|kept| kept.ordinal).collect();
    let runs: Vec<&str> = added.iter().map(|kept| kept.report.adw_id.as_str()).collect();
    let failed: Vec<Option<&str>> = added.iter().map(|kept| kept.report.failed.as_deref()).collect();
    let trigger_next: Vec<bool> = added.iter().map(|kept| kept.report.trigger_next).collect();
    let times: Vec<OffsetDateTime> = added.iter().map(|kept| kept.at).collect();
    let statement = include_str!("insert_early_reports.sql");
    tx.execute(statement, &[&ids, &ordinals, &runs, &failed, &trigger_next, &times]).await?;
    Ok(())
}

async fn write_shelf(tx: &Transaction<'_>, queue: &Queue) -> Result<(), StoreError> {
    let removed: Vec<&str> = queue.shelf_removed().collect();
    if !removed.is_empty() {
        tx.execute(include_str!("delete_shelf.sql"), &[&removed]).await?;
    }
    let added: Vec<_> = queue.shelf_added().collect();
    if added.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = added.iter().map(|phase| phase.queue_id.as_str()).collect();
    let parents: Vec<i64> = added.iter().map(|phase| phase.parent_issue).collect();
    let numbers: Vec<i32> = added.iter().map(|phase| phase.phase_number).collect();
    let issues: Vec<Option<i64>> = added.iter().map(|phase| phase.issue_number).collect();
    let depends_on: Vec<String> = added.iter().map(|phase| array_literal(&phase.depends_on_phases)).collect();
    let data: Vec<Json<&Map<String, Value>>> =
        added.iter().map(|phase| Json(&phase.phase_data.json)).collect();
    let priorities: Vec<i32> = added.iter().map(|phase| phase.priority).collect();
    let statement = include_str!("insert_shelf.sql");
    tx.execute(statement, &[&ids, &parents, &numbers, &issues, &depends_on, &data, &priorities]).await?;
    Ok(())
}
