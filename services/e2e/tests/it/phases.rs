//! A plan of three phases, driven as the replaced system's workflows drive it.

use std::time::{Duration, Instant};

use hookstream_e2e::{Pipeline, Sender, Start};
use hookstream_store::Connection;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::deliveries::Signer;

fn plan(parent_issue: u64) -> Value {
    let phase = |number: u64| {
        json!({
            "queue_id": format!("q-{parent_issue}-{number}"),
            "phase_number": number,
            "depends_on_phases": if number == 1 { json!([]) } else { json!([number - 1]) },
            "phase_data": {
                "workflow_type": "adw_build_iso",
                "adw_id": format!("adw-{parent_issue}-{number}"),
                "title": format!("Phase {number}"),
            },
        })
    };
    json!({"type": "plan.enqueued", "parent_issue": parent_issue, "phases": [phase(1), phase(2), phase(3)]})
}

/// The shape of the replaced system.
fn report(parent_issue: u64, number: u64, status: &str) -> Value {
    json!({
        "adw_id": format!("adw-{parent_issue}-{number}"),
        "status": status,
        "queue_id": format!("q-{parent_issue}-{number}"),
        "parent_issue": parent_issue,
        "phase_number": number,
        "trigger_next": true,
    })
}

/// Waits until the phases of a plan have these statuses, in order of their numbers.
async fn wait_for_statuses(database: &Connection, parent_issue: i64, wanted: [&str; 3]) {
    const PATIENCE: Duration = Duration::from_secs(30);
    let query =
        "SELECT status::text AS status FROM phase_queue WHERE parent_issue = $1 ORDER BY phase_number";
    let start = Instant::now();
    loop {
        let rows = database.query(query, &[&parent_issue]).await.unwrap();
        let found: Vec<String> = rows.iter().map(|row| row.get("status")).collect();
        if found == wanted {
            return;
        }
        assert!(start.elapsed() < PATIENCE, "wanted {wanted:?} within {PATIENCE:?}; last: {found:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_runs_phase_by_phase_and_a_failure_blocks_what_depends_on_it() {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let signer = Signer::new(&pipeline);
    let database = pipeline.database().await.unwrap();
    let mut sender = Sender::new(pipeline.value("GATEWAY_URL"));

    for parent_issue in [7, 8] {
        let enqueue = signer.internal(&format!("plan-{parent_issue}"), &plan(parent_issue));
        assert_eq!(sender.post(&enqueue).await.unwrap().status, StatusCode::ACCEPTED);
    }
    wait_for_statuses(&database, 7, ["ready", "queued", "queued"]).await;

    let steps = [["completed", "ready", "queued"], ["completed", "completed", "ready"], ["completed"; 3]];
    for (number, statuses) in (1..).zip(steps) {
        let done = signer.workflow_complete(&report(7, number, "completed"));
        let receipt = sender.post(&done).await.unwrap();
        assert_eq!(receipt.status, StatusCode::ACCEPTED, "{receipt:?}");
        wait_for_statuses(&database, 7, statuses).await;
    }

    let failed = signer.workflow_complete(&report(8, 1, "failed"));
    assert_eq!(sender.post(&failed).await.unwrap().status, StatusCode::ACCEPTED);
    wait_for_statuses(&database, 8, ["failed", "blocked", "blocked"]).await;
    pipeline.stop().await.unwrap();
}
