//! An event that cannot be applied becomes a dead letter, and nothing else does.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hookstream_projection::{Projection, RunError};
use hookstream_store::SessionTimeouts;
use hookstream_test_support::{eventually, run_test};
use serde_json::Value;

use crate::harness::{PATIENCE, Running, World, event};
use crate::probe::{Everything, New, Phases};

/// Stores these in one batch, applies them, and returns effects and dead letters.
async fn applied(ids: &[&str]) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let mut world = World::new().await;
    world.store(ids).await;
    let running = world.start_with(New::default(), |settings| settings.transient_retries_max = 1);
    world.wait_applied::<New>().await;
    running.stop().await?;
    Ok((world.effects().await?, world.dead_letters().await?))
}

pub(crate) fn fresh(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| format!("{id}: fresh")).collect()
}

#[tokio::test]
async fn the_event_at_fault_is_found_wherever_it_stands() {
    run_test(async || {
        let (effects, letters) = applied(&["text-1", "b", "c", "text-4", "e", "f", "text-7"]).await?;
        assert_eq!(effects, fresh(&["b", "c", "e", "f"]));
        let letter = |sequence: u32| format!("{sequence} refused_by_postgres 2 not applied");
        assert_eq!(letters, [letter(1), letter(4), letter(7)]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_nothing_but_poison_holds_nobody_up() {
    run_test(async || {
        let (effects, letters) = applied(&["text-1", "text-2", "text-3"]).await?;
        assert_eq!((effects, letters.len()), (Vec::new(), 3));
        let (effects, letters) = applied(&["text-1"]).await?;
        assert_eq!((effects, letters.len()), (Vec::new(), 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn every_way_to_fail_ends_in_a_dead_letter_that_names_it() {
    run_test(async || {
        let ids = ["a", "named-2", "refused-3", "d", "panic-5", "deferred-6", "g", "serial-8", "i"];
        let (effects, letters) = applied(&ids).await?;
        assert_eq!(effects, fresh(&["a", "d", "g", "i"]));
        let reasons: Vec<&str> = letters.iter().filter_map(|letter| letter.split(' ').nth(1)).collect();
        let expected = ["rule_broken", "disliked", "panic", "refused_by_postgres", "retries_used_up"];
        assert_eq!(reasons, expected);
        assert!(letters.iter().all(|letter| letter.ends_with(" not applied")), "{letters:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_passes_when_tried_again_is_no_dead_letter() {
    run_test(async || {
        let (effects, letters) = applied(&["a", "once-2", "c"]).await?;
        assert_eq!(effects, fresh(&["a", "once-2", "c"]));
        assert!(letters.is_empty(), "{letters:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_is_not_applied_when_it_is_delivered_again() {
    run_test(async || {
        let (effects, letters) = applied(&["text-1", "text-1", "c"]).await?;
        assert_eq!((effects, letters.len()), (fresh(&["c"]), 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_keeps_all_that_a_redrive_needs() {
    run_test(async || {
        let mut world = World::new().await;
        // Verified bytes may be anything.
        let mut odd = event("odd-1");
        odd.payload = vec![b'{', 0, 255, b'}'];
        world.store_event(&odd).await;
        world.store(&["b"]).await;
        let running = world.start(Phases::default());
        world.wait_applied::<Phases>().await;
        assert_eq!(world.effects().await?, ["b: fresh"]);
        let query = "SELECT projection, event_id, subject, error, payload, headers, recorded_at, redriven_at
            FROM dead_letters";
        let row = world.session().await?.query_one(query, &[]).await?;
        assert_eq!(row.get::<_, &str>("projection"), "phase_queue");
        assert_eq!(row.get::<_, &str>("event_id"), "internal:odd-1");
        assert_eq!(row.get::<_, &str>("subject"), "webhooks.internal.queue.paused");
        assert!(row.get::<_, &str>("error").contains("invalid byte sequence"), "{row:?}");
        assert_eq!(row.get::<_, &[u8]>("payload"), odd.payload);
        let headers: Value = row.get("headers");
        assert_eq!(headers["ce-id"], "internal:odd-1");
        assert_eq!(headers["hs-signature"], odd.envelope.signature);
        assert_eq!(row.get::<_, Option<time::OffsetDateTime>>("redriven_at"), None);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_message_that_is_no_event_is_a_dead_letter() {
    run_test(async || {
        let mut world = World::new().await;
        let junk = Bytes::from_static(&[0, 159, 146, 150]);
        world.store(&["a"]).await;
        world.store_raw("ingest.github.push.none", Vec::new(), junk.clone()).await;
        world.store_raw("ingest.Git_Hub.push.none", event("x").envelope.to_headers(), junk).await;
        world.store(&["d"]).await;
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        assert_eq!(world.effects().await?, fresh(&["a", "d"]));
        let expected = ["2 unreadable_envelope 0 unknown", "3 unknown_subject 0 unknown"];
        assert_eq!(world.dead_letters().await?, expected);
        // The consumer reads headers only: there is no payload to keep.
        let query = "SELECT count(*) FROM dead_letters WHERE payload IS NULL";
        assert_eq!(world.session().await?.query_one(query, &[]).await?.get::<_, i64>(0), 2);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_lock_that_somebody_holds_is_waited_for_and_nobodys_fault() {
    run_test(async || {
        let mut world = World::new().await;
        world.database.migrate(&[New::MIGRATIONS]).await;
        world.store(&["a", "b"]).await;
        let mut holder = world.session().await?;
        let lock = holder.transaction().await?;
        lock.batch_execute("LOCK TABLE effects IN ACCESS EXCLUSIVE MODE").await?;
        let timeouts =
            SessionTimeouts { lock: Duration::from_millis(50), ..world.database.settings().timeouts() };
        let postgres = world.database.settings().with_timeouts(timeouts);
        let probe = New::default();
        let running = Running::start(probe.clone(), world.nats.settings("task_log"), postgres, |settings| {
            settings.transient_retries_max = 1;
        });
        assert!(running.wait_failing("postgres").await.contains("lock timeout"));
        let calls = || probe.0.calls.load(Ordering::Relaxed);
        let before = calls();
        eventually("it goes on trying", PATIENCE, async || calls() > before + 6).await;
        lock.rollback().await?;
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, fresh(&["a", "b"]));
        assert!(world.dead_letters().await?.is_empty());
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_only_meets_passing_faults_is_no_dead_letter() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["serial-1", "serial-2"]).await;
        let running = world.start_with(New::default(), |settings| settings.transient_retries_max = 1);
        assert!(running.wait_failing("postgres").await.contains("none of the events in hand (2)"));
        assert_eq!(world.checkpoint::<New>().await?, 0);
        assert!(world.dead_letters().await?.is_empty());
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn an_event_that_takes_too_long_is_a_dead_letter() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a", "slow-2", "c"]).await;
        let timeouts =
            SessionTimeouts { statement: Duration::from_secs(1), ..world.database.settings().timeouts() };
        let postgres = world.database.settings().with_timeouts(timeouts);
        let nats = world.nats.settings("task_log");
        let running = Running::start(New::default(), nats, postgres, |settings| {
            settings.transient_retries_max = 1;
        });
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, fresh(&["a", "c"]));
        assert_eq!(world.dead_letters().await?, ["2 retries_used_up 3 not applied"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_projection_that_names_an_event_it_was_not_given_is_stopped() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a", "stray-2"]).await;
        let error = world.start(New::default()).error().await;
        assert!(error.to_string().contains("named event 1002"), "{error}");
        assert_eq!(world.checkpoint::<New>().await?, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_the_schema_stops_the_process_and_acks_nothing() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a", "schema-2", "c"]).await;
        let error = world.start(New::default()).error().await;
        assert!(matches!(&error, RunError::Schema { projection: "task_log", .. }), "{error:?}");
        assert_eq!(world.checkpoint::<New>().await?, 0);
        assert!(world.effects().await?.is_empty());
        let consumer = world.nats.connect("task_log").await.consumer("WEBHOOKS", "task_log");
        assert_eq!(consumer.state().await?.ack_floor, 0);
        Ok(())
    })
    .await;
}
