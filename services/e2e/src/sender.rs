//! A sender of webhooks that behaves as a good one does: it repeats a delivery, under the same id, until it has an answer
//! that settles it.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// One webhook, signed.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `<source>:<delivery id>`, by which it is found again.
    pub event_id: String,
    /// Path at the gateway.
    pub path: &'static str,
    /// HTTP headers, the signature among them.
    pub headers: Vec<(&'static str, String)>,
    /// The exact bytes that were signed.
    pub body: Bytes,
}

/// What the gateway said.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// The JSON body.
    pub body: Value,
}

impl Answer {
    /// The stream sequence of a receipt.
    pub fn sequence(&self) -> Option<u64> {
        self.body["sequence"].as_u64()
    }
}

/// Posts deliveries over one connection, which it opens again when it breaks.
pub struct Sender {
    address: String,
    connection: Option<SendRequest<Full<Bytes>>>,
}

impl Sender {
    /// A sender to the gateway at `url` (`http://host:port`).
    pub fn new(url: &str) -> Self {
        Self { address: url.trim_start_matches("http://").trim_end_matches('/').to_owned(), connection: None }
    }

    /// Posts once.
    pub async fn post(&mut self, delivery: &Delivery) -> Result<Answer> {
        let sent = tokio::time::timeout(Duration::from_secs(15), self.exchange(delivery)).await;
        let answer = sent.context("no answer within 15 s").and_then(|answer| answer);
        if answer.is_err() {
            self.connection = None;
        }
        answer
    }

    /// Posts until it is stored (202) or known to be (200). A broken connection and a 503 are tried again, as any sender
    /// would; every other answer is final.
    pub async fn deliver(&mut self, delivery: &Delivery) -> Result<Answer> {
        const PATIENCE: Duration = Duration::from_secs(90);
        let start = Instant::now();
        loop {
            let last = match self.post(delivery).await {
                Ok(answer) if matches!(answer.status, StatusCode::ACCEPTED | StatusCode::OK) => {
                    return Ok(answer);
                }
                Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => {
                    bail!("refused: {answer:?}")
                }
                Ok(answer) => format!("{answer:?}"),
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() > PATIENCE {
                bail!("{} was not accepted within {PATIENCE:?}; last: {last}", delivery.event_id);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn exchange(&mut self, delivery: &Delivery) -> Result<Answer> {
        let connection = match self.connection.take() {
            Some(open) if !open.is_closed() => open,
            _ => self.open().await?,
        };
        let connection = self.connection.insert(connection);
        connection.ready().await?;
        let mut request = Request::post(delivery.path).header("host", &self.address);
        for (name, value) in &delivery.headers {
            request = request.header(*name, value);
        }
        let response = connection.send_request(request.body(Full::new(delivery.body.clone()))?).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) })
    }

    async fn open(&self) -> Result<SendRequest<Full<Bytes>>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its errors come back through the request that met them.
        tokio::spawn(connection);
        Ok(sender)
    }
}
