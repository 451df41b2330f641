//! Senders that behave: one delivery after the other over a connection that they keep.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use hookstream_test_support::http::Connection;
use hookstream_test_support::{Delivery, github_delivery, github_form_delivery, internal_delivery};
use hyper::Method;
use serde_json::json;

use super::super::raw::issue_of;
use super::Site;

/// What the gateway said that it has stored: by event id, the sequence and the status of the answer.
pub(super) type Accepted = HashMap<String, (u64, u16)>;

/// Sends until it is over.
///
/// Every delivery must be answered as stored: with 202, or with 200 if it was stored before. That may be when it was
/// sent again, because a connection that was kept turned out to be closed; or when the stream's ack of a commit was so
/// late that the gateway asked for the event once more.
pub(super) async fn send(site: Site, number: usize) -> anyhow::Result<Accepted> {
    let (mut accepted, mut kept) = (HashMap::new(), None::<Connection>);
    for count in 0.. {
        if !site.is_open() {
            break;
        }
        let delivery = delivery(number, count);
        let answer = loop {
            let reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(site.gateway).await.context("connect")?,
            };
            let (headers, body) = (delivery.header_refs(), delivery.body.clone());
            match connection.request(Method::POST, &delivery.path, &headers, body).await {
                Ok(answer) => {
                    if answer.header("connection") != Some("close") {
                        kept = Some(connection);
                    }
                    break answer;
                }
                Err(_) if reused => {}
                Err(error) => return Err(error.context("an honest delivery was not answered")),
            }
        };
        ensure!(
            [200, 202].contains(&answer.status),
            "an honest delivery got {}: {}",
            answer.status,
            answer.text()
        );
        let receipt = answer.json();
        let id = receipt["event_id"].as_str().context("an id")?.to_owned();
        let sequence = receipt["sequence"].as_u64().context("a sequence")?;
        accepted.insert(id, (sequence, answer.status));
        // A pace that leaves the machine to the others.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    Ok(accepted)
}

/// Deliveries of every shape and size, no two with the same body.
fn delivery(number: usize, count: usize) -> Delivery {
    let title = format!("{number}-{count}");
    let issue = json!({ "action": "opened", "issue": { "number": 42, "title": title } }).to_string();
    match count % 50 {
        0 => internal_delivery(json!({ "type": "queue.paused", "reason": title }).to_string()),
        1 => github_form_delivery("issues", issue.as_bytes()),
        2 => github_delivery(
            "issues",
            issue_of(1_000_000).replacen("xxxxxxxxxxxx", &format!("{title:>12}"), 1),
        ),
        3..30 => {
            github_delivery("issues", issue_of(10_000).replacen("xxxxxxxxxxxx", &format!("{title:>12}"), 1))
        }
        _ => github_delivery("issues", issue),
    }
}
