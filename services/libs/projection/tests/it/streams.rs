//! The stream is not the one we knew, or its consumer misbehaves.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hookstream_projection::{RunError, StreamChanged};
use hookstream_test_support::{TestDatabase, TestNats, eventually, run_test};
use serde_json::{Value, json};

use crate::harness::{PATIENCE, World};
use crate::operator::{ask, update_stream};
use crate::probe::{Everything, Phases};

/// Applies `count` events and stops.
async fn apply_some(world: &mut World, count: usize) -> anyhow::Result<()> {
    world.store_many(count).await;
    let running = world.start(Everything::default());
    world.wait_applied::<Everything>().await;
    running.stop().await
}

/// Starts again and must be told off; returns the text.
async fn refused(world: &World) -> anyhow::Result<(StreamChanged, String)> {
    let checkpoint = world.checkpoint::<Everything>().await?;
    let error = world.start(Everything::default()).error().await;
    assert_eq!(world.checkpoint::<Everything>().await?, checkpoint, "nothing was applied");
    let text = error.to_string();
    assert!(text.contains("hookstream audit resume") && text.contains("hookstream doctor"), "{text}");
    match error {
        RunError::Stream(changed) => Ok((changed, text)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_recreated_stream_is_not_followed() {
    run_test(async || {
        let mut world = World::new().await;
        apply_some(&mut world, 3).await?;
        ask(&world.nats, "STREAM.DELETE.WEBHOOKS", &Value::Null).await?;
        world.nats.provision().await;
        world.stored.clear();
        // As many events as before: only the time of creation tells.
        world.store_many(5).await;
        let (changed, text) = refused(&world).await?;
        assert!(matches!(changed, StreamChanged::Recreated { sequence: 3, .. }), "{changed:?}");
        assert!(text.contains("was recreated"), "{text}");
        let consumer = world.nats.connect("audit").await.consumer("WEBHOOKS", "audit");
        assert_eq!(consumer.state().await?.ack_floor, 0);
        Ok(())
    })
    .await;
}

/// A broker whose folder can be copied, as a backup is.
struct Backed {
    world: World,
    folder: PathBuf,
    backup: tempfile::TempDir,
}

impl Backed {
    async fn new() -> anyhow::Result<Self> {
        let mut folder = PathBuf::new();
        let nats = TestNats::start_with(|options| {
            folder.clone_from(&options.data_dir);
            options
        })
        .await;
        nats.provision().await;
        let world = World::of(nats, TestDatabase::create().await).await;
        Ok(Self { world, folder, backup: tempfile::tempdir()? })
    }

    async fn back_up(&self) -> anyhow::Result<()> {
        self.world.nats.stop().await;
        copy(&self.folder.join("."), self.backup.path())?;
        self.world.nats.restart().await;
        Ok(())
    }

    async fn restore(&mut self, stored: usize) -> anyhow::Result<()> {
        self.world.nats.stop().await;
        std::fs::remove_dir_all(&self.folder)?;
        std::fs::create_dir(&self.folder)?;
        copy(&self.backup.path().join("."), &self.folder)?;
        self.world.nats.restart().await;
        self.world.stored.truncate(stored);
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?;
    anyhow::ensure!(copied.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}

#[tokio::test]
async fn a_stream_restored_from_an_older_copy_is_not_followed() {
    run_test(async || {
        let mut backed = Backed::new().await?;
        apply_some(&mut backed.world, 3).await?;
        backed.back_up().await?;
        apply_some(&mut backed.world, 4).await?;
        backed.restore(3).await?;
        let (changed, text) = refused(&backed.world).await?;
        assert!(matches!(changed, StreamChanged::Truncated { sequence: 7, last: 3, .. }), "{changed:?}");
        assert!(text.contains("ends at 3"), "{text}");

        // Once it has grown beyond the checkpoint, only the message there tells.
        backed.world.store_many(10).await;
        let (changed, _) = refused(&backed.world).await?;
        assert!(matches!(changed, StreamChanged::OtherMessage { sequence: 7, .. }), "{changed:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_restore_under_a_running_projection_is_noticed_when_nats_is_back() {
    run_test(async || {
        let mut backed = Backed::new().await?;
        backed.world.store_many(3).await;
        backed.back_up().await?;
        backed.world.store_many(4).await;
        let running = backed.world.start(Everything::default());
        backed.world.wait_applied::<Everything>().await;
        backed.restore(3).await?;
        let error = running.error().await;
        assert!(matches!(error, RunError::Stream(StreamChanged::Truncated { .. })), "{error:?}");
        Ok(())
    })
    .await;
}

/// Lets everything that is stored now expire.
async fn expire(world: &World) -> anyhow::Result<()> {
    let (second, week) = (1_000_000_000_u64, 604_800_000_000_000_u64);
    update_stream(&world.nats, &json!({"max_age": second, "duplicate_window": second})).await?;
    let bus = world.nats.connect("operator").await;
    eventually("the stream is empty", PATIENCE, async || {
        bus.stream_state("WEBHOOKS").await.is_ok_and(|stream| stream.messages == 0)
    })
    .await;
    update_stream(&world.nats, &json!({"max_age": week, "duplicate_window": 30 * second})).await
}

#[tokio::test]
async fn events_that_expired_unseen_are_told_and_those_that_were_applied_are_not() {
    run_test(async || {
        let mut world = World::new().await;
        apply_some(&mut world, 3).await?;
        expire(&world).await?;
        // All of them were applied: nothing is missing.
        apply_some(&mut world, 2).await?;
        world.assert_effects_are_the_stream().await?;

        world.store_many(2).await;
        expire(&world).await?;
        world.store_many(1).await;
        let (changed, text) = refused(&world).await?;
        assert!(matches!(changed, StreamChanged::Expired { sequence: 5, first: 8, .. }), "{changed:?}");
        assert!(text.contains("begins at 8"), "{text}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_new_projection_begins_with_what_the_stream_still_holds() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(3).await;
        expire(&world).await?;
        world.store(&["d", "e"]).await;
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        assert_eq!(world.effects().await?, ["d: fresh", "e: fresh"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn events_that_do_not_concern_a_projection_may_expire() {
    run_test(async || {
        let mut world = World::new().await;
        let running = world.start(Phases::default());
        world.store(&["a"]).await;
        for id in ["b", "c", "d"] {
            world.store_event(&crate::harness::event_for_others(id)).await;
        }
        world.wait_applied::<Phases>().await;
        running.stop().await?;
        expire(&world).await?;
        world.store(&["e"]).await;
        let running = world.start(Phases::default());
        world.wait_applied::<Phases>().await;
        assert_eq!(world.effects().await?, ["a: fresh", "e: fresh"]);
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_deleted_consumer_is_reported_and_its_successor_rewound() {
    run_test(async || {
        let mut world = World::new().await;
        let running = world.start(Everything::default());
        world.store_many(5).await;
        world.wait_applied::<Everything>().await;
        ask(&world.nats, "CONSUMER.DELETE.WEBHOOKS.audit", &Value::Null).await?;
        let reason = running.wait_failing("stream").await;
        assert!(reason.contains("consumer audit") && reason.contains("hookstream provision"), "{reason}");
        world.store_many(5).await;
        world.nats.provision().await;
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.wait_ready().await;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_there_yet_is_waited_for() {
    run_test(async || {
        let world = World::of(TestNats::start_empty().await, TestDatabase::create().await);
        let mut world = world.await;
        let running = world.start(Everything::default());
        let reason = running.wait_failing("stream").await;
        assert!(reason.contains("WEBHOOKS") && reason.contains("hookstream provision"), "{reason}");
        world.nats.provision().await;
        world.store_many(3).await;
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn an_event_that_another_hand_took_is_fetched_again() {
    run_test(async || {
        let mut world = World::new().await;
        let probe = Phases::default();
        world.store(&["gate-1"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        world.store(&["b", "c"]).await;
        let taken = ask(&world.nats, "CONSUMER.MSG.NEXT.WEBHOOKS.phase_queue", &Value::Null).await?;
        assert_eq!(taken["reason"], "b");
        probe.0.gate.open();
        world.wait_applied::<Phases>().await;
        world.assert_effects_are_the_stream().await?;

        // The last one in the stream: no later one shows that it is missing.
        let probe = Phases::default();
        running.stop().await?;
        world.store(&["gate-4"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        world.store(&["e"]).await;
        ask(&world.nats, "CONSUMER.MSG.NEXT.WEBHOOKS.phase_queue", &Value::Null).await?;
        probe.0.gate.open();
        world.wait_applied::<Phases>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_consumer_that_hands_out_nothing_ends_the_process() {
    run_test(async || {
        let mut world = World::new().await;
        let until = json!({"pause_until": "2100-01-01T00:00:00Z"});
        ask(&world.nats, "CONSUMER.PAUSE.WEBHOOKS.audit", &until).await?;
        world.store_many(3).await;
        let running = world.start_with(Everything::default(), |settings| {
            settings.stall_after = Duration::from_millis(300);
            settings.stalls_max = 2;
        });
        let error = running.error().await;
        let stalled = matches!(error, RunError::Stalled { pending: 3, rewinds: 2, .. });
        assert!(stalled, "{error:?}");
        assert_eq!(world.checkpoint::<Everything>().await?, 0);
        Ok(())
    })
    .await;
}
