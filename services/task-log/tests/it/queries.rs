//! The backend's filters find their rows through an index, however many rows there are.

use hookstream_test_support::run_test;

use crate::support::database;

#[tokio::test]
async fn each_filter_is_served_by_an_index() {
    run_test(async || {
        let (_database, client) = database().await;
        client
            .batch_execute(
                "SELECT task_logs_make_partitions('{2026-01-01,2026-02-01}');
                 INSERT INTO task_logs (id, stream_sequence, payload_bytes, event_id, event_type, source, phase_name,
                     phase_status, issue_number, adw_id, captured_at, created_at)
                 SELECT n, n, 0, 'github:' || n, 'com.github.push', 'github',
                     CASE n % 500 WHEN 0 THEN 'phase_1_complete' ELSE 'webhook_received' END,
                     CASE n % 1000 WHEN 0 THEN 'failed' ELSE 'completed' END,
                     n / 10, 'adw-' || n / 10,
                     timestamptz '2026-01-01Z' + n * interval '1 min', timestamptz '2026-01-01Z' + n * interval '1 min'
                 FROM generate_series(1, 50000) AS n;
                 ANALYZE task_logs",
            )
            .await?;
        let filters = [
            ("issue_number = 7", "issue_number_id_idx"),
            ("adw_id = 'adw-7'", "adw_id_id_idx"),
            ("phase_name = 'phase_1_complete'", "phase_name_id_idx"),
            ("phase_status = 'failed'", "phase_status_id_idx"),
            ("id < 1000", "_pkey"),
            ("captured_at >= '2026-01-03Z' AND captured_at < '2026-01-03T01:00Z'", "captured_at_idx"),
        ];
        for (filter, index) in filters {
            let order = if index == "captured_at_idx" { "" } else { "ORDER BY id DESC LIMIT 100" };
            let explain = format!("EXPLAIN SELECT id FROM task_logs WHERE {filter} {order}");
            let plan: Vec<String> = client.query(&explain, &[]).await?.iter().map(|row| row.get(0)).collect();
            let plan = plan.join("\n");
            assert!(plan.contains(index), "{filter} does not use {index}:\n{plan}");
        }
        Ok(())
    })
    .await;
}
