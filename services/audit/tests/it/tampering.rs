//! Whatever an owner of the database does to the trail without rewriting the rest of it is found, and the place named.

use hookstream_store::Connection;
use hookstream_test_support::run_test;
use hookstream_trail::Fault;

use crate::support::{broken, trail, verified};

const ENTRIES: u64 = 12;

/// Does what the trigger and the constraints forbid, as only the table's owner can.
async fn tamper(client: &Connection, statements: &str) -> anyhow::Result<()> {
    let constraints = client
        .query(
            "SELECT conname::text FROM pg_constraint WHERE conrelid = 'audit_trail'::regclass AND contype = 'c'",
            &[],
        )
        .await?;
    for row in constraints {
        let name: &str = row.get(0);
        client.batch_execute(&format!("ALTER TABLE audit_trail DROP CONSTRAINT {name}")).await?;
    }
    client.batch_execute("ALTER TABLE audit_trail DISABLE TRIGGER audit_trail_append_only").await?;
    Ok(client.batch_execute(statements).await?)
}

#[tokio::test]
async fn a_change_of_any_column_of_any_entry_is_found_and_named() {
    run_test(async || {
        let changes = [
            "version = version + 1",
            "kind = 'redelivered'",
            "kind = ''",
            "event_id = event_id || 'x'",
            "stream_sequence = stream_sequence + 1",
            "stream_sequence = -stream_sequence",
            "stream = 'PHASES'",
            "stream = NULL",
            "stream_sequence = NULL",
            "event_id = NULL",
            "actor = ''",
            "count = count + 1",
            "details = '{ }'",
            "source = NULL",
            "signature = NULL",
            "source = 'internal'",
            "event_type = 'com.github.push.forced'",
            "body_sha256 = set_byte(body_sha256, 31, 255 - get_byte(body_sha256, 31))",
            "body_sha256 = ''",
            "signature = upper(signature)",
            "signature = ''",
            "key_id = 'previous'",
            "received_at = received_at + interval '1 microsecond'",
            "received_at = 'infinity'",
            "recorded_at = recorded_at - interval '1 microsecond'",
            "recorded_at = '-infinity'",
            "received_at = '4713-01-01 00:00:00+00 BC'",
            "received_at = recorded_at, recorded_at = received_at",
            "previous_hash = set_byte(previous_hash, 0, 255 - get_byte(previous_hash, 0))",
            "previous_hash = '\\x00'",
            "entry_hash = set_byte(entry_hash, 0, 255 - get_byte(entry_hash, 0))",
            "entry_hash = previous_hash",
        ];
        let (_database, mut client) = trail(ENTRIES).await?;
        tamper(&client, "").await?;
        let columns: i64 = client
            .query_one(
                "SELECT count(*) FROM information_schema.columns WHERE table_name = 'audit_trail'",
                &[],
            )
            .await?
            .get(0);
        assert_eq!(columns, 18, "a new column has to be hashed, and changed here");
        for change in changes {
            for entry in [1, 6, ENTRIES] {
                let tx = client.transaction().await?;
                let update = format!("UPDATE audit_trail SET {change} WHERE audit_sequence = {entry}");
                tx.batch_execute(&update).await?;
                let broken = match crate::support::verify(&*tx).await {
                    Err(hookstream_audit::VerifyError::Broken(broken)) => broken,
                    other => panic!("{change} of entry {entry}: {other:?}"),
                };
                assert_eq!(broken.audit_sequence, i64::try_from(entry)?, "{change}: {broken}");
                tx.rollback().await?;
            }
        }
        verified(&client).await?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_null_where_none_can_be_is_found_and_named() {
    run_test(async || {
        let (_database, client) = trail(ENTRIES).await?;
        let change = "ALTER TABLE audit_trail ALTER COLUMN kind DROP NOT NULL;
                      UPDATE audit_trail SET kind = NULL WHERE audit_sequence = 6";
        tamper(&client, change).await?;
        let broken = broken(&client).await;
        assert_eq!((broken.audit_sequence, broken.fault), (6, Fault::Unreadable));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_removed_entry_is_found_and_named() {
    run_test(async || {
        for (gone, next) in [(1, 2), (6, 7)] {
            let (_database, client) = trail(ENTRIES).await?;
            tamper(&client, &format!("DELETE FROM audit_trail WHERE audit_sequence = {gone}")).await?;
            let broken = broken(&client).await;
            assert_eq!((broken.audit_sequence, broken.fault), (gone, Fault::Missing { found: next }));
            assert_eq!(
                broken.to_string(),
                format!("audit entry {gone}: is missing, entry {next} comes next")
            );
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_inserted_entry_is_found_and_named() {
    run_test(async || {
        // A copy in front of the first, and one in the middle with the rest moved up.
        let insert = |at: i64| {
            format!(
                "INSERT INTO audit_trail
                 SELECT {at}, stream_sequence, received_at, recorded_at, count, version, kind, stream, event_id, source,
                     event_type, body_sha256, signature, key_id, actor, details, previous_hash, entry_hash
                 FROM audit_trail WHERE audit_sequence = 3"
            )
        };
        let move_up = "ALTER TABLE audit_trail DROP CONSTRAINT audit_trail_pkey;
                       UPDATE audit_trail SET audit_sequence = audit_sequence + 1 WHERE audit_sequence >= 6;";
        let (_database, client) = trail(ENTRIES).await?;
        tamper(&client, &insert(0)).await?;
        let found = broken(&client).await;
        assert_eq!((found.audit_sequence, found.fault), (1, Fault::OutOfOrder { found: 0 }));

        let (_database, client) = trail(ENTRIES).await?;
        tamper(&client, &format!("{move_up} {}", insert(6))).await?;
        let found = broken(&client).await;
        assert_eq!((found.audit_sequence, found.fault), (6, Fault::EntryHash));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_swapped_entries_are_found_and_named() {
    run_test(async || {
        let (_database, client) = trail(ENTRIES).await?;
        let swap = "ALTER TABLE audit_trail DROP CONSTRAINT audit_trail_pkey;
                    UPDATE audit_trail SET audit_sequence = 13 - audit_sequence WHERE audit_sequence IN (6, 7)";
        tamper(&client, swap).await?;
        let broken = broken(&client).await;
        assert_eq!((broken.audit_sequence, broken.fault), (6, Fault::EntryHash));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_entry_moved_to_the_end_of_all_numbers_is_found_and_nothing_follows_it() {
    run_test(async || {
        let (_database, mut client) = trail(ENTRIES).await?;
        let moved = format!(
            "UPDATE audit_trail SET audit_sequence = 9223372036854775807 WHERE audit_sequence = {ENTRIES}"
        );
        tamper(&client, &moved).await?;
        let broken = broken(&client).await;
        assert_eq!(broken.fault, Fault::Missing { found: i64::MAX });
        let event = crate::support::push("d-13").recorded(13);
        let refused =
            crate::support::apply(&mut client, &[(event, hookstream_projection::Claim::Fresh)]).await;
        assert!(format!("{:?}", refused.expect_err("nothing follows")).contains("audit_head"));
        Ok(())
    })
    .await;
}
