//! One request, spelt in other ways: over raw sockets, because a client library would mend or refuse some of them.

use std::fmt::Write as _;

use hookstream_signature::{Key, hub};
use hookstream_test_support::http::raw;
use hookstream_test_support::{Delivery, GITHUB_SECRET, TestNats, github_delivery, run_test, unique_id};

use crate::gateway::{ISSUE, TestGateway, header, stored_at, stored_count};

const SIGNATURE: &str = "x-hub-signature-256";

/// A delivery as bytes: this request line and these lines for the signature, the rest as it should be.
fn spelt(line: &str, signature: &[u8], delivery: &Delivery) -> Vec<u8> {
    let mut head = format!("{line}\r\nhost: test\r\nconnection: close\r\n");
    for (name, value) in delivery.headers.iter().filter(|(name, _)| name != SIGNATURE) {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    write!(head, "content-length: {}\r\n", delivery.body.len()).unwrap();
    [head.as_bytes(), signature, b"\r\n", &delivery.body].concat()
}

fn good(delivery: &Delivery) -> &str {
    delivery.header(SIGNATURE).unwrap()
}

/// The status and all of the answer.
async fn answer(gateway: &TestGateway, request: &[u8]) -> (u16, String) {
    let answer = raw(gateway.addr, request).await.unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

// T2
#[tokio::test]
async fn a_path_or_method_that_is_not_spelt_exactly_reaches_no_source() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let signature = format!("{SIGNATURE}: {}\r\n", good(&delivery));
        for (target, expected) in [
            ("/webhooks/github/", 404),
            ("//webhooks/github", 404),
            ("/webhooks//github", 404),
            ("/webhooks/./github", 404),
            ("/webhooks/x/../github", 404),
            ("/webhooks/%67ithub", 404),
            ("/webhooks%2fgithub", 404),
            ("/webhooks/github%2e", 404),
            ("/%2e/webhooks/github", 404),
            ("/webhooks/github;a=b", 404),
            ("/webhooks/github%00", 404),
            ("/webhooks/GitHub", 404),
            ("/WEBHOOKS/github", 404),
            ("/webhooks/", 404),
            ("/webhooks/*", 404),
            ("/gh-webhook/", 404),
            ("/GH-WEBHOOK", 404),
            ("*", 404),
        ] {
            let request = spelt(&format!("POST {target} HTTP/1.1"), signature.as_bytes(), &delivery);
            let (status, answer) = answer(&gateway, &request).await;
            assert!([expected, 400].contains(&status), "{target}: {answer}");
        }
        for method in ["post", "Post", "POST ", "GET", "PUT", "BREW"] {
            let request =
                spelt(&format!("{method} /webhooks/github HTTP/1.1"), signature.as_bytes(), &delivery);
            let (status, answer) = answer(&gateway, &request).await;
            assert!([400, 405].contains(&status), "{method}: {answer}");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

// T2
#[tokio::test]
async fn each_path_has_one_handler_and_each_verifies() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let bad = format!("{SIGNATURE}: sha256={}\r\n", "0".repeat(64));
        // The target's other forms lead to the same handler, never around it.
        for target in [
            "/webhooks/github",
            "/gh-webhook",
            "/webhooks/internal",
            "/workflow-complete",
            "/webhooks/github?verify=false",
            "http://other.example/webhooks/github",
        ] {
            let line = format!("POST {target} HTTP/1.1");
            let (status, shown) = answer(&gateway, &spelt(&line, bad.as_bytes(), &delivery)).await;
            assert_eq!(status, 401, "{target}: {shown}");
            let (status, shown) = answer(&gateway, &spelt(&line, b"", &delivery)).await;
            assert_eq!(status, 401, "{target}: {shown}");
        }
        assert_eq!(stored_count(&nats).await, 0);
        Ok(())
    })
    .await;
}

// T4
#[tokio::test]
async fn a_signature_is_taken_as_it_is_but_for_the_space_that_http_allows_around_it() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let good = good(&delivery).to_owned();
        let hex = good.strip_prefix("sha256=").unwrap();
        let (one, other) = hex.split_at(32);
        let wrong: [Vec<u8>; 13] = [
            format!("sha256= {hex}").into(),
            format!("sha256 ={hex}").into(),
            format!("sha256={one} {other}").into(),
            format!("sha256={one}\t{other}").into(),
            format!("\"{good}\"").into(),
            format!("'{good}'").into(),
            format!("SHA256={hex}").into(),
            format!("sha256=0x{hex}").into(),
            format!("{good},").into(),
            format!("{good};").into(),
            [good.as_bytes(), b"\xff"].concat(),
            [good.as_bytes(), "é".as_bytes()].concat(),
            [good.as_bytes(), b"\0"].concat(),
        ];
        let line = "POST /webhooks/github HTTP/1.1";
        for value in wrong {
            let signature = [SIGNATURE.as_bytes(), b": ", &value, b"\r\n"].concat();
            let (status, shown) = answer(&gateway, &spelt(line, &signature, &delivery)).await;
            // A NUL is no part of any header's value.
            let expected = if value.contains(&0) { 400 } else { 401 };
            assert_eq!(status, expected, "{}: {shown}", value.escape_ascii());
        }
        assert_eq!(stored_count(&nats).await, 0);
        for (name, value) in [
            (SIGNATURE, format!(" \t {good} \t ")),
            (SIGNATURE, good.clone()),
            (SIGNATURE, format!("sha256={}{other}", one.to_uppercase())),
            ("X-Hub-Signature-256", good.clone()),
            ("X-HUB-SIGNATURE-256", good.clone()),
        ] {
            let signature = format!("{name}:{value}\r\n");
            let fresh = delivery.clone().with_header("x-github-delivery", &unique_id());
            let (status, shown) = answer(&gateway, &spelt(line, signature.as_bytes(), &fresh)).await;
            assert_eq!(status, 202, "{name}: {value}: {shown}");
        }
        Ok(())
    })
    .await;
}

// R3
#[tokio::test]
async fn another_spelling_of_a_delivery_is_the_same_delivery_and_of_a_replay_the_same_replay() {
    run_test(async || {
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[("HOOKSTREAM_GITHUB_REPLAY", "reject")]).await;
        let delivery = github_delivery("issues", ISSUE);
        let digits = good(&delivery).strip_prefix("sha256=").unwrap().to_owned();
        let lower = format!("x-hub-signature-256: sha256={digits}\r\n");
        let upper = format!("X-HUB-Signature-256:sha256={} \r\n", digits.to_uppercase());
        let request = spelt("POST /webhooks/github?a=1&b=2 HTTP/1.1", lower.as_bytes(), &delivery);
        assert_eq!(answer(&gateway, &request).await.0, 202);
        let captured = delivery.clone().with_header("x-github-delivery", &unique_id());
        for target in
            ["/webhooks/github?a=1&b=2", "/webhooks/github?b=2&a=1", "/webhooks/github", "/gh-webhook?x"]
        {
            for signature in [&lower, &upper] {
                let line = format!("POST {target} HTTP/1.1");
                let (status, shown) = answer(&gateway, &spelt(&line, signature.as_bytes(), &delivery)).await;
                assert_eq!(status, 200, "{target}: {shown}");
                let (status, shown) = answer(&gateway, &spelt(&line, signature.as_bytes(), &captured)).await;
                assert_eq!(status, 400, "{target}: {shown}");
                assert!(shown.contains("suspected_replay"), "{shown}");
            }
        }
        assert_eq!(stored_count(&nats).await, 1);
        Ok(())
    })
    .await;
}

// T10
#[tokio::test]
async fn nobody_chooses_the_key_or_the_source_that_a_delivery_is_verified_with() {
    run_test(async || {
        let nats = TestNats::start().await;
        let keys = [
            ("INTERNAL_WEBHOOK_SECRET", "the internal one"),
            ("GITHUB_WEBHOOK_SECRET_PREVIOUS", "the old one"),
        ];
        let gateway = TestGateway::start_with(&nats, &keys).await;
        let old = hub::sign(&Key::plain("k", b"the old one")?, ISSUE.as_bytes());
        let foreign = hub::sign(&Key::plain("k", b"the internal one")?, ISSUE.as_bytes());
        let spoofed = |signature: &str| {
            let mut lines = format!("{SIGNATURE}: {signature}\r\n");
            for name in ["hs-key-id", "x-key-id", "key-id", "x-hookstream-source", "hs-source"] {
                write!(lines, "{name}: internal\r\n").unwrap();
            }
            lines
        };
        let line = "POST /webhooks/github?key=internal&source=internal HTTP/1.1";
        let delivery = github_delivery("issues", ISSUE);
        let (status, shown) = answer(&gateway, &spelt(line, spoofed(&foreign).as_bytes(), &delivery)).await;
        assert_eq!(status, 401, "the secret of another source: {shown}");
        let (status, shown) = answer(&gateway, &spelt(line, spoofed(&old).as_bytes(), &delivery)).await;
        assert_eq!(status, 202, "{shown}");
        let stored = stored_at(&nats, 1).await;
        assert_eq!(header(&stored, "hs-key-id"), Some(&*Key::fingerprint(b"the old one")));
        assert_ne!(Key::fingerprint(b"the old one"), Key::fingerprint(GITHUB_SECRET.as_bytes()));
        Ok(())
    })
    .await;
}
