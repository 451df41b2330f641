//! The executable itself: its exit codes, its signals and its log.

use hookstream_test_support::{
    TestNats, eventually, github_delivery, github_form_delivery, http, internal_delivery, run_test,
};
use tokio::task::spawn_blocking;

use crate::executable::Process;
use crate::gateway::{ISSUE, PATIENCE, stored_count};

#[tokio::test]
async fn a_source_without_a_secret_is_refused_at_start() {
    run_test(async || {
        for (environment, missing) in [
            (&[("GITHUB_WEBHOOK_SECRET", "x")][..], "INTERNAL_WEBHOOK_SECRET is not set"),
            (
                &[("INTERNAL_WEBHOOK_SECRET", "x"), ("GITHUB_WEBHOOK_SECRET", "")],
                "GITHUB_WEBHOOK_SECRET is not set",
            ),
            (
                &[("INTERNAL_WEBHOOK_SECRET", "x"), ("GITHUB_WEBHOOK_SECRET", " ")],
                "GITHUB_WEBHOOK_SECRET (environment)",
            ),
        ] {
            let mut process = Process::start(environment);
            assert_eq!(process.ended().await.code(), Some(2));
            assert!(process.log().contains(missing), "{}", process.log());
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_taken_port_is_named_with_its_setting() {
    run_test(async || {
        let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = taken.local_addr()?.to_string();
        let environment = [
            ("INTERNAL_WEBHOOK_SECRET", "x"),
            ("GITHUB_WEBHOOK_SECRET", "y"),
            ("HOOKSTREAM_GATEWAY_ADDR", address.as_str()),
        ];
        let mut process = Process::start(&environment);
        assert_eq!(process.ended().await.code(), Some(1));
        let log = process.log();
        assert!(log.contains(&format!("listen on {address} (HOOKSTREAM_GATEWAY_ADDR)")), "{log}");
        Ok(())
    })
    .await;
}

/// Secrets that must be nowhere, and a text of a body.
const CANARIES: [&str; 5] = [
    "canary-github",
    "canary-former",
    "whsec_Y2FuYXJ5LWludGVybmFsLXNlY3JldA==",
    "canary-title",
    "Y2FuYXJ5LW",
];

#[tokio::test]
async fn nothing_secret_is_in_logs_answers_or_metrics_even_at_trace() {
    use hookstream_signature::{Key, hub, standard_webhooks};
    run_test(async || {
        let nats = TestNats::start().await;
        let nats_url = format!("nats://{}", nats.client_addr());
        let password = nats.password("gateway");
        let environment = [
            ("NATS_URL", nats_url.as_str()),
            ("NATS_USER", "gateway"),
            ("NATS_PASSWORD", &password),
            ("GITHUB_WEBHOOK_SECRET", CANARIES[0]),
            ("GITHUB_WEBHOOK_SECRET_PREVIOUS", CANARIES[1]),
            ("INTERNAL_WEBHOOK_SECRET", CANARIES[2]),
            ("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0"),
            ("HOOKSTREAM_LOG", "trace"),
        ];
        let mut process = Process::start(&environment);
        let url = process.url().await;
        eventually("it is ready", PATIENCE, async || {
            http::get(&format!("{url}/readyz")).await.is_ok_and(|page| page.status == 200)
        })
        .await;

        let body = ISSUE.replace("\"number\":42", "\"number\":42,\"title\":\"canary-title\"");
        let signature = hub::sign(&Key::new("test", CANARIES[0].as_bytes())?, body.as_bytes());
        let good = github_delivery("issues", body.clone()).with_header("x-hub-signature-256", &signature);
        let internal = internal_delivery(r#"{"type":"queue.paused","reason":"canary-title"}"#);
        let (id, timestamp) = (internal.id().unwrap(), internal.header("webhook-timestamp").unwrap());
        let internal_key = Key::new("test", CANARIES[2].as_bytes())?;
        let internal_signature =
            standard_webhooks::sign(&internal_key, id, timestamp.parse()?, &internal.body);
        let internal = internal.clone().with_header("webhook-signature", &internal_signature);
        let mut shown = Vec::new();
        for delivery in [
            good.clone(),
            good.clone(),
            good.clone().with_header("x-github-event", "push"),
            good.clone().with_header("x-github-delivery", "\u{9b}31m x"),
            good.clone().with_header("content-type", "text/plain"),
            good.clone().with_body(body.replace('4', "5")),
            github_form_delivery("issues", body.as_bytes()),
            internal.clone(),
            internal.with_body("canary-title"),
        ] {
            shown.push(delivery.send(&url).await?.text());
        }
        for path in ["/metrics", "/readyz", "/canary-title"] {
            shown.push(http::get(&format!("{url}{path}")).await?.text());
        }
        assert_eq!(stored_count(&nats).await, 2, "{shown:?}");
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
        let log = process.log();
        assert!(log.contains("stored event github:") && log.contains("refused request"), "{log}");
        shown.extend(log.lines().map(str::to_owned));
        let hex = signature.trim_start_matches("sha256=");
        let secrets = CANARIES.iter().copied().chain([hex, &internal_signature[3..], password.as_str()]);
        for secret in secrets {
            let leak = shown.iter().find(|text| text.contains(secret));
            assert!(leak.is_none(), "{secret} is in {leak:?}");
        }
        assert!(!log.contains('\u{1b}'), "no control characters reach the log");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_hangup_reads_the_secrets_again_and_a_broken_file_is_logged_once_and_keeps_the_old() {
    use hookstream_signature::{Key, hub};
    run_test(async || {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("github.secret");
        std::fs::write(&file, "canary-first\n")?;
        let environment = [
            // Nothing listens there: a genuine delivery is 503, a forged one 401.
            ("NATS_URL", "nats://127.0.0.1:1"),
            ("GITHUB_WEBHOOK_SECRET_FILE", file.to_str().unwrap()),
            ("INTERNAL_WEBHOOK_SECRET", "x"),
            ("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0"),
        ];
        let process = Process::start(&environment);
        let url = process.url().await;
        let status = async |secret: &str| {
            let signature = hub::sign(&Key::plain("k", secret.as_bytes()).unwrap(), ISSUE.as_bytes());
            let delivery = github_delivery("issues", ISSUE).with_header("x-hub-signature-256", &signature);
            delivery.send(&url).await.unwrap().status
        };
        let failures = || process.log().matches("cannot read the sources again").count();
        std::fs::remove_file(&file)?;
        eventually("the missing file is told", PATIENCE, async || failures() == 1).await;
        assert_eq!((status("canary-first").await, status("canary-second").await), (503, 401));

        let next = folder.path().join("next");
        std::fs::write(&next, "canary-second\n")?;
        std::fs::rename(&next, &file)?;
        process.signal("HUP");
        eventually("the new secret is known", PATIENCE, async || status("canary-second").await == 503).await;
        assert_eq!(status("canary-first").await, 401);
        let log = process.log();
        assert_eq!(failures(), 1, "{log}");
        assert!(log.contains("read the sources again: 2 keys") && !log.contains("canary"), "{log}");
        spawn_blocking(move || drop(process)).await?;
        Ok(())
    })
    .await;
}
