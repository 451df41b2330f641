//! What strangers write is shown in no shape that they choose: texts in the log, labels of metrics.

use hookstream_test_support::http::raw;
use hookstream_test_support::{TestNats, github_delivery, run_test, unique_id};

use crate::executable::Process;
use crate::gateway::TestGateway;

// L2
#[tokio::test]
async fn nobody_writes_lines_or_control_characters_into_the_log() {
    run_test(async || {
        for format in ["json", "pretty"] {
            let nats = TestNats::start().await;
            let (mut process, url) = Process::start_ready(
                &nats,
                &[("HOOKSTREAM_LOG", "trace"), ("HOOKSTREAM_LOG_FORMAT", format)],
            )
            .await;
            let addr = url.trim_start_matches("http://").parse()?;
            let injections: [&[u8]; 7] = [
                b"\x1b[31mred",
                b"\x9b31mred",
                b"\xc2\x9b31mred",
                b"\xe2\x80\xae\xe2\x80\xa8forged",
                b"a%0d%0aforged: level=ERROR",
                b"a\rforged",
                b"a\nforged: 1",
            ];
            for text in injections {
                for place in [
                    "x-github-delivery",
                    "x-github-event",
                    "webhook-id",
                    "content-type",
                    "host",
                    "traceparent",
                ] {
                    let head =
                        b"POST /webhooks/github HTTP/1.1\r\nconnection: close\r\ncontent-length: 2\r\n"
                            .as_slice();
                    let request = [head, place.as_bytes(), b": ", text, b"\r\n\r\n{}"].concat();
                    let _ = raw(addr, &request).await;
                }
                for line in [[b"POST /", text].concat(), [b"POST /webhooks/", text].concat(), text.to_vec()] {
                    let request =
                        [&line, b" HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".as_slice()].concat();
                    let _ = raw(addr, &request).await;
                }
            }
            process.signal("TERM");
            assert_eq!(process.ended().await.code(), Some(0));
            let log = process.log();
            assert!(log.matches("refused request").count() > 20, "{log}");
            let odd =
                |c: &char| (c.is_control() && *c != '\n') || ['\u{202e}', '\u{2028}', '\u{fffd}'].contains(c);
            assert_eq!(log.chars().find(odd), None, "{log}");
            for line in log.lines() {
                assert!(!line.trim_start().starts_with("forged"), "{line}");
                if format == "json" {
                    let parsed: Result<serde_json::Value, _> = serde_json::from_str(line);
                    assert!(parsed.is_ok(), "{line}");
                }
            }
        }
        Ok(())
    })
    .await;
}

// L3
#[tokio::test]
async fn random_sources_paths_and_headers_add_no_series_to_the_metrics() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let series = async || {
            let text = gateway.get("/metrics").await.text();
            let lines = text.lines().filter(|line| !line.starts_with('#'));
            lines
                .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
                .collect::<std::collections::BTreeSet<_>>()
        };
        let flood = async |times: usize| {
            for _ in 0..times {
                let id = unique_id();
                for path in [format!("/webhooks/{id}"), format!("/{id}"), format!("/webhooks/github?{id}")] {
                    let headers = [
                        ("x-github-event", id.as_str()),
                        ("x-github-delivery", &id),
                        ("hs-key-id", &id),
                        ("x-hub-signature-256", "sha256=00"),
                        ("content-type", "application/json"),
                    ];
                    assert!(gateway.post(&path, &headers, id.clone()).await.status >= 400);
                }
                let event = github_delivery(&id, format!(r#"{{"action":"{id}"}}"#));
                assert_eq!(gateway.send(&event).await.status, 202);
            }
        };
        flood(2).await;
        let before = series().await;
        flood(100).await;
        let after = series().await;
        let added: Vec<_> = after.difference(&before).collect();
        assert!(added.is_empty(), "{added:?}");
        assert!(before.len() > 20);
        Ok(())
    })
    .await;
}
