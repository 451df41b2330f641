//! How fast the trail is: `cargo bench -p hookstream-audit`. Prints figures, fails on none.
//!
//! - `verify`: all of a long trail, on one thread (Postgres computes on another).
//! - `catch-up`: the projection from sequence 1, against the same consumer drained without writing anything.
//!
//! `HOOKSTREAM_BENCH_ENTRIES` and `HOOKSTREAM_BENCH_MESSAGES` set the sizes.

use std::time::{Duration, Instant};

use hookstream_audit::{Audit, Expectations, MIGRATIONS, Trail, verify_trail};
use hookstream_bus::{GroupCommit, PullLimits};
use hookstream_projection::{Context, Projection as _, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use hookstream_trail::{Hash, Micros, Record, kind};
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let entries = size("HOOKSTREAM_BENCH_ENTRIES", 500_000);
    let messages = size("HOOKSTREAM_BENCH_MESSAGES", 100_000);
    let one_thread = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    one_thread.block_on(verify(entries))?;
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    threads.block_on(catch_up(messages))
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

async fn database() -> (TestDatabase, Connection) {
    let database = TestDatabase::create_durable().await;
    database.migrate(&[&MIGRATIONS]).await;
    let client = database.client().await;
    (database, client)
}

async fn verify(entries: u64) -> Outcome {
    let (_database, mut client) = database().await;
    let (trail, begun) = (Trail::default(), Instant::now());
    let mut next = 1;
    while next <= entries {
        let last = (next + 1999).min(entries);
        let tx = client.transaction().await?;
        trail.append(&tx, (next..=last).map(record).collect()).await?;
        tx.commit().await?;
        next = last + 1;
    }
    report("append", entries, begun.elapsed());
    client.batch_execute("VACUUM ANALYZE audit_trail").await?;
    for round in 1..=3 {
        client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let begun = Instant::now();
        let verified = verify_trail(&*client, &Expectations::default(), |_| {}).await?;
        report(
            &format!("verify {round}, one thread, {} kB of memory", memory_kb()),
            entries,
            begun.elapsed(),
        );
        client.batch_execute("ROLLBACK").await?;
        assert_eq!(u64::try_from(verified.head.audit_sequence), Ok(entries));
    }
    Ok(())
}

/// Most memory that this process ever held.
fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn record(number: u64) -> Record {
    let sequence = i64::try_from(number).unwrap_or(i64::MAX);
    let text = |text: &str| Some(text.to_owned());
    Record {
        kind: kind::STORED.to_owned(),
        stream: text("WEBHOOKS"),
        stream_sequence: Some(sequence),
        event_id: Some(format!("github:72d3162e-cc78-11e3-81ab-{number:012}")),
        source: text("github"),
        event_type: text("com.github.pull_request.synchronize"),
        body_sha256: Some(Hash::of(&number.to_be_bytes())),
        signature: Some(format!("sha256={}", Hash::of(&number.to_le_bytes()))),
        key_id: text("k-e95ab28a506a"),
        actor: None,
        count: 1,
        details: "{}".to_owned(),
        received_at: Micros(1_795_428_000_000_000 + sequence * 1000),
        recorded_at: Micros(1_795_428_000_000_500 + sequence * 1000),
    }
}

async fn catch_up(messages: u64) -> Outcome {
    let nats = TestNats::start().await;
    let (database, client) = database().await;
    fill(&nats, messages).await?;
    let first = drain(&nats, messages).await?;
    let applied = apply(&nats, &database, &client, messages).await?;
    let second = drain(&nats, messages).await?;
    let raw = f64::midpoint(first, second);
    #[expect(clippy::print_stdout, reason = "figures, for people")]
    {
        println!("catch-up: {:.0} % of the raw rate", 100.0 * applied / raw);
    }
    Ok(())
}

/// Bodies of 8 to 12 KB, as GitHub's are.
async fn fill(nats: &TestNats, messages: u64) -> Outcome {
    let limits = GroupCommit { commits_max: 2, messages_max: 500, bytes_max: 8 << 20 };
    let publisher = nats.connect("gateway").await.publisher(Duration::from_mins(1)).with_group_commit(limits);
    let begun = Instant::now();
    let mut next = 0;
    while next < messages {
        let mut tasks = JoinSet::new();
        for number in next..(next + 1000).min(messages) {
            let publisher = publisher.clone();
            tasks.spawn(async move { event(number).publish(&publisher).await });
        }
        while let Some(done) = tasks.join_next().await {
            done?;
        }
        next += 1000;
    }
    report("fill the stream", messages, begun.elapsed());
    Ok(())
}

fn event(number: u64) -> SampleEvent {
    let padding = "x".repeat(usize::try_from(7500 + number % 4000).unwrap_or(7500));
    let body = json!({
        "ref": "refs/heads/main", "before": number, "after": number, "commits": [], "padding": padding,
        "repository": { "full_name": "octo-org/octo-repo", "url": "https://github.com/octo-org/octo-repo" },
        "pusher": { "name": "octocat" }, "sender": { "login": "octocat" },
    });
    SampleEvent::github("push", &format!("d-{number}"), &body)
}

/// The consumer of the trail, from the beginning, with acks and nothing else.
async fn drain(nats: &TestNats, messages: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let consumer = nats.connect(Audit::NAME).await.consumer("WEBHOOKS", Audit::NAME);
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

async fn apply(
    nats: &TestNats,
    database: &TestDatabase,
    client: &Connection,
    messages: u64,
) -> Result<f64, Box<dyn std::error::Error>> {
    let process = ProcessInfo { name: "bench", about: "", version: "0" };
    let context = Context {
        nats: nats.settings(Audit::NAME),
        postgres: database.settings(),
        runner: RunnerSettings::default(),
        health: Health::new(),
        metrics: Metrics::new(&process),
    };
    let (shutdown, begun) = (CancellationToken::new(), Instant::now());
    let running = tokio::spawn(run(Audit::default(), context, shutdown.clone()));
    let sql = "SELECT sequence FROM projection_checkpoints WHERE projection = 'audit'";
    let took = eventually("all of it", Duration::from_mins(10), async || {
        let row = client.query_opt(sql, &[]).await.map_err(|error| error.to_string())?;
        let at = row.map_or(0, |row| row.get::<_, i64>(0));
        if u64::try_from(at) == Ok(messages) { Ok(begun.elapsed()) } else { Err(format!("at {at}")) }
    })
    .await;
    shutdown.cancel();
    running.await??;
    Ok(report("catch-up of audit", messages, took))
}
