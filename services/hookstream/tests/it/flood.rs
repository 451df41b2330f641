//! A flood of refused requests, from the gateway to the trail: how much the trail grows, and that nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use hookstream_audit::{Audit, Expectations, verify_trail};
use hookstream_store::Client;
use hookstream_test_support::http::Connection;
use hookstream_test_support::{TestDatabase, TestNats, eventually, github_delivery, run_test_within};
use hyper::Method;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::task::JoinSet;

use crate::following::Following;
use crate::reverify::gateway;

/// Requests, unless `HOOKSTREAM_FLOOD_REQUESTS` says how many.
const REQUESTS: u64 = 4_000;

/// Addresses that they come from: more than are told apart.
const ADDRESSES: u8 = 40;

/// Entries of a minute, source and reason: 16 addresses, and all others together.
const BUCKETS: usize = 16 + 1;

const PATIENCE: Duration = Duration::from_mins(2);

/// What is told apart before addresses are: minute, source and reason.
type Kind = (String, String, String);

/// Sends so many requests from one address, in four ways that are all refused. Returns how many.
async fn flood(from: Ipv4Addr, to: SocketAddr, requests: u64) -> anyhow::Result<u64> {
    let forged = github_delivery("ping", r#"{"zen":"x","hook_id":1}"#);
    let headers = forged.header_refs();
    let unsigned: Vec<_> =
        headers.iter().copied().filter(|(name, _)| *name != "x-hub-signature-256").collect();
    let mut kept = None;
    for number in 0..requests {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => Connection::open_from(from, to).await?,
        };
        // One way after the other, so that each comes from all addresses at once.
        let answer = match number * 4 / requests {
            0 => connection.request(Method::GET, "/nobody", &[], "").await?,
            1 => connection.request(Method::POST, "/webhooks/github", &unsigned, "{}").await?,
            2 => connection.request(Method::POST, "/webhooks/github", &headers, "{}").await?,
            _ => connection.request(Method::POST, "/webhooks/internal", &[], "{}").await?,
        };
        anyhow::ensure!((400..500).contains(&answer.status), "{}: {}", answer.status, answer.text());
        // After some answers, and after 10,000 of them.
        let closed = answer.header("connection") == Some("close");
        kept = Some(connection).filter(|_| !closed);
    }
    Ok(requests)
}

/// For which every minute is over as soon as nothing more of it waits.
fn ahead() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(70)
}

/// What the stream tells of, by the minute of its clock, once it accounts for so many requests: how many messages.
async fn told(nats: &TestNats, requests: u64) -> BTreeMap<Kind, usize> {
    let bus = nats.connect("operator").await;
    let (mut next, mut sum, mut kinds) = (1, 0, BTreeMap::new());
    eventually("all refusals are told", PATIENCE, async || {
        let state = bus.stream_state("REJECTIONS").await.map_err(|error| error.to_string())?;
        while next <= state.last_sequence {
            let message = bus.message_at("REJECTIONS", next).await.map_err(|error| error.to_string())?;
            let message = message.expect("nothing is deleted");
            let told: Value = serde_json::from_slice(&message.payload).unwrap();
            let minute = message.recorded_at.replace_time(
                time::Time::from_hms(message.recorded_at.hour(), message.recorded_at.minute(), 0).unwrap(),
            );
            let text = |name: &str| told[name].as_str().unwrap().to_owned();
            let kind = (minute.format(&Rfc3339).unwrap(), text("source"), text("reason"));
            *kinds.entry(kind).or_insert(0) += 1;
            sum += told["count"].as_u64().unwrap();
            next += 1;
        }
        if sum == requests { Ok(()) } else { Err(format!("{sum} of {requests}")) }
    })
    .await;
    kinds
}

/// The addresses of each kind in the trail, each of which has an entry, once the entries account for so many requests.
async fn recorded(client: &Client, requests: u64) -> BTreeMap<Kind, BTreeSet<String>> {
    let sql = "SELECT details::jsonb ->> 'minute', source, details::jsonb ->> 'reason',
                   details::jsonb ->> 'address', count
               FROM audit_trail WHERE kind = 'rejected'";
    let rows = eventually("all refusals are recorded", PATIENCE, async || {
        let rows = client.query(sql, &[]).await.map_err(|error| error.to_string())?;
        let sum: i64 = rows.iter().map(|row| row.get::<_, i64>(4)).sum();
        if sum.unsigned_abs() == requests { Ok(rows) } else { Err(format!("{sum} of {requests}")) }
    })
    .await;
    let mut kinds: BTreeMap<Kind, BTreeSet<String>> = BTreeMap::new();
    for row in &rows {
        let new = kinds.entry((row.get(0), row.get(1), row.get(2))).or_default().insert(row.get(3));
        assert!(new, "a second entry of one minute, source, reason and address: {row:?}");
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_grows_the_trail_by_an_entry_per_minute_source_reason_and_address_bucket() {
    let requests = std::env::var("HOOKSTREAM_FLOOD_REQUESTS").ok().and_then(|text| text.parse().ok());
    let requests: u64 = requests.unwrap_or(REQUESTS);
    run_test_within(Duration::from_mins(30), async || {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        let (url, client) = (gateway(&nats).await, {
            database.migrate(&[&hookstream_audit::MIGRATIONS]).await;
            database.client().await
        });
        // The trail follows the flood, and later closes the last minute without waiting for its end.
        let following = Following::start(&nats, &database, Audit::default());
        let to: SocketAddr = url.trim_start_matches("http://").parse()?;
        let mut senders = JoinSet::new();
        for number in 0..u64::from(ADDRESSES) {
            let from = Ipv4Addr::new(127, 0, 0, u8::try_from(number + 1)?);
            let each = requests / u64::from(ADDRESSES);
            let rest = if number == 0 { requests % u64::from(ADDRESSES) } else { 0 };
            senders.spawn(flood(from, to, each + rest));
        }
        let mut refused = 0;
        while let Some(done) = senders.join_next().await {
            refused += done??;
        }
        assert_eq!(refused, requests);
        let told = told(&nats, requests).await;
        following.stop().await?;
        let following = Following::start(&nats, &database, Audit::with_clock(ahead));
        let recorded = recorded(&client, requests).await;
        following.stop().await?;

        let entries: usize = recorded.values().map(BTreeSet::len).sum();
        let messages: usize = told.values().sum();
        let minutes: BTreeSet<_> = told.keys().map(|(minute, ..)| minute).collect();
        let kinds: BTreeSet<_> = told.keys().map(|(_, source, reason)| (source, reason)).collect();
        eprintln!(
            "{requests} refused requests, {messages} messages, {entries} entries: {} minutes, {} sources and reasons, at \
             most {BUCKETS} addresses each",
            minutes.len(),
            kinds.len()
        );
        assert!(entries <= minutes.len() * kinds.len() * BUCKETS, "{entries} entries");
        assert!(recorded.keys().eq(told.keys()), "each minute of each kind: {recorded:?} {told:?}");
        for (kind, addresses) in &recorded {
            assert!(addresses.len() <= BUCKETS, "{kind:?}: {addresses:?}");
        }
        assert!(
            recorded.values().any(|addresses| addresses.len() == BUCKETS && addresses.contains("other")),
            "the bound was not reached: {recorded:?}"
        );
        verify_trail(&*client, &Expectations::default(), |_| {}).await?;
        Ok(())
    })
    .await;
}
