//! The executable itself: its exit codes, its signals and its log.

use hookstream_test_support::{eventually, github_delivery, run_test};
use tokio::task::spawn_blocking;

use crate::executable::Process;
use crate::gateway::{ISSUE, PATIENCE};

// T6
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
