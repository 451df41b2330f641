//! A rebuild with its exchange, under traffic: `cargo bench -p hookstream --bench rebuild`. Prints figures, fails on none:
//!
//! - of those who read all the while: how many reads failed, and the longest, also within a second of the exchange;
//! - of the two generations: in how many rows they differed;
//! - of the events: how many have no row in the new generation, and how many have more than one.
//!
//! `HOOKSTREAM_BENCH_MESSAGES`, `HOOKSTREAM_BENCH_RATE` and `HOOKSTREAM_BENCH_READERS` set the sizes.

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hookstream_bus::{GroupCommit, Publisher};
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// What dashboards and people ask; the first tells which generation is in use.
const QUERIES: [&str; 4] = [
    "SELECT generation::bigint FROM projection_checkpoints WHERE projection = 'task_log'",
    "SELECT id FROM task_logs ORDER BY id DESC LIMIT 100",
    "SELECT event_count FROM webhook_analytics WHERE date = (now() AT TIME ZONE 'UTC')::date",
    "SELECT webhook_id FROM webhook_events WHERE received_at > now() - interval '1 s' LIMIT 100",
];

/// For how long there is traffic before the rebuild, and behind it.
const AROUND: Duration = Duration::from_secs(3);

fn main() -> Outcome {
    let (messages, rate) = (size("HOOKSTREAM_BENCH_MESSAGES", 100_000), size("HOOKSTREAM_BENCH_RATE", 500));
    let readers = size("HOOKSTREAM_BENCH_READERS", 4);
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(rebuild(messages, u32::try_from(rate)?, readers))
}

fn size(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[expect(clippy::print_stdout, reason = "figures, for people")]
async fn rebuild(messages: u64, rate: u32, readers: u64) -> Outcome {
    let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
    let live = Live::start(&nats, &database);
    let publisher = publisher(&nats).await;
    fill(&publisher, messages).await;
    let client = database.client().await;
    applied(&client, messages).await;
    println!("rebuild of task_log: {messages} events stored, {rate}/s coming in, {readers} readers");

    let stop = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn(traffic(publisher, messages, rate, Arc::clone(&stop)));
    let mut reading = JoinSet::new();
    for _ in 0..readers {
        reading.spawn(read(database.client().await, Arc::clone(&stop)));
    }
    tokio::time::sleep(AROUND).await;
    let begun = Instant::now();
    let differing = run_rebuild(&nats, &database).await?;
    println!("rebuild, comparison and exchange took {:.1} s", begun.elapsed().as_secs_f64());
    tokio::time::sleep(AROUND).await;
    stop.store(true, Ordering::Relaxed);
    let sent = traffic.await?;
    let reads: Vec<Read> = reading.join_all().await.into_iter().flatten().collect();
    applied(&client, messages + sent).await;

    println!("events that came in meanwhile: {sent}");
    report_reads(&reads, begun);
    println!("rows in which the generations differed: {differing}");
    let counts = "SELECT count(DISTINCT id), count(*) - count(DISTINCT id) FROM task_logs";
    let row = client.query_one(counts, &[]).await?;
    let missing = i64::try_from(messages + sent)? - row.try_get::<_, i64>(0)?;
    println!("events missing: {missing}, doubled: {}", row.try_get::<_, i64>(1)?);
    live.stop().await
}

/// One read by one reader.
struct Read {
    begun: Instant,
    took: Duration,
    failed: bool,
    /// The generation in use, where that was asked.
    generation: Option<i64>,
}

/// Reads without a pause.
async fn read(client: Connection, stop: Arc<AtomicBool>) -> Vec<Read> {
    let mut reads = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        for query in QUERIES {
            let begun = Instant::now();
            let found = client.query(query, &[]).await;
            let (took, failed) = (begun.elapsed(), found.is_err());
            let rows = found.ok().filter(|_| query == QUERIES[0]);
            let generation = rows.and_then(|rows| rows.first()?.try_get(0).ok());
            reads.push(Read { begun, took, failed, generation });
        }
    }
    reads
}

#[expect(clippy::print_stdout, reason = "figures, for people")]
fn report_reads(reads: &[Read], rebuild_begun: Instant) {
    const SECOND: Duration = Duration::from_secs(1);
    let failed = reads.iter().filter(|read| read.failed).count();
    println!("reads: {}, of which failed: {failed}", reads.len());
    let exchanged = reads.iter().filter(|read| read.generation == Some(2)).map(|read| read.begun).min();
    let Some(exchanged) = exchanged else {
        println!("no reader has seen the new generation");
        return;
    };
    let near = reads
        .iter()
        .filter(|read| read.begun + read.took + SECOND > exchanged && read.begun < exchanged + SECOND);
    let before = reads.iter().filter(|read| read.begun < rebuild_begun);
    let in_order = |reads: &mut dyn Iterator<Item = &Read>| {
        let mut times: Vec<f64> = reads.map(|read| read.took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    for (when, mut reads) in [
        ("before the rebuild", Box::new(before) as Box<dyn Iterator<Item = &Read>>),
        ("within a second of the exchange", Box::new(near)),
        ("in all", Box::new(reads.iter())),
    ] {
        let times = in_order(&mut *reads);
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        println!("reads {when}: p50 {:.1} ms, p99 {:.1} ms, longest {:.1} ms", at(50), at(99), at(100));
    }
}

/// Runs the command, passes on what it says, and returns how many rows it printed as differing.
async fn run_rebuild(nats: &TestNats, database: &TestDatabase) -> Outcome<usize> {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hookstream"));
    command.args(["rebuild", "task_log", "--diff", "--format", "json"]).stdin(Stdio::null());
    command.env("NATS_URL", nats.url("operator")).env("DATABASE_URL", database.url());
    command.stderr(Stdio::inherit());
    let done = tokio::task::spawn_blocking(move || command.output()).await??;
    if !done.status.success() {
        return Err(format!("the rebuild ended with {}", done.status).into());
    }
    let rows: Value = serde_json::from_slice(&done.stdout)?;
    Ok(rows.as_array().map_or(0, Vec::len))
}

/// Sends on schedule, late ones too, until told to stop; returns how many.
async fn traffic(publisher: Publisher, from: u64, rate: u32, stop: Arc<AtomicBool>) -> u64 {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        sent += 1;
        tokio::time::sleep_until((begun + Duration::from_secs(1) * sent / rate).into()).await;
        let (publisher, event) = (publisher.clone(), event(from + u64::from(sent)));
        tasks.spawn(async move { event.publish(&publisher).await });
        while tasks.try_join_next().is_some() {}
    }
    tasks.join_all().await;
    u64::from(sent)
}

struct Live {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Live {
    fn start(nats: &TestNats, database: &TestDatabase) -> Self {
        let process = ProcessInfo { name: "bench", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(TaskLog::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&process),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(TaskLog::default(), context, shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) -> Outcome {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

async fn applied(client: &Connection, sequence: u64) {
    let sql = "SELECT sequence FROM projection_checkpoints WHERE projection = 'task_log'";
    eventually("all of it is applied", Duration::from_mins(10), async || {
        let row = client.query_opt(sql, &[]).await.ok().flatten();
        let at = row.map_or(0, |row| row.get::<_, i64>(0));
        if u64::try_from(at) == Ok(sequence) { Ok(()) } else { Err(format!("{at} of {sequence}")) }
    })
    .await;
}

async fn publisher(nats: &TestNats) -> Publisher {
    let limits = GroupCommit { commits_max: 2, messages_max: 256, bytes_max: 1 << 20 };
    nats.connect("gateway").await.publisher(Duration::from_mins(1)).with_group_commit(limits)
}

async fn fill(publisher: &Publisher, messages: u64) {
    let mut next = 1;
    while next <= messages {
        let mut tasks = JoinSet::new();
        for number in next..=(next + 999).min(messages) {
            let publisher = publisher.clone();
            tasks.spawn(async move { event(number).publish(&publisher).await });
        }
        tasks.join_all().await;
        next += 1000;
    }
}

/// An issue, or each fourth time the end of a workflow, so that every table of sums has rows.
fn event(number: u64) -> SampleEvent {
    let id = format!("d-{number}");
    if number.is_multiple_of(4) {
        let failed = number.is_multiple_of(40);
        let body = json!({
            "type": "workflow.completed", "adw_id": format!("run-{}", number % 1000),
            "status": if failed { "failed" } else { "completed" }, "issue_number": number % 1000,
            "phase_number": 1 + number % 5, "workflow_template": format!("adw_{}_iso", number % 3),
            "duration_seconds": number % 600, "tokens_used": number % 5000, "cost_usd": 0.25,
            "error_message": failed.then(|| format!("{} tests failed", number % 7)),
        });
        return SampleEvent::internal(&id, &body);
    }
    let repository = format!("octo-org/repository-{}", number % 5);
    let body = json!({
        "action": "opened", "issue": { "number": number % 1000, "title": "t" },
        "repository": { "full_name": repository, "url": format!("https://api.github.com/repos/{repository}") },
        "sender": { "login": "octocat" },
    });
    SampleEvent::github("issues", &id, &body)
}
