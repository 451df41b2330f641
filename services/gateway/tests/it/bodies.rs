use hookstream_test_support::{
    Delivery, TestNats, github_delivery, github_form_delivery, internal_delivery, run_test,
};

use crate::gateway::{ISSUE, TestGateway, accepted, header, refused, stored_at, stored_count};

/// Largest body of an internal event.
const INTERNAL_BYTES_MAX: usize = 1 << 20;

fn nested(depth: usize) -> String {
    format!(r#"{{"issue":{{"number":1}},"deep":{}{}}}"#, "[".repeat(depth), "]".repeat(depth))
}

// J3, J8
#[tokio::test]
async fn a_body_that_is_no_json_object_is_400() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let bodies: Vec<Vec<u8>> = vec![
            b"".to_vec(),
            b" ".to_vec(),
            b"null".to_vec(),
            b"[]".to_vec(),
            b"\"x\"".to_vec(),
            b"1".to_vec(),
            b"issue".to_vec(),
            b"{\"issue\":{}".to_vec(),
            b"{\"issue\":{}} {}".to_vec(),
            b"\xef\xbb\xbf{\"issue\":{}}".to_vec(),
            b"{\"issue\":{\"title\":\"\xff\xfe\"}}".to_vec(),
            b"{\"issue\":{\"title\":\"\xc0\xaf\"}}".to_vec(),
            nested(200).into_bytes(),
            nested(400_000).into_bytes(),
            nested(1_000_000).into_bytes(),
            format!("[{}", nested(1_000_000)).into_bytes(),
            br#"{"issue":{"number":1},"x":01}"#.to_vec(),
        ];
        for body in bodies {
            let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
            refused(&gateway.send(&github_delivery("issues", body.clone())).await, 400, "invalid_body");
            let status = if body.len() > INTERNAL_BYTES_MAX { 413 } else { 400 };
            let internal = gateway.send(&internal_delivery(body)).await;
            assert_eq!(internal.status, status, "{shown}: {}", internal.text());
        }
        assert_eq!(stored_count(&nats).await, 0);
        accepted(&gateway.send(&github_delivery("issues", ISSUE)).await);
        Ok(())
    })
    .await;
}

// R4
#[tokio::test]
async fn a_body_that_disagrees_with_its_event_is_400() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let without_issue = r#"{"action":"opened","repository":{"full_name":"o/r"}}"#;
        refused(&gateway.send(&github_delivery("issues", without_issue)).await, 400, "event_mismatch");
        refused(&gateway.send(&github_delivery("pull_request", ISSUE)).await, 400, "event_mismatch");
        let action = r#"{"action":7,"issue":{"number":42}}"#;
        refused(&gateway.send(&github_delivery("issues", action)).await, 400, "event_mismatch");
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

// J2, J3, J4, J7
#[tokio::test]
async fn odd_but_legal_bodies_are_stored_to_the_byte() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (event, body) in [
            ("issues", r#"{"issue":{"number":1,"title":"a\u0000b"}}"#),
            ("issues", r#"{"issue":{"number":1,"title":"\ud800"}}"#),
            ("issues", r#"{"issue":{"number":1e400,"id":9007199254740993}}"#),
            ("issues", r#"{"issue":{"number":-0},"x":1e400,"y":1E-400}"#),
            ("issues", r#"{"issue":{"number":1},"issue":{"number":2}}"#),
            ("issues", "{\"issue\":{\"number\":1,\"title\":\"\u{202e}\u{2028}<script>' OR 1=1 --\"}}\r\n"),
            ("issues", r#" { "issue" : { "number" : "one" } , "repository" : null , "sender" : [] } "#),
            ("something_new", r#"{"action":"Done.Well *>"}"#),
            ("something_new", "{}"),
        ] {
            let answer = gateway.send(&github_delivery(event, body)).await;
            let message = stored_at(&nats, accepted(&answer)).await;
            assert_eq!(message.payload, body.as_bytes(), "{body}");
            assert!(message.headers.iter().all(|(_, value)| value.bytes().all(|b| b.is_ascii_graphic())));
        }
        let deepest = format!(r#"{{"issue":{}{}}}"#, "[".repeat(127), "]".repeat(127));
        refused(&gateway.send(&github_delivery("issues", format!("[{deepest}]"))).await, 400, "invalid_body");
        Ok(())
    })
    .await;
}

// T12
#[tokio::test]
async fn a_form_is_verified_as_it_came_and_its_payload_is_the_event() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let form = github_form_delivery("issues", ISSUE.as_bytes());
        let message = stored_at(&nats, accepted(&gateway.send(&form).await)).await;
        assert_eq!(message.subject, "webhooks.github.issues.opened");
        assert_eq!(message.payload, form.body);
        assert_eq!(header(&message, "content-type"), Some("application/x-www-form-urlencoded"));
        assert_eq!(header(&message, "ce-datacontenttype"), Some("application/x-www-form-urlencoded"));
        assert_eq!(header(&message, "hs-issue"), Some("42"));

        // The same signature does not cover the decoded text.
        let decoded = form.clone().with_body(ISSUE).with_header("content-type", "application/json");
        refused(&gateway.send(&decoded).await, 401, "unauthorized");
        refused(&gateway.send(&form.with_body("payload=%7B%7D")).await, 401, "unauthorized");
        Ok(())
    })
    .await;
}

// T12
#[tokio::test]
async fn a_form_without_exactly_one_payload_is_400() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let form = |body: &str| -> Delivery {
            github_delivery("ping", body.to_owned())
                .with_header("content-type", "application/x-www-form-urlencoded")
        };
        for body in ["", "x=1", "payload=%7B%7D&payload=%7B%7D", "payload=%7B%7D&p%61yload=1", "%7B%7D"] {
            refused(&gateway.send(&form(body)).await, 400, "invalid_body");
        }
        for body in
            ["payload=", "payload=null", "payload=%5B%5D", "payload=%7B%22%ff%22%3A1%7D", "payload=%00"]
        {
            refused(&gateway.send(&form(body)).await, 400, "invalid_body");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}
