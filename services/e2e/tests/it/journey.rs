//! GitHub deliveries through the whole pipeline.

use std::collections::BTreeMap;
use std::time::Duration;

use hookstream_e2e::{Delivery, Pipeline, Sender, Start};
use hyper::StatusCode;

use crate::deliveries::{Signer, github_payloads};
use crate::tables::{assert_chain_is_unbroken, count, fingerprints, wait_for_checkpoints};

/// Posts all over a few connections at once; answers in the order of the deliveries.
async fn post_all(pipeline: &Pipeline, deliveries: &[Delivery]) -> Vec<(StatusCode, u64)> {
    const CONNECTIONS: usize = 16;
    let share = deliveries.len().div_ceil(CONNECTIONS);
    let tasks: Vec<_> = deliveries
        .chunks(share)
        .map(|chunk| {
            let (chunk, mut sender) = (chunk.to_vec(), Sender::new(pipeline.value("GATEWAY_URL")));
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for delivery in &chunk {
                    let answer = sender.post(delivery).await.unwrap();
                    let sequence = answer.sequence();
                    let sequence = sequence.unwrap_or_else(|| panic!("{}: {answer:?}", delivery.event_id));
                    answers.push((answer.status, sequence));
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn each_delivery_becomes_one_row_of_each_read_model_and_a_repeat_changes_nothing() {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let subscriber = pipeline.nats("NATS_SUBSCRIBER_URL", "subscriber").await.unwrap();
    let mut live = subscriber.subscribe("webhooks.*").await.unwrap();
    let signer = Signer::new(&pipeline);
    let payloads = github_payloads();
    let json = payloads
        .iter()
        .enumerate()
        .map(|(n, (event, body))| signer.github(event, &format!("json-{n}"), body));
    let form = payloads
        .iter()
        .enumerate()
        .map(|(n, (event, body))| signer.github_form(event, &format!("form-{n}"), body));
    let deliveries: Vec<Delivery> = json.chain(form).collect();
    let total = deliveries.len() as u64;

    let first = post_all(&pipeline, &deliveries).await;
    assert!(first.iter().all(|(status, _)| *status == StatusCode::ACCEPTED), "{first:?}");
    wait_for_checkpoints(&pipeline, total).await;

    let operator = pipeline.nats("NATS_URL", "operator").await.unwrap();
    let stored = operator.stream_state("WEBHOOKS").await.unwrap();
    assert_eq!((stored.messages, stored.last_sequence), (total, total));
    let database = pipeline.database().await.unwrap();
    let rows = i64::try_from(total).unwrap();
    // The trail also says what was done to streams and keys at the start.
    for table in ["audit_trail WHERE stream = 'WEBHOOKS'", "webhook_events", "task_logs"] {
        let distinct = format!("SELECT count(DISTINCT stream_sequence) FROM {table}");
        assert_eq!(count(&database, &format!("SELECT count(*) FROM {table}")).await, rows, "{table}");
        assert_eq!(count(&database, &distinct).await, rows, "{table}");
    }
    assert_eq!(count(&database, "SELECT count(*) FROM dead_letters").await, 0);
    assert_chain_is_unbroken(&database).await;

    // Each stored event was republished once, in the stream's order, and says where it is stored.
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for position in 1..=total {
        let message = tokio::time::timeout(Duration::from_secs(10), live.next()).await.unwrap().unwrap();
        let header = |name: &str| message.header(name).unwrap_or_else(|| panic!("no {name}")).to_owned();
        assert_eq!(header("Nats-Sequence"), position.to_string());
        assert!(header("ce-type").starts_with("com.github."));
        assert_eq!(message.subject, "webhooks.github");
        *seen.entry(header("Nats-Msg-Id")).or_default() += 1;
    }
    assert!(deliveries.iter().all(|delivery| seen.get(&delivery.event_id) == Some(&1)));

    let before = fingerprints(&database).await;
    let again = post_all(&pipeline, &deliveries).await;
    let expected: Vec<_> = first.iter().map(|(_, sequence)| (StatusCode::OK, *sequence)).collect();
    assert_eq!(again, expected);

    // One more event behind the repeats: once it is applied, whatever they might have done is done, too.
    let marker = signer.github(&payloads[0].0, "marker", &payloads[0].1);
    let answer = post_all(&pipeline, std::slice::from_ref(&marker)).await;
    assert_eq!(answer, [(StatusCode::ACCEPTED, total + 1)]);
    wait_for_checkpoints(&pipeline, total + 1).await;
    let after = fingerprints(&database).await;
    for ((table, rows_before, _), (_, rows_after, _)) in before.iter().zip(&after) {
        let marker_rows = match *table {
            "audit_trail" | "task_logs" => 1,
            "event_memory" => rows_after - rows_before,
            _ => 0,
        };
        assert_eq!(rows_after - rows_before, marker_rows, "{table}");
    }
    pipeline.stop().await.unwrap();
}
