//! A flood of refused requests, through a real gateway into the trail.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hookstream_audit::Audit;
use hookstream_test_support::http::Connection;
use hookstream_test_support::{TestDatabase, TestNats, eventually, run_test_within};
use hyper::Method;
use time::OffsetDateTime;

use crate::command::Hookstream;
use crate::parts::{Auditing, gateway};

/// Clients, each of which is told apart by the gateway and more than the trail tells apart.
const CLIENTS: u8 = 40;
/// Addresses that the trail tells apart, and the bucket of all others.
const BUCKETS_MAX: i64 = 17;

/// Requests altogether; `HOOKSTREAM_FLOOD_REQUESTS` asks for more.
fn requests() -> u64 {
    std::env::var("HOOKSTREAM_FLOOD_REQUESTS")
        .map_or(6000, |text| text.parse().expect("a number of requests"))
}

static FLOOD_IS_OVER: AtomicBool = AtomicBool::new(false);

/// Says that the last minute is over as soon as the flood is.
fn clock() -> OffsetDateTime {
    let ahead = if FLOOD_IS_OVER.load(Ordering::SeqCst) { 70 } else { 0 };
    OffsetDateTime::now_utc() + Duration::from_secs(ahead)
}

/// Refused requests of one client, of two kinds in turn.
async fn flood(client: u8, addr: SocketAddr, requests: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 1, client), addr).await?;
    for number in 0..requests {
        let (method, path, status) = match number % 2 {
            0 => (Method::GET, "/nobody", 404),
            _ => (Method::POST, "/webhooks/github", 401),
        };
        let answer = connection.request(method, path, &[("content-type", "application/json")], "").await?;
        anyhow::ensure!(answer.status == status, "{} {}", answer.status, answer.text());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_grows_the_trail_by_a_bounded_number_of_entries_with_the_exact_total() {
    let limit = Duration::from_secs(90) + Duration::from_millis(requests() * 2);
    run_test_within(limit, async || {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        let unlimited = [
            ("HOOKSTREAM_CLIENT_RATE_MAX", "1000000"),
            ("HOOKSTREAM_BAD_SIGNATURES_MAX", "100000000"),
            ("HOOKSTREAM_CONNECTION_REQUESTS_MAX", "1000000"),
        ];
        let addr = gateway(&nats, &unlimited).await;
        let auditing = Auditing::start(&nats, &database, Audit::with_clock(clock));
        let (begun, each) = (Instant::now(), requests() / u64::from(CLIENTS));
        let mut clients = tokio::task::JoinSet::new();
        for client in 1..=CLIENTS {
            clients.spawn(flood(client, addr, each));
        }
        while let Some(done) = clients.join_next().await {
            done??;
        }
        let (took, sent) = (begun.elapsed(), i64::try_from(each * u64::from(CLIENTS))?);
        let client = database.client().await;
        let totals = "SELECT coalesce(sum(count), 0)::bigint, count(*) FROM audit_trail WHERE kind = 'rejected'";
        // What the gateway still tells comes within moments; then the last minute may be closed.
        let operator = nats.connect("operator").await;
        let told = async || -> anyhow::Result<u64> {
            let mut told = 0;
            for sequence in 1..=operator.stream_state("REJECTIONS").await?.last_sequence {
                let stored = operator.message_at("REJECTIONS", sequence).await?;
                let record: serde_json::Value = serde_json::from_slice(&stored.expect("it is held").payload)?;
                told += record["count"].as_u64().expect("a count");
            }
            Ok(told)
        };
        eventually("all refusals are told", Duration::from_mins(1), async || {
            let told = told().await.map_err(|error| error.to_string())?;
            if i64::try_from(told) == Ok(sent) { Ok(()) } else { Err(format!("{told} of {sent}")) }
        })
        .await;
        FLOOD_IS_OVER.store(true, Ordering::SeqCst);
        let entries = eventually("all refusals are in the trail", Duration::from_mins(1), async || {
            let row = client.query_one(totals, &[]).await.map_err(|error| error.to_string())?;
            let (sum, entries): (i64, i64) = (row.get(0), row.get(1));
            if sum == sent { Ok(entries) } else { Err(format!("{sum} of {sent}")) }
        })
        .await;
        let groups = "SELECT count(DISTINCT details::jsonb ->> 'minute'), max(entries) FROM (
            SELECT details, count(*) OVER (PARTITION BY details::jsonb ->> 'minute', source,
                details::jsonb ->> 'reason', details::jsonb ->> 'address') AS entries
            FROM audit_trail WHERE kind = 'rejected') AS rejected";
        let row = client.query_one(groups, &[]).await?;
        let (minutes, most): (i64, i64) = (row.get(0), row.get(1));
        assert_eq!(most, 1, "one entry per minute, source, reason and address");
        assert!(entries <= minutes * 2 * BUCKETS_MAX, "{entries} entries in {minutes} minutes");
        let records = operator.stream_state("REJECTIONS").await?.last_sequence;
        println!(
            "{sent} requests refused in {:.1} s: {records} records in REJECTIONS, {entries} entries in {minutes} minutes",
            took.as_secs_f64()
        );
        let listed = Hookstream::new(&["audit", "list", "--kind", "rejected", "--totals", "--format", "json"]);
        let listed = listed.env("DATABASE_URL", &database.url()).run().await.expect_code(0).json();
        assert_eq!(listed["totals"][0]["count"], sent, "the total can be read from the trail");
        auditing.stop().await;
        Ok(())
    })
    .await;
}
