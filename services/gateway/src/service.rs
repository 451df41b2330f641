use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use hookstream_bus::PublishError;
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{PeerAddr, RequestId, TrustedProxies};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{self, Arriving, Room};
use crate::limits::Limits;
use crate::metrics::GatewayMetrics;
use crate::refusal::Refusal;
use crate::rejections::{self, Refused, Rejections};
use crate::replay::Replays;
use crate::respond::{self, Answer};
use crate::route::{Endpoint, route};
use crate::sink::Sink;
use crate::source::{self, Intake, take_in_aside};
use crate::sources::NO_SOURCE;
use crate::{Config, Gateway};

/// What answers requests. Clones share everything.
#[derive(Debug)]
pub(crate) struct Service<S>(Arc<Shared<S>>);

impl<S> Clone for Service<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<S> {
    config: Arc<Config>,
    sink: S,
    admin: Admin,
    metrics: GatewayMetrics,
    limits: Limits,
    rejections: Rejections,
    replays: Replays,
    room: Room,
    /// Owns what is done with refused bodies after the answer, each bounded in time and size.
    discards: TaskTracker,
    shutdown: CancellationToken,
}

/// What the log tells of a request, beside what became of it.
struct Context {
    request_id: RequestId,
    /// The client, or the proxy in front.
    peer: Option<PeerAddr>,
    /// The client, as far as trusted proxies tell.
    address: Option<IpAddr>,
    source: &'static str,
    /// The sender's id for the delivery, if it has one; not verified.
    delivery: String,
    /// The body, once all of it was read.
    body: OnceLock<Bytes>,
}

impl<S: Sink> Service<S> {
    pub(crate) fn new(gateway: Gateway, sink: S, shutdown: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            sink,
            replays: Replays::new(gateway.config.replay_window, &gateway.metrics),
            limits: Limits::new(&gateway.config.rates),
            room: Room::new(&gateway.config.body),
            config: Arc::new(gateway.config),
            admin: gateway.admin,
            metrics: gateway.metrics,
            rejections: gateway.rejections,
            discards: TaskTracker::new(),
            shutdown,
        }))
    }
}

impl<S: Sink> hyper::service::Service<Request<Incoming>> for Service<S> {
    type Response = Answer;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { Ok(shared.answer(request).await) })
    }
}

impl<S: Sink> Shared<S> {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        if let Some(page) = self.admin.answer(&request) {
            return page;
        }
        let start = Instant::now();
        let _in_flight = self.metrics.in_flight();
        let (head, body) = request.into_parts();
        let mut body = Arriving::new(body);
        let endpoint = route(head.uri.path(), &self.config.sources.now());
        let context = Context::new(&head, endpoint.as_ref().ok(), &self.config.rates.trusted_proxies);
        let admitted = self.limits.request(context.address);
        let result = match admitted.and(endpoint) {
            Ok(_) if head.method != Method::POST => Err(Refusal::Method),
            Ok(endpoint) => self.store(endpoint, head.headers.clone(), &mut body, &context).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = result
            .unwrap_or_else(|refusal| self.refuse(&self.limit(refusal, &context), &context, &head.headers));
        let waits = head.headers.contains_key(EXPECT) && !body.has_begun();
        if let Some(left) = body.left() {
            self.leave(left, waits, &mut answer);
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
        let limits = endpoint.body_limits(self.config.body);
        body::check_declared_size(&headers, &limits)?;
        let content_type = source::check_content(&endpoint, &headers)?;
        let room = self.room.of(context.client(&self.config.rates.trusted_proxies));
        let whole = body.read(&limits, &room).await?;
        let whole = context.body.get_or_init(|| whole);
        self.metrics.body_read(context.source, whole.len());
        let (source, received_at) = (Arc::clone(&endpoint.source), OffsetDateTime::now_utc());
        let request = source::Request { endpoint, headers, content_type, body: whole.clone(), received_at };
        let start = Instant::now();
        let taken_in = take_in_aside(request).await;
        self.metrics.taken_in(context.source, start.elapsed());
        let mut intake = taken_in?;
        self.metrics.verified(context.source, &intake.envelope.key_id);
        self.limits.verified(context.source)?;
        let claim = self.replays.claim(&source, &mut intake.envelope)?;
        let answer = self.append(intake, context).await?;
        if let Some(claim) = claim.filter(|_| answer.status() == StatusCode::ACCEPTED) {
            claim.stored();
        }
        Ok(answer)
    }

    async fn append(&self, intake: Intake, context: &Context) -> Result<Answer, Refusal> {
        let Intake { subject, envelope, payload, challenge } = intake;
        let start = Instant::now();
        let _publishing = self.metrics.publishing();
        let result = self.sink.store(subject.clone(), envelope.to_headers(), payload).await;
        let outcome = match &result {
            Ok(receipt) if receipt.duplicate => "duplicate",
            Ok(_) => "stored",
            Err(error) => error.code(),
        };
        self.metrics.published(outcome, start.elapsed());
        let (id, request_id) = (&envelope.id, context.request_id);
        match result {
            Ok(receipt) => {
                // The fields by which an event is found in the log of any process.
                let (stream_sequence, event_type) = (receipt.sequence, envelope.event_type.as_str());
                let (disposition, said) =
                    if receipt.duplicate { ("duplicate", "had stored") } else { ("stored", "stored") };
                tracing::info!(
                    disposition,
                    event.id = %id,
                    event.r#type = event_type,
                    stream_sequence,
                    subject,
                    %request_id,
                    "{said} event {id} at {stream_sequence}"
                );
                Ok(challenge.map_or_else(|| respond::receipt(id, &receipt), |text| respond::challenge(&text)))
            }
            Err(error) => {
                if let PublishError::Full(text) | PublishError::Refused(text) = &error {
                    tracing::error!(event.id = %id, subject, %request_id, "cannot store event {id}: {text}");
                }
                Err(Refusal::NotStored(error))
            }
        }
    }

    /// A bad signature, or that there are too many of them.
    fn limit(&self, refusal: Refusal, context: &Context) -> Refusal {
        match refusal {
            Refusal::Signature(_) => self.limits.bad_signature(context.address).err().unwrap_or(refusal),
            other => other,
        }
    }

    fn refuse(&self, refusal: &Refusal, context: &Context, headers: &HeaderMap) -> Answer {
        let Context { request_id, source, delivery, .. } = context;
        let (reason, status) = (refusal.reason(), refusal.status().as_u16());
        let peer = context.peer.map(|peer| peer.0.to_string());
        let address = context.address.map(|address| address.to_string());
        self.metrics.refused(source, reason);
        tracing::warn!(
            %request_id, source, reason, status, delivery, peer, address,
            "refused request {request_id}: {reason}: {}", refusal.detail()
        );
        if rejections::is_told(refusal) {
            self.tell(refusal, context, headers);
        }
        respond::refusal(refusal, *request_id)
    }

    /// Tells the stream of refusals about this one; it waits for nothing.
    fn tell(&self, refusal: &Refusal, context: &Context, headers: &HeaderMap) {
        let refused = Refused {
            source: context.source.to_owned(),
            address: context.address,
            request_id: context.request_id,
            reason: refusal.reason(),
            status: refusal.status().as_u16(),
        };
        let Some(telling) = self.rejections.note(refused, headers) else { return };
        telling.tell(context.body.get().cloned());
    }

    /// Answers before the body has been read: nothing else comes on this connection.
    fn leave(&self, body: Incoming, waits: bool, answer: &mut Answer) {
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        // Reading would send `100 Continue` to a client that waits to be told whether to send at all.
        if waits {
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
    fn new(
        head: &hyper::http::request::Parts,
        endpoint: Option<&Endpoint>,
        proxies: &TrustedProxies,
    ) -> Self {
        let peer: Option<PeerAddr> = head.extensions.get().copied();
        let delivery = ["x-github-delivery", "webhook-id"]
            .iter()
            .find_map(|name| head.headers.get(*name))
            .map(|value| sanitised(value.as_bytes()))
            .unwrap_or_default();
        Self {
            request_id: head.extensions.get().copied().unwrap_or_default(),
            peer,
            address: peer.map(|peer| proxies.client(peer.0.ip(), &head.headers)),
            source: endpoint.map_or(NO_SOURCE, Endpoint::source_name),
            delivery,
            body: OnceLock::new(),
        }
    }

    /// The client, if it can be told from others: a proxy that does not say whom it speaks for cannot.
    fn client(&self, proxies: &TrustedProxies) -> Option<IpAddr> {
        self.address.filter(|address| !proxies.trusts(*address))
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
