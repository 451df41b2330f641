//! Live events: each once, in order, from wherever the reader stopped, and nobody waits for a slow one.

use std::time::Duration;

use hookstream_bus::Publisher;
use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{SampleEvent, eventually, run_test};
use serde_json::{Value, json};

use crate::openapi::validate;
use crate::support::{App, PATIENCE, problem};

/// Readers at once.
const READERS_MAX: usize = 64;

/// A reader of live events.
pub(crate) struct Reader {
    connection: RawConnection,
    text: String,
    /// How much of the text was looked at.
    seen: usize,
}

impl Reader {
    pub(crate) async fn open(app: &App, query: &str, headers: &str) -> anyhow::Result<Self> {
        let mut connection =
            RawConnection::open(app.server().url().trim_start_matches("http://").parse()?).await?;
        let request = format!("GET /api/v1/events{query} HTTP/1.1\r\nhost: test\r\n{headers}\r\n");
        connection.send(request.as_bytes()).await?;
        let mut reader = Self { connection, text: String::new(), seen: 0 };
        reader.read_to("\n\n").await?;
        anyhow::ensure!(reader.text.starts_with("HTTP/1.1 200"), "{}", reader.text);
        Ok(reader)
    }

    /// Reads until `text` has come, behind what was looked at before.
    async fn read_to(&mut self, text: &str) -> anyhow::Result<()> {
        while !self.text[self.seen..].contains(text) {
            self.text += &self.connection.read_some().await?;
        }
        Ok(())
    }

    /// The next event: its lines by name. What has no data is none.
    pub(crate) async fn next(&mut self) -> anyhow::Result<Vec<(String, String)>> {
        loop {
            // Each piece of the body is one block, in a chunk of its own.
            let start = self.seen;
            match self.text[start..].find("\n\n") {
                None => self.text += &self.connection.read_some().await?,
                Some(length) => {
                    let block = self.text[start..start + length].to_owned();
                    self.seen += length + 2;
                    let fields: Vec<(String, String)> = block
                        .lines()
                        .filter_map(|line| line.split_once(": "))
                        .filter(|(name, _)| ["id", "event", "data"].contains(name))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect();
                    if fields.iter().any(|(name, _)| name == "data") {
                        return Ok(fields);
                    }
                }
            }
        }
    }

    /// The sequences of the next events.
    pub(crate) async fn ids(&mut self, count: usize) -> anyhow::Result<Vec<u64>> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.next().await?[0].1.parse()?);
        }
        Ok(ids)
    }
}

pub(crate) async fn publisher(app: &App) -> Publisher {
    app.nats.connect("gateway").await.publisher(Duration::from_secs(10))
}

pub(crate) async fn publish(publisher: &Publisher, from: u64, to: u64) {
    for n in from..=to {
        let body = json!({ "type": "queue.paused", "reason": n.to_string() });
        SampleEvent::internal(&format!("p-{n}"), &body).publish(publisher).await;
    }
}

#[tokio::test]
async fn a_reader_gets_each_event_from_now_on_with_its_envelope() {
    run_test(async || {
        let app = App::start().await;
        let publisher = publisher(&app).await;
        publish(&publisher, 1, 3).await;
        let mut reader = Reader::open(&app, "", "").await?;
        assert!(reader.text.contains("content-type: text/event-stream"), "{}", reader.text);
        publish(&publisher, 4, 4).await;
        let fields = reader.next().await?;
        assert_eq!(fields[0], ("id".to_owned(), "4".to_owned()));
        assert_eq!(fields[1].0, "data");
        let data: Value = serde_json::from_str(&fields[1].1)?;
        validate("LiveEvent", &data);
        assert_eq!(data["event_id"], "internal:p-4");
        assert_eq!(data["event_type"], "hookstream.queue.paused");
        assert_eq!(data["subject"], "webhooks.internal.queue.paused");
        assert!(data["recorded_at"].is_string(), "{data}");
        publish(&publisher, 5, 30).await;
        assert_eq!(reader.ids(26).await?, (5..=30).collect::<Vec<_>>());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_where_it_stopped() {
    run_test(async || {
        let app = App::start().await;
        let publisher = publisher(&app).await;
        publish(&publisher, 1, 20).await;
        let mut reader = Reader::open(&app, "", "last-event-id: 7\r\n").await?;
        assert_eq!(reader.ids(13).await?, (8..=20).collect::<Vec<_>>());
        publish(&publisher, 21, 22).await;
        assert_eq!(reader.ids(2).await?, [21, 22], "what was stored and what is live join without a gap");
        let mut reader = Reader::open(&app, "?after=20", "").await?;
        assert_eq!(reader.ids(2).await?, [21, 22]);
        let mut all = Reader::open(&app, "", "last-event-id: 0\r\n").await?;
        assert_eq!(all.ids(22).await?, (1..=22).collect::<Vec<_>>());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_position_that_the_stream_has_not_come_to_is_refused() {
    run_test(async || {
        let app = App::start().await;
        publish(&publisher(&app).await, 1, 2).await;
        let mut reader =
            RawConnection::open(app.server().url().trim_start_matches("http://").parse()?).await?;
        reader.send(b"GET /api/v1/events?after=1 HTTP/1.1\r\nhost: test\r\nlast-event-id: 3\r\n\r\n").await?;
        let answer = reader.read_some().await?;
        assert!(answer.contains("Last-Event-ID is beyond the end of the stream"), "{answer}");
        for (path, detail) in [
            ("/events?after=3", "after is beyond the end of the stream"),
            ("/events?after=x", "after must be a whole number, 0 or more"),
            ("/events?limit=3", "limit is not a parameter here; there are source, after"),
        ] {
            let answer = app.get(path).await?;
            assert_eq!(problem(&answer, 400, "bad-parameter")["detail"], detail, "{path}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn one_source_can_be_read_alone() {
    run_test(async || {
        let app = App::start().await;
        let publisher = publisher(&app).await;
        let mut reader = Reader::open(&app, "?source=github&after=0", "").await?;
        publish(&publisher, 1, 3).await;
        let push = json!({
            "ref": "refs/heads/main", "before": "a", "after": "b", "commits": [], "pusher": { "name": "o" },
            "repository": { "full_name": "o/r", "url": "https://github.com/o/r" }, "sender": { "login": "o" },
        });
        SampleEvent::github("push", "d-1", &push).publish(&publisher).await;
        publish(&publisher, 5, 6).await;
        SampleEvent::github("push", "d-2", &push).publish(&publisher).await;
        assert_eq!(reader.ids(2).await?, [4, 7]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_of_one_source_hears_from_us_however_much_others_send() {
    run_test(async || {
        let app = App::start().await;
        let publisher = publisher(&app).await;
        publish(&publisher, 1, 3).await;
        let mut reader = Reader::open(&app, "?source=github", "").await?;
        assert!(reader.text.contains("id: 3\n"), "it can come back before its first event: {}", reader.text);
        reader.seen = reader.text.len();
        let others = async {
            for n in 4.. {
                publish(&publisher, n, n).await;
            }
        };
        let heard = tokio::time::timeout(PATIENCE, async {
            tokio::select! {
                heard = reader.read_to("\n:\n\n") => heard,
                () = others => Ok(()),
            }
        });
        heard.await??;
        let (_, id) = reader.text[reader.seen..].split_once("id: ").expect("where it is");
        let id: u64 = id.lines().next().expect("a line").parse()?;
        assert!(id > 3, "it need not read again what others sent: {id}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_reads_nothing_holds_up_nobody_and_loses_nothing() {
    run_test(async || {
        let app = App::start().await;
        let publisher = publisher(&app).await;
        let mut slow = Reader::open(&app, "?after=0", "").await?;
        let mut quick = Reader::open(&app, "?after=0", "").await?;
        // Far more than the sockets and the shared events hold.
        let note = "x".repeat(60_000);
        let total: usize = 400;
        for n in 1..=total {
            let body = json!({
                "type": "task.logged", "adw_id": "a", "issue_number": n, "phase_name": "build",
                "phase_status": "started", "log_message": note, "error_message": note,
            });
            SampleEvent::internal(&format!("t-{n}"), &body).publish(&publisher).await;
        }
        let expected: Vec<u64> = (1..=total as u64).collect();
        assert_eq!(quick.ids(total).await?, expected);
        assert_eq!(slow.ids(total).await?, expected, "at its own pace, from the stream");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn there_is_a_bound_on_readers_and_a_place_is_free_once_one_leaves() {
    run_test(async || {
        let app = App::start().await;
        let mut readers = Vec::new();
        for _ in 0..READERS_MAX {
            readers.push(Reader::open(&app, "", "").await?);
        }
        let answer = app.get("/events").await?;
        problem(&answer, 503, "too-many-readers");
        assert!(answer.header("retry-after").is_some());
        assert_eq!(app.get("/queue").await?.status, 200, "the others go on");
        readers.pop();
        eventually("a free place", PATIENCE, async || Reader::open(&app, "", "").await.map(drop).is_ok())
            .await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn readers_end_with_the_backend() {
    run_test(async || {
        let app = App::start().await;
        let mut reader = Reader::open(&app, "", "").await?;
        app.server().begin_shutdown();
        let rest = reader.connection.read_all().await?;
        assert!(rest.ends_with("0\r\n\r\n"), "the answer is complete: {rest:?}");
        Ok(())
    })
    .await;
}
