//! The structured event log: what each process did with an event is a line of JSON with the same names in all of them.

use std::time::Duration;

use hookstream_e2e::{Delivery, Pipeline, Sender, Start};
use hookstream_test_support::eventually;
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::deliveries::Signer;

const PATIENCE: Duration = Duration::from_mins(1);

/// Lines of a process's log that say what became of an event.
async fn lines_of(pipeline: &Pipeline, process: &str, event_id: &str) -> Vec<Value> {
    let path = pipeline.data_dir().join("logs").join(format!("{process}.log"));
    eventually(&format!("{process} has a line for {event_id}"), PATIENCE, async || {
        let log = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let lines = log.lines().map(|line| {
            serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{process}: {error}: {line}"))
        });
        let found: Vec<Value> =
            lines.filter(|line| line["event.id"] == event_id && line["disposition"].is_string()).collect();
        if found.is_empty() { Err(log) } else { Ok(found) }
    })
    .await
}

/// The one line that a process has for an event, which has what the lines of all processes have.
async fn line_of(pipeline: &Pipeline, process: &str, (id, kind, sequence): (&str, &str, u64)) -> Value {
    let mut lines = lines_of(pipeline, process, id).await;
    assert_eq!(lines.len(), 1, "{process}: {lines:#?}");
    let line = lines.remove(0);
    assert_eq!(
        [&line["event.id"], &line["event.type"], &line["stream_sequence"]],
        [&json!(id), &json!(kind), &json!(sequence)],
        "{process}: {line}"
    );
    for name in ["timestamp", "level", "target", "message"] {
        assert!(line[name].is_string(), "{process} says no {name}: {line}");
    }
    let message = line["message"].as_str().unwrap();
    assert!(message.contains(id) && message.contains(&sequence.to_string()), "{process}: {line}");
    line
}

/// The lines of all projections.
async fn assert_applied_by_all(pipeline: &Pipeline, event: (&str, &str, u64)) {
    for (process, projection) in
        [("phase-queue", "phase_queue"), ("task-log", "task_log"), ("audit", "audit")]
    {
        let line = line_of(pipeline, process, event).await;
        assert_eq!(
            [&line["target"], &line["projection"], &line["disposition"]],
            ["events", projection, "applied"],
            "{line}"
        );
        assert!(line["latency_ms"].is_u64(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_process_has_a_line_of_json_for_each_event_with_the_same_field_names() {
    let settings = vec![("HOOKSTREAM_LOG".to_owned(), "info,events=debug".to_owned())];
    let pipeline = Pipeline::start(Start { settings, ..Start::default() }).await.unwrap();

    let data = json!({ "workflow_type": "adw_plan_iso", "adw_id": "run-1", "title": "t" });
    let body = json!({
        "type": "phase.enqueued", "queue_id": "q-1", "parent_issue": 7, "phase_number": 1, "phase_data": data,
    });
    let delivery = Signer::new(&pipeline).internal("log-1", &body);
    let mut gateway = Sender::new(pipeline.value("GATEWAY_URL"));
    let answer = gateway.deliver(&delivery).await.unwrap();
    let event = ("internal:log-1", "hookstream.phase.enqueued", answer.sequence().unwrap());
    let line = line_of(&pipeline, "gateway", event).await;
    assert_eq!(
        [&line["disposition"], &line["subject"]],
        ["stored", "ingest.internal.phase.enqueued"],
        "{line}"
    );
    assert!(line["request_id"].is_string(), "{line}");
    assert_applied_by_all(&pipeline, event).await;

    // The gateway tells of a repeat, too; there is nothing to tell for the others.
    let again = gateway.deliver(&delivery).await.unwrap();
    assert_eq!((again.status, again.sequence()), (StatusCode::OK, answer.sequence()));
    let both = eventually("the gateway tells of the repeat", PATIENCE, async || {
        let lines = lines_of(&pipeline, "gateway", event.0).await;
        if lines.len() == 2 { Ok(lines) } else { Err(format!("{lines:?}")) }
    })
    .await;
    assert_eq!(
        [&both[1]["disposition"], &both[1]["stream_sequence"], &both[1]["event.type"]],
        [&json!("duplicate"), &json!(event.2), &json!(event.1)]
    );

    // A command comes in by the backend.
    let command = Delivery {
        event_id: "internal:log-2".to_owned(),
        path: "/api/v1/queue/config/pause",
        headers: vec![
            ("authorization", format!("Bearer {}", pipeline.value("HOOKSTREAM_API_TOKEN"))),
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", "log-2".to_owned()),
        ],
        body: json!({ "paused": true }).to_string().into(),
    };
    let answer = Sender::new(pipeline.value("BACKEND_URL")).deliver(&command).await.unwrap();
    let event = ("internal:log-2", "hookstream.queue.paused", answer.sequence().unwrap());
    let line = line_of(&pipeline, "backend", event).await;
    assert_eq!(line["disposition"], "stored", "{line}");
    assert!(line["actor"].is_string(), "{line}");
    assert_applied_by_all(&pipeline, event).await;
    pipeline.stop().await.unwrap();
}
