//! A plan of three phases, run to its end by a worker.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookstream_bus::{Bus, NatsSettings};
use hookstream_signature::Key;
use hookstream_store::Connection;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ANSWER_WITHIN;
use crate::http;
use crate::output::{self, progress};
use crate::work::{Command, Reporter, Worker};

/// How long the plan may take.
const WITHIN: Duration = Duration::from_mins(1);

/// How long a ready phase may wait for a slot before its execution is requested: other phases may have taken them all.
const SLOT_WITHIN: Duration = Duration::from_secs(2);

/// What the worker runs for each phase.
const SCRIPT: &str = "echo \"  the worker runs $HOOKSTREAM_WORKFLOW_TYPE: phase $HOOKSTREAM_PHASE_NUMBER of issue $HOOKSTREAM_PARENT_ISSUE\"";

/// Where the plan goes to, and where its phases are run.
pub(super) struct Demo<'d> {
    pub(super) gateway: String,
    pub(super) backend: String,
    pub(super) token: String,
    pub(super) key: Key,
    pub(super) worker_url: &'d str,
    pub(super) locks: &'d Path,
    pub(super) database: &'d Connection,
    /// The plan's issue.
    pub(super) issue: i64,
    /// Ends its ids.
    pub(super) suffix: String,
}

/// A phase as the table has it.
struct Row {
    queue_id: String,
    status: String,
    announced: bool,
    text: String,
}

impl Demo<'_> {
    /// Enqueues the plan over the backend, runs its phases, prints what became of each; says whether all completed.
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let receipt = self.post("/queue/plan", self.plan()).await?;
        output::line(format_args!(
            "\nplan of issue {}: {} as {}, {} {}",
            self.issue,
            receipt["status"].as_str().unwrap_or_default(),
            receipt["event_id"].as_str().unwrap_or_default(),
            receipt["stream"].as_str().unwrap_or_default(),
            receipt["sequence"]
        ))?;
        let bus = Bus::connect(&NatsSettings::new(self.worker_url, "worker")?).await?;
        bus.wait_connected(ANSWER_WITHIN).await.context("connect the worker to NATS")?;
        let worker = Worker {
            bus,
            reporter: Reporter::new(&self.gateway, self.key.clone()),
            command: Command {
                script: SCRIPT.to_owned(),
                timeout: Some(WITHIN),
                grace: Duration::from_secs(1),
                locks: self.locks.to_owned(),
            },
            name: "demo".to_owned(),
            parent_issue: Some(self.issue),
            lease: Duration::from_mins(1),
        };
        let stop = CancellationToken::new();
        let watched = async {
            let rows = self.until_over().await;
            // The worker ends well, too: what it has in hand is settled.
            stop.cancel();
            rows
        };
        let (done, rows) = tokio::join!(worker.work(&stop, false, |_| Ok(())), watched);
        done?;
        worker.bus.drain().await;
        let rows = rows?;
        for row in &rows {
            output::line(format_args!("  phase_queue     {}", row.text))?;
        }
        Ok(rows.len() == 3 && rows.iter().all(|row| row.status == "completed"))
    }

    fn plan(&self) -> Value {
        let phase = |number: i32, workflow: &str, after: &[i32]| {
            json!({
                "queue_id": format!("demo-{}-{number}", self.suffix),
                "phase_number": number,
                "priority": 10,
                "depends_on_phases": after,
                "phase_data": { "workflow_type": workflow, "adw_id": format!("demo-{}-{number}", self.suffix) },
            })
        };
        let phases = [
            phase(1, "adw_plan_iso", &[]),
            phase(2, "adw_build_iso", &[1]),
            phase(3, "adw_test_iso", &[1, 2]),
        ];
        json!({ "parent_issue": self.issue, "phases": phases })
    }

    /// Waits until each phase has run, or never will.
    async fn until_over(&self) -> anyhow::Result<Vec<Row>> {
        let deadline = Instant::now() + WITHIN;
        let mut waits: Option<(String, Instant)> = None;
        loop {
            let rows = self.rows().await?;
            let over = |row: &Row| matches!(row.status.as_str(), "completed" | "failed" | "blocked");
            if rows.len() == 3 && rows.iter().all(over) {
                return Ok(rows);
            }
            if Instant::now() > deadline {
                progress(format_args!("the plan did not end within {} s", WITHIN.as_secs()));
                return Ok(rows);
            }
            let waiting = rows.iter().find(|row| row.status == "ready" && !row.announced);
            waits = match (waiting, waits) {
                (Some(row), Some((id, since))) if id == row.queue_id => {
                    if since.elapsed() > SLOT_WITHIN {
                        progress(format_args!("no slot is free for {id}: requesting its execution"));
                        self.post(&format!("/queue/{id}/execute"), json!({})).await?;
                        None
                    } else {
                        Some((id, since))
                    }
                }
                (Some(row), _) => Some((row.queue_id.clone(), Instant::now())),
                (None, _) => None,
            };
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    async fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let found = self.database.query(include_str!("plan.sql"), &[&self.issue]).await?;
        let read = |row: &hookstream_store::Row| {
            Ok(Row {
                queue_id: row.try_get("queue_id")?,
                status: row.try_get("status")?,
                announced: row.try_get("announced")?,
                text: row.try_get("row_text")?,
            })
        };
        found.iter().map(read).collect()
    }

    async fn post(&self, path: &str, fields: Value) -> anyhow::Result<Value> {
        let url = format!("{}/api/v1{path}", self.backend);
        let headers = [
            ("authorization", format!("Bearer {}", self.token)),
            ("content-type", "application/json".to_owned()),
        ];
        let body = fields.to_string().into_bytes();
        let answer = spawn_blocking(move || http::post(&url, &headers, &body, ANSWER_WITHIN)).await??;
        ensure!(answer.status == 202, "{path}: answered with {} {}", answer.status, answer.body);
        Ok(answer.json())
    }
}
