//! How often: per client before a body is read, per source once it is verified, and per client for bad signatures.
//!
//! A client that signs well is never refused for the bad signatures of its address: behind a proxy that is not
//! configured, or a shared address, that would let a stranger lock the sender out.

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};

use governor::Quota;
use hookstream_runtime::http::{self, TrustedProxies};
use hookstream_runtime::{Settings, SettingsError};

mod limiter;

use limiter::Limiter;

use crate::refusal::{Refusal, TooMany};

/// Clients that are limited each by itself; further ones share what is left.
const CLIENTS_MAX: usize = 32_768;
/// The same of sources, of which there are as many as the operator configures.
const SOURCES_MAX: usize = 1024;
/// More is as good as no limit, and nanoseconds between two must not become none.
const RATE_MAX: u32 = 100_000_000;

/// Limits of rates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a second of one client, twice as many at once.
    pub client_rate_max: NonZeroU32,
    /// Verified webhooks a second of one source, twice as many at once.
    pub source_rate_max: NonZeroU32,
    /// Bad signatures a minute of one client, all at once or one by one.
    pub bad_signatures_max: NonZeroU32,
    /// Whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
}

impl RateLimits {
    pub(crate) fn read(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            client_rate_max: rate(settings, "HOOKSTREAM_CLIENT_RATE_MAX")?,
            source_rate_max: rate(settings, "HOOKSTREAM_SOURCE_RATE_MAX")?,
            bad_signatures_max: rate(settings, "HOOKSTREAM_BAD_SIGNATURES_MAX")?,
            trusted_proxies: TrustedProxies::read(settings)?,
        })
    }
}

/// Keeps count.
#[derive(Debug)]
pub(crate) struct Limits {
    clients: Limiter<IpAddr>,
    sources: Limiter<String>,
    bad_signatures: Limiter<IpAddr>,
}

impl Limits {
    pub(crate) fn new(limits: &RateLimits) -> Self {
        let bad_signatures = limits.bad_signatures_max.min(rate_max());
        Self {
            clients: Limiter::new(per_second(limits.client_rate_max), CLIENTS_MAX),
            sources: Limiter::new(per_second(limits.source_rate_max), SOURCES_MAX),
            bad_signatures: Limiter::new(Quota::per_minute(bad_signatures), CLIENTS_MAX),
        }
    }

    /// Counts a request, before anything of it is looked at.
    pub(crate) fn request(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        check(&self.clients, address, TooMany::Requests)
    }

    /// Counts a webhook that was verified.
    pub(crate) fn verified(&self, source: &str) -> Result<(), Refusal> {
        let limited = self.sources.check(&source.to_owned());
        limited.map_err(|wait| Refusal::TooMany(TooMany::OfSource, wait))
    }

    /// Counts a bad signature.
    pub(crate) fn bad_signature(&self, address: Option<IpAddr>) -> Result<(), Refusal> {
        check(&self.bad_signatures, address, TooMany::BadSignatures)
    }
}

fn check(limiter: &Limiter<IpAddr>, address: Option<IpAddr>, of: TooMany) -> Result<(), Refusal> {
    // Every request that came over a socket has one.
    let Some(address) = address else { return Ok(()) };
    limiter.check(&http::network(address)).map_err(|wait| Refusal::TooMany(of, wait))
}

/// Any count is a rate: one that is too large for ours is as good as no limit.
fn rate(settings: &Settings, name: &str) -> Result<NonZeroU32, SettingsError> {
    Ok(NonZeroU32::try_from(settings.parse::<NonZeroU64>(name)?).unwrap_or(NonZeroU32::MAX))
}

fn per_second(rate: NonZeroU32) -> Quota {
    let rate = rate.min(rate_max());
    Quota::per_second(rate).allow_burst(rate.saturating_mul(NonZeroU32::MIN.saturating_add(1)))
}

fn rate_max() -> NonZeroU32 {
    NonZeroU32::new(RATE_MAX).unwrap_or(NonZeroU32::MAX)
}
