use hookstream_audit::{Audit, MIGRATIONS, VerifyError, verify_trail};
use hookstream_event::RecordedEvent;
use hookstream_projection::{Applied, Claim, ClaimedEvent, Projection as _};
use hookstream_store::{Client, Connection, Row};
use hookstream_test_support::{SampleEvent, TestDatabase};
use hookstream_trail::{Broken, Head};
use serde_json::json;

/// A database with the trail's table, and a session on it.
pub(crate) async fn database() -> (TestDatabase, Connection) {
    let database = TestDatabase::create().await;
    database.migrate(&[&MIGRATIONS]).await;
    let client = database.client().await;
    (database, client)
}

/// Applies events as the runner does, in one transaction.
pub(crate) async fn apply(client: &mut Connection, events: &[(RecordedEvent, Claim)]) -> anyhow::Result<()> {
    let batch: Vec<_> =
        events.iter().map(|(event, claim)| ClaimedEvent { event: event.clone(), claim: *claim }).collect();
    let tx = client.transaction().await?;
    assert_eq!(Audit::default().apply(&tx, &batch).await?, Applied::default());
    tx.commit().await?;
    Ok(())
}

/// A push, whose body tells it from all others.
pub(crate) fn push(delivery_id: &str) -> SampleEvent {
    let body = json!({
        "ref": "refs/heads/main", "before": delivery_id, "after": delivery_id, "commits": [],
        "repository": { "full_name": "octo-org/octo-repo", "url": "https://github.com/octo-org/octo-repo" },
        "pusher": { "name": "octocat" }, "sender": { "login": "octocat" },
    });
    SampleEvent::github("push", delivery_id, &body)
}

/// A trail of so many entries, written in batches of at most seven.
pub(crate) async fn trail(entries: u64) -> anyhow::Result<(TestDatabase, Connection)> {
    let (database, mut client) = database().await;
    let events: Vec<_> = (1..=entries)
        .map(|sequence| (push(&format!("d-{sequence}")).recorded(sequence), Claim::Fresh))
        .collect();
    for batch in events.chunks(7) {
        apply(&mut client, batch).await?;
    }
    Ok((database, client))
}

/// The rows of the trail, in order.
pub(crate) async fn rows(client: &Client) -> anyhow::Result<Vec<Row>> {
    let sql = "SELECT audit_sequence, kind, stream, event_id, stream_sequence, source, event_type, body_sha256, \
               signature, key_id, actor, count, details, received_at, recorded_at, version, previous_hash, entry_hash \
               FROM audit_trail ORDER BY audit_sequence";
    Ok(client.query(sql, &[]).await?)
}

/// The head of a trail that verifies.
pub(crate) async fn verified(client: &Client) -> anyhow::Result<Head> {
    Ok(verify_trail(client).await?)
}

/// What a trail that does not verify is said to be broken by.
pub(crate) async fn broken(client: &Client) -> Broken {
    match verify_trail(client).await {
        Err(VerifyError::Broken(broken)) => broken,
        other => panic!("not found to be broken: {other:?}"),
    }
}
