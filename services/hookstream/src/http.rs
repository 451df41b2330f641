//! HTTP requests of the command: blocking, bounded, with the status as data rather than as an error.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;
use ureq::Agent;
use ureq::http::Uri;

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

fn agent(url: &str, limit: Duration) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_global(Some(limit))
        .user_agent(concat!("hookstream/", env!("CARGO_PKG_VERSION")));
    // A proxy that the environment names is on the way to other machines; ours it cannot even see.
    let config = if is_here(url) { config.proxy(None) } else { config };
    config.build().into()
}

/// Whether the address is on this machine.
fn is_here(url: &str) -> bool {
    let url: Option<Uri> = url.parse().ok();
    let host = url.as_ref().and_then(Uri::host).unwrap_or_default();
    let ip: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host.eq_ignore_ascii_case("localhost") || ip.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

/// GET.
pub(crate) fn get(url: &str, limit: Duration) -> anyhow::Result<Answer> {
    read(agent(url, limit).get(url).call().with_context(|| format!("GET {url}"))?)
}

/// POST.
pub(crate) fn post(
    url: &str,
    headers: &[(&'static str, String)],
    body: &[u8],
    limit: Duration,
) -> anyhow::Result<Answer> {
    let mut request = agent(url, limit).post(url);
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
    let agent = agent(url, limit);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_addresses() {
        for here in ["http://127.0.0.1:8001/x", "http://localhost", "https://[::1]:1/", "http://0.0.0.0:1"] {
            assert!(is_here(here), "{here}");
        }
        for elsewhere in
            ["http://10.0.0.1", "http://localhost.example.org/127.0.0.1", "http://u@h:1", "", "::1"]
        {
            assert!(!is_here(elsewhere), "{elsewhere}");
        }
    }
}
