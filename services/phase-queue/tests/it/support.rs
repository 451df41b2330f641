use std::time::Duration;

use hookstream_bus::Publisher;
use hookstream_event::RecordedEvent;
use hookstream_phase_queue::{MIGRATIONS, PhaseQueue};
use hookstream_projection::{
    Claim, ClaimedEvent, Context, Projection as _, Refused, RunError, RunnerSettings, run,
};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::{Client, Connection};
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::tables;

pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What our own workflows write on GitHub holds this.
pub(crate) const MARKER: &str = "[our-bot]";

/// The projection under test.
pub(crate) fn projection() -> PhaseQueue {
    PhaseQueue::new(Some(MARKER.to_owned()))
}

/// The projection at work.
pub(crate) struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub(crate) fn start(nats: &TestNats, database: &TestDatabase) -> Self {
        Self::start_as(projection(), nats, database)
    }

    pub(crate) fn start_as(projection: PhaseQueue, nats: &TestNats, database: &TestDatabase) -> Self {
        Self::start_in(projection, context(nats, database))
    }

    /// In batches of so many messages at most.
    pub(crate) fn start_by(messages: usize, nats: &TestNats, database: &TestDatabase) -> Self {
        let mut context = context(nats, database);
        context.runner.pull.messages = messages;
        Self::start_in(projection(), context)
    }

    fn start_in(projection: PhaseQueue, context: Context) -> Self {
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(projection, context, shutdown.clone()));
        Self { shutdown, task }
    }

    /// Ends it as a crash would.
    pub(crate) fn kill(self) {
        self.task.abort();
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

pub(crate) async fn publisher(nats: &TestNats) -> Publisher {
    nats.connect("gateway").await.publisher(Duration::from_secs(10))
}

/// Appends events; returns the last one's stream sequence.
pub(crate) async fn publish(publisher: &Publisher, events: impl IntoIterator<Item = SampleEvent>) -> i64 {
    let mut last = 0;
    for event in events {
        last = event.publish(publisher).await.sequence;
    }
    i64::try_from(last).expect("a sequence")
}

pub(crate) async fn wait_for_checkpoint(client: &Client, sequence: i64) {
    let sql = "SELECT sequence FROM projection_checkpoints WHERE projection = 'phase_queue'";
    eventually("the checkpoint", PATIENCE, async || {
        let row = client.query_opt(sql, &[]).await.map_err(|error| error.to_string())?;
        let found = row.map_or(0, |row| row.get(0));
        if found >= sequence { Ok(()) } else { Err(format!("at {found} of {sequence}")) }
    })
    .await;
}

fn context(nats: &TestNats, database: &TestDatabase) -> Context {
    let process = ProcessInfo { name: "test", about: "", version: "0" };
    Context {
        nats: nats.settings(PhaseQueue::NAME),
        postgres: database.settings(),
        runner: RunnerSettings::default(),
        health: Health::new(),
        metrics: Metrics::new(&process),
    }
}

/// What a leader does at the same time as applying batches, without the leader.
pub(crate) async fn alongside(
    projection: &PhaseQueue,
    nats: &TestNats,
    database: &TestDatabase,
) -> JoinHandle<()> {
    let bus = nats.connect(PhaseQueue::NAME).await;
    tokio::spawn(projection.alongside(&context(nats, database), &bus).expect("it has something to do"))
}

/// The queue on a database of its own.
pub(crate) struct Queue {
    pub(crate) client: Connection,
    pub(crate) database: TestDatabase,
    sequence: u64,
}

impl Queue {
    pub(crate) async fn create() -> Self {
        let database = TestDatabase::create().await;
        database.migrate(&[&MIGRATIONS]).await;
        Self { client: database.client().await, database, sequence: 0 }
    }

    /// Applies samples as one batch, as the runner does; returns the codes of those that were refused.
    pub(crate) async fn apply(
        &mut self,
        samples: impl IntoIterator<Item = SampleEvent>,
    ) -> anyhow::Result<Vec<&'static str>> {
        Ok(self.refused(samples).await?.into_iter().map(|refused| refused.reason).collect())
    }

    /// The same with all that is recorded of those that were refused.
    pub(crate) async fn refused(
        &mut self,
        samples: impl IntoIterator<Item = SampleEvent>,
    ) -> anyhow::Result<Vec<Refused>> {
        let batch: Vec<_> = samples.into_iter().map(|sample| self.record(&sample)).collect();
        let tx = self.client.transaction().await?;
        let applied = projection().apply(&tx, &batch).await?;
        tx.commit().await?;
        Ok(applied.refused)
    }

    /// The same with a batch for each.
    pub(crate) async fn apply_each(
        &mut self,
        samples: impl IntoIterator<Item = SampleEvent>,
    ) -> anyhow::Result<Vec<&'static str>> {
        let mut refused = Vec::new();
        for sample in samples {
            refused.extend(self.apply([sample]).await?);
        }
        Ok(refused)
    }

    /// Recorded one second after the one before.
    fn record(&mut self, sample: &SampleEvent) -> ClaimedEvent {
        self.sequence += 1;
        let recorded = sample.recorded(self.sequence);
        let event = RecordedEvent {
            recorded_at: recorded.recorded_at + Duration::from_secs(self.sequence),
            payload: sample.payload.clone(),
            ..recorded
        };
        ClaimedEvent { event, claim: Claim::Fresh }
    }

    /// What the phases of an issue are doing, in order of their numbers.
    pub(crate) async fn states(&self, parent_issue: i64) -> anyhow::Result<String> {
        states(&self.client, parent_issue).await
    }

    /// One column of one phase, as text.
    pub(crate) async fn text(&self, column: &str, queue_id: &str) -> anyhow::Result<Option<String>> {
        let sql = format!("SELECT {column}::text FROM phase_queue WHERE queue_id = $1");
        Ok(self.client.query_one(&sql, &[&queue_id]).await?.try_get(0)?)
    }
}

pub(crate) async fn states(client: &Client, parent_issue: i64) -> anyhow::Result<String> {
    let sql = "SELECT coalesce(string_agg(CASE WHEN held THEN 'held' ELSE status END, ' '
                   ORDER BY phase_number, queue_position), '')
               FROM phase_queue WHERE parent_issue = $1";
    Ok(client.query_one(sql, &[&parent_issue]).await?.try_get(0)?)
}

/// Every row of every table of the queue but the outbox, byte for byte as Postgres prints it.
pub(crate) async fn dump(client: &Client) -> anyhow::Result<Vec<String>> {
    let mut tables = tables::names();
    tables.retain(|table| *table != "phase_outbox");
    dump_of(client, &tables).await
}

/// Every row of these tables, byte for byte as Postgres prints it.
pub(crate) async fn dump_of(client: &Client, tables: &[&str]) -> anyhow::Result<Vec<String>> {
    let rows: Vec<_> =
        tables.iter().map(|table| format!("SELECT '{table} ' || r::text FROM {table} AS r")).collect();
    let sql = format!("{} ORDER BY 1", rows.join(" UNION ALL "));
    client.query(&sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// An internal event with a delivery id of its own.
pub(crate) fn internal(body: &Value) -> SampleEvent {
    SampleEvent::internal(&hookstream_test_support::unique_id(), body)
}

/// A phase as a field of `plan.enqueued`, with queue id `<issue>-<number>`.
pub(crate) fn phase(issue: i64, number: i32, depends_on: &[i32]) -> Value {
    json!({
        "queue_id": format!("{issue}-{number}"),
        "phase_number": number,
        "depends_on_phases": depends_on,
        "phase_data": {
            "workflow_type": "adw_build_iso",
            "adw_id": format!("adw-{issue}-{number}"),
            "title": format!("Phase {number}"),
        },
    })
}

pub(crate) fn enqueued(issue: i64, number: i32, depends_on: &[i32]) -> SampleEvent {
    let mut body = phase(issue, number, depends_on);
    body["type"] = json!("phase.enqueued");
    body["parent_issue"] = json!(issue);
    internal(&body)
}

/// A plan in which each phase depends on the one before.
pub(crate) fn chain(issue: i64, length: i32) -> SampleEvent {
    let depends_on = |number| if number == 1 { vec![] } else { vec![number - 1] };
    let phases: Vec<_> = (1..=length).map(|number| phase(issue, number, &depends_on(number))).collect();
    internal(&json!({"type": "plan.enqueued", "parent_issue": issue, "phases": phases}))
}

/// A plan of four: 2 and 3 depend on 1, 4 on both.
pub(crate) fn diamond(issue: i64) -> SampleEvent {
    let phases =
        [phase(issue, 1, &[]), phase(issue, 2, &[1]), phase(issue, 3, &[1]), phase(issue, 4, &[2, 3])];
    internal(&json!({"type": "plan.enqueued", "parent_issue": issue, "phases": phases}))
}

/// A worker's last report, in the shape of the replaced system.
pub(crate) fn report(issue: i64, number: i32, status: &str) -> Value {
    json!({
        "type": "workflow.completed",
        "adw_id": format!("adw-{issue}-{number}"),
        "status": status,
        "queue_id": format!("{issue}-{number}"),
        "parent_issue": issue,
        "phase_number": number,
        "trigger_next": true,
    })
}

pub(crate) fn completed(issue: i64, number: i32) -> SampleEvent {
    internal(&report(issue, number, "completed"))
}

pub(crate) fn failed(issue: i64, number: i32, why: &str) -> SampleEvent {
    let mut body = report(issue, number, "failed");
    body["error_message"] = json!(why);
    internal(&body)
}

pub(crate) fn started(issue: i64, number: i32) -> SampleEvent {
    let (queue_id, adw_id) = (format!("{issue}-{number}"), format!("adw-{issue}-{number}"));
    internal(&json!({"type": "phase.started", "queue_id": queue_id, "adw_id": adw_id}))
}

/// `phase.retried` and the like.
pub(crate) fn command(event_type: &str, issue: i64, number: i32) -> SampleEvent {
    internal(&json!({"type": event_type, "queue_id": format!("{issue}-{number}")}))
}

/// `queue.paused` or `queue.resumed`.
pub(crate) fn pause(event_type: &str) -> SampleEvent {
    internal(&json!({"type": event_type}))
}

/// A comment on an issue.
pub(crate) fn commented(delivery_id: &str, issue: i64, comment_id: i64, text: &str) -> SampleEvent {
    let body = json!({
        "action": "created",
        "issue": {"id": 900, "number": issue, "title": "Crash", "body": "It crashes.", "user": {"login": "mira"}},
        "comment": {"id": comment_id, "body": text, "user": {"login": "jo"}},
        "repository": {"full_name": "octo-org/octo-repo"},
        "sender": {"login": "jo", "type": "User"},
    });
    SampleEvent::github("issue_comment", delivery_id, &body)
}

/// What GitHub tells of an issue itself: `closed`, `reopened`, ….
pub(crate) fn issue_event(issue: i64, action: &str) -> SampleEvent {
    let body = json!({
        "action": action,
        "issue": {"id": 900, "number": issue, "title": "Crash", "body": null},
        "repository": {"full_name": "octo-org/octo-repo"},
    });
    SampleEvent::github("issues", &hookstream_test_support::unique_id(), &body)
}
