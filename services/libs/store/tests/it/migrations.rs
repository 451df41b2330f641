use std::sync::Arc;

use hookstream_store::migrations::{self, MigrationSet};
use hookstream_store::{Kind, StoreError, migrate};
use hookstream_test_support::{TestDatabase, run_test};
use tokio::sync::Barrier;

const PETS: MigrationSet = MigrationSet {
    name: "pets",
    migrations: &[
        // Slow enough that two processes meet in it.
        ("0001_pets", "CREATE TABLE pets (name text PRIMARY KEY); SELECT pg_sleep(0.2)"),
        ("0002_age", "ALTER TABLE pets ADD COLUMN age integer; INSERT INTO pets VALUES ('Ann', 3)"),
    ],
};

fn names(ids: &[migrations::MigrationId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_is_pending_is_applied_once_and_core_first() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        let all = [
            "core/0001_schema_migrations",
            "core/0002_projections",
            "core/0003_histograms",
            "core/0004_large_partitions",
            "pets/0001_pets",
            "pets/0002_age",
        ];
        assert_eq!(names(&migrations::pending(&*client, &[&PETS]).await?), all);
        assert_eq!(names(&migrate(&mut client, &[&PETS]).await?), all);
        assert!(migrations::pending(&*client, &[&PETS]).await?.is_empty());
        assert!(migrate(&mut client, &[&PETS]).await?.is_empty());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn processes_that_start_at_once_migrate_once() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut starts = tokio::task::JoinSet::new();
        let connected = Arc::new(Barrier::new(4));
        for _ in 0..4 {
            let (mut client, connected) = (database.client().await, Arc::clone(&connected));
            starts.spawn(async move {
                connected.wait().await;
                migrate(&mut client, &[&PETS]).await
            });
        }
        let mut applied = 0;
        while let Some(started) = starts.join_next().await {
            applied += started??.len();
        }
        assert_eq!(applied, 6);
        let row = database.client().await.query_one("SELECT count(*) FROM pets", &[]).await?;
        assert_eq!(row.get::<_, i64>(0), 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_edited_migration_is_refused_by_name() {
    const EDITED: MigrationSet =
        MigrationSet { name: "pets", migrations: &[("0001_pets", "CREATE TABLE pets (name text)")] };
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        migrate(&mut client, &[&PETS]).await?;
        let error = migrate(&mut client, &[&EDITED]).await.unwrap_err();
        assert!(matches!(&error, StoreError::ChangedMigration { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Schema);
        let text = error.to_string();
        assert!(text.contains("pets/0001_pets") && text.contains("never edited"), "{text}");
        assert!(migrations::pending(&*client, &[&EDITED]).await.is_err());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing_behind() {
    const BROKEN: MigrationSet = MigrationSet {
        name: "pets",
        migrations: &[
            ("0001_pets", "CREATE TABLE pets (name text PRIMARY KEY)"),
            ("0002_half", "CREATE TABLE half (id integer); INSERT INTO pets VALUES ('Ann'), ('Ann')"),
        ],
    };
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        let error = migrate(&mut client, &[&BROKEN]).await.unwrap_err();
        assert!(error.to_string().contains("pets/0002_half"), "{error}");
        // A unique violation, but not an event's.
        assert_eq!((error.kind(), error.sqlstate()), (Kind::Schema, Some("23505")));
        let half = client.query_one("SELECT to_regclass('half') IS NULL", &[]).await?;
        assert!(half.get::<_, bool>(0));
        assert_eq!(names(&migrations::pending(&*client, &[&BROKEN]).await?), ["pets/0002_half"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn older_code_runs_on_a_newer_schema() {
    const OLDER: MigrationSet = MigrationSet { name: "pets", migrations: &[PETS.migrations[0]] };
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        migrate(&mut client, &[&PETS]).await?;
        assert!(migrate(&mut client, &[&OLDER]).await?.is_empty());
        Ok(())
    })
    .await;
}
