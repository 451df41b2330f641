//! What dashboards ask costs the same however long the task log is: `cargo bench -p hookstream-backend`. Prints, for each
//! query of the API's analytics, with and without a filter, the median over a short log and over a long one, and their
//! ratio. Fails on none.
//!
//! `HOOKSTREAM_BENCH_ROWS` is the length of the long log; the short one has 100,000 rows. Both span 60 days.

use std::time::{Duration, Instant};

use hookstream_store::Connection;
use hookstream_store::types::{ToSql, Type};
use hookstream_test_support::TestDatabase;
use time::OffsetDateTime;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;
type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

const SHORT: u64 = 100_000;
const ROUNDS: usize = 60;

fn main() -> Outcome {
    let rows = std::env::var("HOOKSTREAM_BENCH_ROWS").ok().and_then(|rows| rows.parse().ok());
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    threads.block_on(compare(rows.unwrap_or(10_000_000)))
}

#[expect(clippy::print_stdout, reason = "figures, for people")]
async fn compare(long: u64) -> Outcome {
    let (short_log, long_log) = (TestDatabase::create().await, TestDatabase::create().await);
    let one = filled(&short_log, SHORT).await?;
    let check = include_str!("../../../schemas/postgres/task_log/checks/rollups.sql");
    let wrong = one.query(check, &[]).await?;
    assert!(wrong.is_empty(), "{} sums are not what the rows add up to", wrong.len());
    let begun = Instant::now();
    let other = filled(&long_log, long).await?;
    println!("filled the long log in {:.0} s", begun.elapsed().as_secs_f64());
    println!("{:<34} {:>12} rows {:>12} rows   ratio", "query", SHORT, long);
    for (name, sql, parameters) in queries() {
        let (mut short_times, mut long_times) = (Vec::new(), Vec::new());
        // In turn, so that whatever else the machine does slows both alike.
        for _ in 0..ROUNDS {
            short_times.push(timed(&one, sql, &parameters).await?);
            long_times.push(timed(&other, sql, &parameters).await?);
        }
        let (short, long) = (median(short_times), median(long_times));
        let ratio = long.as_secs_f64() / short.as_secs_f64();
        println!("{name:<34} {:>14.2} ms {:>14.2} ms   {ratio:>5.2}", ms(short), ms(long));
    }
    Ok(())
}

/// The queries of `/analytics/…` as the API asks them: all that there is, and what a filter leaves of it.
fn queries() -> Vec<(String, &'static str, Vec<Parameter>)> {
    let text = |value: Option<&'static str>| -> Parameter { (Box::new(value), Type::TEXT) };
    let no_text = |count: usize| (0..count).map(move |_| text(None));
    let number = |value: Option<i64>| -> Parameter { (Box::new(value), Type::INT8) };
    let time = |value: Option<OffsetDateTime>| -> Parameter { (Box::new(value), Type::TIMESTAMPTZ) };
    let (limit, week) = (|| number(Some(101)), OffsetDateTime::now_utc() - time::Duration::days(7));
    let mut queries = Vec::new();
    for (filter, [webhooks, workflows, errors, latency]) in [
        ("", [None; 4]),
        (", filtered", [Some("com.github.event_1"), Some("adw_1_iso"), Some("adw_1_iso"), Some("github")]),
    ] {
        let mut ask = |name: &'static str, sql: &'static str, parameters: Vec<Parameter>| {
            queries.push((format!("/analytics/{name}{filter}"), sql, parameters));
        };
        let webhooks = no_text(2).chain([text(webhooks)]).chain(no_text(4)).chain([limit()]);
        ask("webhooks", include_str!("../src/sql/webhook_analytics.sql"), webhooks.collect());
        let workflows = no_text(2).chain([text(workflows)]).chain(no_text(3)).chain([limit()]);
        ask("workflows", include_str!("../src/sql/workflow_analytics.sql"), workflows.collect());
        let errors = no_text(2).chain([text(errors), number(None)]).chain(no_text(2)).chain([limit()]);
        ask("errors", include_str!("../src/sql/error_analytics.sql"), errors.collect());
        let latency = [time(Some(week)), time(None), text(latency)].into_iter().chain(no_text(2));
        let latency = latency.chain([time(None), text(None), limit()]);
        ask("latency", include_str!("../src/sql/latency_analytics.sql"), latency.collect());
    }
    queries
}

/// A database with a log of so many rows over 60 days, and with its sums.
async fn filled(database: &TestDatabase, rows: u64) -> Outcome<Connection> {
    database.migrate(&[&hookstream_task_log::MIGRATIONS]).await;
    let client = database.client().await;
    let fill = include_str!("dashboards.sql").replace("{rows}", &rows.to_string());
    client.batch_execute(&fill).await?;
    Ok(client)
}

async fn timed(client: &Connection, sql: &str, parameters: &[Parameter]) -> Outcome<Duration> {
    let parameters: Vec<(&(dyn ToSql + Sync), Type)> =
        parameters.iter().map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone())).collect();
    let begun = Instant::now();
    let found = client.query_typed(sql, &parameters).await?;
    assert!(!found.is_empty(), "nothing found by {sql}");
    Ok(begun.elapsed())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
