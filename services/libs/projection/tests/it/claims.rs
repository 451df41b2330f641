//! What was seen before has no second effect.

use std::time::Duration;

use hookstream_event::attribute;
use hookstream_test_support::{SampleEvent, eventually, run_test};

use crate::harness::{PATIENCE, World, event, event_saying, now};
use crate::probe::{Everything, New};

fn with_derived_id(mut event: SampleEvent) -> SampleEvent {
    event.envelope.id_derived = true;
    event
}

#[tokio::test]
async fn an_event_delivered_twice_is_applied_once() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a", "b", "a"]).await;
        let running = world.start(New::default());
        world.wait_applied::<New>().await;
        // In another batch, and after a restart.
        world.store(&["b", "c"]).await;
        world.wait_applied::<New>().await;
        running.stop().await?;
        let running = world.start(New::default());
        world.store(&["a", "c", "d"]).await;
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "b: fresh", "c: fresh", "d: fresh"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_projection_that_wants_to_sees_what_each_repeat_is() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a"]).await;
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        world.store_event(&event("a")).await;
        world.store_event(&event_saying("a", "other words")).await;
        world.store_event(&event_saying("b", "a")).await;
        world.store_event(&event_saying("b", "a")).await;
        world.wait_applied::<Everything>().await;
        let expected = ["a: fresh", "a: redelivered", "a: conflict", "b: suspected_replay", "b: redelivered"];
        assert_eq!(world.effects().await?, expected);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_replay_of_a_source_that_rejects_them_has_no_effect() {
    run_test(async || {
        let mut world = World::new().await;
        let rejecting = |id: &str| {
            let mut event = event_saying(id, "the same");
            event.envelope.attributes.set(attribute::REPLAY_POLICY, "reject");
            event
        };
        world.store_event(&rejecting("a")).await;
        let running = world.start(New::default());
        world.wait_applied::<New>().await;
        // Long after the gateway has forgotten.
        world.store_event(&rejecting("b")).await;
        world.store(&["c"]).await;
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "c: fresh"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn an_id_made_of_the_body_may_come_again() {
    run_test(async || {
        let mut world = World::new().await;
        for _ in 0..2 {
            world.store_event(&with_derived_id(event("a"))).await;
        }
        let running = world.start(New::default());
        world.wait_applied::<New>().await;
        world.store_event(&with_derived_id(event("a"))).await;
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "a: fresh", "a: fresh"]);
        let query = "SELECT count(*) FROM webhook_events WHERE webhook_id = 'internal:a'";
        assert_eq!(world.session().await?.query_one(query, &[]).await?.get::<_, i64>(0), 3);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_memory_tells_what_was_seen() {
    run_test(async || {
        let mut world = World::new().await;
        let event = event("a").with_attribute("adw-id", "adw-7").with_attribute("issue", "42");
        world.store_event(&event).await;
        let running = world.start(New::default());
        world.wait_applied::<New>().await;
        let query =
            "SELECT webhook_id, webhook_type, source, body_sha256, stream_sequence, adw_id, issue_number,
            received_at, processed FROM webhook_events";
        let row = world.session().await?.query_one(query, &[]).await?;
        assert_eq!(row.get::<_, &str>("webhook_id"), "internal:a");
        assert_eq!(row.get::<_, &str>("webhook_type"), "hookstream.queue.paused");
        assert_eq!(row.get::<_, &str>("source"), "internal");
        assert_eq!(row.get::<_, &[u8]>("body_sha256"), event.envelope.body_sha256.as_bytes());
        assert_eq!(row.get::<_, i64>("stream_sequence"), 1);
        assert_eq!(row.get::<_, &str>("adw_id"), "adw-7");
        assert_eq!(row.get::<_, i64>("issue_number"), 42);
        assert_eq!(row.get::<_, time::OffsetDateTime>("received_at"), event.envelope.received_at);
        assert!(row.get::<_, bool>("processed"));
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn after_a_week_an_id_is_forgotten_and_what_is_younger_is_not() {
    run_test(async || {
        let world = World::new().await;
        world.database.migrate(&[]).await;
        let client = world.session().await?;
        let insert = "INSERT INTO event_memory (projection, stream_sequence, webhook_id, webhook_type, source,
                body_sha256, received_at, id_derived)
            SELECT $1, n, 'internal:' || n, 'x', 'internal', sha256('x'), $2::timestamptz - n * interval '1 day', false
            FROM generate_series(1, 12) AS n";
        let partitions = "SELECT event_memory_make_partitions($1, ARRAY(
            SELECT (($2::timestamptz - n * interval '1 day') AT TIME ZONE 'UTC')::date FROM generate_series(1, 12) AS n))";
        for projection in ["task_log", "audit"] {
            client.execute(partitions, &[&projection, &(now() + Duration::from_mins(1))]).await?;
            client.execute(insert, &[&projection, &(now() + Duration::from_mins(1))]).await?;
        }
        // Nothing is stored, so nothing is pulled: being idle is enough.
        let running = world.start(New::default());
        let count = "SELECT count(*) FROM event_memory WHERE projection = $1";
        let rows = async |projection: &str| {
            client.query_one(count, &[&projection]).await.map(|row| row.get::<_, i64>(0))
        };
        // Days go as a whole, so the eighth is there until all of it is over.
        eventually("old days are dropped", PATIENCE, async || match rows("task_log").await {
            Ok(7 | 8) => Ok(()),
            other => Err(other),
        })
        .await;
        assert_eq!(rows("audit").await?, 12, "they are another projection's");
        let forgotten = 12 - rows("task_log").await?;
        let metrics = running.metrics.encode();
        let counted = format!("hookstream_projection_forgotten_events_total {forgotten}\n");
        let timed = format!("hookstream_projection_forgetting_seconds_count {forgotten}\n");
        assert!(metrics.contains(&counted) && metrics.contains(&timed), "{metrics}");
        // Each day that went is told to the trail.
        let operator = world.nats.connect("operator").await;
        eventually("the acts are told", PATIENCE, async || {
            let told = operator.stream_state("OPERATIONS").await.map_err(|error| error.to_string())?.messages;
            let forgotten = 12 - rows("task_log").await.map_err(|error| error.to_string())?;
            if i64::try_from(told) == Ok(forgotten) { Ok(()) } else { Err(format!("{told} of {forgotten}")) }
        })
        .await;
        let act = operator.message_at("OPERATIONS", 1).await?.expect("it is stored");
        assert_eq!(act.subject, "operations.task_log.retention");
        running.stop().await
    })
    .await;
}
