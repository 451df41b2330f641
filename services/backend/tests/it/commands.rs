//! Commands: who may, what they become, and what is refused.

use hookstream_phase_queue::PhaseQueue;
use hookstream_test_support::http::{self, Response};
use hookstream_test_support::{SampleEvent, run_test};
use hyper::Method;
use serde_json::{Value, json};

use crate::freshness::project;
use crate::openapi::validate;
use crate::rows;
use crate::support::{App, Server, TOKEN, problem};

fn phase(queue_id: &str) -> Value {
    json!({
        "queue_id": queue_id, "parent_issue": 41, "phase_number": 1,
        "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "a1b2", "title": "grüße" },
    })
}

/// Fails unless the command was stored; returns its receipt.
fn accepted(answer: &Response) -> Value {
    assert_eq!(answer.status, 202, "{}", answer.text());
    let receipt = answer.json();
    validate("Receipt", &receipt);
    assert_eq!((&receipt["status"], &receipt["stream"]), (&json!("accepted"), &json!("WEBHOOKS")));
    receipt
}

async fn stored(app: &App, receipt: &Value) -> hookstream_bus::StoredMessage {
    let sequence = receipt["sequence"].as_u64().expect("a sequence");
    let operator = app.nats.connect("operator").await;
    operator.message_at("WEBHOOKS", sequence).await.expect("an answer").expect("a message")
}

async fn stored_count(app: &App) -> u64 {
    app.nats.connect("operator").await.stream_state("WEBHOOKS").await.expect("the stream").messages
}

#[tokio::test]
async fn a_command_becomes_an_internal_event_that_says_who_gave_it() {
    run_test(async || {
        let app = App::start().await;
        let answer = app.server().command("POST", "/queue/enqueue", Some(&phase("q-1"))).await?;
        let receipt = accepted(&answer);
        let message = stored(&app, &receipt).await;
        assert_eq!(message.subject, "webhooks.internal.phase.enqueued");
        let header = |name: &str| {
            let found = message.headers.iter().find(|(known, _)| known == name);
            found.map_or_else(|| panic!("no header {name}"), |(_, value)| value.as_str())
        };
        assert_eq!(header("ce-id"), receipt["event_id"]);
        assert_eq!(header("Nats-Msg-Id"), receipt["event_id"]);
        assert_eq!(header("ce-type"), "hookstream.phase.enqueued");
        assert_eq!((header("hs-queue-id"), header("hs-parent-issue")), ("q-1", "41"));
        assert!(header("hs-actor").starts_with("api:t-"), "{}", header("hs-actor"));
        assert_eq!(header("hs-actor"), format!("api:{}", header("hs-key-id")));
        assert!(message.headers.iter().all(|(_, value)| !value.contains(TOKEN)));
        let mut expected = phase("q-1");
        expected["type"] = json!("phase.enqueued");
        assert_eq!(serde_json::from_slice::<Value>(&message.payload)?, expected);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_plan_is_enqueued_whole_and_read_back_at_once() {
    run_test(async || {
        let app = App::start().await;
        let _queue = project(&app, PhaseQueue::default());
        let mut phases = [phase("q-1"), phase("q-2")];
        for (number, phase) in (1..).zip(&mut phases) {
            phase["phase_number"] = json!(number);
            phase.as_object_mut().expect("an object").remove("parent_issue");
        }
        phases[1]["depends_on_phases"] = json!([1]);
        let plan = json!({ "parent_issue": 41, "phases": phases });
        let receipt = accepted(&app.server().command("POST", "/queue/plan", Some(&plan)).await?);
        let items = app.items(&format!("/queue/41?min_sequence={}", receipt["sequence"])).await?;
        let states: Vec<_> = items.iter().map(|item| (&item["queue_id"], &item["status"])).collect();
        assert_eq!(states, [(&json!("q-1"), &json!("ready")), (&json!("q-2"), &json!("queued"))]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn pausing_and_resuming_are_events_with_their_reason() {
    run_test(async || {
        let app = App::start().await;
        for (paused, subject) in
            [(true, "webhooks.internal.queue.paused"), (false, "webhooks.internal.queue.resumed")]
        {
            let body = json!({ "paused": paused, "reason": "release day" });
            let receipt = accepted(&app.server().command("POST", "/queue/config/pause", Some(&body)).await?);
            let message = stored(&app, &receipt).await;
            assert_eq!(message.subject, subject);
            assert_eq!(serde_json::from_slice::<Value>(&message.payload)?["reason"], "release day");
        }
        for body in [json!({}), json!({ "paused": "true" }), json!({ "paused": null })] {
            let answer = app.server().command("POST", "/queue/config/pause", Some(&body)).await?;
            let document = problem(&answer, 400, "bad-parameter");
            assert_eq!(document["detail"], "paused must be true or false", "{body}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn how_many_phases_run_at_once_is_set_by_a_command() {
    run_test(async || {
        let app = App::start().await;
        let _queue = project(&app, PhaseQueue::default());
        let body = json!({ "max_concurrent": 5 });
        let receipt = accepted(&app.server().command("POST", "/queue/config", Some(&body)).await?);
        let items = app.items(&format!("/queue/config?min_sequence={}", receipt["sequence"])).await?;
        let value =
            |key: &str| items.iter().find(|item| item["config_key"] == key).map(|item| &item["config_value"]);
        assert_eq!(value("max_concurrent"), Some(&json!("5")));
        let answer =
            app.server().command("POST", "/queue/config", Some(&json!({ "max_concurrent": 0 }))).await?;
        let detail = problem(&answer, 400, "invalid-event")["detail"].clone();
        assert_eq!(detail, "'max_concurrent' must be a whole number from 1 to 10000");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_needs_the_token_and_without_a_token_there_are_none() {
    run_test(async || {
        let app = App::start().await;
        let url = format!("{}/api/v1/queue/enqueue", app.server().url());
        let right = format!("Bearer {TOKEN}");
        let body = phase("q-1").to_string();
        let cases: [&[http::Header<'_>]; 6] = [
            &[],
            &[("authorization", "Bearer wrong")],
            &[("authorization", "Bearer ")],
            &[("authorization", TOKEN)],
            &[("authorization", "Basic YTpi")],
            &[("authorization", &right), ("authorization", &right)],
        ];
        for headers in cases {
            let answer = http::post(&url, headers, body.clone()).await?;
            let document = problem(&answer, 401, "unauthorized");
            assert_eq!(document.get("detail"), None, "{headers:?}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
        let off = Server::start_with_token(&app.nats, app.database.settings(), None).await;
        let answer = off.command("POST", "/queue/enqueue", Some(&phase("q-1"))).await?;
        let document = problem(&answer, 403, "commands-off");
        assert!(document["title"].as_str().is_some_and(|title| title.contains("HOOKSTREAM_API_TOKEN")));
        off.stop().await?;
        assert_eq!(stored_count(&app).await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_makes_no_valid_event_is_refused_with_the_name_of_the_field() {
    run_test(async || {
        let app = App::start().await;
        let with = |field: &str, value: Value| {
            let mut body = phase("q-1");
            body[field] = value;
            body
        };
        let whole = "must be a whole number from";
        let cases = [
            (with("parent_issue", json!(-1)), format!("'parent_issue' {whole} 0 to 9007199254740991")),
            (with("phase_number", json!(21)), format!("'phase_number' {whole} 1 to 20")),
            (with("priority", json!(5)), format!("'priority' {whole} 10 to 90")),
            (with("phase_data", json!({})), "'phase_data.workflow_type' is missing".to_owned()),
            (with("colour", json!("blue")), "'colour' is not a field of this event".to_owned()),
            (with("queue_id", json!(null)), "'queue_id' is missing".to_owned()),
            (json!([]), "the body is not a JSON object".to_owned()),
        ];
        for (body, detail) in cases {
            let answer = app.server().command("POST", "/queue/enqueue", Some(&body)).await?;
            assert_eq!(problem(&answer, 400, "invalid-event")["detail"], detail, "{body}");
        }
        let plan = json!({ "parent_issue": 1, "phases": [phase("q-1")] });
        let answer = app.server().command("POST", "/queue/plan", Some(&plan)).await?;
        let expected = "'phases[0].parent_issue' must be the plan's own, or absent";
        assert_eq!(problem(&answer, 400, "invalid-event")["detail"], expected);
        assert_eq!(stored_count(&app).await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_body_is_json_and_has_at_most_a_mebibyte() {
    run_test(async || {
        let app = App::start().await;
        let url = format!("{}/api/v1/queue/enqueue", app.server().url());
        let right = format!("Bearer {TOKEN}");
        let auth = ("authorization", right.as_str());
        let form = [auth, ("content-type", "application/x-www-form-urlencoded")];
        problem(&http::post(&url, &form, phase("q").to_string()).await?, 415, "content-type");
        problem(&http::post(&url, &[auth], "{").await?, 400, "invalid-event");
        problem(&http::post(&url, &[auth], " ".repeat((1 << 20) + 1)).await?, 413, "too-large");
        let mut large = phase("q");
        large["phase_data"]["content"] = json!("x".repeat(1 << 20));
        problem(&http::post(&url, &[auth], large.to_string()).await?, 413, "too-large");
        // Without a content type it is taken for what it is; and the case of one says nothing.
        accepted(&http::post(&url, &[auth], phase("q").to_string()).await?);
        let json = [auth, ("content-type", "Application/JSON; charset=utf-8")];
        accepted(&http::post(&url, &json, phase("q").to_string()).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_that_is_sent_again_under_its_key_is_stored_once() {
    run_test(async || {
        let app = App::start().await;
        let url = format!("{}/api/v1/queue/enqueue", app.server().url());
        let right = format!("Bearer {TOKEN}");
        let headers = [("authorization", right.as_str()), ("idempotency-key", "order-66")];
        let first = accepted(&http::post(&url, &headers, phase("q").to_string()).await?);
        assert_eq!(first["event_id"], "internal:order-66");
        let again = http::post(&url, &headers, phase("q").to_string()).await?;
        assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")));
        assert_eq!(again.json()["sequence"], first["sequence"]);
        for key in ["", "a b", "a.b", "é"] {
            let headers = [("authorization", right.as_str()), ("idempotency-key", key)];
            let answer = http::post(&url, &headers, phase("q").to_string()).await?;
            let detail = problem(&answer, 400, "bad-parameter")["detail"].clone();
            assert!(
                detail.as_str().is_some_and(|detail| detail.starts_with("Idempotency-Key must")),
                "{detail}"
            );
        }
        assert_eq!(stored_count(&app).await, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_on_a_phase_that_is_sent_again_under_its_key_has_the_receipt_of_the_first() {
    run_test(async || {
        let app = App::start().await;
        let _queue = project(&app, PhaseQueue::default());
        accepted(&app.server().command("POST", "/queue/enqueue", Some(&phase("q-1"))).await?);
        let right = format!("Bearer {TOKEN}");
        let remove = async |key: &str, body: &Value| {
            let headers = [("authorization", right.as_str()), ("idempotency-key", key)];
            let url = format!("{}/api/v1/queue/q-1", app.server().url());
            http::request(Method::DELETE, &url, &headers, body.to_string()).await
        };
        let reason = json!({ "reason": "not needed" });
        let first = accepted(&remove("order-67", &reason).await?);
        app.items(&format!("/queue/41?min_sequence={}", first["sequence"])).await?;
        let again = remove("order-67", &reason).await?;
        assert_eq!((again.status, &again.json()["status"]), (200, &json!("duplicate")), "{}", again.text());
        validate("Receipt", &again.json());
        assert_eq!(again.json()["sequence"], first["sequence"]);
        assert_eq!(again.json()["event_id"], first["event_id"]);
        problem(&remove("order-68", &reason).await?, 404, "unknown-phase");
        problem(&remove("order-67", &json!({ "reason": "another" })).await?, 404, "unknown-phase");
        assert_eq!(stored_count(&app).await, 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_on_a_phase_is_refused_when_the_queue_is_known_not_to_allow_it() {
    run_test(async || {
        let app = App::start().await;
        let _queue = project(&app, PhaseQueue::default());
        let server = app.server();
        let (unknown, impossible) =
            ("queue_id none is not in the queue", "queue_id is none that a phase can have");
        let none =
            [("POST", "/queue/none/execute"), ("POST", "/queue/none/retry"), ("DELETE", "/queue/none")];
        let none = none.map(|(method, path)| (method, path, unknown));
        let odd = [("POST", "/queue/%00/retry", impossible), ("POST", "/queue/a%20b/retry", impossible)];
        for (method, path, detail) in none.into_iter().chain(odd) {
            let document = problem(&server.command(method, path, None).await?, 404, "unknown-phase");
            assert_eq!(document["detail"], detail, "{path}");
        }
        let enqueued = accepted(&server.command("POST", "/queue/enqueue", Some(&phase("q-1"))).await?);
        // At once: the command itself waits for the queue to know of it.
        let executed = server.command("POST", "/queue/q-1/execute", None).await?;
        let message = stored(&app, &accepted(&executed)).await;
        assert_eq!(message.subject, "webhooks.internal.phase.execution_requested");
        let body: Value = serde_json::from_slice(&message.payload)?;
        assert_eq!(body, json!({ "type": "phase.execution_requested", "queue_id": "q-1" }));
        let answer = server.command("POST", "/queue/q-1/retry", None).await?;
        let expected = "queue_id q-1 is ready: only a failed phase can be retried";
        assert_eq!(problem(&answer, 409, "not-now")["detail"], expected);
        let path = format!("/queue/q-1?min_sequence={}", enqueued["sequence"]);
        let reason = json!({ "reason": "not needed" });
        let removed = accepted(&server.command("DELETE", &path, Some(&reason)).await?);
        assert_eq!(stored(&app, &removed).await.subject, "webhooks.internal.phase.dequeued");
        let again = format!("/queue/q-1?min_sequence={}", removed["sequence"]);
        problem(&server.command("DELETE", &again, None).await?, 404, "unknown-phase");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_queue_has_otherwise_already_is_refused_with_the_name_of_the_field() {
    run_test(async || {
        let app = App::start().await;
        let _queue = project(&app, PhaseQueue::default());
        let server = app.server();
        let mut first = phase("q-1");
        first["issue_number"] = json!(42);
        first["phase_data"]["weight"] = json!(1.50);
        let receipt = accepted(&server.command("POST", "/queue/enqueue", Some(&first)).await?);
        app.items(&format!("/queue/41?min_sequence={}", receipt["sequence"])).await?;
        let before = stored_count(&app).await;
        let with = |field: &str, value: Value| {
            let mut body = first.clone();
            body[field] = value;
            body
        };
        let reused = "queue_id q-1 was enqueued before, with other contents, in another plan or beside other phases";
        let taken = "phase_number 1 of issue 41 is that of an unfinished phase (q-1, ready)";
        let cases = [
            (with("priority", json!(10)), reused),
            (with("parent_issue", json!(5)), reused),
            (with("phase_number", json!(2)), reused),
            (with("issue_number", json!(null)), reused),
            (with("phase_data", phase("q-1")["phase_data"].clone()), reused),
            (with("queue_id", json!("q-2")), taken),
        ];
        for (body, detail) in cases {
            let answer = server.command("POST", "/queue/enqueue", Some(&body)).await?;
            assert_eq!(problem(&answer, 409, "not-now")["detail"], detail, "{body}");
        }
        let of_plan = |queue_id: &str, number: i32, depends_on: &[i32]| {
            let phase_data = phase(queue_id)["phase_data"].clone();
            json!({ "queue_id": queue_id, "phase_number": number, "depends_on_phases": depends_on, "phase_data": phase_data })
        };
        let plan = json!({ "parent_issue": 6, "phases": [of_plan("q-3", 1, &[]), of_plan("q-1", 2, &[1])] });
        let answer = server.command("POST", "/queue/plan", Some(&plan)).await?;
        assert_eq!(problem(&answer, 409, "not-now")["detail"], reused);
        assert_eq!(stored_count(&app).await, before, "nothing of it was stored");
        // The same again is no fault, and neither is what an issue of its own has.
        accepted(&server.command("POST", "/queue/enqueue", Some(&first)).await?);
        let plan = json!({ "parent_issue": 6, "phases": [of_plan("q-3", 1, &[]), of_plan("q-4", 2, &[1])] });
        accepted(&server.command("POST", "/queue/plan", Some(&plan)).await?);
        accepted(&server.command("POST", "/queue/plan", Some(&plan)).await?);
        let alone = json!({ "queue_id": "q-5", "parent_issue": 0, "phase_number": 1, "phase_data": first["phase_data"] });
        accepted(&server.command("POST", "/queue/enqueue", Some(&alone)).await?);
        let mut other = alone.clone();
        other["queue_id"] = json!("q-6");
        accepted(&server.command("POST", "/queue/enqueue", Some(&other)).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn while_the_queue_is_behind_the_event_log_decides() {
    run_test(async || {
        let app = App::start().await;
        // Nobody projects, so that the table cannot be known to be up to date.
        let gateway = app.nats.connect("gateway").await.publisher(std::time::Duration::from_secs(10));
        let mut body = phase("q-9");
        body["type"] = json!("phase.enqueued");
        SampleEvent::internal("q-9", &body).publish(&gateway).await;
        accepted(&app.server().command("POST", "/queue/q-9/execute", None).await?);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_that_is_not_stored_is_a_503() {
    run_test(async || {
        let app = App::start().await;
        rows::phases(&app.client, 3, 3).await?;
        app.nats.stop().await;
        for (method, path, body) in [
            ("POST", "/queue/enqueue", Some(phase("q-1"))),
            ("POST", "/queue/config/pause", Some(json!({ "paused": true }))),
            ("POST", "/queue/q-3/execute", None),
        ] {
            let answer = app.server().command(method, path, body.as_ref()).await?;
            let document = problem(&answer, 503, "not-stored");
            assert_eq!(document.get("detail"), None);
            assert!(answer.header("retry-after").is_some());
        }
        Ok(())
    })
    .await;
}
