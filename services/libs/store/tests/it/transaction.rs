use hookstream_store::{StoreError, together};
use hookstream_test_support::{TestDatabase, run_test};

#[tokio::test]
async fn of_two_things_asked_together_the_cause_is_the_error_and_not_what_follows_from_it() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        for cause_is_first in [true, false] {
            let tx = client.transaction().await?;
            let cause = async { Ok::<_, StoreError>(tx.query("SELECT 1 / 0", &[]).await?) };
            // Asks once the other has failed.
            let aftermath = async {
                while tx.query("SELECT 1", &[]).await.is_ok() {}
                Ok::<_, StoreError>(tx.query("SELECT 1", &[]).await?)
            };
            let told = if cause_is_first {
                together(cause, aftermath).await.err()
            } else {
                together(aftermath, cause).await.err()
            };
            assert_eq!(told.as_ref().and_then(StoreError::sqlstate), Some("22012"), "{told:?}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_statement_is_prepared_once_a_session() {
    run_test(async || {
        let database = TestDatabase::create().await;
        let mut client = database.client().await;
        for _ in 0..3 {
            let mut tx = client.transaction().await?;
            tx.execute("SELECT 'asked again'", &[]).await?;
            tx.savepoint("part").await?.execute("SELECT 'asked again'", &[]).await?;
        }
        let known = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%asked again%'";
        let count: i64 = client.query_one(known, &[]).await?.get(0);
        // One of them is the question itself.
        assert_eq!(count, 2);
        Ok(())
    })
    .await;
}
