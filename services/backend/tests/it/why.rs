//! `GET /queue/{parent_issue}` says why each phase waits.

use hookstream_test_support::run_test;
use serde_json::{Value, json};

use crate::rows;
use crate::support::App;

async fn why(app: &App, path: &str) -> anyhow::Result<Vec<(String, Value, Value)>> {
    let items = app.items(path).await?;
    let told = |item: &Value| {
        let queue_id = item["queue_id"].as_str().unwrap_or_default().to_owned();
        (queue_id, item["why"].clone(), item["waiting_for"].clone())
    };
    Ok(items.iter().map(told).collect())
}

#[tokio::test]
async fn each_phase_that_does_not_run_says_what_it_waits_for() {
    run_test(async || {
        let app = App::start().await;
        // Issue 1: q-3 is ready, q-4 waits for 1, q-5 for 2.
        rows::phases(&app.client, 3, 5).await?;
        let sql = "UPDATE phase_queue SET depends_on_phases = '{1,2}' WHERE queue_id = 'q-5'";
        app.client.batch_execute(sql).await?;
        let first = json!({ "phase_number": 1, "queue_id": "q-3", "status": "ready" });
        let second = json!({ "phase_number": 2, "queue_id": "q-4", "status": "queued" });
        let told = why(&app, "/queue/1").await?;
        assert_eq!(told[1].1, "waits for phase 1 (q-3), which is ready");
        assert_eq!(told[1].2, json!([first]));
        assert_eq!(told[2].1, "waits for phase 1 (q-3), which is ready, phase 2 (q-4), which is queued");
        assert_eq!(told[2].2, json!([first, second]));
        // A page that does not hold what it waits for tells the same.
        assert_eq!(why(&app, "/queue/1?status=queued").await?, told[1..]);

        app.client
            .batch_execute("UPDATE queue_config SET config_value = 'true' WHERE config_key = 'queue_paused'")
            .await?;
        assert_eq!(why(&app, "/queue/1?status=ready").await?[0].1, "the queue is paused");
        let announced =
            "UPDATE phase_queue SET announcements = 1, announced_at = now() WHERE queue_id = 'q-3'";
        app.client.batch_execute(announced).await?;
        let told = why(&app, "/queue/1?status=ready").await?;
        assert_eq!(told[0].1, "announced; no worker has begun it yet");
        app.client
            .batch_execute("UPDATE phase_queue SET announced_at = NULL, held = true WHERE queue_id = 'q-3'")
            .await?;
        let held = "held until its execution is requested";
        assert_eq!(why(&app, "/queue/1?status=ready").await?[0].1, held);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_phase_whose_dependency_is_not_there_says_so() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 4, 4).await?;
        let told = why(&app, "/queue/1").await?;
        assert_eq!(told[0].1, "waits for phase 1, which is not in the queue");
        assert_eq!(told[0].2, json!([{ "phase_number": 1, "queue_id": null, "status": null }]));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn phases_of_no_issue_are_told_apart_by_what_enqueued_them() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 0, 1).await?;
        rows::phases(&app.client, 3, 4).await?;
        app.client.batch_execute("UPDATE phase_queue SET parent_issue = 0").await?;
        let told = why(&app, "/queue/0?status=queued").await?;
        let waits: Vec<&Value> = told.iter().map(|(_, why, _)| why).collect();
        assert_eq!(
            waits,
            ["waits for phase 1 (q-0), which is ready", "waits for phase 1 (q-3), which is ready"]
        );
        Ok(())
    })
    .await;
}
