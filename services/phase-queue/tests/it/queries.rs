//! What is asked often is served by an index, however many rows there are.

use hookstream_store::Client;
use hookstream_test_support::run_test;

use crate::support::{Queue, chain, completed};

/// 60,000 phases of 20,000 plans: the first one completed; of every hundredth plan the second one ready or running.
const MANY_PHASES: &str = "
    INSERT INTO phase_queue (queue_id, parent_issue, phase_number, status, depends_on_phases, phase_data, priority,
        queue_position, adw_id, content_sha256, created_at, updated_at, ready_at, started_at, finished_at)
    SELECT issue || '-' || number, issue, number, status,
        CASE WHEN number = 1 THEN '{}' ELSE ARRAY[number - 1] END, '{}', 10 + issue % 80, issue,
        'adw-' || issue || '-' || number, sha256('x'), t, t,
        CASE WHEN status <> 'queued' THEN t END, CASE WHEN status = 'running' THEN t END,
        CASE WHEN status = 'completed' THEN t END
    FROM generate_series(1, 20000) AS issue, generate_series(1, 3) AS number,
        LATERAL (SELECT timestamptz '2026-01-01Z' AS t,
            CASE WHEN number = 1 THEN 'completed'
                 WHEN number = 2 AND issue % 100 = 0 THEN 'ready'
                 WHEN number = 2 AND issue % 100 = 1 THEN 'running'
                 WHEN issue % 100 > 1 THEN 'completed'
                 ELSE 'queued' END AS status) AS derived;
    ANALYZE phase_queue";

/// The plan of a query, one node per line.
async fn plan_of(client: &Client, query: &str) -> anyhow::Result<String> {
    let rows = client.query(&format!("EXPLAIN (COSTS OFF) {query}"), &[]).await?;
    let lines: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    Ok(lines?.join("\n"))
}

#[tokio::test]
async fn each_question_is_answered_from_an_index() {
    run_test(async || {
        let queue = Queue::create().await;
        queue.client.batch_execute(MANY_PHASES).await?;
        let questions = [
            (
                "the next phase",
                "phase_queue_next",
                "SELECT queue_id FROM phase_queue WHERE status = 'ready' AND NOT held AND announced_at IS NULL
                 ORDER BY priority, queue_position, phase_number LIMIT 1",
            ),
            (
                "the phases of an issue",
                "phase_queue_plan",
                "SELECT queue_id FROM phase_queue WHERE parent_issue = 77 ORDER BY queue_position, phase_number",
            ),
            ("a phase", "phase_queue_pkey", "SELECT status FROM phase_queue WHERE queue_id = '77-1'"),
            (
                "what a run runs",
                "phase_queue_run",
                "SELECT queue_id FROM phase_queue WHERE adw_id = 'adw-101-2' AND status = 'running'",
            ),
            (
                "a page of the queue",
                "phase_queue_position",
                "SELECT queue_id FROM phase_queue WHERE (queue_position, phase_number) > (77, 1)
                 ORDER BY queue_position, phase_number LIMIT 50",
            ),
            (
                "a page of what is in one state",
                "phase_queue_status",
                "SELECT queue_id FROM phase_queue WHERE status = 'running'
                     AND (queue_position, phase_number) > (77, 1)
                 ORDER BY queue_position, phase_number LIMIT 50",
            ),
        ];
        for (question, index, query) in questions {
            let plan = plan_of(&queue.client, query).await?;
            assert!(plan.contains(index), "{question}:\n{plan}");
            assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{question}:\n{plan}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_reads_no_more_than_the_plans_it_touches() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.client.batch_execute(MANY_PHASES).await?;
        let scans = async |queue: &Queue| -> anyhow::Result<i64> {
            // Counters of this session are flushed at the latest here.
            queue.client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
            let sql = "SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'phase_queue'";
            Ok(queue.client.query_one(sql, &[]).await?.try_get(0)?)
        };
        let before = scans(&queue).await?;
        // Of these, the phases of every fifth plan are ready and the others have completed.
        let reports = (1..=500).map(|plan| completed(plan * 20, 2));
        let refused =
            queue.apply([chain(30_000, 3), completed(30_000, 1)].into_iter().chain(reports)).await?;
        assert_eq!(refused, [""; 0]);
        assert_eq!(queue.states(200).await?, "completed completed ready");
        assert_eq!(scans(&queue).await?, before, "sequential scans");
        Ok(())
    })
    .await;
}
