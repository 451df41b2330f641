//! A gateway that is stopped while it has all hands full.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::Duration;

use hookstream_test_support::http::Connection;
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};
use hyper::Method;
use tokio::task::{JoinSet, spawn_blocking};

use crate::executable::Process;
use crate::gateway::{ISSUE, PATIENCE, stored_count, stored_ids};

/// Sends one after the other over a connection that it keeps, until the gateway takes no new ones. Returns the events
/// that were accepted, each with the sequence it was told.
async fn send_until_refused(addr: SocketAddr) -> anyhow::Result<HashMap<String, u64>> {
    let mut accepted = HashMap::new();
    while let Ok(mut connection) = Connection::open(addr).await {
        loop {
            let delivery = github_delivery("issues", ISSUE);
            let (headers, body) = (delivery.header_refs(), delivery.body.clone());
            let Ok(answer) = connection.request(Method::POST, &delivery.path, &headers, body).await else {
                break;
            };
            let receipt = answer.json();
            anyhow::ensure!(answer.status == 202, "{} {receipt}", answer.status);
            let id = receipt["event_id"].as_str().unwrap().to_owned();
            accepted.insert(id, receipt["sequence"].as_u64().unwrap());
        }
    }
    Ok(accepted)
}

#[tokio::test]
async fn sigterm_under_load_answers_all_it_has_accepted_and_loses_none() {
    const SENDERS: usize = 32;
    run_test(async || {
        let nats = TestNats::start().await;
        let (mut process, url) = Process::start_ready(&nats, &[]).await;
        let addr = url.trim_start_matches("http://").parse()?;
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            senders.spawn(send_until_refused(addr));
        }
        eventually("a good many are stored", PATIENCE, async || stored_count(&nats).await > 1000).await;
        process.signal("TERM");
        let ended = tokio::time::timeout(Duration::from_secs(10), process.ended()).await?;
        assert_eq!(ended.code(), Some(0), "{}", process.log());

        let mut accepted = HashMap::new();
        while let Some(of_one) = senders.join_next().await {
            accepted.extend(of_one??);
        }
        let ids = stored_ids(&nats).await;
        for (id, sequence) in &accepted {
            let stored = usize::try_from(*sequence)?.checked_sub(1).and_then(|at| ids.get(at));
            assert_eq!(stored, Some(id), "accepted at {sequence}");
        }
        let distinct: HashSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "each is stored once");
        let untold: Vec<_> = ids.iter().filter(|id| !accepted.contains_key(*id)).collect();
        assert!(untold.is_empty(), "stored, and the sender was not told: {untold:?}");
        assert!(!process.log().contains("panicked"), "{}", process.log());
        spawn_blocking(move || drop(process)).await?;
        Ok(())
    })
    .await;
}
