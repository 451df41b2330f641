//! Sources of a settings file, and secrets in files, under `hookstream up`.

use std::fs;
use std::time::Duration;

use bytes::Bytes;
use hookstream_e2e::{Delivery, Pipeline, Sender, Start};
use hookstream_signature::{Key, hub};
use hookstream_test_support::eventually;
use hyper::StatusCode;

use crate::deliveries::{Signer, github_payloads};

const SHOP: &str = "[sources.shop]\nscheme = \"gitlab\"\nsecret = \"the token of the shop\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn up_hands_the_settings_files_sources_to_the_gateway_which_reads_them_again() {
    let folder = tempfile::tempdir().unwrap();
    let [config, secret] = ["hookstream.toml", "github"].map(|name| folder.path().join(name));
    fs::write(&config, SHOP).unwrap();
    fs::write(&secret, "the former secret of GitHub").unwrap();
    let arguments =
        ["--config", config.to_str().unwrap(), "--github-webhook-secret-file", secret.to_str().unwrap()];
    let start = Start { arguments: arguments.map(str::to_owned).to_vec(), ..Start::default() };
    let pipeline = Pipeline::start(start).await.unwrap();
    let mut sender = Sender::new(pipeline.value("GATEWAY_URL"));
    assert_eq!(
        sender.post(&shop("first", "the token of the shop")).await.unwrap().status,
        StatusCode::ACCEPTED
    );

    fs::write(&config, SHOP.replace("the token", "another token")).unwrap();
    fs::write(&secret, "the new secret of GitHub").unwrap();
    let (event, body) = &github_payloads()[0];
    let mut github = Signer::new(&pipeline).github(event, "second", body);
    let signed = hub::sign(&Key::plain("test", b"the new secret of GitHub").unwrap(), body);
    github.headers.last_mut().unwrap().1 = signed;
    for delivery in [shop("second", "another token of the shop"), github] {
        eventually(&delivery.event_id, Duration::from_mins(1), async || {
            let answer = sender.post(&delivery).await.unwrap();
            if answer.status == StatusCode::ACCEPTED { Ok(()) } else { Err(answer) }
        })
        .await;
    }
    pipeline.stop().await.unwrap();
}

fn shop(id: &str, token: &str) -> Delivery {
    Delivery {
        event_id: format!("shop:{id}"),
        path: "/webhooks/shop",
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("x-gitlab-token", token.to_owned()),
            ("idempotency-key", id.to_owned()),
        ],
        body: Bytes::from(format!(r#"{{"object_kind":"push","id":"{id}"}}"#)),
    }
}
