//! Webhooks as their sources sign them.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use hookstream_signature::{Key, hub, standard_webhooks};

/// A request that a gateway accepts.
#[derive(Debug)]
pub(crate) struct Signed {
    /// Path at the gateway.
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// The bytes that were signed.
    pub(crate) body: Vec<u8>,
}

impl Signed {
    /// A GitHub delivery: JSON, or as a form.
    pub(crate) fn github(key: &Key, event: &str, id: &str, body: Vec<u8>, form: bool) -> Self {
        let (content_type, body) = if form {
            let encoded: String = form_urlencoded::byte_serialize(&body).collect();
            ("application/x-www-form-urlencoded", format!("payload={encoded}").into_bytes())
        } else {
            ("application/json", body)
        };
        let headers = vec![
            ("content-type", content_type.to_owned()),
            ("x-github-event", event.to_owned()),
            ("x-github-delivery", id.to_owned()),
            ("x-hub-signature-256", hub::sign(key, &body)),
        ];
        Self { path: "/webhooks/github".to_owned(), headers, body }
    }

    /// An internal event, signed by Standard Webhooks at `now`, in seconds since 1970.
    pub(crate) fn internal(key: &Key, id: &str, now: i64, body: Vec<u8>) -> Self {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("webhook-id", id.to_owned()),
            ("webhook-timestamp", now.to_string()),
            ("webhook-signature", standard_webhooks::sign(key, id, now, &body)),
        ];
        Self { path: "/webhooks/internal".to_owned(), headers, body }
    }

    /// An internal event with `X-Hub-Signature-256` alone.
    pub(crate) fn internal_hub(key: &Key, body: Vec<u8>) -> Self {
        let headers = vec![
            ("content-type", "application/json".to_owned()),
            ("x-hub-signature-256", hub::sign(key, &body)),
        ];
        Self { path: "/webhooks/internal".to_owned(), headers, body }
    }
}

/// Seconds since 1970, for the signature's timestamp.
pub(crate) fn unix_now() -> anyhow::Result<i64> {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).context("this machine's clock is before 1970")?;
    Ok(i64::try_from(since.as_secs())?)
}
