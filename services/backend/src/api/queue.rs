use std::collections::BTreeMap;

use axum::Json as Answer;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use hookstream_store::Row;
use hookstream_store::types::Type;
use serde::Serialize;

use crate::Backend;
use crate::freshness::PHASE_QUEUE;
use crate::page::{Page, PageRequest};
use crate::parameters::{Parameters, whole_number};
use crate::problem::Problem;
use crate::values::{Json, Timestamp, column};
use crate::why::{Dependency, Dispatch, Waiting, why};

/// States of a phase.
const STATUSES: [&str; 6] = ["queued", "ready", "running", "completed", "blocked", "failed"];

/// A page ends early once the data of its phases exceed this. One phase's may be 1 MiB.
const DATA_BYTES_MAX: i64 = 8 << 20;

/// Where a page ends: `queue_position` and `phase_number`.
type Key = (i64, i32);

#[derive(Debug, Serialize)]
pub(super) struct QueueItem {
    queue_id: String,
    parent_issue: i64,
    phase_number: i32,
    issue_number: Option<i64>,
    status: String,
    held: bool,
    announced_at: Option<Timestamp>,
    depends_on_phases: Vec<i32>,
    phase_data: Json,
    priority: i32,
    queue_position: i64,
    adw_id: String,
    error_message: Option<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
    ready_at: Option<Timestamp>,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
}

impl QueueItem {
    fn read(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            queue_id: column(row, "queue_id")?,
            parent_issue: column(row, "parent_issue")?,
            phase_number: column(row, "phase_number")?,
            issue_number: column(row, "issue_number")?,
            status: column(row, "status")?,
            held: column(row, "held")?,
            announced_at: column(row, "announced_at")?,
            depends_on_phases: column(row, "depends_on_phases")?,
            phase_data: column(row, "phase_data")?,
            priority: column(row, "priority")?,
            queue_position: column(row, "queue_position")?,
            adw_id: column(row, "adw_id")?,
            error_message: column(row, "error_message")?,
            created_at: column(row, "created_at")?,
            updated_at: column(row, "updated_at")?,
            ready_at: column(row, "ready_at")?,
            started_at: column(row, "started_at")?,
            finished_at: column(row, "finished_at")?,
        })
    }

    fn key(&self) -> Key {
        (self.queue_position, self.phase_number)
    }
}

/// `GET /queue`: phases of all issues, first enqueued first. Filter: `status`.
pub(super) async fn list(
    State(backend): State<Backend>,
    mut parameters: Parameters,
) -> Result<Answer<Page<QueueItem>>, Problem> {
    let status = parameters.one_of("status", &STATUSES)?;
    let page = parameters.page()?;
    let rows = phases(&backend, None, status, &page).await?;
    Ok(Answer(page.answer_cut(&rows, QueueItem::read, QueueItem::key)?))
}

/// A phase among those of its issue: the same, and what it waits for.
#[derive(Debug, Serialize)]
pub(super) struct PlanItem {
    #[serde(flatten)]
    item: QueueItem,
    /// Why it does not run yet, for people; null if it does, or has.
    why: Option<String>,
    /// Those of its dependencies that have not completed.
    waiting_for: Vec<Dependency>,
}

impl PlanItem {
    fn read(row: &Row, plan: &Plan) -> Result<Self, Problem> {
        let item = QueueItem::read(row)?;
        let waiting_for =
            if matches!(item.status.as_str(), "queued" | "blocked") { plan.unmet(&item) } else { Vec::new() };
        let waiting = Waiting {
            status: &item.status,
            held: item.held,
            announced: item.announced_at.is_some(),
            error_message: item.error_message.as_deref(),
            unmet: &waiting_for,
        };
        let why = why(&waiting, plan.dispatch);
        Ok(Self { item, why, waiting_for })
    }

    fn key(&self) -> Key {
        self.item.key()
    }
}

/// What the phases of an issue wait for.
struct Plan {
    /// Queue id and status of what each number stands for; for issue 0, by position, too.
    phases: BTreeMap<(i64, i32), (String, String)>,
    dispatch: Dispatch,
}

impl Plan {
    async fn of(backend: &Backend, parent_issue: i64, rows: &[Row]) -> Result<Self, Problem> {
        let positions: Vec<i64> =
            rows.iter().map(|row| column(row, "queue_position")).collect::<Result<_, _>>()?;
        let found = backend
            .database
            .rows(
                include_str!("../sql/plan.sql"),
                &[(&parent_issue, Type::INT8), (&positions, Type::INT8_ARRAY)],
            )
            .await?;
        let read = |row: &Row| {
            let key = (column(row, "plan")?, column(row, "phase_number")?);
            Ok((key, (column(row, "queue_id")?, column(row, "status")?)))
        };
        let phases = found.iter().map(read).collect::<Result<_, Problem>>()?;
        let dispatch = backend.database.rows(include_str!("../sql/dispatch.sql"), &[]).await?;
        let row = dispatch.first().ok_or_else(|| Problem::Internal { reason: "no row of sums".into() })?;
        let dispatch = Dispatch {
            paused: column(row, "paused")?,
            max_concurrent: column(row, "max_concurrent")?,
            occupied: column(row, "occupied")?,
        };
        Ok(Self { phases, dispatch })
    }

    fn unmet(&self, item: &QueueItem) -> Vec<Dependency> {
        let plan = if item.parent_issue == 0 { item.queue_position } else { 0 };
        let dependency = |&phase_number: &i32| {
            let (queue_id, status) = self.phases.get(&(plan, phase_number)).cloned().unzip();
            Dependency { phase_number, queue_id, status }
        };
        let unmet = |dependency: &Dependency| dependency.status.as_deref() != Some("completed");
        item.depends_on_phases.iter().map(dependency).filter(unmet).collect()
    }
}

/// `GET /queue/{parent_issue}`: phases of one issue's plan, and why each waits. None is an empty list: an issue without
/// a plan is no error.
pub(super) async fn of_issue(
    State(backend): State<Backend>,
    parent_issue: Result<Path<String>, PathRejection>,
    mut parameters: Parameters,
) -> Result<Answer<Page<PlanItem>>, Problem> {
    // What is not even text is no number either.
    let parent_issue = parent_issue.map(|Path(text)| text).unwrap_or_default();
    let parent_issue = whole_number("parent_issue", &parent_issue)?;
    let status = parameters.one_of("status", &STATUSES)?;
    let page = parameters.page()?;
    let rows = phases(&backend, Some(parent_issue), status, &page).await?;
    let plan = Plan::of(&backend, parent_issue, &rows).await?;
    let read = |row: &Row| PlanItem::read(row, &plan);
    Ok(Answer(page.answer_cut(&rows, read, PlanItem::key)?))
}

async fn phases(
    backend: &Backend,
    parent_issue: Option<i64>,
    status: Option<String>,
    page: &PageRequest<Key>,
) -> Result<Vec<Row>, Problem> {
    backend.freshness.wait(&[PHASE_QUEUE], page.min_sequence).await?;
    let (position, number) = page.after.unzip();
    backend
        .database
        .rows(
            include_str!("../sql/queue.sql"),
            &[
                (&parent_issue, Type::INT8),
                (&status, Type::TEXT),
                (&position, Type::INT8),
                (&number, Type::INT4),
                (&DATA_BYTES_MAX, Type::INT8),
                (&page.rows_wanted(), Type::INT8),
            ],
        )
        .await
}

#[derive(Debug, Serialize)]
pub(super) struct Config {
    items: Vec<ConfigRow>,
}

#[derive(Debug, Serialize)]
struct ConfigRow {
    config_key: String,
    config_value: String,
    updated_at: Timestamp,
}

/// `GET /queue/config`: what applies to the queue as a whole.
pub(super) async fn config(
    State(backend): State<Backend>,
    parameters: Parameters,
) -> Result<Answer<Config>, Problem> {
    backend.freshness.wait(&[PHASE_QUEUE], parameters.finish()?).await?;
    let rows = backend.database.rows(include_str!("../sql/queue_config.sql"), &[]).await?;
    let read = |row| {
        Ok(ConfigRow {
            config_key: column(row, "config_key")?,
            config_value: column(row, "config_value")?,
            updated_at: column(row, "updated_at")?,
        })
    };
    Ok(Answer(Config { items: rows.iter().map(read).collect::<Result<_, Problem>>()? }))
}
