use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use hookstream_signature::{Key, hub, standard_webhooks};

use crate::http::{self, Response};

/// The secret that the signers here use for GitHub.
pub const GITHUB_SECRET: &str = "It's a Secret to Everybody";
/// The secret that the signers here use for internal events, in the form of Standard Webhooks.
pub const INTERNAL_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A signed request to a gateway.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Where on the gateway, `/webhooks/github`.
    pub path: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes that were signed.
    pub body: Bytes,
}

impl Delivery {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The id its source gives it: GitHub's delivery id or `webhook-id`.
    pub fn id(&self) -> Option<&str> {
        self.header("x-github-delivery").or_else(|| self.header("webhook-id"))
    }

    /// The same to another path.
    #[must_use]
    pub fn to_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same with this header, in place of those of the same name. Nothing is signed again.
    #[must_use]
    pub fn with_header(self, name: &str, value: &str) -> Self {
        let mut changed = self.without_header(name);
        changed.headers.push((name.to_owned(), value.to_owned()));
        changed
    }

    /// The same without this header.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(header, _)| header != name);
        self
    }

    /// The same with another body under the old signature.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The headers as [`http`] takes them.
    pub fn header_refs(&self) -> Vec<http::Header<'_>> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Posts it to a gateway, `http://<ip>:<port>`.
    pub async fn send(&self, gateway_url: &str) -> anyhow::Result<Response> {
        let url = format!("{}{}", gateway_url.trim_end_matches('/'), self.path);
        http::post(&url, &self.header_refs(), self.body.clone()).await
    }

    fn new(path: &str, body: impl Into<Bytes>, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self { path: path.to_owned(), headers, body: body.into() }
    }
}

/// A GitHub delivery of a JSON body under a fresh delivery id.
pub fn github_delivery(event: &str, body: impl Into<Bytes>) -> Delivery {
    github(event, body.into(), "application/json")
}

/// A GitHub delivery of the same body in its other form, `payload=…`, under a fresh delivery id.
pub fn github_form_delivery(event: &str, body: &[u8]) -> Delivery {
    let encoded: String = form_urlencoded::byte_serialize(body).collect();
    github(event, format!("payload={encoded}").into(), "application/x-www-form-urlencoded")
}

fn github(event: &str, body: Bytes, content_type: &str) -> Delivery {
    let signature = hub::sign(&key(GITHUB_SECRET), &body);
    let headers = [
        ("content-type", content_type),
        ("x-github-event", event),
        ("x-github-delivery", &unique_id()),
        ("x-hub-signature-256", &signature),
    ];
    Delivery::new("/webhooks/github", body, &headers)
}

/// An internal event signed by Standard Webhooks, now, under a fresh `webhook-id`.
pub fn internal_delivery(body: impl Into<Bytes>) -> Delivery {
    let body = body.into();
    let id = unique_id();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_secs();
    let now = i64::try_from(now).expect("the clock is before the year 292 thousand million");
    let signature = standard_webhooks::sign(&key(INTERNAL_SECRET), &id, now, &body);
    let headers = [
        ("content-type", "application/json"),
        ("webhook-id", &id),
        ("webhook-timestamp", &now.to_string()),
        ("webhook-signature", &signature),
    ];
    Delivery::new("/webhooks/internal", body, &headers)
}

/// An internal event signed as the replaced system signed, without an id of its own.
pub fn internal_hub_delivery(body: impl Into<Bytes>) -> Delivery {
    let body = body.into();
    let signature = hub::sign(&key(INTERNAL_SECRET), &body);
    let headers = [("content-type", "application/json"), ("x-hub-signature-256", &signature)];
    Delivery::new("/webhooks/internal", body, &headers)
}

/// A random text in the shape of GitHub's delivery ids.
pub fn unique_id() -> String {
    let (one, two) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
    let hex = format!("{one:016x}{two:016x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

fn key(secret: &str) -> Key {
    Key::new("test", secret.as_bytes()).expect("the constants above are valid secrets")
}
