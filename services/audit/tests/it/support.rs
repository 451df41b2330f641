use hookstream_audit::{Audit, Expectations, MIGRATIONS, Trail, Verified, VerifyError, verify_trail};
use hookstream_event::RecordedEvent;
use hookstream_projection::{Applied, Claim, ClaimedEvent, Projection as _};
use hookstream_store::{Client, Connection, GenericClient, Row};
use hookstream_test_support::{SampleEvent, TestDatabase};
use hookstream_trail::note::Signer;
use hookstream_trail::{Broken, Hash, Head, Micros, Record, kind};
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
    Ok(verify(client).await?.head)
}

/// What is found of the trail by itself.
pub(crate) async fn verify<C: GenericClient + Sync>(client: &C) -> Result<Verified, VerifyError> {
    verify_trail(client, &Expectations::default(), |_| {}).await
}

/// What a trail that does not verify is said to be broken by.
pub(crate) async fn broken(client: &Client) -> Broken {
    match verify(client).await {
        Err(VerifyError::Broken(broken)) => broken,
        other => panic!("not found to be broken: {other:?}"),
    }
}

/// Signs checkpoints in tests.
pub(crate) fn signer() -> Signer {
    let private = Signer::private_key("example.org/trail", &[7; 32]).expect("a name");
    Signer::parse(&private).expect("a key")
}

/// A trail of so many entries of all kinds.
pub(crate) async fn mixed_trail(entries: i64) -> anyhow::Result<(TestDatabase, Connection)> {
    let (database, mut client) = database().await;
    let trail = Trail::default();
    let (mut stream_sequence, mut records) = (0, Vec::new());
    for number in 1..=entries {
        let kind = kind::ALL[usize::try_from(number % 7)?];
        records.push(record(number, kind, &mut stream_sequence));
    }
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(93));
        let tx = client.transaction().await?;
        trail.append(&tx, std::mem::replace(&mut records, rest)).await?;
        tx.commit().await?;
    }
    Ok((database, client))
}

fn record(number: i64, kind: &str, stream_sequence: &mut i64) -> Record {
    let is_event = ![kind::REJECTED, kind::OPERATION].contains(&kind);
    let of_event = |text: &str| is_event.then(|| format!("{text}{number}"));
    *stream_sequence += i64::from(is_event);
    Record {
        kind: kind.to_owned(),
        stream: (kind != kind::OPERATION)
            .then(|| if is_event { "WEBHOOKS" } else { "REJECTIONS" }.to_owned()),
        stream_sequence: is_event.then_some(*stream_sequence),
        event_id: of_event("github:"),
        source: (kind != kind::OPERATION).then(|| "github".to_owned()),
        event_type: of_event("com.github.push."),
        body_sha256: is_event.then(|| Hash::of(&number.to_be_bytes())),
        signature: of_event("sha256="),
        key_id: of_event("k-"),
        actor: (kind == kind::COMMAND || kind == kind::OPERATION).then(|| "api:ci".to_owned()),
        count: if kind == kind::REJECTED { number } else { 1 },
        details: if is_event { "{}".to_owned() } else { format!(r#"{{"n":{number}}}"#) },
        received_at: Micros(1_795_428_000_000_000 + number),
        recorded_at: Micros(1_795_428_000_250_000 + number),
    }
}

/// Takes away all that forbids a change, as only the owner of the tables can.
pub(crate) async fn unlock(client: &Client) -> anyhow::Result<()> {
    let sql = "SELECT conrelid::regclass::text, conname::text FROM pg_constraint
               WHERE conrelid::regclass::text LIKE 'audit\\_%' ORDER BY contype = 'p'";
    for row in client.query(sql, &[]).await? {
        let (table, name): (&str, &str) = (row.get(0), row.get(1));
        client.batch_execute(&format!("ALTER TABLE {table} DROP CONSTRAINT {name}")).await?;
    }
    for (table, trigger) in [
        ("audit_trail", "audit_trail_append_only"),
        ("audit_tree", "audit_tree_append_only"),
        ("audit_checkpoints", "audit_checkpoints_append_only"),
        ("audit_head", "audit_head_stays"),
    ] {
        client.batch_execute(&format!("ALTER TABLE {table} DISABLE TRIGGER {trigger}")).await?;
    }
    for column in ["kind", "details", "count", "previous_hash", "entry_hash", "audit_sequence"] {
        client.batch_execute(&format!("ALTER TABLE audit_trail ALTER COLUMN {column} DROP NOT NULL")).await?;
    }
    // Without the primary keys.
    client.batch_execute("CREATE INDEX ON audit_trail (audit_sequence)").await?;
    Ok(())
}
