use std::time::Duration;

use hookstream_store::{Connection, Kind, PgSettings, Pool, SessionTimeouts, StoreError};
use hookstream_test_support::{CutProxy, TestDatabase, run_test};

#[tokio::test]
async fn a_session_bounds_statements_locks_and_idle_transactions() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let short = Duration::from_millis(50);
        let timeouts = SessionTimeouts { statement: short, lock: short, idle_in_transaction: short };
        let settings = database.settings().with_timeouts(timeouts);

        let client = Connection::open(&settings, "test").await?;
        let slow: StoreError = client.execute("SELECT pg_sleep(60)", &[]).await.unwrap_err().into();
        assert_eq!((slow.kind(), slow.sqlstate()), (Kind::Transient, Some("57014")));

        let holder = database.client().await;
        holder.execute("SELECT pg_advisory_lock(1)", &[]).await?;
        let patient = SessionTimeouts { statement: Duration::from_secs(30), ..timeouts };
        let client = Connection::open(&settings.clone().with_timeouts(patient), "test").await?;
        let locked: StoreError = client.execute("SELECT pg_advisory_lock(1)", &[]).await.unwrap_err().into();
        assert_eq!((locked.kind(), locked.is_lock_timeout()), (Kind::Transient, true));

        client.batch_execute("BEGIN").await?;
        tokio::time::timeout(Duration::from_secs(10), client.closed()).await?;
        assert!(client.is_closed());
        let ended: StoreError = client.execute("SELECT 1", &[]).await.unwrap_err().into();
        assert_eq!(ended.kind(), Kind::Outage);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_away_or_refuses_us_is_an_outage_and_no_password_is_shown() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let wrong = database.url().replacen("hookstream:", "hookstream:wrong", 1);
        for url in ["postgres://ann:wrong@127.0.0.1:1/x", &wrong, &database.url().replace("/test_", "/no_")] {
            let error = Connection::open(&PgSettings::from_url(url)?, "test").await.unwrap_err();
            assert_eq!(error.kind(), Kind::Outage, "{error:?}");
            assert!(!error.chain().contains("wrong"), "{}", error.chain());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_cut_or_killed_is_over() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let proxy = CutProxy::start(database.addr()).await;
        let cut = Connection::open(&database.settings_at(proxy.addr()), "test").await?;
        let killed = Connection::open(&database.settings(), "to be killed").await?;
        proxy.cut();
        cut.closed().await;
        let kill =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'to be killed'";
        database.client().await.execute(kill, &[]).await?;
        killed.closed().await;
        for ended in [cut, killed] {
            let error: StoreError = ended.execute("SELECT 1", &[]).await.unwrap_err().into();
            assert_eq!(error.kind(), Kind::Outage, "{error:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn values_that_postgres_cannot_hold_are_the_events_fault() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let client = database.client().await;
        client.batch_execute("CREATE TABLE notes (note text UNIQUE, wide text, doc jsonb)").await?;
        client.batch_execute("CREATE INDEX ON notes (wide)").await?;
        let kind = async |sql: &str, value: &str| {
            let error: StoreError = client.execute(sql, &[&value]).await.unwrap_err().into();
            (error.kind(), error.sqlstate().map(str::to_owned))
        };
        let event = |state: &str| (Kind::Event, Some(state.to_owned()));
        let note = "INSERT INTO notes (note) VALUES ($1)";
        assert_eq!(kind(note, "a\0b").await, event("22021"));
        client.execute(note, &[&"twice"]).await?;
        assert_eq!(kind(note, "twice").await, event("23505"));
        let doc = "INSERT INTO notes (doc) VALUES ($1::text::jsonb)";
        assert_eq!(kind(doc, r#"{"title":"\u0000"}"#).await, event("22P05"));
        assert_eq!(kind(doc, &"[".repeat(100_000)).await, event("54001"));
        let wide: String = (0..5000u32).map(|n| char::from_u32(0x4e00 + n * 7919 % 20000).unwrap()).collect();
        assert_eq!(kind("INSERT INTO notes (wide) VALUES ($1)", &wide).await, event("54000"));
        let schema = kind("INSERT INTO no_notes (note) VALUES ($1)", "x").await;
        assert_eq!(schema, (Kind::Schema, Some("42P01".to_owned())));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_read_only_server_is_an_outage() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let client = database.client().await;
        client
            .batch_execute("CREATE TABLE notes (note text); SET default_transaction_read_only = on")
            .await?;
        let error: StoreError =
            client.execute("INSERT INTO notes VALUES ('x')", &[]).await.unwrap_err().into();
        assert_eq!((error.kind(), error.sqlstate()), (Kind::Outage, Some("25006")));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_pool_hands_out_working_sessions_and_no_more_than_it_has() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let pool = Pool::new(&database.settings(), "pooled", 1);
        let client = pool.get().await?;
        client.execute("SELECT 1", &[]).await?;
        let none_left = pool.get().await.unwrap_err();
        assert!(matches!(none_left, StoreError::PoolTimedOut), "{none_left}");
        drop(client);
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pooled'";
        database.client().await.execute(kill, &[]).await?;
        // The dead session is replaced, not handed out.
        pool.get().await?.execute("SELECT 1", &[]).await?;

        let away = Pool::new(&PgSettings::from_url("postgres://ann@127.0.0.1:1/x")?, "pooled", 1);
        assert_eq!(away.get().await.unwrap_err().kind(), Kind::Outage);
        Ok(())
    })
    .await;
}
