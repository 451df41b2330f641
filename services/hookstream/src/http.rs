//! HTTP requests of the command: blocking, bounded, with the status as data rather than as an error.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use ureq::Agent;

/// Largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 32 << 20;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

fn agent(limit: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(limit))
        .user_agent(concat!("hookstream/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}

/// GET.
pub(crate) fn get(url: &str, limit: Duration) -> anyhow::Result<Answer> {
    read(agent(limit).get(url).call().with_context(|| format!("GET {url}"))?)
}

/// POST.
pub(crate) fn post(
    url: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
    limit: Duration,
) -> anyhow::Result<Answer> {
    let mut request = agent(limit).post(url);
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    read(request.send(body).with_context(|| format!("POST {url}"))?)
}

/// GET or DELETE, with headers.
pub(crate) fn without_body(
    method: &str,
    url: &str,
    headers: &[(&'static str, String)],
    limit: Duration,
) -> anyhow::Result<Answer> {
    let agent = agent(limit);
    let mut request = if method == "DELETE" { agent.delete(url) } else { agent.get(url) };
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    read(request.call().with_context(|| format!("{method} {url}"))?)
}

fn read(mut response: ureq::http::Response<ureq::Body>) -> anyhow::Result<Answer> {
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    let body = body.context("read the answer")?;
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned() })
}
