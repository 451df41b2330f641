//! From the stream to the tables, and once more into empty ones.

use hookstream_store::Client;
use hookstream_test_support::{SampleEvent, TestNats, run_test};
use serde_json::json;

use crate::fold::{Random, event};
use crate::support::{
    Queue, Running, chain, command, commented, completed, diamond, dump, enqueued, failed, internal, pause,
    publish, publisher, started, states, wait_for_checkpoint,
};
use crate::tables;

async fn dead_letters(client: &Client) -> anyhow::Result<Vec<(i64, String)>> {
    let sql = "SELECT stream_sequence, reason FROM dead_letters WHERE projection = 'phase_queue' ORDER BY 1";
    client.query(sql, &[]).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// The events that were not legal, as they are recorded with their reasons; all of it but the clock's time.
async fn recorded(client: &Client) -> anyhow::Result<Vec<String>> {
    let sql = "SELECT (to_jsonb(d) - 'created_at')::text FROM dead_letters AS d ORDER BY stream_sequence";
    client.query(sql, &[]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

#[tokio::test]
async fn the_rows_follow_the_stream_and_a_replay_gives_the_same_bytes() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let mut history =
            vec![chain(7, 3), diamond(8), commented("d-1", 42, 901, "adw_plan_iso"), completed(7, 1)];
        history.extend([started(7, 2), failed(7, 2, "no"), completed(8, 1), pause("queue.paused")]);
        history.extend([command("phase.retried", 7, 2), started(7, 2), completed(8, 3), enqueued(0, 1, &[])]);
        history.extend([commented("d-2", 42, 902, "adw_build_iso"), command("phase.dequeued", 8, 4)]);

        let running = Running::start(&nats, &queue.database);
        let last = publish(&publisher, history).await;
        wait_for_checkpoint(&queue.client, last).await;
        assert_eq!(queue.states(7).await?, "completed running queued");
        assert_eq!(queue.states(8).await?, "completed ready completed");
        assert_eq!(queue.states(42).await?, "ready");
        assert_eq!(dead_letters(&queue.client).await?, []);

        // Then much that is legal, and much that is not.
        let mut random = Random(20_261_125);
        let more = (0..300).map(|_| event(&mut random).0);
        let last = publish(&publisher, [pause("queue.resumed")].into_iter().chain(more)).await;
        wait_for_checkpoint(&queue.client, last).await;
        running.stop().await?;
        let first = dump(&queue.client).await?;
        let letters = recorded(&queue.client).await?;
        for table in tables::names().into_iter().filter(|table| *table != "phase_outbox") {
            assert!(
                first.iter().any(|row| row.starts_with(table)),
                "nothing in {table}, so nothing is compared"
            );
        }
        assert!(letters.len() > 20, "{letters:#?}");

        for messages in [1, 7, 1000] {
            let empty = Queue::create().await;
            let running = Running::start_by(messages, &nats, &empty.database);
            wait_for_checkpoint(&empty.client, last).await;
            running.stop().await?;
            for (again, first) in
                [(dump(&empty.client).await?, &first), (recorded(&empty.client).await?, &letters)]
            {
                for (again, first) in again.iter().zip(first) {
                    assert_eq!(again, first, "in batches of {messages}");
                }
                assert_eq!(again.len(), first.len(), "in batches of {messages}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn poison_ends_as_dead_letters_and_the_queue_goes_on() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let with_payload = |mut event: SampleEvent, payload: &[u8]| {
            event.payload = payload.to_vec();
            event
        };
        let deep = "{\"a\":".repeat(100_000);
        let phase_with = |data: &str| {
            let body = format!(
                r#"{{"type":"phase.enqueued","queue_id":"q","parent_issue":1,"phase_number":1,"phase_data":{data}}}"#
            );
            with_payload(enqueued(1, 1, &[]), body.as_bytes())
        };
        let poison = [
            (with_payload(enqueued(1, 1, &[]), b""), "invalid_body"),
            (with_payload(enqueued(1, 1, &[]), b"\xff\xfe"), "invalid_body"),
            (with_payload(completed(1, 1), b"null"), "invalid_body"),
            (with_payload(started(1, 1), deep.as_bytes()), "invalid_body"),
            (with_payload(commented("d-1", 1, 1, "adw_plan_iso"), b"[]"), "invalid_body"),
            (with_payload(commented("d-2", 1, 1, "adw_plan_iso"), deep.as_bytes()), "invalid_body"),
            (phase_with("{}"), "invalid_event"),
            (phase_with(r#"{"workflow_type":"x","adw_id":"a","n":1e400}"#), "invalid_event"),
            (phase_with(r#"{"workflow_type":"x","adw_id":"a","t":"\ud800"}"#), "invalid_event"),
            (phase_with(r#"{"workflow_type":"x","adw_id":"a\u0000"}"#), "invalid_event"),
            (completed(7, 2), "not_ready"),
            (command("phase.retried", 1, 1), "unknown_phase"),
        ];
        publish(&publisher, [chain(7, 2)]).await;
        let mut expected = Vec::new();
        for (event, reason) in poison {
            expected.push((publish(&publisher, [event]).await, reason.to_owned()));
        }
        // This is no poison: Postgres gets it without the zero.
        let zero = json!({"type": "phase.enqueued", "queue_id": "zero", "parent_issue": 5, "phase_number": 1,
                          "phase_data": {"workflow_type": "x", "adw_id": "a", "a\u{0}b": "\u{0}"}});
        let last = publish(&publisher, [internal(&zero), completed(7, 1)]).await;

        let running = Running::start(&nats, &queue.database);
        wait_for_checkpoint(&queue.client, last).await;
        assert_eq!(queue.states(7).await?, "completed ready");
        assert_eq!(queue.states(5).await?, "ready");
        assert_eq!(states(&queue.client, 1).await?, "");
        assert_eq!(dead_letters(&queue.client).await?, expected);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_report_of_an_old_workflow_without_a_type_is_understood() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let mut report = completed(7, 1);
        let mut body: serde_json::Value = serde_json::from_slice(&report.payload)?;
        body.as_object_mut().expect("an object").remove("type");
        report.payload = body.to_string().into_bytes();
        let last = publish(&publisher, [chain(7, 2), report]).await;
        let running = Running::start(&nats, &queue.database);
        wait_for_checkpoint(&queue.client, last).await;
        assert_eq!(queue.states(7).await?, "completed ready");
        running.stop().await
    })
    .await;
}
