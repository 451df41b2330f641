//! How fast the task log is: `cargo bench -p hookstream-task-log`. Prints figures, fails on none.
//!
//! - `catch-up`: the projection from sequence 1 into empty tables, against the same consumer drained without writing
//!   anything, and the memory that the process held at most.
//! - `live`: from the gateway's receipt of an event to the commit of its row, at a steady rate.
//!
//! `HOOKSTREAM_BENCH_MESSAGES`, `HOOKSTREAM_BENCH_RATE` and `HOOKSTREAM_BENCH_SECONDS` set the sizes.

use std::time::{Duration, Instant};

use hookstream_bus::{GroupCommit, Publisher, PullLimits};
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_task_log::TaskLog;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use serde_json::json;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let messages = size("HOOKSTREAM_BENCH_MESSAGES", 100_000);
    let (rate, seconds) = (size("HOOKSTREAM_BENCH_RATE", 2000), size("HOOKSTREAM_BENCH_SECONDS", 15));
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(async {
        catch_up(messages).await?;
        live(rate, seconds).await
    })
}

fn size(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().and_then(|value| value.parse().ok()).unwrap_or(usual)
}

#[expect(clippy::print_stdout, clippy::cast_precision_loss, reason = "figures, for people")]
fn report(what: &str, number: u64, took: Duration) -> f64 {
    let rate = number as f64 / took.as_secs_f64();
    println!("{what}: {number} in {:.2} s, {rate:.0}/s", took.as_secs_f64());
    rate
}

#[expect(clippy::print_stdout, reason = "figures, for people")]
async fn catch_up(messages: u64) -> Outcome {
    let nats = TestNats::start().await;
    let database = TestDatabase::create_durable().await;
    fill(&publisher(&nats).await, messages).await?;
    let first = drain(&nats, messages).await?;
    let (before, begun) = (memory_kb(), Instant::now());
    let running = Running::start(&nats, &database);
    running.applied(&database.client().await, messages).await;
    let applied = report("catch-up of task_log", messages, begun.elapsed());
    println!("memory of all of this process: {before} kB before, {} kB at most", memory_kb());
    running.stop().await?;
    let second = drain(&nats, messages).await?;
    println!("catch-up: {:.0} % of the raw rate", 100.0 * applied / f64::midpoint(first, second));
    Ok(())
}

/// Events at a steady rate, each with the time it was received at; what is committed is looked at all the time.
#[expect(clippy::print_stdout, reason = "figures, for people")]
async fn live(rate: u64, seconds: u64) -> Outcome {
    let nats = TestNats::start().await;
    let database = TestDatabase::create_durable().await;
    let running = Running::start(&nats, &database);
    let publisher = publisher(&nats).await;
    event(0).publish(&publisher).await;
    let client = database.client().await;
    running.applied(&client, 1).await;
    let sending = tokio::spawn(send(publisher, rate, rate * seconds));
    // When each sequence was first seen to be committed, by step.
    let (mut seen, last) = (Vec::new(), 1 + rate * seconds);
    loop {
        let at = position(&client).await?;
        seen.push((at, Instant::now()));
        if at >= last {
            break;
        }
    }
    let sent = sending.await?;
    let mut latencies: Vec<Duration> = sent
        .iter()
        .map(|(sequence, received)| {
            let step = seen.partition_point(|(at, _)| at < sequence);
            seen[step].1.duration_since(*received)
        })
        .collect();
    latencies.sort();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "live at {rate}/s, receive to applied: p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
        at(50),
        at(95),
        at(99),
        at(100)
    );
    running.stop().await
}

/// Sends on schedule, late ones too, and returns each one's sequence and the time it was due at.
async fn send(publisher: Publisher, rate: u64, count: u64) -> Vec<(u64, Instant)> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for number in 1..=count {
        let due = begun
            + Duration::from_secs(1).mul_f64(
                f64::from(u32::try_from(number).unwrap_or(0)) / f64::from(u32::try_from(rate).unwrap_or(1)),
            );
        if due > Instant::now() {
            tokio::time::sleep_until(due.into()).await;
        }
        let publisher = publisher.clone();
        tasks.spawn(async move { (event(number).publish(&publisher).await.sequence, due) });
    }
    tasks.join_all().await
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
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

    async fn applied(&self, client: &Connection, sequence: u64) {
        eventually("all of it", Duration::from_mins(10), async || {
            let at = position(client).await.unwrap_or(0);
            if at == sequence { Ok(()) } else { Err(format!("at {at}")) }
        })
        .await;
    }

    async fn stop(self) -> Outcome {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }
}

async fn position(client: &Connection) -> Outcome<u64> {
    let sql = "SELECT sequence FROM projection_checkpoints WHERE projection = 'task_log'";
    let row = client.query_opt(sql, &[]).await?;
    Ok(u64::try_from(row.map_or(0, |row| row.get::<_, i64>(0)))?)
}

/// Most memory that this process ever held.
fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

async fn publisher(nats: &TestNats) -> Publisher {
    let limits = GroupCommit { commits_max: 2, messages_max: 256, bytes_max: 1 << 20 };
    nats.connect("gateway").await.publisher(Duration::from_mins(1)).with_group_commit(limits)
}

async fn fill(publisher: &Publisher, messages: u64) -> Outcome {
    let begun = Instant::now();
    let mut next = 0;
    while next < messages {
        let mut tasks = JoinSet::new();
        for number in next..(next + 1000).min(messages) {
            let publisher = publisher.clone();
            tasks.spawn(async move { event(number).publish(&publisher).await });
        }
        tasks.join_all().await;
        next += 1000;
    }
    report("fill the stream", messages, begun.elapsed());
    Ok(())
}

/// Bodies of 8 to 12 KB, as GitHub's are.
fn event(number: u64) -> SampleEvent {
    let padding = "x".repeat(usize::try_from(7500 + number % 4000).unwrap_or(7500));
    let body = json!({
        "ref": "refs/heads/main", "before": number, "after": number, "commits": [], "padding": padding,
        "repository": { "full_name": "octo-org/octo-repo", "url": "https://github.com/octo-org/octo-repo" },
        "pusher": { "name": "octocat" }, "sender": { "login": "octocat" },
    });
    SampleEvent::github("push", &format!("d-{number}"), &body)
}

/// The consumer of the task log, from the beginning, with acks and nothing else.
async fn drain(nats: &TestNats, messages: u64) -> Outcome<f64> {
    let consumer = nats.connect(TaskLog::NAME).await.consumer("WEBHOOKS", TaskLog::NAME);
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
