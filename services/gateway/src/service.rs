use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hookstream_bus::{PublishError, Publisher};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{PeerAddr, RequestId};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::{HeaderMap, Request};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{self, Arriving, Room};
use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;
use crate::respond::{self, Answer};
use crate::route::{Endpoint, route};
use crate::source::{self, Intake, take_in_aside};
use crate::{Config, Gateway};

/// What answers requests. Clones share everything.
#[derive(Debug, Clone)]
pub(crate) struct Service(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Arc<Config>,
    publisher: Publisher,
    admin: Admin,
    metrics: GatewayMetrics,
    room: Room,
    /// Owns what reads the rest of refused bodies, each bounded in time and size.
    discards: TaskTracker,
    shutdown: CancellationToken,
}

/// What the log tells of a request, beside what became of it.
struct Context {
    request_id: RequestId,
    peer: Option<PeerAddr>,
    source: &'static str,
    /// The sender's id for the delivery, if it has one; not verified.
    delivery: String,
}

impl Service {
    pub(crate) fn new(gateway: Gateway, shutdown: CancellationToken) -> Self {
        let alone = gateway.bus.publisher(gateway.config.publish_budget);
        let together = |limits| alone.clone().with_group_commit(limits);
        Self(Arc::new(Shared {
            publisher: gateway.config.group_commit.map_or(alone.clone(), together),
            room: Room::new(&gateway.config.body),
            config: Arc::new(gateway.config),
            admin: gateway.admin,
            metrics: gateway.metrics,
            discards: TaskTracker::new(),
            shutdown,
        }))
    }
}

impl hyper::service::Service<Request<Incoming>> for Service {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(page) = self.admin.answer(request.method(), request.uri().path()) {
            return page;
        }
        let start = Instant::now();
        let _in_flight = self.metrics.in_flight();
        let (head, body) = request.into_parts();
        let mut body = Arriving::new(body);
        let endpoint = route(&head.method, head.uri.path(), &self.config.sources.now());
        let context = Context::new(&head, endpoint.as_ref().ok());
        let result = match endpoint {
            Ok(endpoint) => self.store(endpoint, head.headers.clone(), &mut body, &context).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = result.unwrap_or_else(|refusal| self.refuse(&refusal, &context));
        if let Some(left) = body.left() {
            self.leave(left, &head.headers, &mut answer);
        }
        self.metrics.answered(context.source, answer.status().as_u16(), start.elapsed());
        answer
    }

    /// Reads, verifies, parses, appends.
    async fn store(
        &self,
        endpoint: Endpoint,
        headers: HeaderMap,
        body: &mut Arriving<Incoming>,
        context: &Context,
    ) -> Result<Answer, Refusal> {
        body::check_declared_size(&headers, &self.config.body)?;
        let content_type = source::check_content(&endpoint, &headers)?;
        let whole = body.read(&self.config.body, &self.room).await?;
        self.metrics.body_read(context.source, whole.bytes.len());
        let received_at = OffsetDateTime::now_utc();
        let request =
            source::Request { endpoint, headers, content_type, body: whole.bytes.clone(), received_at };
        let intake = take_in_aside(request).await?;
        self.metrics.verified(context.source, &intake.envelope.key_id);
        self.append(intake, context).await
    }

    async fn append(&self, intake: Intake, context: &Context) -> Result<Answer, Refusal> {
        let Intake { subject, envelope, payload } = intake;
        let start = Instant::now();
        let result = self.publisher.publish(subject.clone(), envelope.to_headers(), payload).await;
        let outcome = match &result {
            Ok(receipt) if receipt.duplicate => "duplicate",
            Ok(_) => "stored",
            Err(error) => error.code(),
        };
        self.metrics.published(outcome, start.elapsed());
        let (id, request_id) = (&envelope.id, context.request_id);
        match result {
            Ok(receipt) => {
                let sequence = receipt.sequence;
                if receipt.duplicate {
                    tracing::info!(
                        event.id = %id, sequence, subject, %request_id,
                        "event {id} was stored before, at {sequence}"
                    );
                } else {
                    tracing::info!(event.id = %id, sequence, subject, %request_id, "stored event {id} at {sequence}");
                }
                Ok(respond::receipt(id, &receipt))
            }
            Err(error) => {
                if let PublishError::Full(text) | PublishError::Refused(text) = &error {
                    tracing::error!(event.id = %id, subject, %request_id, "cannot store event {id}: {text}");
                }
                Err(Refusal::NotStored(error))
            }
        }
    }

    fn refuse(&self, refusal: &Refusal, context: &Context) -> Answer {
        let Context { request_id, source, delivery, .. } = context;
        let (reason, status) = (refusal.reason(), refusal.status().as_u16());
        let peer = context.peer.map(|peer| peer.0.to_string());
        self.metrics.refused(source, reason);
        tracing::warn!(
            %request_id, source, reason, status, delivery, peer,
            "refused request {request_id}: {reason}: {}", refusal.detail()
        );
        respond::refusal(refusal, *request_id)
    }

    /// Answers before the body has been read: nothing else comes on this connection.
    fn leave(&self, body: Incoming, headers: &HeaderMap, answer: &mut Answer) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        // Reading would send `100 Continue` to a client that waits to be told whether to send at all.
        if headers.contains_key(EXPECT) {
            return;
        }
        let (limits, shutdown) = (self.config.body, self.shutdown.clone());
        self.discards.spawn(async move {
            tokio::select! {
                () = body::discard(body, limits) => {}
                () = shutdown.cancelled() => {}
            }
        });
    }
}

impl Context {
    fn new(head: &hyper::http::request::Parts, endpoint: Option<&Endpoint>) -> Self {
        let delivery = ["x-github-delivery", "webhook-id"]
            .iter()
            .find_map(|name| head.headers.get(*name))
            .map(|value| sanitised(value.as_bytes()))
            .unwrap_or_default();
        Self {
            request_id: head.extensions.get().copied().unwrap_or_default(),
            peer: head.extensions.get().copied(),
            source: endpoint.map_or("none", Endpoint::source_name),
            delivery,
        }
    }
}

/// What a log line may hold of a header that nobody verified: the start of it, nothing but plain characters.
fn sanitised(value: &[u8]) -> String {
    const BYTES_MAX: usize = 64;
    let plain = |byte: &u8| {
        if byte.is_ascii_alphanumeric() || b"-_.:".contains(byte) { char::from(*byte) } else { '?' }
    };
    value.iter().take(BYTES_MAX).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_cannot_write_into_the_log() {
        assert_eq!(sanitised(b"72d3162e-cc78"), "72d3162e-cc78");
        assert_eq!(sanitised(b"a\nlevel=ERROR \x1b[31m\xff"), "a?level?ERROR???31m?");
        assert_eq!(sanitised(&[b'a'; 1000]).len(), 64);
    }
}
