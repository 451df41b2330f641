//! Every column of two hundred of the two thousand entries, changed by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hookstream_store::Connection;
use hookstream_test_support::run_test_within;
use hookstream_trail::note::Signer;
use tokio::task::JoinSet;

use super::{ENTRIES, checkpoints, names, tamper, verify};
use crate::support::{mixed_trail, signer, unlock};

/// Rows whose every column is changed, unless `HOOKSTREAM_TAMPER_ROWS` says how many.
const ROWS: usize = 200;

/// Sessions that change rows, each in transactions that the others do not see.
const SESSIONS: usize = 2;

/// One change of each column, and more than one where a column can lie in several ways. None may be a change that
/// leaves a row as it is.
const CHANGES: [(&str, &str); 32] = [
    ("version", "version + 1"),
    ("audit_sequence", "audit_sequence + 100000"),
    ("audit_sequence", "-audit_sequence"),
    ("kind", "CASE kind WHEN 'stored' THEN 'conflict' ELSE 'stored' END"),
    ("kind", "NULL"),
    ("stream", "CASE WHEN stream IS NULL THEN 'WEBHOOKS' END"),
    ("stream", "coalesce(stream, '') || 'X'"),
    ("stream_sequence", "coalesce(stream_sequence, 0) + 1"),
    ("stream_sequence", "CASE WHEN stream_sequence IS NULL THEN 1 END"),
    ("event_id", "coalesce(event_id, '') || 'x'"),
    ("event_id", "CASE WHEN event_id IS NULL THEN '' END"),
    ("source", "coalesce(source, '') || 'x'"),
    ("source", "CASE WHEN source IS NULL THEN '' END"),
    ("event_type", "coalesce(event_type, '') || 'x'"),
    ("event_type", "CASE WHEN event_type IS NULL THEN '' END"),
    ("body_sha256", "sha256(coalesce(body_sha256, ''))"),
    ("body_sha256", "CASE WHEN body_sha256 IS NULL THEN sha256('') END"),
    ("signature", "coalesce(signature, '') || '0'"),
    ("signature", "CASE WHEN signature IS NULL THEN '' END"),
    ("key_id", "coalesce(key_id, '') || 'x'"),
    ("key_id", "CASE WHEN key_id IS NULL THEN '' END"),
    ("actor", "coalesce(actor, '') || 'x'"),
    ("actor", "CASE WHEN actor IS NULL THEN '' END"),
    ("count", "count + 1"),
    ("details", "details || ' '"),
    ("received_at", "received_at + interval '1 microsecond'"),
    ("received_at", "'infinity'"),
    ("recorded_at", "recorded_at - interval '1 microsecond'"),
    ("previous_hash", "sha256(previous_hash)"),
    ("previous_hash", "''"),
    ("entry_hash", "sha256(entry_hash)"),
    ("entry_hash", "previous_hash"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_any_column_of_many_of_two_thousand_entries_is_found_and_named() {
    // The trail is verified for each of them.
    run_test_within(Duration::from_mins(10), async || {
        let signer = Arc::new(signer());
        let (database, client) = mixed_trail(ENTRIES).await?;
        checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        let columns =
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'audit_trail'";
        let columns = client.query(columns, &[]).await?;
        for row in &columns {
            let column: &str = row.get(0);
            assert!(CHANGES.iter().any(|(changed, _)| *changed == column), "{column} is changed nowhere");
        }
        assert_eq!(verify(&*client, &signer).await?.head.audit_sequence, ENTRIES);
        let chosen: Vec<_> = chosen().into_iter().enumerate().collect();
        let mut sessions = JoinSet::new();
        for part in chosen.chunks(chosen.len().div_ceil(SESSIONS)) {
            let session = database.client().await;
            sessions.spawn(change_each_column(session, Arc::clone(&signer), part.to_vec()));
        }
        let mut done = 0;
        while let Some(ended) = sessions.join_next().await {
            done += ended??;
        }
        assert_eq!(done, chosen.len() * columns.len(), "one change of each column of each row");
        assert_eq!(verify(&*client, &signer).await?.head.audit_sequence, ENTRIES);
        Ok(())
    })
    .await;
}

/// Changes each column of each of `rows`: one change, one verification of the whole trail, and the change is undone.
/// Returns how many changes there were.
async fn change_each_column(
    mut client: Connection,
    signer: Arc<Signer>,
    rows: Vec<(usize, i64)>,
) -> anyhow::Result<usize> {
    let mut done = 0;
    for (number, sequence) in rows {
        for (column, value) in changes_of(&client, sequence, number).await? {
            let change =
                format!("UPDATE audit_trail SET {column} = {value} WHERE audit_sequence = {sequence}");
            // It became the first.
            let place = if value == "-audit_sequence" { 1 } else { sequence };
            tamper(&mut client, &signer, &change, names(place)).await?;
            done += 1;
        }
    }
    Ok(done)
}

/// Rows to change: the first, the last, and others as if by chance.
fn chosen() -> BTreeSet<i64> {
    let mut rows = BTreeSet::from([1, ENTRIES]);
    let mut number = 0x2545_F491_4F6C_DD1D_u64;
    let wanted =
        std::env::var("HOOKSTREAM_TAMPER_ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    while rows.len() < wanted {
        number ^= number << 13;
        number ^= number >> 7;
        number ^= number << 17;
        rows.insert(1 + i64::try_from(number % 2000).expect("a small number"));
    }
    rows
}

/// One change of each column that is one for this row; another way of lying from row to row.
async fn changes_of(
    client: &Connection,
    sequence: i64,
    number: usize,
) -> anyhow::Result<Vec<(&'static str, &'static str)>> {
    let differs: Vec<String> =
        CHANGES.iter().map(|(column, value)| format!("{column} IS DISTINCT FROM ({value})")).collect();
    let sql = format!("SELECT {} FROM audit_trail WHERE audit_sequence = {sequence}", differs.join(", "));
    let row = client.query_one(&sql, &[]).await?;
    let mut by_column = BTreeMap::<&str, Vec<&str>>::new();
    for (at, (column, value)) in CHANGES.into_iter().enumerate() {
        if row.get(at) {
            by_column.entry(column).or_default().push(value);
        }
    }
    Ok(by_column.into_iter().map(|(column, values)| (column, values[number % values.len()])).collect())
}
