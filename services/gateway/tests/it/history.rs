//! What is stored can be verified again, and what became of the keys is told.

use hookstream_bus::{Operation, StoredMessage};
use hookstream_event::{BodyDigest, Envelope, header};
use hookstream_gateway::{Archive, Doubt, Verdict};
use hookstream_runtime::Settings;
use hookstream_signature::{Key, hmac, slack, standard_webhooks, stripe};
use hookstream_test_support::{
    GITHUB_SECRET, INTERNAL_SECRET, TestNats, eventually, github_delivery, github_form_delivery,
    internal_delivery, internal_hub_delivery, run_test, unique_id,
};
use time::OffsetDateTime;

use crate::gateway::{ISSUE, PATIENCE, Pairs, TestGateway, accepted, stored_at};

const SOURCES: &str = r#"
[sources.billing]
scheme = "stripe"
secret = "whsec_test_secret"
[sources.chat]
scheme = "slack"
secret = "slack secret"
[sources.forge]
scheme = "gitlab"
secret = "glwhk-token"
[sources.partner]
scheme = "standard-webhooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
[sources.other]
scheme = "standard-webhooks"
secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
id_path = "order"
[sources.shop]
scheme = "hmac"
secret = "shop secret"
signature_header = "X-Shop-Hmac"
signature_encoding = "base64"
"#;

const LEASE_EXPIRED: &str = "hookstream.phase.lease_expired";

const SECRETS: [(&str, &str); 2] =
    [("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET), ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)];

/// Settings whose file says `toml`, with these secrets.
fn settings(toml: &str, secrets: &[(&str, &str)]) -> Settings {
    let path = std::env::temp_dir().join(format!("hookstream-history-{}.toml", unique_id()));
    std::fs::write(&path, toml).unwrap();
    let config = ("HOOKSTREAM_CONFIG", path.to_str().unwrap());
    let settings = Settings::from_pairs(secrets.iter().copied().chain([config]));
    std::fs::remove_file(path).unwrap();
    settings
}

fn again(archive: &Archive, stored: &StoredMessage) -> Result<Verdict, Doubt> {
    let headers = stored.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    archive.verify_again(&Envelope::from_headers(headers).unwrap(), &stored.payload)
}

fn change(stored: &StoredMessage, name: &str, value: &str) -> StoredMessage {
    let mut changed = stored.clone();
    let header = changed.headers.iter_mut().find(|(found, _)| found == name);
    value.clone_into(&mut header.expect("the header is there").1);
    changed
}

/// An event of each scheme and form, with the verdict it deserves.
async fn stored_by_every_scheme(nats: &TestNats, gateway: &TestGateway) -> Vec<(StoredMessage, Verdict)> {
    let mut stored = Vec::new();
    for delivery in [
        github_delivery("issues", ISSUE),
        github_form_delivery("issues", ISSUE.as_bytes()),
        internal_delivery(r#"{"type":"queue.paused"}"#),
        internal_hub_delivery(r#"{"type":"queue.resumed"}"#),
    ] {
        let sequence = accepted(&gateway.send(&delivery).await);
        stored.push((stored_at(nats, sequence).await, Verdict::Verified));
    }
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let (time, id) = (now.to_string(), unique_id());
    let key = |secret: &str| Key::plain("k", secret.as_bytes()).unwrap();
    let body = r#"{"id":"evt_1","type":"x.y","event_id":"Ev1","order":"o-1"}"#;
    let by_stripe = stripe::sign(&key("whsec_test_secret"), now, body.as_bytes());
    let by_slack = slack::sign(&key("slack secret"), now, body.as_bytes());
    let partner = Key::new("k", b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let by_partner = standard_webhooks::sign(&partner, &id, now, body.as_bytes());
    let form = hmac::Form { prefix: String::new(), encoding: hmac::Encoding::Base64 };
    let by_shop = hmac::sign(&key("shop secret"), &form, body.as_bytes());
    let standard = [("webhook-id", &*id), ("webhook-timestamp", &*time), ("webhook-signature", &*by_partner)];
    let posts: [(&str, Pairs<'_>, Verdict); 6] = [
        ("billing", &[("stripe-signature", &by_stripe)], Verdict::Verified),
        (
            "chat",
            &[("x-slack-request-timestamp", &time), ("x-slack-signature", &by_slack)],
            Verdict::Verified,
        ),
        ("forge", &[("x-gitlab-token", "glwhk-token")], Verdict::DigestOnly),
        ("partner", &standard, Verdict::Verified),
        ("other", &standard, Verdict::Verified),
        ("shop", &[("x-shop-hmac", &by_shop)], Verdict::Verified),
    ];
    for (source, headers, verdict) in posts {
        let headers = [&[("content-type", "application/json")], headers].concat();
        let answer = gateway.post(&format!("/webhooks/{source}"), &headers, body).await;
        stored.push((stored_at(nats, accepted(&answer)).await, verdict));
    }
    stored
}

async fn start(nats: &TestNats, folder: &std::path::Path) -> TestGateway {
    let config = folder.join("hookstream.toml");
    std::fs::write(&config, SOURCES).unwrap();
    TestGateway::start_with(nats, &[("HOOKSTREAM_CONFIG", config.to_str().unwrap())]).await
}

#[tokio::test]
async fn whatever_a_gateway_stored_verifies_again_from_what_is_stored() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let archive = Archive::read(&settings(SOURCES, &SECRETS))?;
        for (stored, verdict) in stored_by_every_scheme(&nats, &gateway).await {
            assert_eq!(again(&archive, &stored), Ok(verdict), "{}", stored.subject);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whatever_was_changed_does_not() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = start(&nats, folder.path()).await;
        let archive = Archive::read(&settings(SOURCES, &SECRETS))?;
        let (none, strangers) = (Archive::read(&settings("", &[]))?, Archive::read(&settings("", &SECRETS))?);
        for (stored, verdict) in stored_by_every_scheme(&nats, &gateway).await {
            let subject = &stored.subject;
            let mut altered = stored.clone();
            altered.payload = [b" ", &stored.payload[..]].concat().into();
            assert_eq!(again(&archive, &altered), Err(Doubt::BodyAltered), "{subject}");
            let no_key = if subject.contains("github") || subject.contains("internal") {
                Doubt::KeyMissing
            } else {
                Doubt::SourceMissing
            };
            assert_eq!(again(&none, &stored), Err(no_key), "{subject}");
            let unknown = change(&stored, header::KEY_ID, "k-000000000000");
            assert_eq!(again(&archive, &unknown), Err(Doubt::KeyMissing), "{subject}");
            let unsigned = change(&stored, header::SIGNATURE, "");
            assert_eq!(again(&archive, &unsigned), Err(Doubt::SignatureMissing), "{subject}");
            // The phase queue notes by itself that nobody took a phase.
            let unsigned = change(&change(&stored, header::SIGNATURE, "none"), "ce-type", LEASE_EXPIRED);
            let internal = subject.contains("internal");
            let expected = if internal { Ok(Verdict::Appended) } else { Err(Doubt::SignatureMissing) };
            assert_eq!(again(&archive, &unsigned), expected, "{subject}");
            if no_key == Doubt::SourceMissing {
                assert_eq!(again(&strangers, &stored), Err(Doubt::SourceMissing), "{subject}");
            }
            if verdict == Verdict::DigestOnly {
                continue;
            }
            // Body and digest changed together: only the signature tells.
            let digest = BodyDigest::of(&altered.payload).to_string();
            let forged = change(&altered, header::BODY_SHA256, &digest);
            assert_eq!(again(&archive, &forged), Err(Doubt::SignatureMismatch), "{subject}");
            let broken = change(&stored, header::SIGNATURE, "sha256=00");
            assert_eq!(again(&archive, &broken), Err(Doubt::SignatureMalformed), "{subject}");
            if stored.headers.iter().any(|(name, _)| name == "hs-signed-at") && !subject.contains("billing") {
                let moved = change(&stored, "hs-signed-at", "1700000000");
                assert_eq!(again(&archive, &moved), Err(Doubt::SignatureMismatch), "{subject}");
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_retired_key_verifies_what_is_stored_and_nothing_that_comes_in() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let gateway = TestGateway::start(&nats).await;
        let delivery = github_delivery("issues", ISSUE);
        let stored = stored_at(&nats, accepted(&gateway.send(&delivery).await)).await;
        let retired = format!("[sources.github]\nretired = [{{ secret = \"{GITHUB_SECRET}\" }}]\n");
        let fresh = [("GITHUB_WEBHOOK_SECRET", "a new one"), SECRETS[1]];
        assert_eq!(again(&Archive::read(&settings("", &fresh))?, &stored), Err(Doubt::KeyMissing));
        let archive = Archive::read(&settings(&retired, &fresh))?;
        assert_eq!(again(&archive, &stored), Ok(Verdict::Verified));
        // So does one whose end has come.
        let expired = format!(
            "[sources.github]\nsecrets = [{{ secret = \"{GITHUB_SECRET}\", not_after = 2020-01-01T00:00:00Z }}]\n"
        );
        assert_eq!(again(&Archive::read(&settings(&expired, &fresh))?, &stored), Ok(Verdict::Verified));

        let config = folder.path().join("retired.toml");
        std::fs::write(&config, retired)?;
        let config = ("HOOKSTREAM_CONFIG", config.to_str().unwrap());
        let nats = TestNats::start().await;
        let gateway = TestGateway::start_with(&nats, &[config, fresh[0]]).await;
        let answer = gateway.send(&github_delivery("issues", ISSUE)).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        Ok(())
    })
    .await;
}

/// Acts that were told, without their times.
async fn acts(nats: &TestNats) -> Vec<String> {
    let bus = nats.connect("operator").await;
    let last = bus.stream_state("OPERATIONS").await.unwrap().last_sequence;
    let mut acts = Vec::new();
    for sequence in 1..=last {
        let stored = bus.message_at("OPERATIONS", sequence).await.unwrap().unwrap();
        let told = Operation::read(&stored.subject, &stored.payload).unwrap();
        let keys = told.details.get("keys").and_then(|keys| keys.as_array()).map(Vec::len);
        let key = told.details.get("key_id").and_then(|id| id.as_str().map(str::to_owned));
        let about = key.or(keys.map(|keys| format!("{keys} keys"))).unwrap_or_default();
        acts.push(format!("{} {} {about}", told.role, told.act));
        let text = String::from_utf8_lossy(&stored.payload).into_owned();
        assert!(!text.contains(GITHUB_SECRET) && !text.contains("canary"), "{text}");
    }
    acts
}

#[tokio::test]
async fn what_becomes_of_the_keys_is_told_also_after_an_outage() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let config = folder.path().join("c.toml");
        std::fs::write(&config, "")?;
        let gateway =
            TestGateway::start_with(&nats, &[("HOOKSTREAM_CONFIG", config.to_str().unwrap())]).await;
        let told = async |expected: &[&str]| {
            eventually("the acts are told", PATIENCE, async || {
                let acts = acts(&nats).await;
                if acts == expected { Ok(()) } else { Err(acts) }
            })
            .await;
        };
        told(&["gateway keys_in_force 2 keys"]).await;
        nats.kill().await;
        std::fs::write(&config, "[sources.github]\nsecrets = [{ id = 'next', secret = 'canary-secret' }]\n")?;
        nats.restart().await;
        told(&["gateway keys_in_force 2 keys", "gateway key_added next"]).await;
        std::fs::write(&config, "")?;
        told(&["gateway keys_in_force 2 keys", "gateway key_added next", "gateway key_retired next"]).await;
        gateway.stop().await?;
        Ok(())
    })
    .await;
}
