//! Faults that may pass: whose they are, and whose not.

use std::time::Duration;

use hookstream_projection::Projection;
use hookstream_store::SessionTimeouts;
use hookstream_test_support::{eventually, run_test};

use crate::harness::{PATIENCE, Running, World};
use crate::poison::fresh;
use crate::probe::New;

/// Stores these and, once they have failed for a while, another one: dead letters after the first, effects and dead
/// letters after the second.
async fn failed_alone_then_with_another(
    ids: &[&str],
) -> anyhow::Result<(Vec<String>, Vec<String>, Vec<String>)> {
    let mut world = World::new().await;
    world.store(ids).await;
    let timeouts =
        SessionTimeouts { statement: Duration::from_secs(1), ..world.database.settings().timeouts() };
    let postgres = world.database.settings().with_timeouts(timeouts);
    let running = Running::start(New::default(), world.nats.settings("task_log"), postgres, |settings| {
        settings.transient_retries_max = 1;
    });
    let reason = running.wait_failing("postgres").await;
    assert!(
        reason.contains(&format!("none of the events in hand ({}) could be applied", ids.len())),
        "{reason}"
    );
    assert_eq!(world.checkpoint::<New>().await?, 0);
    let letters = world.dead_letters().await?;
    world.store(&["good"]).await;
    world.wait_applied::<New>().await;
    running.stop().await?;
    Ok((letters, world.effects().await?, world.dead_letters().await?))
}

#[tokio::test]
async fn a_passing_fault_is_an_events_own_only_where_another_one_was_applied() {
    run_test(async || {
        for ids in [&["serial-1"][..], &["deadlock-1"], &["slow-1"], &["text-1", "serial-2"]] {
            let (alone, effects, letters) = failed_alone_then_with_another(ids).await?;
            assert!(alone.is_empty(), "{ids:?}: {alone:?}");
            assert_eq!((effects, letters.len()), (fresh(&["good"]), ids.len()), "{ids:?}");
            assert!(letters.last().is_some_and(|letter| letter.contains("retries_used_up")), "{letters:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_deadlock_with_another_session_makes_no_dead_letter_while_a_poisoned_event_is_sought() {
    run_test(async || {
        let mut world = World::new().await;
        world.database.migrate(&[New::MIGRATIONS]).await;
        let mut other = world.session().await?;
        // Else it would be the other one that gives in.
        other.batch_execute("SET deadlock_timeout = '1h'").await?;
        let theirs = other.transaction().await?;
        theirs.batch_execute("UPDATE counters SET n = 1 WHERE id = 2").await?;
        world.store(&["text-1", "row1-2", "gate-3", "row2-4"]).await;
        let probe = New::default();
        let running = world.start_with(probe.clone(), |settings| settings.transient_retries_max = 1);
        // It holds row 1 by now, and waits for row 2 once it is let through.
        probe.0.gate.reached().await;
        let crossing = async {
            theirs.batch_execute("UPDATE counters SET n = 1 WHERE id = 1").await?;
            theirs.commit().await
        };
        let opening = async {
            let waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
            let session = world.session().await?;
            eventually("the other one waits", PATIENCE, async || {
                session.query(waiting, &[]).await.is_ok_and(|rows| !rows.is_empty())
            })
            .await;
            probe.0.gate.open();
            anyhow::Ok(())
        };
        let (crossed, opened) = tokio::join!(crossing, opening);
        crossed?;
        opened?;
        world.wait_applied::<New>().await;
        assert_eq!(world.effects().await?, fresh(&["row1-2", "gate-3", "row2-4"]));
        assert_eq!(world.dead_letters().await?.len(), 1, "the text alone");
        running.stop().await
    })
    .await;
}
