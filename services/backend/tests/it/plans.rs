//! The queries use the indexes that the tables have for them, with all filters in one text.

use hookstream_store::types::{ToSql, Type};
use hookstream_test_support::run_test;
use time::OffsetDateTime;

use crate::rows;
use crate::support::App;

async fn plan(app: &App, sql: &str, parameters: &[(&(dyn ToSql + Sync), Type)]) -> anyhow::Result<String> {
    let lines = app.client.query_typed(&format!("EXPLAIN {sql}"), parameters).await?;
    Ok(lines.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n"))
}

#[tokio::test]
async fn each_filter_of_the_task_log_finds_its_index() {
    run_test(async || {
        let app = App::start().await;
        rows::task_logs(&app.client, 1, 50_000).await?;
        app.client
            .batch_execute(
                "UPDATE task_logs SET issue_number = id / 10;
                 UPDATE task_logs SET phase_name = 'phase_1_complete' WHERE id % 500 = 0;
                 UPDATE task_logs SET phase_status = 'failed' WHERE id % 1000 = 0;
                 ANALYZE task_logs",
            )
            .await?;
        let cases = [
            (Some(7_i64), None, None, None, "issue_number_id_idx"),
            (None, Some("adw-7"), None, None, "adw_id_id_idx"),
            (None, None, Some("phase_1_complete"), None, "phase_name_id_idx"),
            (None, None, None, Some("failed"), "phase_status_id_idx"),
            (None, None, None, None, "_pkey"),
        ];
        let time: Option<OffsetDateTime> = None;
        for (issue, adw_id, phase, status, index) in cases {
            let parameters: [(&(dyn ToSql + Sync), Type); 8] = [
                (&issue, Type::INT8),
                (&adw_id, Type::TEXT),
                (&phase, Type::TEXT),
                (&status, Type::TEXT),
                (&time, Type::TIMESTAMPTZ),
                (&time, Type::TIMESTAMPTZ),
                (&Some(40_000_i64), Type::INT8),
                (&101_i64, Type::INT8),
            ];
            let plan = plan(&app, include_str!("../../src/sql/task_logs.sql"), &parameters).await?;
            assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{index} is not used:\n{plan}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn analytics_read_sums_alone() {
    run_test(async || {
        let app = App::start().await;
        let queries = [
            include_str!("../../src/sql/webhook_analytics.sql"),
            include_str!("../../src/sql/workflow_analytics.sql"),
            include_str!("../../src/sql/error_analytics.sql"),
            include_str!("../../src/sql/latency_analytics.sql"),
        ];
        for sql in queries {
            // Whatever its parameters are: none of them is given.
            let statement = app.client.prepare(sql).await?;
            let none = vec!["NULL"; statement.params().len()].join(", ");
            app.client.batch_execute(&format!("PREPARE analytics AS {sql}")).await?;
            let lines = app.client.query(&format!("EXPLAIN EXECUTE analytics ({none})"), &[]).await?;
            app.client.batch_execute("DEALLOCATE analytics").await?;
            let plan = lines.iter().map(|row| row.get::<_, String>(0)).collect::<Vec<_>>().join("\n");
            assert!(plan.contains("_daily") || plan.contains("_hourly"), "{plan}");
            assert!(!plan.contains("task_logs"), "{plan}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn each_filter_of_the_trail_finds_its_index() {
    run_test(async || {
        let app = App::start().await;
        rows::audit_trail(&app.client, 1, 50_000).await?;
        app.client.batch_execute("ANALYZE audit_trail").await?;
        let cases = [
            (None, Some("github:7"), "audit_trail_event"),
            (Some("conflict"), None, "audit_trail_kind"),
            (None, None, "audit_trail_pkey"),
        ];
        let (time, source): (Option<OffsetDateTime>, Option<&str>) = (None, None);
        let (stream, sequence): (Option<&str>, Option<i64>) = (None, None);
        for (kind, event_id, index) in cases {
            let parameters: [(&(dyn ToSql + Sync), Type); 10] = [
                (&kind, Type::TEXT),
                (&source, Type::TEXT),
                (&event_id, Type::TEXT),
                (&time, Type::TIMESTAMPTZ),
                (&time, Type::TIMESTAMPTZ),
                (&Some(40_000_i64), Type::INT8),
                (&101_i64, Type::INT8),
                (&stream, Type::TEXT),
                (&sequence, Type::INT8),
                (&sequence, Type::INT8),
            ];
            let plan = plan(&app, include_str!("../../src/sql/audit.sql"), &parameters).await?;
            assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{index} is not used:\n{plan}");
        }
        Ok(())
    })
    .await;
}
