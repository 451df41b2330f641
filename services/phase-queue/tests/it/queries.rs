//! What is asked often is served by an index, however many rows there are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hookstream_store::{Client, Connection};
use hookstream_test_support::run_test;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Queue, chain, completed, failed, started};

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
    UPDATE phase_queue SET waiting_on = 1 WHERE status = 'queued';
    INSERT INTO phase_dependencies (parent_issue, plan_position, depends_on, queue_id, phase_number)
    SELECT parent_issue, 0, depends_on_phases[1], queue_id, phase_number FROM phase_queue WHERE status = 'queued';
    UPDATE queue_state SET active = (SELECT count(*) FROM phase_queue WHERE status = 'running');
    ANALYZE";

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

/// The statements that every batch runs, with arguments that name some of [`MANY_PHASES`].
const STATEMENTS: [(&str, &str, &str); 5] = [
    (
        "load_phases",
        include_str!("../../src/rows/load_phases.sql"),
        "(ARRAY['200-2', '301-2'], ARRAY[0, 1], ARRAY['adw-101-2'], ARRAY[1], ARRAY[77, 400]::bigint[], ARRAY[1, 2],
          ARRAY[2, 1], ARRAY[]::bigint[])",
    ),
    ("load_candidates", include_str!("../../src/rows/load_candidates.sql"), "(20)"),
    (
        "load_early_reports",
        include_str!("../../src/rows/load_early_reports.sql"),
        "(ARRAY['200-2', '301-2'], ARRAY[]::bigint[])",
    ),
    ("read", include_str!("../../src/relay/read.sql"), "(0, 0, 1000, 1048576)"),
    ("unheard", include_str!("../../src/relay/unheard.sql"), "('2026-01-01Z', 100)"),
];

#[tokio::test]
async fn what_a_batch_asks_is_answered_from_indexes_alone() {
    run_test(async || {
        let queue = Queue::create().await;
        queue.client.batch_execute(MANY_PHASES).await?;
        // So many that looking through them would be the wrong plan.
        queue.client.batch_execute(
            "INSERT INTO early_reports SELECT 'e-' || n, n, 'x', NULL, true, '2026-01-01Z' FROM generate_series(1, 9000) AS n;
             ANALYZE early_reports",
        ).await?;
        queue.client.plan_for_lookups().await?;
        for (name, statement, arguments) in STATEMENTS {
            queue.client.batch_execute(&format!("PREPARE {name} AS {statement}")).await?;
            let plan = plan_of(&queue.client, &format!("EXECUTE {name} {arguments}")).await?;
            for table in ["phase_queue", "phase_dependencies", "early_reports", "phase_outbox"] {
                assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_batch_of_any_size_takes_the_same_statements() {
    run_test(async || {
        let mut counts = Vec::new();
        for size in [1, 20, 190] {
            let mut queue = Queue::create().await;
            queue.client.batch_execute(MANY_PHASES).await?;
            let counter = StatementCounter::start(queue.database.addr()).await;
            let settings = queue.database.settings_at(counter.addr);
            queue.client = Connection::open(&settings, "hookstream-test").await?;
            let before = counter.statements();
            // Each has an enqueued plan, a beginning, an end that makes a phase ready, and a failure that blocks one.
            let events = (0..size).flat_map(|n| {
                let (ready, running) = (100 * n + 100, 100 * n + 101);
                [chain(30_000 + n, 3), started(30_000 + n, 1), completed(ready, 2), failed(running, 2, "no")]
            });
            let refused = queue.apply(events).await?;
            assert!(refused.len() < usize::try_from(size)? * 3, "{refused:?}");
            counts.push(counter.statements() - before);
        }
        assert!(counts[0] > 5 && counts.iter().all(|count| *count == counts[0]), "{counts:?}");
        Ok(())
    })
    .await;
}

/// Passes bytes on to Postgres and counts the statements among them.
struct StatementCounter {
    addr: SocketAddr,
    statements: Arc<AtomicUsize>,
}

impl StatementCounter {
    async fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let statements = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&statements);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(target).await.expect("Postgres listens");
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
                let counted = Arc::clone(&counted);
                tokio::spawn(async move {
                    // The first messages have no type: a request for TLS, perhaps, and the start.
                    let mut typed = false;
                    loop {
                        let kind = if typed { Some(from_client.read_u8().await?) } else { None };
                        let length = from_client.read_u32().await?;
                        let mut rest = vec![0; usize::try_from(length).expect("32 bits") - 4];
                        from_client.read_exact(&mut rest).await?;
                        // A statement is executed once it is bound, or comes as a simple query.
                        if matches!(kind, Some(b'E' | b'Q')) {
                            counted.fetch_add(1, Ordering::SeqCst);
                        }
                        if let Some(kind) = kind {
                            to_server.write_u8(kind).await?;
                        }
                        // Protocol version 3.0 is what the start begins with.
                        typed |= rest.starts_with(&[0, 3, 0, 0]);
                        to_server.write_u32(length).await?;
                        to_server.write_all(&rest).await?;
                    }
                    #[allow(unreachable_code, reason = "names the type of the errors that end the loop")]
                    Ok::<_, std::io::Error>(())
                });
            }
        });
        Self { addr, statements }
    }

    fn statements(&self) -> usize {
        self.statements.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_batch_reads_no_more_than_the_plans_it_touches() {
    run_test(async || {
        let mut queue = Queue::create().await;
        queue.client.batch_execute(MANY_PHASES).await?;
        // As the runner does.
        queue.client.plan_for_lookups().await?;
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

#[tokio::test]
async fn the_relay_unpacks_no_more_than_it_announces() {
    run_test(async || {
        let queue = Queue::create().await;
        queue.client.batch_execute(MANY_PHASES).await?;
        queue
            .client
            .batch_execute(
                "UPDATE phase_queue SET phase_data = jsonb_build_object('content', repeat('x', 600000))
                 WHERE parent_issue <= 20;
                 INSERT INTO phase_outbox (cause, ordinal, queue_id, queue_position, subject, phase)
                 SELECT queue_position, phase_number, queue_id, queue_position, 'phases.1.1.ready', '{}'
                 FROM phase_queue WHERE parent_issue <= 20;
                 INSERT INTO projection_checkpoints (projection, stream, stream_created, sequence, epoch, generation)
                 VALUES ('phase_queue', 'WEBHOOKS', '2026-01-01Z', 1, 1, 1)",
            )
            .await?;
        queue.client.plan_for_lookups().await?;
        let fetched = async || -> anyhow::Result<i64> {
            queue.client.batch_execute("SELECT pg_stat_force_next_flush()").await?;
            let sql = "SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'phase_queue'";
            Ok(queue.client.query_one(sql, &[]).await?.try_get(0)?)
        };
        let read = async |most: i64, bytes: i64| {
            let statement = include_str!("../../src/relay/read.sql");
            let rows = queue.client.query(statement, &[&1_i64, &1_i32, &most, &bytes]).await?;
            rows.iter().map(|row| row.try_get("queue_id")).collect::<Result<Vec<Option<String>>, _>>()
        };
        let before = fetched().await?;
        let first = ["1-2", "1-3"].map(|id| Some(id.to_owned()));
        assert_eq!(read(1000, 1 << 20).await?, first, "the second one goes past the limit");
        assert_eq!(fetched().await? - before, 2, "phases looked at");
        assert_eq!(read(3, i64::MAX).await?.last(), Some(&Some("2-1".to_owned())));
        assert_eq!(read(1000, i64::MAX).await?.len(), 59);
        queue.client.batch_execute("DELETE FROM phase_outbox").await?;
        assert_eq!(read(1000, 1 << 20).await?, [None], "which stream it is, is told all the same");
        Ok(())
    })
    .await;
}
