use hookstream_event::{BodyDigest, Envelope, EventId, EventType, Subject};
use time::macros::datetime;

use super::*;

fn event(event_type: &str, attributes: &[(&str, &str)]) -> RecordedEvent {
    let mut set = Attributes::default();
    for (name, value) in attributes {
        set.set(name, value);
    }
    RecordedEvent {
        stream_sequence: 7,
        recorded_at: datetime!(2026-11-23 10:00:02 UTC),
        attempt: 1,
        subject: Subject::parse_stored("webhooks.internal.task.logged").unwrap(),
        envelope: Envelope {
            id: EventId::parse("internal:d-1").unwrap(),
            id_derived: false,
            event_type: EventType::parse(event_type).unwrap(),
            origin: "/hookstream/internal".to_owned(),
            about: None,
            occurred_at: datetime!(2026-11-23 10:00 UTC),
            received_at: datetime!(2026-11-23 10:00:01 UTC),
            content_type: "application/json".to_owned(),
            body_sha256: BodyDigest::of(b"{}"),
            signature: "sha256=00".to_owned(),
            key_id: "current".to_owned(),
            attributes: set,
            traceparent: None,
            suspected_replay: false,
        },
        payload: Vec::new(),
        payload_bytes: 2,
    }
}

/// Name and status of the phase in the row of such an event.
fn phase_of(event_type: &str, attributes: &[(&str, &str)]) -> (String, &'static str) {
    let event = event(event_type, attributes);
    let row = TaskLogRow::of(&event);
    (row.phase_name.to_string(), row.phase_status)
}

#[test]
fn each_type_of_event_has_its_phase_name_and_status() {
    let completed = "hookstream.workflow.completed";
    let cases = [
        ("com.github.issues.opened", vec![], "webhook_received", "completed"),
        ("hookstream.queue.paused", vec![], "webhook_received", "completed"),
        ("hookstream.phase.enqueued", vec![("phase-number", "2")], "phase_2_enqueued", "completed"),
        ("hookstream.phase.started", vec![("queue-id", "q-1")], "phase_started", "started"),
        ("hookstream.phase.dequeued", vec![("queue-id", "q-1")], "phase_dequeued", "skipped"),
        ("hookstream.phase.execution_requested", vec![], "phase_execution_requested", "completed"),
        ("hookstream.plan.enqueued", vec![("parent-issue", "7")], "plan_enqueued", "completed"),
        (completed, vec![("phase-number", "2"), ("phase-status", "failed")], "phase_2_complete", "failed"),
        (completed, vec![("phase-status", "completed")], "workflow_complete", "completed"),
        (completed, vec![("phase-number", "two"), ("phase-status", "Done")], "workflow_complete", "unknown"),
        (completed, vec![], "workflow_complete", "unknown"),
        (
            "hookstream.task.logged",
            vec![("phase-name", "Build"), ("phase-status", "started")],
            "Build",
            "started",
        ),
        ("hookstream.task.logged", vec![("phase-status", "skipped")], "task_logged", "skipped"),
    ];
    for (event_type, attributes, name, status) in cases {
        assert_eq!(
            phase_of(event_type, &attributes),
            (name.to_owned(), status),
            "{event_type} {attributes:?}"
        );
    }
}

#[test]
fn only_internal_events_are_completions() {
    // A source that calls its event the same is still a webhook.
    assert_eq!(phase_of("com.acme.workflow.completed", &[]), ("webhook_received".to_owned(), "completed"));
}

#[test]
fn the_parent_issue_stands_in_for_an_issue() {
    let of = |attributes: &[(&str, &str)]| {
        TaskLogRow::of(&event("hookstream.phase.enqueued", attributes)).issue_number
    };
    assert_eq!(of(&[("parent-issue", "41")]), Some(41));
    assert_eq!(of(&[("parent-issue", "41"), ("issue", "42")]), Some(42));
    assert_eq!(of(&[]), None);
}

#[test]
fn numbers_that_the_columns_cannot_hold_are_absent() {
    let odd = ["", " ", "x", "-1", "1e400", "NaN", "inf", "-inf", "0x10", "1,5", "9".repeat(400).as_str()]
        .map(str::to_owned);
    for text in &odd {
        let names = ["issue", "phase-number", "tokens-used", "duration-seconds", "cost-usd"];
        let attributes = names.map(|name| (name, text.as_str()));
        let event = event("hookstream.task.logged", &attributes);
        let row = TaskLogRow::of(&event);
        assert_eq!((row.issue_number, row.phase_number, row.tokens_used), (None, None, None), "{text}");
        assert_eq!((row.duration_seconds, row.cost_micros), (None, None), "{text}");
    }
    let event = event("hookstream.task.logged", &[("cost-usd", "10000000000"), ("duration-seconds", "1e9")]);
    let row = TaskLogRow::of(&event);
    assert_eq!((row.cost_micros, row.duration_seconds), (None, Some(1e9)));
}

#[test]
fn times_are_read_as_rfc_3339_or_not_at_all() {
    let of = |text| TaskLogRow::of(&event("hookstream.task.logged", &[("started-at", text)])).started_at;
    assert_eq!(of("2026-11-23T12:00:00.5+02:00"), Some(datetime!(2026-11-23 10:00:00.5 UTC)));
    for wrong in ["", "yesterday", "2026-11-23", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"] {
        assert_eq!(of(wrong), None, "{wrong}");
    }
}

#[test]
fn texts_that_are_indexed_fit_into_an_index() {
    let long = "é".repeat(2000);
    let event = event("hookstream.task.logged", &[("adw-id", &long), ("phase-name", &long)]);
    let row = TaskLogRow::of(&event);
    assert_eq!(row.adw_id.map(str::len), Some(INDEXED_BYTES_MAX));
    assert_eq!(row.phase_name.len(), INDEXED_BYTES_MAX);
}
