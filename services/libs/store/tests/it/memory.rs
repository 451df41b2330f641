use hookstream_event::{BodyDigest, EventId};
use hookstream_store::dead_letters::{self, DeadLetter};
use hookstream_store::memory::{self, Recalled, Remembered};
use hookstream_store::{Connection, StoreError};
use hookstream_test_support::{TestDatabase, run_test};
use serde_json::{Value, json};
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

const DAY_0: OffsetDateTime = datetime!(2026-11-23 10:00:00.123456 UTC);

fn event(stream_sequence: u64, id: &str, body: &str) -> Remembered {
    Remembered {
        stream_sequence,
        event_id: EventId::parse(id).expect("an event id"),
        event_type: "com.github.push".to_owned(),
        body_sha256: BodyDigest::of(body.as_bytes()),
        adw_id: Some("adw-1".to_owned()),
        issue_number: Some(42),
        received_at: DAY_0,
        id_derived: false,
        processed: true,
    }
}

async fn remember(
    client: &mut Connection,
    projection: &str,
    events: &[Remembered],
) -> Result<(), StoreError> {
    let tx = client.transaction().await?;
    memory::remember(&tx, projection, events).await?;
    Ok(tx.commit().await?)
}

async fn recall(client: &mut Connection, ids: &[&str], bodies: &[&str]) -> Result<Recalled, StoreError> {
    let digests: Vec<BodyDigest> = bodies.iter().map(|body| BodyDigest::of(body.as_bytes())).collect();
    let tx = client.transaction().await?;
    memory::recall(&tx, "task_log", ids, &digests).await
}

#[tokio::test]
async fn ids_and_digests_are_recalled_for_the_projection_that_saw_them() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        let (one, two) = (BodyDigest::of(b"1"), BodyDigest::of(b"2"));
        remember(&mut client, "task_log", &[event(1, "github:a", "1"), event(2, "github:b", "2")]).await?;
        remember(&mut client, "audit", &[event(1, "github:c", "3")]).await?;

        let mut recalled = recall(&mut client, &["github:a", "github:c", "github:z"], &["2", "3"]).await?;
        assert_eq!(recalled.ids, [("github:a".to_owned(), one, DAY_0)]);
        assert_eq!(recalled.digests, [(two, DAY_0)]);
        recalled = recall(&mut client, &[], &[]).await?;
        assert_eq!(recalled, Recalled::default());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn derived_ids_may_repeat_and_are_never_recalled() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        let derived = |sequence| Remembered { id_derived: true, ..event(sequence, "internal:a", "1") };
        remember(&mut client, "task_log", &[derived(1), derived(2)]).await?;
        assert_eq!(recall(&mut client, &["internal:a"], &["1"]).await?, Recalled::default());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_id_that_comes_back_after_a_week_is_recalled_as_it_came_last() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        let later = DAY_0 + Duration::days(8);
        remember(&mut client, "task_log", &[event(1, "github:a", "1")]).await?;
        remember(&mut client, "task_log", &[Remembered { received_at: later, ..event(9, "github:a", "2") }])
            .await?;
        let recalled = recall(&mut client, &["github:a"], &["2"]).await?;
        assert_eq!(recalled.ids, [("github:a".to_owned(), BodyDigest::of(b"2"), later)]);
        assert_eq!(recalled.digests, [(BodyDigest::of(b"2"), later)]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn forgetting_goes_day_by_day_and_spares_what_is_young() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        let aged = |n: u64| Remembered {
            received_at: DAY_0 + Duration::days(i64::try_from(n).unwrap()),
            ..event(n, &format!("github:{n}"), "1")
        };
        remember(&mut client, "task_log", &(1..=5).map(aged).collect::<Vec<_>>()).await?;
        remember(&mut client, "audit", &[aged(1)]).await?;
        remember(&mut client, "task_log", &[Remembered { stream_sequence: 6, ..aged(1) }]).await?;
        let before = DAY_0 + Duration::days(4);
        let mut days = Vec::new();
        for _ in 0..4 {
            days.push(memory::forget_a_day(&client, "task_log", before).await?);
        }
        assert_eq!(days, [Some(2), Some(1), Some(1), None]);
        let left = client.query("SELECT stream_sequence FROM event_memory ORDER BY 1", &[]).await?;
        let left: Vec<i64> = left.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, [1, 4, 5], "the audit's own row stays, and what shares its day with younger ones");
        assert_eq!(memory::forget_a_day(&client, "phase_queue", before).await?, None, "it remembers nothing");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_day_that_somebody_reads_is_forgotten_later() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let (mut client, mut reader) = (database.client().await, database.client().await);
        remember(&mut client, "task_log", &[event(1, "github:a", "1")]).await?;
        let before = DAY_0 + Duration::days(9);
        let reading = reader.transaction().await?;
        reading.query("SELECT webhook_id FROM webhook_events", &[]).await?;
        assert_eq!(memory::forget_a_day(&client, "task_log", before).await?, None);
        reading.rollback().await?;
        assert_eq!(memory::forget_a_day(&client, "task_log", before).await?, Some(1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_partition_that_is_too_large_to_count_is_dropped_all_the_same() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let client = database.client().await;
        let made = "CREATE TABLE large (n integer) PARTITION BY RANGE (n);
            CREATE TABLE large_1 PARTITION OF large FOR VALUES FROM (0) TO (10000000);
            INSERT INTO large SELECT generate_series(1, 1000001);
            UPDATE pg_class SET reltuples = 5e9 WHERE relname = 'large_1'";
        client.batch_execute(made).await?;
        let drop = "SELECT drop_first_partition('large', 'large_2')";
        let rows: Option<i64> = client.query_one(drop, &[]).await?.get(0);
        assert_eq!(rows, Some(5_000_000_000), "the planner's estimate, and not what is counted");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_dead_letter_keeps_odd_bytes_and_replaces_its_former_self() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        let letter = |error: &str| DeadLetter {
            stream_sequence: 7,
            event_id: None,
            subject: "webhooks.github.push.no\0ne".to_owned(),
            reason: "unreadable_envelope".to_owned(),
            error: error.to_owned(),
            attempts: 0,
            payload: Some(vec![0, 255, 0]),
            headers: json!({"a": "x\u{0}y", "b": ["1", "2"]}),
            recorded_at: DAY_0,
        };
        for error in ["first", "second \0 time", &"é".repeat(9999)] {
            let tx = client.transaction().await?;
            dead_letters::insert(&tx, "audit", &[letter(error)]).await?;
            tx.commit().await?;
        }
        let row = client.query_one("SELECT error, payload, headers, subject FROM dead_letters", &[]).await?;
        assert_eq!(row.get::<_, &str>("error").len(), 4096);
        assert_eq!(row.get::<_, &[u8]>("payload"), [0, 255, 0]);
        assert_eq!(row.get::<_, Value>("headers"), json!({"a": "x\u{fffd}y", "b": ["1", "2"]}));
        assert_eq!(row.get::<_, &str>("subject"), "webhooks.github.push.no\u{fffd}ne");
        Ok(())
    })
    .await;
}
