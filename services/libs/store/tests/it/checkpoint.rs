use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_store::{Connection, Kind, StoreError, leadership};
use hookstream_test_support::{TestDatabase, eventually, run_test};
use std::time::Duration;
use time::OffsetDateTime;
use time::macros::datetime;

const CREATED: OffsetDateTime = datetime!(2026-11-23 10:00:00.123456 UTC);

async fn take_over(client: &Connection) -> Result<Checkpoint, StoreError> {
    checkpoint::take_over(client, "audit", "WEBHOOKS", CREATED, 0).await
}

async fn advance(
    client: &mut Connection,
    from: &Checkpoint,
    sequence: u64,
) -> Result<Checkpoint, StoreError> {
    let tx = client.transaction().await?;
    let moved = checkpoint::advance(&tx, from, sequence, Some("github:a")).await?;
    tx.commit().await?;
    Ok(moved)
}

#[tokio::test]
async fn a_checkpoint_is_made_once_and_keeps_its_place_from_leader_to_leader() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let mut client = database.client().await;
        assert_eq!(checkpoint::load(&*client, "audit").await?, None);

        let first = checkpoint::take_over(&client, "audit", "WEBHOOKS", CREATED, 7).await?;
        assert_eq!((first.sequence, first.epoch, first.stream_created), (7, 1, CREATED));
        let moved = advance(&mut client, &first, 9).await?;
        assert_eq!(checkpoint::load(&*client, "audit").await?, Some(moved.clone()));

        // What a later leader finds in the stream changes nothing that is known.
        let later = CREATED + Duration::from_secs(1);
        let second = checkpoint::take_over(&client, "audit", "OTHER", later, 100).await?;
        assert_eq!(second, Checkpoint { epoch: 2, ..moved });
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_leader_that_was_replaced_cannot_commit() {
    run_test(async || {
        let database = TestDatabase::create().await;
        database.migrate(&[]).await;
        let (mut old, mut new) = (database.client().await, database.client().await);
        let of_old = take_over(&old).await?;
        let of_new = take_over(&new).await?;
        let fenced = advance(&mut old, &of_old, 1).await.unwrap_err();
        assert_eq!(fenced.kind(), Kind::Fenced);
        let moved = advance(&mut new, &of_new, 1).await?;
        // Nor can anybody move it from where it is no more.
        assert_eq!(advance(&mut new, &of_new, 2).await.unwrap_err().kind(), Kind::Fenced);
        assert_eq!(checkpoint::load(&*new, "audit").await?, Some(moved));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_session_at_a_time_leads_a_projection() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let (one, other) = (database.client().await, database.client().await);
        assert!(leadership::try_lock(&one, "audit").await?);
        assert!(!leadership::try_lock(&other, "audit").await?);
        assert!(leadership::try_lock(&other, "task_log").await?, "projections do not share a lock");
        assert!(!leadership::unlock(&other, "audit").await?);
        assert!(leadership::unlock(&one, "audit").await?);
        assert!(leadership::try_lock(&other, "audit").await?);
        drop(other);
        eventually("the lock of a closed session is free", Duration::from_secs(10), async || {
            leadership::try_lock(&one, "audit").await.unwrap()
        })
        .await;
        Ok(())
    })
    .await;
}
