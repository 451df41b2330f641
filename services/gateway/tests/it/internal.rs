use hookstream_event::BodyDigest;
use hookstream_test_support::{TestNats, internal_delivery, internal_hub_delivery, run_test};
use serde_json::json;

use crate::gateway::{TestGateway, accepted, header, refused, stored_at, stored_count};

const PAUSE: &str = r#"{"type":"queue.paused","reason":"maintenance"}"#;

#[tokio::test]
async fn a_standard_webhook_keeps_the_id_of_its_sender() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = internal_delivery(PAUSE);
        let answer = gateway.send(&delivery).await;
        let event_id = format!("internal:{}", delivery.id().unwrap());
        assert_eq!(answer.json()["event_id"], event_id);
        let message = stored_at(&nats, accepted(&answer)).await;
        assert_eq!(message.subject, "webhooks.internal.queue.paused");
        assert_eq!(header(&message, "ce-type"), Some("hookstream.queue.paused"));
        assert_eq!(header(&message, "hs-id-derived"), None);
        // What else was signed, so that anyone who has the key can verify it again.
        assert_eq!(header(&message, "hs-signed-at"), delivery.header("webhook-timestamp"));
        assert_eq!(header(&message, "hs-signature"), delivery.header("webhook-signature"));

        assert_eq!(gateway.send(&delivery).await.status, 200);
        let other = gateway.send(&internal_delivery(PAUSE)).await;
        assert_eq!(other.status, 202, "the same words under another id are another event");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_internal_event_without_an_id_gets_one_of_its_body() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let answer = gateway.send(&internal_hub_delivery(PAUSE)).await;
        let digest = BodyDigest::of(PAUSE.as_bytes()).to_string();
        assert_eq!(answer.json()["event_id"], format!("internal:{}", &digest[..32]));
        assert_eq!(header(&stored_at(&nats, accepted(&answer)).await, "hs-id-derived"), Some("1"));
        assert_eq!(gateway.send(&internal_hub_delivery(PAUSE)).await.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn workflow_complete_takes_the_shape_of_the_replaced_system() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let body = json!({
            "adw_id": "adw-1", "status": "completed", "queue_id": "q-1", "parent_issue": 7, "phase_number": 2,
            "trigger_next": true,
        });
        let delivery = internal_hub_delivery(body.to_string()).to_path("/workflow-complete");
        let answer = gateway.send(&delivery).await;
        let digest = BodyDigest::of(b"adw-1:completed:q-1").to_string();
        assert_eq!(answer.json()["event_id"], format!("internal:{}", &digest[..16]));
        let message = stored_at(&nats, accepted(&answer)).await;
        assert_eq!(message.subject, "webhooks.internal.workflow.completed");
        assert_eq!(header(&message, "ce-type"), Some("hookstream.workflow.completed"));
        assert_eq!(header(&message, "hs-adw-id"), Some("adw-1"));
        assert_eq!(header(&message, "hs-id-derived"), Some("1"));

        let without_queue = json!({ "adw_id": "adw-1", "status": "failed" }).to_string();
        let answer = gateway.send(&internal_hub_delivery(without_queue).to_path("/workflow-complete")).await;
        let digest = BodyDigest::of(b"adw-1:failed:None").to_string();
        assert_eq!(answer.json()["event_id"], format!("internal:{}", &digest[..16]));

        // The type may be absent only there; and there, too, another type is what it says.
        refused(&gateway.send(&internal_hub_delivery(body.to_string())).await, 400, "invalid_event");
        let other = gateway.send(&internal_delivery(PAUSE).to_path("/workflow-complete")).await;
        let message = stored_at(&nats, accepted(&other)).await;
        assert_eq!(message.subject, "webhooks.internal.queue.paused");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_invalid_internal_event_is_400_and_names_the_field() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (body, field) in [
            (json!({}), "type"),
            (json!({ "type": "queue.exploded" }), "type"),
            (json!({ "type": "workflow.completed", "status": "completed" }), "adw_id"),
            (json!({ "type": "workflow.completed", "adw_id": "a", "status": "perhaps" }), "status"),
            (json!({ "type": "phase.started", "queue_id": 7, "adw_id": "a" }), "queue_id"),
        ] {
            let answer = gateway.send(&internal_delivery(body.to_string())).await;
            let error = refused(&answer, 400, "invalid_event");
            assert!(error["detail"].as_str().unwrap().contains(field), "{error}");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_invalid_event_is_refused_with_the_name_of_the_field() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let phase = json!({
            "type": "phase.enqueued", "queue_id": "q-1", "parent_issue": -1, "phase_number": 1,
            "phase_data": {"workflow_type": "adw_plan_iso", "adw_id": "adw-1"},
        });
        let answer = gateway.send(&internal_delivery(phase.to_string())).await;
        let refusal = refused(&answer, 400, "invalid_event");
        let whole = "must be a whole number from 0 to 9007199254740991";
        assert_eq!(refusal["detail"], format!("'parent_issue' {whole}"));
        let unknown = json!({"type": "queue.paused", "until": "tomorrow"});
        let answer = gateway.send(&internal_delivery(unknown.to_string())).await;
        assert_eq!(refused(&answer, 400, "invalid_event")["detail"], "'until' is not a field of this event");
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_internal_event_has_at_most_a_mebibyte() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let of_size = |bytes: usize| {
            let mut body = PAUSE.to_owned();
            body.push_str(&" ".repeat(bytes - PAUSE.len()));
            internal_delivery(body)
        };
        accepted(&gateway.send(&of_size(1 << 20)).await);
        let refusal = refused(&gateway.send(&of_size((1 << 20) + 1)).await, 413, "body_too_large");
        assert_eq!(refusal["detail"], "the body exceeds 1048576 bytes");
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}
