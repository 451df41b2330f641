//! Bodies made to exhaust or mislead whoever reads them, all the way into the stream.

use std::fmt::Write as _;

use hookstream_test_support::{Delivery, TestNats, github_delivery, internal_delivery, run_test};
use serde_json::json;

use crate::executable::Process;
use crate::gateway::{ISSUE, TestGateway, accepted, header, refused, stored_at, stored_count};

/// The resident memory of a process, now or at its largest, in bytes.
fn resident(process: &Process, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

// J1
#[tokio::test]
async fn wide_and_deep_bodies_cost_the_process_no_more_than_a_few_times_their_bytes() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (process, url) = Process::start_ready(&nats, &[]).await;
        let mut keys = String::new();
        // All together, at the top and in an object that is looked into, a million.
        for at in 0..500_000 {
            write!(keys, r#""key{at}":{at},"#)?;
        }
        let elements = "0,".repeat(10_000_000);
        let dense = r#"{"":0},"#.repeat(140_000);
        let phases: Vec<_> = (1..=20)
            .map(|at| {
                let data = format!(r#"{{"workflow_type":"w","adw_id":"a","x":[{dense}0]}}"#);
                format!(r#"{{"queue_id":"q{at}","phase_number":{at},"phase_data":{data}}}"#)
            })
            .collect();
        let deep = "[".repeat(1_000_000);
        let bodies = [
            (
                202,
                github_delivery(
                    "issues",
                    format!(r#"{{"action":"opened",{keys}"issue":{{{keys}"number":1}}}}"#),
                ),
            ),
            (202, github_delivery("issues", format!(r#"{{"issue":{{}},"x":[{elements}0]}}"#))),
            (400, github_delivery("issues", format!(r#"{{"issue":{{}},"x":{deep}"#))),
            (
                413,
                internal_delivery(format!(
                    r#"{{"type":"plan.enqueued","parent_issue":1,"phases":[{elements}0]}}"#
                )),
            ),
            // As much as an internal event may have.
            (
                400,
                internal_delivery(format!(
                    r#"{{"type":"plan.enqueued","parent_issue":1,"phases":[{}0]}}"#,
                    &elements[..1_000_000]
                )),
            ),
            (
                413,
                internal_delivery(format!(
                    r#"{{"type":"plan.enqueued","parent_issue":1,"phases":[{}]}}"#,
                    phases.join(",")
                )),
            ),
        ];
        let mut largest = 0;
        for (status, delivery) in bodies {
            largest = largest.max(u64::try_from(delivery.body.len())?);
            let answer = delivery.send(&url).await?;
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        let (peak, left) = (resident(&process, "VmHWM"), resident(&process, "VmRSS"));
        // The body as it comes in pieces and whole, and on its way to the stream; then what a process has anyway.
        let bound = 6 * largest + 64 * 1024 * 1024;
        assert!(peak <= bound, "{peak} bytes at most, {left} now, for bodies of {largest}");
        assert_eq!(github_delivery("issues", ISSUE).send(&url).await?.status, 202, "it lives on");
        Ok(())
    })
    .await;
}

/// Texts that do something where they are not expected.
const INJECTIONS: [&str; 9] = [
    "'; DROP TABLE phase_queue; --",
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "=HYPERLINK(\"http://x\")",
    "ingest.github.*.>",
    "a\nlevel=ERROR stored event",
    "x\r\nNats-Rollup: all",
    "${jndi:ldap://x}",
    "\u{202e}\u{2066}\0",
];

// J9
#[tokio::test]
async fn names_that_are_huge_or_do_harm_are_stored_to_the_byte_and_harmless_in_headers() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let branch = format!("refs/heads/{}", "é".repeat(500_000));
        let commits: Vec<_> =
            (0..10_000).map(|at| json!({ "id": format!("{at:040x}"), "message": "m".repeat(40) })).collect();
        let mut deliveries: Vec<Delivery> = vec![
            github_delivery(
                "push",
                json!({ "ref": branch, "commits": [], "sender": { "login": branch } }).to_string(),
            ),
            github_delivery("push", json!({ "ref": "refs/heads/main", "commits": commits }).to_string()),
        ];
        for text in INJECTIONS {
            let issue = json!({
                "action": text, "issue": { "number": 1, "title": text, "url": text },
                "repository": { "full_name": text, "url": text }, "sender": { "login": text, "url": text },
            });
            deliveries.push(github_delivery("issues", issue.to_string()));
            deliveries.push(github_delivery("push", json!({ "ref": text, "commits": [] }).to_string()));
            let failed = json!({
                "type": "workflow.completed", "adw_id": "a", "status": "failed", "error_message": text,
                "metadata": { text: text },
            });
            deliveries.push(internal_delivery(failed.to_string()));
        }
        for delivery in deliveries {
            let stored = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
            assert_eq!(stored.payload, delivery.body);
            let tokens: Vec<&str> = stored.subject.split('.').collect();
            assert_eq!(tokens.len(), 4, "{}", stored.subject);
            let plain =
                |token: &&str| token.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'));
            assert!(tokens.iter().all(plain), "{}", stored.subject);
            let mut bytes = 0;
            for (name, value) in &stored.headers {
                assert!(value.bytes().all(|byte| byte.is_ascii_graphic()), "{name}: {value:?}");
                bytes += name.len() + value.len();
            }
            assert!(bytes < 65_535, "{bytes} bytes of headers");
            assert_eq!(header(&stored, "Nats-Rollup"), None);
        }
        let name =
            internal_delivery(json!({ "type": "phase.retried", "queue_id": INJECTIONS[0] }).to_string());
        refused(&gateway.send(&name).await, 400, "invalid_event");
        assert_eq!(stored_count(&nats).await, 2 + 3 * u64::try_from(INJECTIONS.len())?);
        Ok(())
    })
    .await;
}

// J7
#[tokio::test]
async fn unknown_events_actions_and_versions_are_stored_and_unknown_types_of_our_own_are_not() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        for (event, body, event_type) in [
            ("coffee", r#"{"action":"brewed"}"#, "com.github.coffee.brewed"),
            ("issues", r#"{"action":"teleported","issue":{"number":1}}"#, "com.github.issues.teleported"),
            ("coffee", r#"{"version":2,"schema":"v9"}"#, "com.github.coffee"),
        ] {
            let stored = stored_at(&nats, accepted(&gateway.send(&github_delivery(event, body)).await)).await;
            assert_eq!(header(&stored, "ce-type"), Some(event_type));
        }
        let newer = internal_delivery(r#"{"type":"queue.paused","version":2,"until":"tomorrow"}"#);
        refused(&gateway.send(&newer).await, 400, "invalid_event");
        for unknown in ["queue.exploded", "queue", "queue.paused.v2", "QUEUE.PAUSED", ""] {
            let delivery = internal_delivery(json!({ "type": unknown }).to_string());
            refused(&gateway.send(&delivery).await, 400, "invalid_event");
        }
        assert_eq!(stored_count(&nats).await, 3);
        Ok(())
    })
    .await;
}
