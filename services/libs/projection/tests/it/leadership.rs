//! One process leads; another stands by and takes over.

use hookstream_projection::Projection as _;
use hookstream_store::checkpoint;
use hookstream_test_support::{eventually, run_test};

use crate::harness::{PATIENCE, Running, World, now};
use crate::probe::Everything;

/// Ends all sessions of runners, as an operator or a failover does.
async fn kill_sessions(world: &World) -> anyhow::Result<()> {
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'hookstream-audit'";
    world.session().await?.execute(kill, &[]).await?;
    Ok(())
}

fn leads(running: &Running) -> bool {
    running.metrics.encode().lines().any(|line| line == "hookstream_projection_leading 1")
}

#[tokio::test]
async fn two_that_start_at_once_apply_each_event_once_and_both_are_ready() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(20).await;
        let pair = [world.start(Everything::default()), world.start(Everything::default())];
        world.store_many(20).await;
        world.wait_applied::<Everything>().await;
        for running in &pair {
            running.wait_ready().await;
        }
        assert_eq!(pair.iter().filter(|running| leads(running)).count(), 1);
        world.assert_effects_are_the_stream().await?;
        for running in pair {
            running.stop().await?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_standby_takes_over_when_the_leader_stops_or_crashes() {
    run_test(async || {
        let mut world = World::new().await;
        let mut leader = world.start(Everything::default());
        for crashes in [false, true, false, true] {
            eventually("it leads", PATIENCE, async || leads(&leader)).await;
            let standby = world.start(Everything::default());
            standby.wait_ready().await;
            world.store_many(10).await;
            if crashes {
                leader.crash().await;
            } else {
                leader.stop().await?;
            }
            world.store_many(10).await;
            leader = standby;
        }
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        leader.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_leader_whose_session_is_killed_in_a_batch_commits_nothing_of_it() {
    run_test(async || {
        let mut world = World::new().await;
        let (first, second) = (Everything::default(), Everything::default());
        world.store(&["a", "gate-2", "c"]).await;
        let leader = world.start(first.clone());
        first.0.gate.reached().await;
        kill_sessions(&world).await?;
        second.0.gate.open();
        let standby = world.start(second);
        eventually("the standby leads", PATIENCE, async || leads(&standby)).await;
        world.wait_applied::<Everything>().await;
        // The old one goes on where it stood, in a transaction that is no more.
        first.0.gate.open();
        world.store_many(5).await;
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        leader.stop().await?;
        standby.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_was_replaced_behind_its_back_is_fenced() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(3).await;
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        let client = world.session().await?;
        let taken = checkpoint::take_over(&client, Everything::NAME, "WEBHOOKS", now(), 0).await?;
        assert_eq!((taken.epoch, taken.sequence), (2, 3));
        // It gives up, finds that nobody else holds the lock, and begins an epoch of its own.
        world.store_many(3).await;
        world.wait_applied::<Everything>().await;
        let epoch = checkpoint::load(&*client, Everything::NAME).await?.map(|checkpoint| checkpoint.epoch);
        assert_eq!(epoch, Some(3));
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}
