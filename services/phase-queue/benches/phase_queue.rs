//! How fast the phase queue is: `cargo bench -p hookstream-phase-queue`. Prints figures, fails on none.
//!
//! - `next phase`: completing a phase, and the announcement of the next one by priority, among 1,000 and among 1,000,000
//!   phases; one transaction each, in turn.
//! - `catch-up`: the projection from sequence 1 into empty tables, beside the same consumer drained without writing.
//! - `live`: from the receipt of `workflow.completed` to the next phase's `ready` in a subscriber's hands, at a steady rate.
//!
//! `HOOKSTREAM_BENCH_PHASES`, `HOOKSTREAM_BENCH_PLANS`, `HOOKSTREAM_BENCH_RATE` and `HOOKSTREAM_BENCH_SECONDS` set the
//! sizes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hookstream_bus::{GroupCommit, Publisher, PullLimits, Subscription};
use hookstream_event::RecordedEvent;
use hookstream_phase_queue::{MIGRATIONS, PhaseQueue};
use hookstream_projection::{Claim, ClaimedEvent, Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Phases of each plan.
const PLAN: u64 = 10;

fn main() -> Outcome {
    let size = |variable: &str, usual: u64| {
        std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
    };
    let (phases, plans) = (size("HOOKSTREAM_BENCH_PHASES", 1_000_000), size("HOOKSTREAM_BENCH_PLANS", 2000));
    let (rate, seconds) = (size("HOOKSTREAM_BENCH_RATE", 100), size("HOOKSTREAM_BENCH_SECONDS", 10));
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(async {
        next_phase(phases).await?;
        catch_up(plans).await?;
        live(rate, seconds).await
    })
}

#[expect(clippy::print_stdout, reason = "figures, for people")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::cast_precision_loss, reason = "figures, for people")]
fn report(what: &str, number: u64, took: Duration) -> f64 {
    let rate = number as f64 / took.as_secs_f64();
    say(&format!("{what}: {number} in {:.2} s, {rate:.0}/s", took.as_secs_f64()));
    rate
}

/// In milliseconds.
fn quantile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1e3
}

/// A queue of so many phases, two to a plan: 200 run, the others wait for a slot, and each second one for its first.
async fn filled(phases: u64) -> Outcome<(TestDatabase, Connection)> {
    let database = TestDatabase::create_durable().await;
    database.migrate(&[&MIGRATIONS]).await;
    let client = database.client().await;
    // A million rows take longer than any session of ours may.
    client.batch_execute("SET statement_timeout = 0").await?;
    let sql = format!(
        "INSERT INTO phase_queue (queue_id, parent_issue, phase_number, status, depends_on_phases, waiting_on,
             phase_data, priority, queue_position, adw_id, content_sha256, announcements, created_at, updated_at,
             ready_at, started_at)
         SELECT issue || '-' || number, issue, number,
             CASE WHEN number = 2 THEN 'queued' WHEN issue <= 200 THEN 'running' ELSE 'ready' END,
             CASE WHEN number = 1 THEN '{{}}' ELSE ARRAY[1] END, number - 1,
             '{{\"workflow_type\": \"adw_build_iso\", \"adw_id\": \"x\"}}', 10 + issue % 80, issue, 'run-' || issue,
             sha256('x'), CASE WHEN issue <= 200 AND number = 1 THEN 1 ELSE 0 END, t, t,
             CASE WHEN number = 1 THEN t END, CASE WHEN number = 1 AND issue <= 200 THEN t END
         FROM generate_series(1, {}) AS issue, generate_series(1, 2) AS number,
             (SELECT timestamptz '2026-01-01Z' AS t) AS times;
         INSERT INTO phase_dependencies SELECT parent_issue, 0, 1, queue_id, 2 FROM phase_queue WHERE phase_number = 2;
         UPDATE queue_state SET active = 200;
         UPDATE queue_config SET config_value = '200' WHERE config_key = 'max_concurrent'",
        phases / 2
    );
    client.batch_execute(&sql).await?;
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    client.plan_for_lookups().await?;
    Ok((database, client))
}

async fn next_phase(phases: u64) -> Outcome {
    let (_few_database, mut few) = filled(1000).await?;
    let (_many_database, mut many) = filled(phases).await?;
    let (mut took_few, mut took_many) = (Vec::new(), Vec::new());
    for issue in 1..=200 {
        took_few.push(complete(&mut few, issue).await?);
        took_many.push(complete(&mut many, issue).await?);
    }
    // The first ones warm up.
    let (few, many) = (&mut took_few[20..], &mut took_many[20..]);
    few.sort();
    many.sort();
    let (few, many) = (quantile(few, 50), quantile(many, 50));
    say(&format!(
        "next phase: {few:.2} ms among 1000 phases, {many:.2} ms among {phases} (medians), ratio {:.2}",
        many / few
    ));
    Ok(())
}

async fn complete(client: &mut Connection, issue: u64) -> Outcome<Duration> {
    let body = json!({
        "type": "workflow.completed", "adw_id": format!("run-{issue}"), "status": "completed",
        "queue_id": format!("{issue}-1"),
    });
    let sample = SampleEvent::internal(&hookstream_test_support::unique_id(), &body);
    let event = RecordedEvent { payload: sample.payload.clone(), ..sample.recorded(10_000_000 + issue) };
    let batch = [ClaimedEvent { event, claim: Claim::Fresh }];
    let begun = Instant::now();
    let tx = client.transaction().await?;
    let applied = PhaseQueue::default().apply(&tx, &batch).await?;
    tx.commit().await?;
    let took = begun.elapsed();
    assert!(applied.refused.is_empty(), "{applied:?}");
    Ok(took)
}

async fn catch_up(plans: u64) -> Outcome {
    let nats = TestNats::start().await;
    let database = TestDatabase::create_durable().await;
    let mut events = vec![configured()];
    events.extend((1..=plans).map(plan));
    // Many plans at once, each phase after the one before.
    for issues in (1..=plans).collect::<Vec<_>>().chunks(200) {
        for number in 1..=PLAN {
            events.extend(issues.iter().map(|issue| started(*issue, number)));
            events.extend(issues.iter().map(|issue| completed(*issue, number)));
        }
    }
    let count = events.len() as u64;
    fill(&publisher(&nats).await, events).await?;
    let first = drain(&nats, count).await?;
    let begun = Instant::now();
    let running = Running::start(&nats, &database);
    let client = database.client().await;
    running.applied(&client, count).await;
    let applied = report("catch-up of phase_queue", count, begun.elapsed());
    let done = "SELECT count(*) FROM phase_queue WHERE status = 'completed'";
    let done: i64 = client.query_one(done, &[]).await?.get(0);
    assert_eq!(u64::try_from(done)?, plans * PLAN);
    running.stop().await?;
    say(&format!("catch-up: {:.0} % of the raw rate", 100.0 * applied / first));
    Ok(())
}

async fn live(rate: u64, seconds: u64) -> Outcome {
    let nats = TestNats::start().await;
    let database = TestDatabase::create_durable().await;
    let plans = rate * seconds;
    let setup: Vec<SampleEvent> = [configured()].into_iter().chain((1..=plans).map(plan)).collect();
    let last = setup.len() as u64;
    let publisher = publisher(&nats).await;
    fill(&publisher, setup).await?;
    let running = Running::start(&nats, &database);
    let client = database.client().await;
    running.applied(&client, last).await;
    announced(&client).await;
    let listener = nats.connect("operator").await;
    let heard = listener.subscribe("phases.*.2.ready").await?;
    let hearing = tokio::spawn(hear(heard, plans));
    let mut accepted = JoinSet::new();
    let begun = Instant::now();
    for issue in 1..=plans {
        let due = begun + Duration::from_micros(1_000_000 * (issue - 1) / rate);
        tokio::time::sleep_until(due.into()).await;
        let publisher = publisher.clone();
        accepted.spawn(async move {
            completed(issue, 1).publish(&publisher).await;
            (issue, Instant::now())
        });
    }
    let heard = hearing.await?;
    let mut took: Vec<Duration> = accepted
        .join_all()
        .await
        .into_iter()
        .map(|(issue, accepted)| heard[&issue].saturating_duration_since(accepted))
        .collect();
    took.sort();
    say(&format!(
        "live at {rate} completions/s, accepted to ready: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        quantile(&took, 50),
        quantile(&took, 95),
        quantile(&took, 99),
        quantile(&took, 100)
    ));
    running.stop().await
}

/// Waits until all that was to be announced is in stream `PHASES`.
async fn announced(client: &Connection) {
    eventually("an empty outbox", Duration::from_mins(10), async || {
        let row = client.query_one("SELECT count(*) FROM phase_outbox", &[]).await;
        let waiting: i64 = row.map_err(|error| error.to_string())?.get(0);
        if waiting == 0 { Ok(()) } else { Err(format!("{waiting} announcements wait")) }
    })
    .await;
}

/// When each plan's second phase was heard of.
async fn hear(mut heard: Subscription, plans: u64) -> HashMap<u64, Instant> {
    let mut times = HashMap::new();
    while (times.len() as u64) < plans {
        let Some(message) = heard.next().await else { break };
        let now = Instant::now();
        let payload: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
        times.extend(payload["parent_issue"].as_u64().map(|issue| (issue, now)));
    }
    times
}

fn internal(body: &Value) -> SampleEvent {
    SampleEvent::internal(&hookstream_test_support::unique_id(), body)
}

fn configured() -> SampleEvent {
    internal(&json!({"type": "queue.configured", "max_concurrent": 10_000}))
}

/// A chain of phases.
fn plan(issue: u64) -> SampleEvent {
    let phase = |number: u64| {
        json!({
            "queue_id": format!("{issue}-{number}"), "phase_number": number,
            "depends_on_phases": if number == 1 { vec![] } else { vec![number - 1] },
            "phase_data": {"workflow_type": "adw_build_iso", "adw_id": format!("run-{issue}-{number}")},
        })
    };
    let phases: Vec<Value> = (1..=PLAN).map(phase).collect();
    internal(&json!({"type": "plan.enqueued", "parent_issue": issue, "phases": phases}))
}

fn started(issue: u64, number: u64) -> SampleEvent {
    let (queue_id, adw_id) = (format!("{issue}-{number}"), format!("run-{issue}-{number}"));
    internal(&json!({"type": "phase.started", "queue_id": queue_id, "adw_id": adw_id}))
}

fn completed(issue: u64, number: u64) -> SampleEvent {
    let (queue_id, adw_id) = (format!("{issue}-{number}"), format!("run-{issue}-{number}"));
    internal(&json!({
        "type": "workflow.completed", "queue_id": queue_id, "adw_id": adw_id, "status": "completed",
    }))
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    fn start(nats: &TestNats, database: &TestDatabase) -> Self {
        let process = ProcessInfo { name: "bench", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(PhaseQueue::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&process),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(PhaseQueue::default(), context, shutdown.clone()));
        Self { shutdown, task }
    }

    async fn applied(&self, client: &Connection, sequence: u64) {
        let sql = "SELECT sequence FROM projection_checkpoints WHERE projection = 'phase_queue'";
        eventually("all of it", Duration::from_mins(10), async || {
            let row = client.query_opt(sql, &[]).await.map_err(|error| error.to_string())?;
            let at = row.map_or(0, |row| row.get::<_, i64>(0));
            if at.unsigned_abs() == sequence { Ok(()) } else { Err(format!("at {at}")) }
        })
        .await;
    }

    async fn stop(self) -> Outcome {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

async fn publisher(nats: &TestNats) -> Publisher {
    let limits = GroupCommit { commits_max: 2, messages_max: 256, bytes_max: 1 << 20 };
    nats.connect("gateway").await.publisher(Duration::from_mins(1)).with_group_commit(limits)
}

/// Appends events in order: what is under way together is told apart by the order in which it was handed over.
async fn fill(publisher: &Publisher, events: Vec<SampleEvent>) -> Outcome {
    let (begun, count) = (Instant::now(), events.len() as u64);
    let mut rest = events.into_iter().peekable();
    while rest.peek().is_some() {
        let mut tasks = JoinSet::new();
        for event in rest.by_ref().take(100) {
            let publisher = publisher.clone();
            tasks.spawn(async move { event.publish(&publisher).await });
        }
        tasks.join_all().await;
    }
    report("fill the stream", count, begun.elapsed());
    Ok(())
}

/// The consumer of the phase queue, from the beginning, with acks and nothing else.
async fn drain(nats: &TestNats, messages: u64) -> Outcome<f64> {
    let consumer = nats.connect(PhaseQueue::NAME).await.consumer("WEBHOOKS", PhaseQueue::NAME);
    consumer.rewind(1).await?;
    let limits: PullLimits = RunnerSettings::default().pull;
    let (begun, mut drained) = (Instant::now(), 0);
    while drained < messages {
        let pulled = consumer.pull(&limits).await?;
        drained += pulled.len() as u64;
        consumer.ack(&pulled).await?;
    }
    Ok(report("raw drain", messages, begun.elapsed()))
}
