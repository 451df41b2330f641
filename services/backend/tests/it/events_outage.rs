//! Live events while NATS is away, and after the stream has lost one.

use std::path::Path;

use hookstream_test_support::{eventually, run_test};

use crate::events::{Reader, publish, publisher};
use crate::support::{App, PATIENCE, problem};

#[tokio::test]
async fn a_reader_misses_nothing_while_nats_is_away() {
    run_test(async || {
        let app = App::start().await;
        publish(&publisher(&app).await, 1, 2).await;
        let mut reader = Reader::open(&app, "?after=0", "").await?;
        assert_eq!(reader.ids(2).await?, [1, 2]);
        app.nats.kill().await;
        app.nats.restart().await;
        // As soon as it is there, and before the backend has found it again.
        let publisher = publisher(&app).await;
        publish(&publisher, 3, 5).await;
        ready(&app, 200).await;
        publish(&publisher, 6, 6).await;
        assert_eq!(reader.ids(4).await?, [3, 4, 5, 6]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn who_begins_to_read_while_nats_is_away_is_told_so() {
    run_test(async || {
        let app = App::start().await;
        app.nats.stop().await;
        let document = problem(&app.get("/events").await?, 503, "unavailable");
        assert_eq!(document["title"], "The stream is not available now");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_told_of_an_event_that_the_stream_lost_and_goes_on() {
    run_test(async || {
        let app = App::start().await;
        publish(&publisher(&app).await, 1, 5).await;
        app.nats.stop().await;
        ready(&app, 503).await;
        damage(&app.nats.data_dir(), br#""reason":"3""#);
        app.nats.restart().await;
        ready(&app, 200).await;
        let mut reader = Reader::open(&app, "?after=0", "").await?;
        assert_eq!(reader.ids(2).await?, [1, 2]);
        let gap = reader.next().await?;
        let lines: Vec<_> = gap.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(lines, [("id", "3"), ("event", "gap"), ("data", r#"{"from":3,"to":3}"#)]);
        assert_eq!(reader.ids(2).await?, [4, 5]);
        publish(&publisher(&app).await, 6, 6).await;
        assert_eq!(reader.ids(1).await?, [6]);
        Ok(())
    })
    .await;
}

/// Waits for this status of the backend's readiness.
async fn ready(app: &App, status: u16) {
    eventually("the backend's readiness", PATIENCE, async || {
        app.server().get("/readyz").await.is_ok_and(|answer| answer.status == status)
    })
    .await;
}

/// Changes a byte of the message that holds `marker`: the server finds it damaged, and drops it.
fn damage(folder: &Path, marker: &[u8]) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            damage(&path, marker);
        } else if path.extension().is_some_and(|extension| extension == "blk") {
            let mut bytes = std::fs::read(&path).expect("a file of the stream");
            if let Some(at) = bytes.windows(marker.len()).position(|found| found == marker) {
                bytes[at] ^= 1;
                std::fs::write(&path, bytes).expect("a file of the stream");
            }
        }
    }
}
