//! What tests ask of the read models.

use std::time::{Duration, Instant};

use hookstream_e2e::Pipeline;
use hookstream_store::Connection;

/// Tables that hold what events did. Checkpoints are not among them.
pub(crate) const READ_MODELS: [&str; 6] =
    ["audit_trail", "dead_letters", "event_memory", "phase_queue", "queue_config", "task_logs"];

const PROJECTIONS: [&str; 3] = ["audit", "phase_queue", "task_log"];

/// A fingerprint of each read model's rows, in no order.
pub(crate) async fn fingerprints(database: &Connection) -> Vec<(&'static str, i64, String)> {
    let mut prints = Vec::new();
    for table in READ_MODELS {
        // What was done to streams and keys is recorded in its own time.
        let rows = if table == "audit_trail" { "audit_trail WHERE stream = 'WEBHOOKS'" } else { table };
        let query = format!(
            "SELECT count(*) AS rows, coalesce(md5(string_agg(r::text, '|' ORDER BY r::text)), '') AS print \
             FROM (SELECT * FROM {rows}) AS r"
        );
        let row = database.query_one(&query, &[]).await.unwrap();
        prints.push((table, row.get("rows"), row.get("print")));
    }
    prints
}

/// One number from the database.
pub(crate) async fn count(database: &Connection, query: &str) -> i64 {
    database.query_one(query, &[]).await.unwrap_or_else(|error| panic!("{query}: {error}")).get(0)
}

/// Waits until every projection has applied everything up to `sequence`, or passed over what does not concern it.
pub(crate) async fn wait_for_checkpoints(pipeline: &Pipeline, sequence: u64) {
    const PATIENCE: Duration = Duration::from_secs(90);
    let wanted = i64::try_from(sequence).unwrap();
    let start = Instant::now();
    loop {
        let last = match checkpoints(pipeline).await {
            Ok(found) => {
                let behind = |name: &&str| !found.iter().any(|(p, at)| p == *name && *at >= wanted);
                if !PROJECTIONS.iter().any(behind) {
                    return;
                }
                format!("{found:?}")
            }
            Err(error) => format!("{error:#}"),
        };
        assert!(start.elapsed() < PATIENCE, "no checkpoint at {sequence} within {PATIENCE:?}; last: {last}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn checkpoints(pipeline: &Pipeline) -> anyhow::Result<Vec<(String, i64)>> {
    // A connection of its own each time, for Postgres may be killed while we wait.
    let database = pipeline.database().await?;
    let query = "SELECT projection, sequence FROM projection_checkpoints";
    let rows = database.query(query, &[]).await?;
    Ok(rows.iter().map(|row| (row.get("projection"), row.get("sequence"))).collect())
}

/// Checks that the sums beside `task_logs` are what its rows add up to.
pub(crate) async fn assert_sums_add_up(database: &Connection) {
    let check = include_str!("../../../../schemas/postgres/task_log/checks/rollups.sql");
    let rows = database.query(check, &[]).await.unwrap();
    let found: Vec<(String, String)> = rows.iter().map(|row| (row.get("what"), row.get("row"))).collect();
    assert_eq!(found, [], "sums that are not what task_logs adds up to");
}

/// Checks that the chain of the audit trail is unbroken, link by link, in SQL of the test's own.
pub(crate) async fn assert_chain_is_unbroken(database: &Connection) {
    let broken = "SELECT count(*) FROM (
            SELECT audit_sequence, previous_hash,
                   lag(entry_hash) OVER (ORDER BY audit_sequence) AS expected,
                   row_number() OVER (ORDER BY audit_sequence) AS position
            FROM audit_trail) AS entries
        WHERE position <> audit_sequence OR (position > 1 AND previous_hash <> expected)";
    assert_eq!(count(database, broken).await, 0, "broken links in audit_trail");
}
