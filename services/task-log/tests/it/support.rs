use hookstream_event::RecordedEvent;
use hookstream_projection::{Applied, Claim, ClaimedEvent, Projection as _};
use hookstream_store::{Client, Connection};
use hookstream_task_log::{MIGRATIONS, TaskLog};
use hookstream_test_support::{SampleEvent, TestDatabase};
use serde_json::{Value, json};

/// A database with the task log's tables, and a session on it.
pub(crate) async fn database() -> (TestDatabase, Connection) {
    let database = TestDatabase::create().await;
    database.migrate(&[&MIGRATIONS]).await;
    let client = database.client().await;
    (database, client)
}

/// Applies events as the runner does, in one transaction.
pub(crate) async fn apply(client: &mut Connection, events: &[RecordedEvent]) -> anyhow::Result<()> {
    let batch: Vec<_> =
        events.iter().map(|event| ClaimedEvent { event: event.clone(), claim: Claim::Fresh }).collect();
    let tx = client.transaction().await?;
    assert_eq!(TaskLog::default().apply(&tx, &batch).await?, Applied::default());
    tx.commit().await?;
    Ok(())
}

/// All rows as JSON, by id.
pub(crate) async fn rows(client: &Client) -> anyhow::Result<Vec<Value>> {
    let rows = client.query("SELECT to_jsonb(log) AS row FROM task_logs AS log ORDER BY id", &[]).await?;
    rows.iter().map(|row| Ok(row.try_get("row")?)).collect()
}

/// An issue that was opened.
pub(crate) fn issue_opened(delivery_id: &str, number: u64) -> SampleEvent {
    let body = json!({
        "action": "opened",
        "issue": { "number": number, "title": "Crash", "html_url": "https://github.com/o/r/issues/1" },
        "repository": { "full_name": "octo-org/octo-repo", "url": "https://api.github.com/repos/octo-org/octo-repo" },
        "sender": { "login": "octocat" },
    });
    SampleEvent::github("issues", delivery_id, &body)
}

/// A workflow that ended, as the replaced system reports it, with what `more` adds.
pub(crate) fn workflow_completed(delivery_id: &str, status: &str, more: &Value) -> SampleEvent {
    let body = json!({ "type": "workflow.completed", "adw_id": "a1b2", "status": status });
    SampleEvent::internal(delivery_id, &merged(body, more))
}

/// A logged task, with what `more` adds.
pub(crate) fn task_logged(delivery_id: &str, phase_status: &str, more: &Value) -> SampleEvent {
    let body = json!({
        "type": "task.logged", "adw_id": "a1b2", "issue_number": 42, "phase_name": "Build",
        "phase_status": phase_status, "log_message": "built",
    });
    SampleEvent::internal(delivery_id, &merged(body, more))
}

fn merged(mut body: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("more fields") {
        body[key] = value.clone();
    }
    body
}
