//! What was refused and what was done to history, from their streams into the trail.

use std::time::Duration;

use hookstream_audit::Audit;
use hookstream_bus::Operation;
use hookstream_store::Client;
use hookstream_test_support::{TestNats, eventually, run_test};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::runner::{PATIENCE, Running, publisher};
use crate::support::{database, push, rows, verified};

/// For which every minute is over as soon as nothing more of it waits.
fn ahead() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::from_secs(70)
}

/// Tells of refusals as a gateway does.
async fn refuse(nats: &TestNats, reason: &str, address: &str, count: u64) -> anyhow::Result<()> {
    let record = json!({
        "source": "github", "reason": reason, "status": 401, "count": count, "sampled": count > 1,
        "address": address, "received_at": "2026-11-25T12:00:00Z",
    });
    let subject = format!("rejections.github.{reason}");
    publisher(nats).await.publish(subject, vec![], record.to_string().into()).await?;
    Ok(())
}

async fn act(nats: &TestNats, role: &str, act: &str) -> anyhow::Result<()> {
    let operation = Operation::new(role, act, OffsetDateTime::now_utc()).with("projection", "task_log");
    nats.connect(role).await.tell_operation(&operation, Duration::from_secs(10)).await?;
    Ok(())
}

/// The sum of the refusals in the trail, once it is so many.
async fn refusals_when(client: &Client, count: i64) {
    eventually("the refusals are recorded", PATIENCE, async || {
        let sql = "SELECT coalesce(sum(count), 0)::bigint FROM audit_trail WHERE kind = 'rejected'";
        let sum: i64 = client.query_one(sql, &[]).await.map_err(|error| error.to_string())?.get(0);
        if sum == count { Ok(()) } else { Err(format!("{sum} of {count}")) }
    })
    .await;
}

/// Kind, act and actor of each entry, once there are so many.
async fn acts_when(client: &Client, count: usize) -> Vec<String> {
    eventually("the entries", PATIENCE, async || {
        let rows = rows(client).await.map_err(|error| vec![error.to_string()])?;
        let text = |row: &hookstream_store::Row, name| row.get::<_, Option<String>>(name).unwrap_or_default();
        let show = |row| ["kind", "event_type", "actor"].map(|name| text(row, name)).join(" ");
        let shown: Vec<String> = rows.iter().map(show).collect();
        if shown.len() == count { Ok(shown) } else { Err(shown) }
    })
    .await
}

#[tokio::test]
async fn refusals_are_summed_by_the_minute_exactly_also_over_crashes() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        for round in 0..3 {
            for _ in 0..20 {
                refuse(&nats, "signature_mismatch", "192.0.2.1", 50).await?;
                refuse(&nats, "signature_mismatch", "2001:db8::1", 1).await?;
                refuse(&nats, "not_found", "192.0.2.2", 1).await?;
            }
            let running = Running::start(&nats, &database);
            act(&nats, "operator", "rebuild").await?;
            acts_when_at_least(&client, "operation", round + 1).await;
            // The minute is in hand, and not committed.
            running.crash().await;
        }
        let running = Running::start_with(&nats, &database, Audit::with_clock(ahead));
        refusals_when(&client, 3 * 20 * 52).await;
        running.stop().await?;
        let sql = "SELECT details::jsonb ->> 'minute', details::jsonb ->> 'reason', details::jsonb ->> 'address', \
                   count(*) FROM audit_trail WHERE kind = 'rejected' GROUP BY 1, 2, 3";
        let groups = client.query(sql, &[]).await?;
        assert!(groups.iter().all(|row| row.get::<_, i64>(3) == 1), "one entry per minute and kind");
        let mut kinds: Vec<(String, String)> = groups.iter().map(|row| (row.get(1), row.get(2))).collect();
        kinds.sort();
        kinds.dedup();
        let kinds: Vec<_> = kinds.iter().map(|(reason, address)| format!("{reason} {address}")).collect();
        assert_eq!(
            kinds,
            ["not_found 192.0.2.2", "signature_mismatch 192.0.2.1", "signature_mismatch 2001:db8::/64"]
        );
        verified(&client).await?;
        Ok(())
    })
    .await;
}

async fn acts_when_at_least(client: &Client, kind: &str, count: i64) {
    eventually("the entries of that kind", PATIENCE, async || {
        let sql = "SELECT count(*) FROM audit_trail WHERE kind = $1";
        let found: i64 = client.query_one(sql, &[&kind]).await.map_err(|error| error.to_string())?.get(0);
        if found >= count { Ok(()) } else { Err(format!("{found} of {count}")) }
    })
    .await;
}

#[tokio::test]
async fn acts_and_commands_are_entries_with_who_did_it() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        let mut running = Running::start(&nats, &database);
        act(&nats, "operator", "rebuild").await?;
        acts_when(&client, 1).await;
        act(&nats, "task_log", "retention").await?;
        acts_when(&client, 2).await;
        running.stop().await?;
        running = Running::start(&nats, &database);
        let body = json!({"type": "queue.paused"});
        let mut by_token = hookstream_test_support::SampleEvent::internal("c-1", &body);
        by_token.envelope.attributes.set(hookstream_event::attribute::ACTOR, "api:t-1");
        by_token.publish(&publisher(&nats).await).await;
        acts_when(&client, 3).await;
        let signed = hookstream_test_support::SampleEvent::internal("c-2", &json!({"type": "queue.resumed"}));
        signed.publish(&publisher(&nats).await).await;
        push("d-1").publish(&publisher(&nats).await).await;
        let expected = [
            "operation rebuild operator",
            "operation retention task_log",
            "command hookstream.queue.paused api:t-1",
            "command hookstream.queue.resumed key:current",
            "stored com.github.push ",
        ];
        assert_eq!(acts_when(&client, 5).await, expected);
        let line = r#"hookstream_audit_entries_total{kind="command"}"#;
        eventually("the entries are counted", PATIENCE, async || running.metric(line) > 1.5).await;
        running.stop().await?;
        verified(&client).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_a_stream_lost_before_it_was_recorded_is_an_entry() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (database, client) = database().await;
        for _ in 0..3 {
            refuse(&nats, "not_found", "192.0.2.2", 1).await?;
        }
        // Answered by no ack of a stream, which is all that a publisher understands.
        let operator = nats.connect("operator").await.publisher(Duration::from_secs(10));
        let purge = "$JS.API.STREAM.PURGE.REJECTIONS".to_owned();
        assert!(operator.publish(purge, vec![], "".into()).await.is_err());
        refuse(&nats, "not_found", "192.0.2.2", 5).await?;
        let running = Running::start_with(&nats, &database, Audit::with_clock(ahead));
        refusals_when(&client, 5).await;
        let rows = rows(&client).await?;
        let texts = ["kind", "event_type", "stream"].map(|name| rows[0].get::<_, &str>(name));
        assert_eq!(texts, ["operation", "messages_missing", "REJECTIONS"]);
        let details: Value = serde_json::from_str(rows[0].get("details"))?;
        assert_eq!(details, json!({"first_missing": 1, "last_missing": 3}));
        running.stop().await?;
        Ok(())
    })
    .await;
}
