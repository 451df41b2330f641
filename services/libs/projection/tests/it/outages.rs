//! Postgres and NATS go and come back. Nothing is lost, nothing is doubled, and the order is kept.

use std::time::Duration;

use hookstream_projection::Projection as _;
use hookstream_test_support::{CutProxy, TestDatabase, TestNats, eventually, run_test};

use crate::harness::{PATIENCE, Running, World};
use crate::probe::Everything;

/// Every stored event has its effect once and in order, and no outage was held against one.
async fn assert_unharmed(world: &World) -> anyhow::Result<()> {
    world.wait_applied::<Everything>().await;
    world.assert_effects_are_the_stream().await?;
    assert!(world.dead_letters().await?.is_empty());
    Ok(())
}

/// Stores some events and waits until the first of them is applied, and perhaps more.
async fn store_and_see_some_applied(world: &mut World, count: usize) {
    let before = i64::try_from(world.stored.len()).expect("a test stores few events");
    world.store_many(count).await;
    eventually("the checkpoint moves", PATIENCE, async || {
        world.checkpoint::<Everything>().await.is_ok_and(|sequence| sequence > before)
    })
    .await;
}

#[tokio::test]
async fn postgres_is_killed_and_started_again() {
    run_test(async || {
        let mut world = World::with_own_postgres().await;
        let running = world.start_with(Everything::default(), |settings| settings.pull.messages = 3);
        for _ in 0..3 {
            store_and_see_some_applied(&mut world, 20).await;
            world.store_many(20).await;
            world.database.kill_server().await;
            running.wait_failing("postgres").await;
            world.store_many(5).await;
            world.database.restart_server().await;
        }
        assert_unharmed(&world).await?;
        running.wait_ready().await;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn an_idle_projection_notices_too_that_postgres_has_gone() {
    run_test(async || {
        let world = World::with_own_postgres().await;
        let running = world.start(Everything::default());
        running.wait_ready().await;
        world.database.stop_server().await;
        running.wait_failing("postgres").await;
        world.database.restart_server().await;
        running.wait_ready().await;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn postgres_is_stopped_in_the_middle_of_a_batch() {
    run_test(async || {
        let mut world = World::with_own_postgres().await;
        let probe = Everything::default();
        world.store(&["a", "gate-2", "c"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        world.database.stop_server().await;
        probe.0.gate.open();
        running.wait_failing("postgres").await;
        world.database.restart_server().await;
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_line_to_postgres_is_cut_again_and_again() {
    run_test(async || {
        let mut world = World::new().await;
        let proxy = CutProxy::start(world.database.addr()).await;
        let postgres = world.database.settings_at(proxy.addr());
        let running =
            Running::start(Everything::default(), world.nats.settings("audit"), postgres, |settings| {
                settings.pull.messages = 2;
            });
        for _ in 0..10 {
            store_and_see_some_applied(&mut world, 6).await;
            proxy.cut();
            proxy.restore();
        }
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_line_to_postgres_falls_silent() {
    run_test(async || {
        let mut world = World::new().await;
        let proxy = CutProxy::start(world.database.addr()).await;
        let postgres = world.database.settings_at(proxy.addr());
        let running =
            Running::start(Everything::default(), world.nats.settings("audit"), postgres, |settings| {
                settings.batch_timeout = Duration::from_millis(500);
            });
        world.store_many(5).await;
        world.wait_applied::<Everything>().await;
        proxy.silence();
        world.store_many(5).await;
        let reason = running.wait_failing("postgres").await;
        assert!(reason.contains("did not answer"), "{reason}");
        proxy.restore();
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn nats_is_killed_and_started_again() {
    run_test(async || {
        let mut world = World::new().await;
        let running = world.start_with(Everything::default(), |settings| settings.pull.messages = 3);
        for _ in 0..3 {
            store_and_see_some_applied(&mut world, 20).await;
            world.nats.kill().await;
            running.wait_failing("nats").await;
            world.nats.restart().await;
            world.store_many(5).await;
        }
        assert_unharmed(&world).await?;
        running.wait_ready().await;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn nats_goes_while_a_batch_is_in_hand() {
    run_test(async || {
        let mut world = World::new().await;
        let probe = Everything::default();
        world.store(&["a", "gate-2", "c"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        world.nats.kill().await;
        probe.0.gate.open();
        // The commit does not need NATS; only the acks fail.
        world.wait_applied::<Everything>().await;
        running.wait_failing("nats").await;
        world.nats.restart().await;
        world.store_many(5).await;
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_line_to_nats_is_cut_again_and_again() {
    run_test(async || {
        let mut world = World::new().await;
        let proxy = CutProxy::start(world.nats.client_addr()).await;
        let nats = world.nats.settings_at("audit", proxy.addr());
        let running = Running::start(Everything::default(), nats, world.database.settings(), |settings| {
            settings.pull.messages = 2;
        });
        for _ in 0..10 {
            store_and_see_some_applied(&mut world, 6).await;
            proxy.reset();
        }
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn the_line_to_nats_falls_silent() {
    run_test(async || {
        let mut world = World::new().await;
        let proxy = CutProxy::start(world.nats.client_addr()).await;
        let nats = world.nats.settings_at("audit", proxy.addr());
        let running = Running::start(Everything::default(), nats, world.database.settings(), |_| ());
        world.store_many(5).await;
        world.wait_applied::<Everything>().await;
        running.wait_ready().await;
        proxy.silence();
        world.store_many(5).await;
        running.wait_failing("nats").await;
        proxy.restore();
        assert_unharmed(&world).await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn both_may_be_away_at_the_start() {
    run_test(async || {
        let mut world = World::of(TestNats::start().await, TestDatabase::create_private().await).await;
        world.store_many(5).await;
        world.nats.stop().await;
        world.database.stop_server().await;
        let running = world.start(Everything::default());
        running.wait_failing("postgres").await;
        world.database.restart_server().await;
        running.wait_failing("nats").await;
        world.nats.restart().await;
        assert_unharmed(&world).await?;
        assert_eq!(world.checkpoint::<Everything>().await?, 5, "{} ran", Everything::NAME);
        running.stop().await
    })
    .await;
}
