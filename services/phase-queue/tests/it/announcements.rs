//! What arrives in stream `PHASES`.

use std::time::Duration;

use hookstream_bus::Bus;
use hookstream_phase_queue::PhaseQueue;
use hookstream_test_support::{TestNats, eventually, run_test};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::support::{
    PATIENCE, Queue, Running, chain, command, completed, diamond, dump, failed, internal, pause, projection,
    publish, publisher, started, wait_for_checkpoint,
};

/// What a listener has heard so far.
struct Heard(Bus);

impl Heard {
    async fn on(nats: &TestNats) -> Self {
        Self(nats.connect("operator").await)
    }

    /// Status, queue id and number of every announcement in the stream, in order.
    async fn all(&self) -> anyhow::Result<Vec<String>> {
        let mut all = Vec::new();
        for payload in self.payloads().await? {
            let text = |name: &str| payload[name].as_str().unwrap_or_default().to_owned();
            all.push(format!("{} {} {}", text("queue_id"), text("status"), payload["announcement"]));
        }
        Ok(all)
    }

    async fn payloads(&self) -> anyhow::Result<Vec<Value>> {
        let last = self.0.stream_state("PHASES").await?.last_sequence;
        let schema: Value =
            serde_json::from_str(include_str!("../../../../schemas/announcements/phase.json"))?;
        let schema = jsonschema::validator_for(&schema)?;
        let mut payloads = Vec::new();
        for sequence in 1..=last {
            let message = self.0.message_at("PHASES", sequence).await?.expect("nothing is taken out of it");
            let payload: Value = serde_json::from_slice(&message.payload)?;
            schema.validate(&payload).unwrap_or_else(|error| panic!("{error}: {payload}"));
            let (issue, number) = (&payload["parent_issue"], &payload["phase_number"]);
            let subject =
                format!("phases.{issue}.{number}.{}", payload["status"].as_str().unwrap_or_default());
            assert_eq!(message.subject, subject);
            payloads.push(payload);
        }
        Ok(payloads)
    }

    async fn wait_for(&self, expected: &[&str]) {
        eventually("the announcements", PATIENCE, async || {
            let all = self.all().await.map_err(|error| error.to_string())?;
            if all == expected { Ok(()) } else { Err(format!("{all:#?}")) }
        })
        .await;
    }

    async fn wait_for_count(&self, count: u64) {
        eventually("the announcements", PATIENCE, async || {
            let last = self.0.stream_state("PHASES").await.map_err(|error| error.to_string())?.last_sequence;
            if last == count { Ok(()) } else { Err(format!("{last} of {count}")) }
        })
        .await;
    }
}

const CHAIN: [&str; 8] = [
    "7-2 queued 1",
    "7-1 ready 1",
    "7-1 running 1",
    "7-1 completed 1",
    "7-2 ready 1",
    "7-2 running 1",
    "7-2 failed 1",
    "7-2 ready 2",
];

#[tokio::test]
async fn a_plan_is_announced_step_by_step_and_a_rebuild_announces_nothing_again() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let heard = Heard::on(&nats).await;
        let running = Running::start(&nats, &queue.database);
        let steps = [chain(7, 2), started(7, 1), completed(7, 1), started(7, 2), failed(7, 2, "no")];
        publish(&publisher, steps).await;
        let last = publish(&publisher, [command("phase.retried", 7, 2)]).await;
        heard.wait_for(&CHAIN).await;
        let first = &heard.payloads().await?[1];
        assert_eq!(
            first["phase_data"],
            json!({"workflow_type": "adw_build_iso", "adw_id": "adw-7-1", "title": "Phase 1"})
        );
        assert_eq!((&first["status"], &first["started_at"]), (&json!("ready"), &Value::Null));
        running.stop().await?;
        let waiting = "SELECT count(*) FROM phase_outbox";
        assert_eq!(queue.client.query_one(waiting, &[]).await?.get::<_, i64>(0), 0);

        let empty = Queue::create().await;
        let running = Running::start(&nats, &empty.database);
        wait_for_checkpoint(&empty.client, last).await;
        assert_eq!(dump(&empty.client).await?, dump(&queue.client).await?);
        // What comes next is announced next, and nothing before it.
        publish(&publisher, [started(7, 2)]).await;
        heard.wait_for(&[&CHAIN[..], &["7-2 running 2"]].concat()).await;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn slots_and_the_pause_hold_announcements_back_and_a_request_goes_past_both() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let heard = Heard::on(&nats).await;
        let running = Running::start(&nats, &queue.database);
        let one_at_a_time = internal(&json!({"type": "queue.configured", "max_concurrent": 1}));
        publish(&publisher, [one_at_a_time, chain(7, 1), chain(8, 1), chain(9, 1), chain(10, 1)]).await;
        publish(&publisher, [command("phase.execution_requested", 9, 1), completed(7, 1)]).await;
        // Phase 9 has the only slot.
        publish(&publisher, [pause("queue.paused"), completed(9, 1)]).await;
        publish(&publisher, [command("phase.execution_requested", 10, 1)]).await;
        publish(&publisher, [command("phase.dequeued", 10, 1), pause("queue.resumed")]).await;
        let expected = [
            "7-1 ready 1",
            "9-1 ready 1",
            "7-1 completed 1",
            "9-1 completed 1",
            "10-1 ready 1",
            "10-1 dequeued 1",
            "8-1 ready 1",
        ];
        heard.wait_for(&expected).await;
        let dequeued = &heard.payloads().await?[5];
        assert_eq!(dequeued["phase_data"]["adw_id"], "adw-10-1");
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_phase_that_nobody_begins_is_announced_again() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let heard = Heard::on(&nats).await;
        let lease = Duration::from_millis(400);
        let running = Running::start_as(projection().with_lease(lease), &nats, &queue.database);
        publish(&publisher, [chain(7, 1)]).await;
        heard.wait_for_count(2).await;
        publish(&publisher, [started(7, 1)]).await;
        eventually("the end of announcements", PATIENCE, async || {
            let all = heard.all().await.map_err(|error| error.to_string())?;
            if all.last().is_some_and(|last| last.contains("running")) {
                Ok(())
            } else {
                Err(format!("{all:?}"))
            }
        })
        .await;
        let all = heard.all().await?;
        assert_eq!(all[..2], ["7-1 ready 1", "7-1 ready 2"]);
        let sql = "SELECT count(*) FROM dead_letters";
        assert_eq!(queue.client.query_one(sql, &[]).await?.get::<_, i64>(0), 0);
        running.stop().await?;

        // What the leases did is in the stream: a replay without any gives the same tables.
        let last = nats.connect("operator").await.stream_state("WEBHOOKS").await?.last_sequence;
        let empty = Queue::create().await;
        let running = Running::start(&nats, &empty.database);
        wait_for_checkpoint(&empty.client, i64::try_from(last)?).await;
        assert_eq!(dump(&empty.client).await?, dump(&queue.client).await?);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_lease_counts_from_a_late_announcement_also_when_the_session_breaks() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let heard = Heard::on(&nats).await;
        let lease = Duration::from_secs(3);
        let enqueued = publish(&publisher(&nats).await, [chain(7, 1)]).await;
        let stored = heard.0.message_at("WEBHOOKS", u64::try_from(enqueued)?).await?.expect("it was stored");
        eventually("an event older than the lease", PATIENCE, async || {
            let age = OffsetDateTime::now_utc() - stored.recorded_at;
            if age > lease { Ok(()) } else { Err(age) }
        })
        .await;
        let running = Running::start_as(projection().with_lease(lease), &nats, &queue.database);
        heard.wait_for_count(1).await;
        let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'hookstream-phase-relay'";
        assert_eq!(queue.client.execute(end, &[]).await?, 1);
        heard.wait_for_count(2).await;
        let mut times = Vec::new();
        for sequence in 1..=2 {
            times.push(heard.0.message_at("PHASES", sequence).await?.expect("it was told").recorded_at);
        }
        assert!(times[1] - times[0] >= lease, "{times:?}");
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn what_a_crash_leaves_in_the_outbox_is_announced_once() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let mut appending = publisher(&nats).await;
        let heard = Heard::on(&nats).await;
        let many = internal(&json!({"type": "queue.configured", "max_concurrent": 1000}));
        publish(&appending, [many]).await;
        // A leader crashes again and again in the middle of it, and once NATS does.
        let (plans, mut count) = (60, 0);
        for issue in 1..=plans {
            let running = Running::start(&nats, &queue.database);
            let steps = [diamond(issue), completed(issue, 1), completed(issue, 3), completed(issue, 2)];
            let last = publish(&appending, steps).await;
            count += 10;
            if issue % 20 == 0 {
                nats.kill().await;
                nats.restart().await;
                appending = publisher(&nats).await;
            } else if issue % 3 == 0 {
                wait_for_checkpoint(&queue.client, last).await;
            }
            running.kill();
        }
        let running = Running::start(&nats, &queue.database);
        heard.wait_for_count(count).await;
        let mut all = heard.all().await?;
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len() as u64, count, "each is another");
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn two_that_believe_to_lead_announce_nothing_twice() {
    run_test(async || {
        let nats = TestNats::start().await;
        let queue = Queue::create().await;
        let publisher = publisher(&nats).await;
        let heard = Heard::on(&nats).await;
        let running = Running::start(&nats, &queue.database);
        // The relay of a leader that does not know that it has lost its lead.
        let stale = crate::support::alongside(&PhaseQueue::new(None), &nats, &queue.database).await;
        let many = internal(&json!({"type": "queue.configured", "max_concurrent": 1000}));
        publish(&publisher, [many]).await;
        for issue in 1..=50 {
            publish(&publisher, [chain(issue, 1), completed(issue, 1)]).await;
        }
        heard.wait_for_count(100).await;
        let mut all = heard.all().await?;
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 100);
        stale.abort();
        running.stop().await
    })
    .await;
}
