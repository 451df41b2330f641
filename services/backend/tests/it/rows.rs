//! Rows put into the tables directly, for tests of reading them.

use hookstream_store::Client;

/// Rows `from..=to` of the task log, a minute apart from 2026-11-23 00:00 UTC.
pub(crate) async fn task_logs(client: &Client, from: i64, to: i64) -> anyhow::Result<()> {
    let sql = format!(
        "SELECT task_logs_make_partitions('{{2026-11-01,2026-12-01}}');
         INSERT INTO task_logs (id, stream_sequence, payload_bytes, event_id, event_type, source, phase_name,
             phase_status, issue_number, adw_id, captured_at, created_at)
         SELECT n, n, 2, 'github:' || n, 'com.github.push', 'github', 'webhook_received', 'completed', n % 3, 'adw-' || n,
             timestamptz '2026-11-23Z' + n * interval '1 min', timestamptz '2026-11-23Z' + n * interval '1 min'
         FROM generate_series({from}::bigint, {to}) AS n"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Entries `from..=to` of the audit trail, with hashes that are none.
pub(crate) async fn audit_trail(client: &Client, from: i64, to: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO audit_trail (audit_sequence, stream, stream_sequence, received_at, recorded_at, version, kind,
             event_id, source, event_type, body_sha256, signature, key_id, actor, count, details, previous_hash,
             entry_hash)
         SELECT n, 'WEBHOOKS', n, timestamptz '2026-11-23Z' + n * interval '1 min',
             timestamptz '2026-11-23Z' + n * interval '1 min', 1, CASE n % 5 WHEN 0 THEN 'redelivered' ELSE 'stored' END, 'github:' || n / 5,
             CASE n % 2 WHEN 0 THEN 'github' ELSE 'internal' END, 'com.github.push', sha256(int8send(n)), 'sha256=00',
             'current', NULL, 1, '{{\"a\":1}}', sha256('p'), sha256('e')
         FROM generate_series({from}::bigint, {to}) AS n"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Phases `from..=to`, three for each issue, enqueued together.
pub(crate) async fn phases(client: &Client, from: i64, to: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO phase_queue (queue_id, parent_issue, phase_number, status, depends_on_phases, phase_data, priority,
             queue_position, adw_id, content_sha256, created_at, updated_at, ready_at)
         SELECT 'q-' || n, n / 3, 1 + n % 3, CASE n % 3 WHEN 0 THEN 'ready' ELSE 'queued' END,
             CASE n % 3 WHEN 0 THEN '{{}}' ELSE ARRAY[n % 3]::integer[] END, '{{\"workflow_type\": \"adw_plan_iso\"}}', 50,
             1 + n / 3, 'adw-' || n, sha256(int8send(n)), timestamptz '2026-11-23Z', timestamptz '2026-11-23Z',
             CASE n % 3 WHEN 0 THEN timestamptz '2026-11-23Z' END
         FROM generate_series({from}::bigint, {to}) AS n"
    );
    Ok(client.batch_execute(&sql).await?)
}

/// Dead letters of these stream sequences, of two projections each.
pub(crate) async fn dead_letters(client: &Client, from: i64, to: i64) -> anyhow::Result<()> {
    let sql = format!(
        "INSERT INTO dead_letters (projection, stream_sequence, event_id, subject, reason, error, attempts, payload,
             headers, recorded_at, redriven_at)
         SELECT projection, n, 'github:' || n, 'webhooks.github.push.none', 'undecodable', 'no header', 0,
             CASE projection WHEN 'phase_queue' THEN '\\xff00'::bytea END, '{{\"ce-id\": [\"x\"]}}',
             timestamptz '2026-11-23Z', CASE n % 2 WHEN 0 THEN timestamptz '2026-11-24Z' END
         FROM generate_series({from}::bigint, {to}) AS n, unnest(ARRAY['task_log', 'phase_queue']) AS projection"
    );
    Ok(client.batch_execute(&sql).await?)
}
