//! A stream becomes rows.

use hookstream_test_support::run_test;

use crate::harness::{World, event, event_for_others};
use crate::probe::{Everything, New, Phases};

#[tokio::test]
async fn events_are_applied_once_in_the_order_of_the_stream() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(50).await;
        let running = world.start(Everything::default());
        world.store_many(50).await;
        world.wait_applied::<Everything>().await;
        running.wait_ready().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_restart_goes_on_where_it_stopped() {
    run_test(async || {
        let mut world = World::new().await;
        for _ in 0..3 {
            let running = world.start(Everything::default());
            world.store_many(25).await;
            world.wait_applied::<Everything>().await;
            running.stop().await?;
            world.store_many(5).await;
        }
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn what_is_committed_is_acked() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(30).await;
        let running = world.start(New::default());
        world.wait_applied::<New>().await;
        running.stop().await?;
        let consumer = world.nats.connect("task_log").await.consumer("WEBHOOKS", "task_log");
        let state = consumer.state().await?;
        assert_eq!((state.ack_floor, state.ack_pending, state.pending), (30, 0, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_batch_in_hand_is_finished_on_shutdown() {
    run_test(async || {
        let mut world = World::new().await;
        let probe = Everything::default();
        world.store(&["gate-1", "b"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        let stopping = tokio::spawn(running.stop());
        // Were the batch dropped, nothing would be waiting at the gate any more.
        probe.0.gate.open();
        stopping.await??;
        world.assert_effects_are_the_stream().await
    })
    .await;
}

#[tokio::test]
async fn a_projection_that_some_events_concern_is_seen_to_pass_the_others() {
    run_test(async || {
        let mut world = World::new().await;
        for (id, ours) in [("a", true), ("b", false), ("c", true), ("d", false), ("e", false)] {
            world.store_event(&if ours { event(id) } else { event_for_others(id) }).await;
        }
        let running = world.start(Phases::default());
        world.wait_applied::<Phases>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "c: fresh"]);
        world.store_event(&event_for_others("f")).await;
        world.wait_applied::<Phases>().await;
        world.store(&["g"]).await;
        world.wait_applied::<Phases>().await;
        running.stop().await?;

        let running = world.start(Phases::default());
        world.store(&["h"]).await;
        world.wait_applied::<Phases>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "c: fresh", "g: fresh", "h: fresh"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn metrics_tell_what_became_of_the_events() {
    run_test(async || {
        let mut world = World::new().await;
        world.store(&["a", "b", "refused-c"]).await;
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        let text = running.metrics.encode();
        for line in [
            r#"hookstream_projection_events_total{disposition="applied"} 2"#,
            r#"hookstream_projection_events_total{disposition="dead_letter"} 1"#,
            "hookstream_projection_checkpoint_sequence 3",
            "hookstream_projection_pending_events 0",
            "hookstream_projection_leading 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        running.stop().await
    })
    .await;
}
