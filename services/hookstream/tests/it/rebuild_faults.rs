//! `hookstream rebuild` where things go wrong: it says what to do, ends with another code than 0, and exchanges nothing.

use std::time::Duration;

use hookstream_store::PgSettings;
use hookstream_task_log::TaskLog;
use hookstream_test_support::{TestNats, eventually, run_test};
use serde_json::Value;

use crate::command::Hookstream;
use crate::nats_client::PlainClient;
use crate::rebuild::{PATIENCE, World};

const GENERATION: &str =
    "SELECT generation::bigint FROM projection_checkpoints WHERE projection = 'task_log'";
const ROWS: &str = "SELECT count(*) FROM task_logs";

#[tokio::test]
async fn what_cannot_be_rebuilt_is_named() {
    run_test(async || {
        let world = World::new().await;
        for (args, code, says) in [
            (&["audit"][..], 2, "outlives the stream"),
            (&["nonsense"], 2, "give phase_queue or task_log"),
            (&["task_log", "--drop", "--rollback"], 2, "cannot be used with"),
            (&[], 2, "Usage"),
        ] {
            let done = world.rebuild(args).run().await.expect_code(code);
            assert!(done.stderr.contains(says), "{args:?}: {done:?}");
        }
        world.database.migrate(&[&hookstream_task_log::MIGRATIONS]).await;
        let never = world.rebuild(&["task_log"]).run().await.expect_code(1);
        assert!(never.stderr.contains("task_log has never run on this database"), "{never:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_rebuild_that_was_killed_goes_on_or_is_dropped() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(400).await;
        world.applied("task_log", 400).await;
        let kill = async || {
            let running = world.rebuild(&["task_log", "--no-swap"]).spawn();
            eventually("it has begun", PATIENCE, async || !world.schemas().await.is_empty()).await;
            running.signal("KILL");
            running.end().await;
            assert_eq!(world.number(GENERATION).await, 1);
        };
        kill().await;
        world.rebuild(&["task_log", "--drop"]).run().await.expect_code(0);
        assert_eq!(world.schemas().await, [""; 0]);
        kill().await;
        let done = world.rebuild(&["task_log"]).run().await.expect_code(0);
        assert!(
            done.stderr.contains("goes on with generation 2") && done.stderr.contains(" 0 rows differ"),
            "{done:?}"
        );
        assert_eq!(world.number(ROWS).await, 400);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_disk_without_room_ends_a_rebuild_which_goes_on_once_there_is_some() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(20).await;
        world.applied("task_log", 20).await;
        world.rebuild(&["task_log", "--no-swap"]).run().await.expect_code(0);
        // What Postgres says where a table cannot grow (SQLSTATE 53100), and where it says so.
        world
            .client
            .batch_execute(
                r#"CREATE FUNCTION task_log_g2.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    RAISE EXCEPTION 'could not extend file "base/1/2": No space left on device' USING ERRCODE = '53100';
                END $$;
                CREATE TRIGGER no_room BEFORE INSERT ON task_log_g2.task_logs EXECUTE FUNCTION task_log_g2.no_room()"#,
            )
            .await?;
        world.store(20).await;
        world.applied("task_log", 40).await;
        for args in [&["rebuild", "task_log"][..], &["replay", "--to-projection", "task_log"]] {
            let command = Hookstream::new(args)
                .env("NATS_URL", &world.nats.url("operator"))
                .env("DATABASE_URL", &world.database.url());
            let full = command.run().await.expect_code(1);
            for says in
                ["No space left on device", "make room", "the same command goes on where it was", "--drop drops"]
            {
                assert!(full.stderr.contains(says), "{full:?}");
            }
            assert_eq!((world.number(GENERATION).await, world.number(ROWS).await), (1, 40));
            assert_eq!(world.number("SELECT count(*) FROM task_log_g2.task_logs").await, 20, "all or nothing");
        }
        // The tables in use are followed all the while.
        world.store(1).await;
        world.applied("task_log", 41).await;
        world.client.batch_execute("DROP FUNCTION task_log_g2.no_room() CASCADE").await?;
        let done = world.rebuild(&["task_log"]).run().await.expect_code(0);
        assert!(
            done.stderr.contains("goes on with generation 2") && done.stderr.contains(" 0 rows differ"),
            "{done:?}"
        );
        assert_eq!((world.number(GENERATION).await, world.number(ROWS).await), (2, 41));
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn while_a_transaction_holds_the_tables_readers_are_served_and_the_exchange_waits() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(20).await;
        world.applied("task_log", 20).await;
        let holder = world.database.client().await;
        holder.batch_execute("BEGIN; SELECT count(*) FROM task_logs").await?;
        let running = world.rebuild(&["task_log"]).spawn();
        let (read, queries) = (world.database.client().await, "SELECT count(*) FROM webhook_analytics");
        // Both its generations are there once it has tried to exchange them, or is about to.
        eventually("it has filled the new one", PATIENCE, async || {
            read.query_one(queries, &[]).await.unwrap();
            let filled = world.client.query_one("SELECT count(*) FROM task_log_g2.task_logs", &[]).await;
            filled.is_ok_and(|row| row.get::<_, i64>(0) == 20)
        })
        .await;
        for _ in 0..200 {
            read.query_one(queries, &[]).await?;
        }
        assert_eq!(world.number(GENERATION).await, 1);
        holder.batch_execute("COMMIT").await?;
        running.end().await.expect_code(0);
        assert_eq!(world.number(GENERATION).await, 2);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn events_that_have_left_the_stream_are_counted_and_lost_only_when_accepted() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(10).await;
        world.applied("task_log", 10).await;
        keep(&world.nats, 4).await;
        let refused = world.rebuild(&["task_log"]).run().await.expect_code(1);
        assert!(
            refused.stderr.contains("sequences 1–6 have left the stream: 6 rows of task_logs"),
            "{refused:?}"
        );
        assert!(refused.stderr.contains("--accept-gap"), "{refused:?}");
        assert_eq!(world.schemas().await, [""; 0]);
        world.rebuild(&["task_log", "--accept-gap"]).run().await.expect_code(0);
        assert_eq!(world.number("SELECT min(id) FROM task_logs").await, 7);
        live.stop().await;
        Ok(())
    })
    .await;
}

/// Makes the stream drop all but its last events.
async fn keep(nats: &TestNats, messages: u64) {
    let mut client = PlainClient::connect(nats, "operator");
    tokio::task::spawn_blocking(move || {
        let info = client.request("$JS.API.STREAM.INFO.WEBHOOKS", "");
        let mut config = serde_json::from_slice::<Value>(&info).unwrap()["config"].clone();
        (config["max_msgs"], config["discard"]) = (messages.into(), "old".into());
        client.request("$JS.API.STREAM.UPDATE.WEBHOOKS", &config.to_string())
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_view_of_somebody_elses_is_named_before_it_would_follow_the_tables() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(3).await;
        world.applied("task_log", 3).await;
        world.client.batch_execute("CREATE VIEW mine AS SELECT id FROM task_logs").await?;
        let done = world.rebuild(&["task_log"]).run().await.expect_code(1);
        assert!(done.stderr.contains("public.mine read from tables of task_log"), "{done:?}");
        assert_eq!(world.number(GENERATION).await, 1);
        world.client.batch_execute("DROP VIEW mine").await?;
        world.rebuild(&["task_log"]).run().await.expect_code(0);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn without_a_live_projection_the_tables_are_rebuilt_to_where_they_stand() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(10).await;
        world.applied("task_log", 10).await;
        live.stop().await;
        world.store(10).await;
        let filled = Hookstream::new(&["replay", "--to-projection", "task_log"])
            .env("NATS_URL", &world.nats.url("operator"))
            .env("DATABASE_URL", &world.database.url());
        let filled = filled.run().await.expect_code(0);
        assert!(filled.stderr.contains("generation 2 is ready in schema task_log_g2"), "{filled:?}");
        let done = world.rebuild(&["task_log"]).run().await.expect_code(0);
        assert!(done.stderr.contains("compared at 10: 0 rows differ"), "{done:?}");
        assert_eq!(world.number(ROWS).await, 10);
        let live = world.live(TaskLog::default());
        world.applied("task_log", 20).await;
        assert_eq!(world.number(ROWS).await, 20);
        live.stop().await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_user_without_permission_is_told() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(3).await;
        world.applied("task_log", 3).await;
        let user = format!("reader_{}", world.database.name());
        let make = format!(
            "CREATE ROLE {user} LOGIN PASSWORD 'x'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {user}"
        );
        world.client.batch_execute(&make).await?;
        let (_, place) =
            world.database.url().split_once('@').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let url = format!("postgres://{user}:x@{place}");
        PgSettings::from_url(&url)?;
        let done = Hookstream::new(&["rebuild", "task_log"])
            .env("NATS_URL", &world.nats.url("operator"))
            .env("DATABASE_URL", &url)
            .run()
            .await
            .expect_code(1);
        assert!(done.stderr.contains("permission denied"), "{done:?}");
        let done = world.rebuild(&["task_log"]).env("NATS_URL", &world.nats.url("subscriber")).run().await;
        assert!(done.expect_code(1).stderr.contains("log in as the role operator"));
        assert_eq!((world.number(GENERATION).await, world.schemas().await), (1, Vec::new()));
        live.stop().await;
        let drop = format!("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {user}; DROP ROLE {user}");
        world.client.batch_execute(&drop).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_rebuilds_at_once_are_one_too_many() {
    run_test(async || {
        let world = World::new().await;
        let live = world.live(TaskLog::default());
        world.store(3).await;
        world.applied("task_log", 3).await;
        let holder = world.database.client().await;
        holder.batch_execute("BEGIN; SELECT count(*) FROM task_logs").await?;
        let first = world.rebuild(&["task_log"]).spawn();
        eventually("it has begun", PATIENCE, async || !world.schemas().await.is_empty()).await;
        for args in [&["task_log"][..], &["task_log", "--drop"]] {
            let second = world.rebuild(args).run().await.expect_code(1);
            assert!(second.stderr.contains("is under way"), "{second:?}");
        }
        holder.batch_execute("COMMIT").await?;
        first.end().await.expect_code(0);
        tokio::time::timeout(Duration::from_secs(20), live.stop()).await?;
        Ok(())
    })
    .await;
}
