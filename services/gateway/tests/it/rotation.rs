//! Keys that come and go while requests are served.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hookstream_signature::{Key, gitlab, hub};
use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{GITHUB_SECRET, TestNats, eventually, github_delivery, run_test};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::gateway::{ISSUE, PATIENCE, TestGateway, accepted, refused, stored_count};

const SIGNATURE: &str = "x-hub-signature-256";

fn signature(secret: &str) -> String {
    hub::sign(&Key::plain("test", secret.as_bytes()).unwrap(), ISSUE.as_bytes())
}

async fn status(url: &str, secret: &str) -> u16 {
    let delivery = github_delivery("issues", ISSUE).with_header(SIGNATURE, &signature(secret));
    delivery.send(url).await.unwrap().status
}

async fn start(nats: &TestNats, config: &Path) -> TestGateway {
    TestGateway::start_with(nats, &[("HOOKSTREAM_CONFIG", config.to_str().unwrap())]).await
}

// R5
#[tokio::test]
async fn a_rotation_under_load_refuses_no_honest_request() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (config, secret) = (folder.path().join("c.toml"), folder.path().join("next"));
        std::fs::write(&config, "")?;
        let gateway = start(&nats, &config).await;
        let (rotated, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let mut senders = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let (rotated, done, url) = (Arc::clone(&rotated), Arc::clone(&done), gateway.url.clone());
            senders.spawn(async move {
                let mut statuses = Vec::new();
                while !done.load(Ordering::SeqCst) {
                    // The sender changes over once the new key is known, as a provider is told to.
                    let new = rotated.load(Ordering::SeqCst);
                    statuses.push((new, status(&url, if new { "the new one" } else { GITHUB_SECRET }).await));
                }
                statuses
            });
        }
        std::fs::write(&secret, "the new one\n")?;
        std::fs::write(
            &config,
            format!("[sources.github]\nsecrets = [{{ secret_file = '{}' }}]\n", secret.display()),
        )?;
        eventually("the new key is known", PATIENCE, async || {
            match status(&gateway.url, "the new one").await {
                202 => Ok(()),
                other => Err(other),
            }
        })
        .await;
        rotated.store(true, Ordering::SeqCst);
        let line = format!(
            r#"hookstream_webhook_key_uses_total{{source="github",key_id="{}"}}"#,
            Key::fingerprint(b"the new one")
        );
        eventually("the new key is in use", PATIENCE, async || {
            let uses = gateway.metric(&line);
            if uses > 20.0 { Ok(()) } else { Err(uses) }
        })
        .await;
        done.store(true, Ordering::SeqCst);
        let statuses: Vec<_> = senders.join_all().await.concat();
        assert!(statuses.iter().all(|(_, status)| *status == 202), "{statuses:?}");
        assert!(statuses.iter().any(|(new, _)| *new) && statuses.iter().any(|(new, _)| !*new));
        Ok(())
    })
    .await;
}

// R5
#[tokio::test]
async fn a_key_is_refused_from_its_second_on_and_after_it_was_taken_away() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let config = folder.path().join("c.toml");
        let ends = OffsetDateTime::now_utc() + time::Duration::seconds(4);
        let text = format!(
            "[sources.github]\nsecrets = [{{ secret = 'ending', not_after = {} }}, {{ secret = 'going' }}]\n",
            ends.replace_nanosecond(0)?.format(&Rfc3339)?
        );
        std::fs::write(&config, text)?;
        let gateway = start(&nats, &config).await;
        for secret in [GITHUB_SECRET, "ending", "going"] {
            assert_eq!(status(&gateway.url, secret).await, 202, "{secret}");
        }
        eventually("the key has ended", PATIENCE, async || match status(&gateway.url, "ending").await {
            401 => Ok(()),
            other => Err(other),
        })
        .await;
        assert!(OffsetDateTime::now_utc() >= ends.replace_nanosecond(0)?, "it was good until its second");
        let expired = r#"hookstream_webhook_rejections_total{source="github",reason="signature_expired"}"#;
        assert!(gateway.metric(expired) > 0.5);
        assert_eq!(status(&gateway.url, "going").await, 202, "the other has no end");

        std::fs::write(&config, "")?;
        eventually("the key is gone", PATIENCE, async || match status(&gateway.url, "going").await {
            401 => Ok(()),
            other => Err(other),
        })
        .await;
        assert_eq!(status(&gateway.url, GITHUB_SECRET).await, 202);
        Ok(())
    })
    .await;
}

// R5
#[tokio::test]
async fn a_request_is_verified_with_the_keys_that_it_began_with() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let config = folder.path().join("c.toml");
        std::fs::write(&config, "[sources.github]\nsecrets = [{ secret = 'going' }]\n")?;
        let gateway = start(&nats, &config).await;
        let head = format!(
            "POST /webhooks/github HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\nconnection: close\r\n\
             x-github-event: issues\r\nx-github-delivery: began-before\r\n{SIGNATURE}: {}\r\ncontent-length: {}\r\n\
             expect: 100-continue\r\n\r\n",
            signature("going"),
            ISSUE.len()
        );
        let mut connection = RawConnection::open(gateway.addr).await?;
        connection.send(head.as_bytes()).await?;
        // Now it has begun: the gateway asks for the body.
        assert!(connection.read_some().await?.starts_with("HTTP/1.1 100 "));
        std::fs::write(&config, "")?;
        eventually("the key is gone", PATIENCE, async || match status(&gateway.url, "going").await {
            401 => Ok(()),
            other => Err(other),
        })
        .await;
        connection.send(ISSUE.as_bytes()).await?;
        let answer = connection.read_all().await?;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_old_keys_until_it_is_mended() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (config, secret) = (folder.path().join("c.toml"), folder.path().join("token"));
        let source = format!("[sources.forge]\nscheme = 'gitlab'\nsecret_file = '{}'\n", secret.display());
        std::fs::write(&secret, "first\n")?;
        std::fs::write(&config, &source)?;
        let gateway = start(&nats, &config).await;
        let post = async |token: &str, body: &str| {
            let headers = [("content-type", "application/json"), (gitlab::TOKEN_HEADER, token)];
            gateway.post("/webhooks/forge", &headers, body.to_owned()).await
        };
        accepted(&post("first", r#"{"n":1}"#).await);

        // Broken in one file, changed in the other: all of it is left as it was.
        std::fs::write(&config, format!("{source}scheem = 'x'\n"))?;
        std::fs::write(&secret, "second\n")?;
        let delivery = github_delivery("issues", ISSUE);
        accepted(&gateway.send(&delivery).await);
        accepted(&post("first", r#"{"n":2}"#).await);
        refused(&post("second", r#"{"n":3}"#).await, 401, "unauthorized");

        std::fs::write(&config, &source)?;
        eventually("the mended file is read", PATIENCE, async || {
            match post("second", r#"{"n":4}"#).await.status {
                200 | 202 => Ok(()),
                other => Err(other),
            }
        })
        .await;
        refused(&post("first", r#"{"n":5}"#).await, 401, "unauthorized");
        assert_eq!(stored_count(&nats).await, 4);
        Ok(())
    })
    .await;
}
