//! A gateway for one test.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use hookstream_bus::{Bus, NatsSettings, PullLimits, StoredMessage};
use hookstream_gateway::{Config, Gateway};
use hookstream_runtime::http::GraceExpired;
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings};
use hookstream_test_support::http::Response;
use hookstream_test_support::{Delivery, GITHUB_SECRET, INTERNAL_SECRET, TestNats, eventually, http};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far above what any step takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// The smallest body of an `issues` event that there is.
pub(crate) const ISSUE: &str =
    r#"{"action":"opened","issue":{"number":42},"repository":{"full_name":"o/r"}}"#;

/// A gateway within the test's process.
pub(crate) struct TestGateway {
    pub(crate) url: String,
    pub(crate) addr: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    served: JoinHandle<Result<(), GraceExpired>>,
    metrics: Metrics,
}

/// Settings that differ from the defaults.
pub(crate) type Pairs<'a> = &'a [(&'a str, &'a str)];

impl TestGateway {
    /// A gateway in front of `nats`, once it is ready.
    pub(crate) async fn start(nats: &TestNats) -> Self {
        Self::start_with(nats, &[]).await
    }

    /// The same with other settings.
    pub(crate) async fn start_with(nats: &TestNats, pairs: Pairs<'_>) -> Self {
        let gateway = Self::start_at(&nats.settings("gateway"), pairs).await;
        gateway.wait_until_ready().await;
        gateway
    }

    /// A gateway that connects to NATS as `nats` says, ready or not.
    pub(crate) async fn start_at(nats: &NatsSettings, pairs: Pairs<'_>) -> Self {
        let secrets =
            [("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET), ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)];
        let settings = Settings::from_pairs(secrets.iter().chain(pairs).copied());
        let config = Config::read(&settings).unwrap();
        let bus = Bus::connect(nats).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let info = ProcessInfo { name: "hookstream-gateway", about: "", version: "0" };
        let metrics = Metrics::new(&info);
        let gateway = Gateway::new(config, bus, Health::new(), metrics.clone());
        let shutdown = CancellationToken::new();
        let (watched, token) = (gateway.clone(), shutdown.clone());
        tokio::spawn(async move { watched.watch_readiness(token).await });
        let refusing = gateway.clone();
        tokio::spawn(async move { refusing.publish_rejections().await });
        let (watched, token) = (gateway.clone(), shutdown.clone());
        tokio::spawn(async move { watched.watch_sources(settings, token).await });
        let served = tokio::spawn(gateway.serve(listener, shutdown.clone()));
        Self { url: format!("http://{addr}"), addr, shutdown, served, metrics }
    }

    pub(crate) async fn wait_until_ready(&self) {
        eventually("the gateway is ready", PATIENCE, async || {
            let page = self.get("/readyz").await;
            if page.status == 200 { Ok(()) } else { Err(page.text()) }
        })
        .await;
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        http::get(&format!("{}{path}", self.url)).await.unwrap()
    }

    pub(crate) async fn send(&self, delivery: &Delivery) -> Response {
        delivery.send(&self.url).await.unwrap()
    }

    /// Posts with exactly these headers, which may repeat.
    pub(crate) async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Response {
        http::post(&format!("{}{path}", self.url), headers, body).await.unwrap()
    }

    /// The value of a line of `/metrics`; 0 if it is not there.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = self.metrics.encode();
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Stops it as SIGTERM would, and returns what it says at its end.
    pub(crate) async fn stop(self) -> Result<(), GraceExpired> {
        self.shutdown.cancel();
        self.served.await.unwrap()
    }
}

/// How many events the stream holds.
pub(crate) async fn stored_count(nats: &TestNats) -> u64 {
    nats.connect("operator").await.stream_state("WEBHOOKS").await.unwrap().messages
}

/// The ids of all events that the stream holds, in its order.
pub(crate) async fn stored_ids(nats: &TestNats) -> Vec<String> {
    let limits = PullLimits { messages: 500, bytes: 1 << 20, wait: Duration::from_secs(1) };
    let total = usize::try_from(stored_count(nats).await).unwrap();
    let (consumer, mut ids) = (nats.connect("audit").await.consumer("WEBHOOKS", "audit"), Vec::new());
    while ids.len() < total {
        let messages = consumer.pull(&limits).await.unwrap();
        consumer.ack(&messages).await.unwrap();
        assert!(!messages.is_empty(), "{} of {total} came", ids.len());
        let id = |headers: Vec<(String, String)>| headers.into_iter().find(|(name, _)| name == "Nats-Msg-Id");
        ids.extend(messages.into_iter().map(|message| id(message.headers).unwrap().1));
    }
    ids
}

/// The event at a position of the stream.
pub(crate) async fn stored_at(nats: &TestNats, sequence: u64) -> StoredMessage {
    let stored = nats.connect("operator").await.message_at("WEBHOOKS", sequence).await.unwrap();
    stored.unwrap_or_else(|| panic!("nothing is stored at {sequence}"))
}

/// The value of a header of a stored event.
pub(crate) fn header<'m>(message: &'m StoredMessage, name: &str) -> Option<&'m str> {
    message.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// The sequence of an event that was stored just now.
#[track_caller]
pub(crate) fn accepted(response: &Response) -> u64 {
    assert_eq!(response.status, 202, "{}", response.text());
    response.json()["sequence"].as_u64().unwrap()
}

/// Checks that an answer is an error of the documented shape, and returns it without its request id.
#[track_caller]
pub(crate) fn refused(response: &Response, status: u16, code: &str) -> Value {
    assert_eq!(response.status, status, "{}", response.text());
    let mut body = response.json();
    let request_id = body["request_id"].take();
    assert_eq!(request_id.as_str(), response.header("x-request-id"), "{body}");
    assert_eq!(body["error"], json!(code), "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    assert_eq!(body.as_object().unwrap().len(), 3, "{body}");
    body
}
