//! What the trail says of an event.

use hookstream_projection::Claim;
use hookstream_test_support::run_test;
use time::OffsetDateTime;
use time::macros::datetime;

use crate::support::{apply, database, push, rows, trail, verified};

#[tokio::test]
async fn an_entry_holds_what_the_envelope_says() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let event = push("d-1").received_at(datetime!(2026-11-23 10:00:00.123456789 UTC));
        apply(&mut client, &[(event.recorded(9), Claim::Fresh)]).await?;
        let row = &rows(&client).await?[0];
        assert_eq!((row.get::<_, i64>("audit_sequence"), row.get::<_, i64>("stream_sequence")), (1, 9));
        let texts = ["kind", "event_id", "source", "event_type", "signature", "key_id"];
        let texts = texts.map(|column| row.get::<_, &str>(column));
        let envelope = &event.envelope;
        let expected =
            ["stored", "github:d-1", "github", "com.github.push", envelope.signature.as_str(), "current"];
        assert_eq!(texts, expected);
        assert_eq!(row.get::<_, &str>("stream"), "WEBHOOKS");
        assert_eq!(row.get::<_, Option<&str>>("actor"), None);
        assert_eq!((row.get::<_, i64>("count"), row.get::<_, &str>("details")), (1, "{}"));
        assert_eq!(row.get::<_, &[u8]>("body_sha256"), envelope.body_sha256.as_bytes());
        let times = ["received_at", "recorded_at"].map(|column| row.get::<_, OffsetDateTime>(column));
        // Cut to the microsecond, before it is hashed.
        let expected = [datetime!(2026-11-23 10:00:00.123456 UTC), datetime!(2026-11-23 10:00:00.373456 UTC)];
        assert_eq!(times, expected);
        assert_eq!(row.get::<_, &[u8]>("previous_hash"), [0; 32]);
        assert_eq!(verified(&client).await?.audit_sequence, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn each_claim_has_its_kind_and_all_are_in_the_chain() {
    run_test(async || {
        let (_database, mut client) = database().await;
        let claims = [
            Claim::Fresh,
            Claim::Redelivered,
            Claim::Conflict,
            Claim::SuspectedReplay,
            Claim::RejectedReplay,
        ];
        let batch: Vec<_> = (1..).zip(claims).map(|(n, claim)| (push("d-1").recorded(n), claim)).collect();
        apply(&mut client, &batch).await?;
        let rows = rows(&client).await?;
        let kinds: Vec<&str> = rows.iter().map(|row| row.get("kind")).collect();
        assert_eq!(kinds, ["stored", "redelivered", "conflict", "suspected_replay", "suspected_replay"]);
        let details: Vec<&str> = rows.iter().map(|row| row.get("details")).collect();
        assert_eq!(details, ["{}", "{}", "{}", "{}", r#"{"applied":false}"#]);
        assert_eq!(verified(&client).await?.audit_sequence, 5);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_chain_goes_on_from_batch_to_batch_and_from_session_to_session() {
    run_test(async || {
        let (database, client) = trail(30).await?;
        let head = verified(&client).await?;
        assert_eq!(head.audit_sequence, 30);
        drop(client);
        let mut client = database.client().await;
        apply(&mut client, &[(push("d-31").recorded(31), Claim::Fresh)]).await?;
        let rows = rows(&client).await?;
        assert_eq!(rows[30].get::<_, &[u8]>("previous_hash"), head.entry_hash.0);
        for (row, expected) in rows.iter().zip(1..) {
            assert_eq!(row.get::<_, i64>("audit_sequence"), expected, "without gaps");
        }
        assert_eq!(verified(&client).await?.audit_sequence, 31);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_that_is_rolled_back_leaves_no_gap() {
    run_test(async || {
        let (_database, mut client) = trail(3).await?;
        let tx = client.transaction().await?;
        let batch =
            [hookstream_projection::ClaimedEvent { event: push("d-4").recorded(4), claim: Claim::Fresh }];
        hookstream_projection::Projection::apply(&hookstream_audit::Audit::default(), &tx, &batch).await?;
        tx.rollback().await?;
        apply(&mut client, &[(push("d-4").recorded(4), Claim::Fresh)]).await?;
        assert_eq!(verified(&client).await?.audit_sequence, 4);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_trail_of_several_pages_verifies_and_an_empty_one_too() {
    run_test(async || {
        let (_database, mut client) = database().await;
        assert_eq!(verified(&client).await?.audit_sequence, 0);
        let events: Vec<_> = (1..=2500).map(|n| (push("d-1").recorded(n), Claim::Fresh)).collect();
        apply(&mut client, &events).await?;
        assert_eq!(verified(&client).await?.audit_sequence, 2500);
        Ok(())
    })
    .await;
}
