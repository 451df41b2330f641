//! The table takes new entries and nothing else.

use hookstream_test_support::run_test;

use crate::support::{trail, verified};

#[tokio::test]
async fn update_delete_and_truncate_are_refused() {
    run_test(async || {
        let (_database, client) = trail(3).await?;
        let statements = [
            ("UPDATE", "UPDATE audit_trail SET kind = 'conflict' WHERE audit_sequence = 2"),
            ("UPDATE", "UPDATE audit_trail SET kind = 'conflict' WHERE false"),
            ("DELETE", "DELETE FROM audit_trail WHERE audit_sequence = 3"),
            ("TRUNCATE", "TRUNCATE audit_trail"),
            (
                "UPDATE",
                "INSERT INTO audit_trail SELECT * FROM audit_trail ON CONFLICT (audit_sequence) \
                 DO UPDATE SET kind = 'conflict'",
            ),
            ("DELETE", "SET session_replication_role = replica; DELETE FROM audit_trail"),
        ];
        for (act, statement) in statements {
            let error = client.batch_execute(statement).await.expect_err(statement);
            let error = error.as_db_error().expect("refused by Postgres");
            assert_eq!(
                error.message(),
                format!("audit_trail is append-only: {act} is refused"),
                "{statement}"
            );
            assert_eq!(error.code().code(), "42501", "{statement}");
        }
        assert_eq!(verified(&client).await?.audit_sequence, 3);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_entries_cannot_follow_the_same_one() {
    run_test(async || {
        let (_database, client) = trail(3).await?;
        let fork = "INSERT INTO audit_trail SELECT * FROM audit_trail WHERE audit_sequence = 3";
        let error = client.batch_execute(fork).await.expect_err("a fork");
        assert_eq!(error.as_db_error().map(|error| error.code().code()), Some("23505"));
        Ok(())
    })
    .await;
}
