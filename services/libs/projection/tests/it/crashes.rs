//! A process that dies at any moment has lost nothing and repeats nothing.

use std::pin::pin;
use std::task::Poll;

use hookstream_projection::{Context, RunnerSettings, run};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_test_support::{CutProxy, eventually, run_test};
use tokio_util::sync::CancellationToken;

use crate::harness::{PATIENCE, Running, World};
use crate::probe::Everything;

#[tokio::test]
async fn a_crash_between_commit_and_ack_repeats_nothing() {
    run_test(async || {
        let mut world = World::new().await;
        let proxy = CutProxy::start(world.nats.client_addr()).await;
        let nats = world.nats.settings_at("audit", proxy.addr());
        let probe = Everything::default();
        world.store(&["a", "gate-2", "c"]).await;
        let running = Running::start(probe.clone(), nats, world.database.settings(), |_| ());
        probe.0.gate.reached().await;
        // From here on no ack comes through, but the commit does.
        proxy.cut();
        probe.0.gate.open();
        world.wait_applied::<Everything>().await;
        running.crash().await;
        let consumer = world.nats.connect("audit").await.consumer("WEBHOOKS", "audit");
        assert_eq!(consumer.state().await?.ack_pending, 3);

        let running = world.start(probe);
        world.store(&["d"]).await;
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_crash_within_a_transaction_leaves_nothing_behind() {
    run_test(async || {
        let mut world = World::new().await;
        let probe = Everything::default();
        world.store(&["a", "gate-2", "c"]).await;
        let running = world.start(probe.clone());
        probe.0.gate.reached().await;
        running.crash().await;
        assert!(world.effects().await?.is_empty());
        probe.0.gate.open();
        let running = world.start(probe);
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

/// Drops the runner after its first, second, third … step: at every point where it waits for something.
#[tokio::test]
async fn a_runner_may_be_dropped_wherever_it_waits() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(2).await;
        let mut steps = 0;
        let mut undisturbed = 0;
        // Until it has been through whole rounds, batches and acks included, several times.
        while undisturbed < 5 {
            steps += 1;
            let before = world.checkpoint::<Everything>().await.unwrap_or(0);
            run_for_steps(&world, steps).await;
            if world.checkpoint::<Everything>().await.unwrap_or(0) > before {
                undisturbed += 1;
                world.store_many(2).await;
            }
        }
        let running = world.start(Everything::default());
        world.wait_applied::<Everything>().await;
        world.assert_effects_are_the_stream().await?;
        running.stop().await
    })
    .await;
}

async fn run_for_steps(world: &World, steps: u32) {
    let info = ProcessInfo { name: "hookstream-test", about: "", version: "0" };
    let context = Context {
        nats: world.nats.settings("audit"),
        postgres: world.database.settings(),
        runner: RunnerSettings {
            standby_poll: std::time::Duration::from_millis(10),
            ..RunnerSettings::default()
        },
        health: Health::new(),
        metrics: Metrics::new(&info),
    };
    let mut running = pin!(run(Everything::default(), context, CancellationToken::new()));
    let mut left = steps;
    std::future::poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        match running.as_mut().poll(task) {
            Poll::Ready(ended) => panic!("it ended by itself: {ended:?}"),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
}

#[tokio::test]
async fn a_load_survives_crash_after_crash() {
    run_test(async || {
        let mut world = World::new().await;
        world.store_many(120).await;
        let mut reached = 0;
        while reached < 120 {
            let running = world.start_with(Everything::default(), |settings| settings.pull.messages = 7);
            eventually("some more is applied", PATIENCE, async || {
                world.checkpoint::<Everything>().await.is_ok_and(|sequence| sequence > reached)
            })
            .await;
            running.crash().await;
            reached = world.checkpoint::<Everything>().await?;
        }
        world.assert_effects_are_the_stream().await
    })
    .await;
}
