//! Stopping and starting again over the same data.

use hookstream_e2e::{Pipeline, Sender, Start};
use hyper::StatusCode;

use crate::deliveries::{Signer, github_payloads};
use crate::tables::{count, wait_for_checkpoints};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_keeps_data_and_secrets_even_after_a_kill() {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let secret = pipeline.value("GITHUB_WEBHOOK_SECRET").to_owned();
    let (event, body) = &github_payloads()[0];
    let deliver = async |pipeline: &Pipeline, id: &str| {
        let delivery = Signer::new(pipeline).github(event, id, body);
        let answer = Sender::new(pipeline.value("GATEWAY_URL")).post(&delivery).await.unwrap();
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
        wait_for_checkpoints(pipeline, answer.sequence().unwrap()).await;
    };
    deliver(&pipeline, "first").await;

    let data_dir = pipeline.stop().await.unwrap();
    let pipeline = Pipeline::start_again(data_dir).await.unwrap();
    assert_eq!(pipeline.value("GITHUB_WEBHOOK_SECRET"), secret);
    deliver(&pipeline, "second").await;

    let pipeline = pipeline.crash_and_start_again().await.unwrap();
    deliver(&pipeline, "third").await;

    let database = pipeline.database().await.unwrap();
    assert_eq!(count(&database, "SELECT count(*) FROM task_logs").await, 3);
    let events = "SELECT count(*) FROM audit_trail WHERE stream = 'WEBHOOKS'";
    assert_eq!(count(&database, events).await, 3);
    pipeline.stop().await.unwrap();
}
