//! Refusals of one minute become a bounded number of entries, exact in count. Pure.
//!
//! The minute is that of the stream's clock, which goes with the order of the messages: none comes late, and reading the
//! stream again gives the same entries. What a gateway could not tell during an outage is in the minute in which it told
//! it; the details have the times at which the gateway refused.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use hookstream_event::{BodyDigest, Token};
use hookstream_trail::{Hash, Micros, Record, kind};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

/// The stream of refusals.
pub(crate) const REJECTIONS: &str = "REJECTIONS";

/// Addresses told apart within a minute for one source and reason; the others are summed as [`OTHER`].
const ADDRESSES_MAX: usize = 16;
/// Sources and reasons told apart within a minute; the others are summed as [`OTHER`].
const REASONS_MAX: usize = 256;
/// Stands for everything that is not told apart.
const OTHER: &str = "other";
/// Longest text of a single request that is kept, in bytes.
const TEXT_BYTES_MAX: usize = 128;

/// Collects refusals, minute by minute.
#[derive(Debug, Default)]
pub(crate) struct Minutes {
    /// The minute that is open, counted from 1970.
    minute: i64,
    /// By source and reason, then by address.
    open: BTreeMap<(String, String), BTreeMap<String, Tally>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Tally {
    /// Refusals.
    count: i64,
    /// Messages that told of them.
    messages: u64,
    status: u16,
    /// When the gateway refused, the first and the last.
    first: OffsetDateTime,
    last: OffsetDateTime,
    stream_sequence: i64,
    recorded_at: OffsetDateTime,
    /// What is known of the request, if there was only one.
    single: Option<Single>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Single {
    body_sha256: Option<BodyDigest>,
    texts: Map<String, Value>,
}

/// What a gateway tells; `services/gateway` has the fields.
#[derive(Deserialize)]
struct Told {
    source: String,
    reason: String,
    #[serde(default)]
    status: u16,
    count: u64,
    address: Option<IpAddr>,
    #[serde(with = "time::serde::rfc3339")]
    received_at: OffsetDateTime,
    request_id: Option<String>,
    body_sha256: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// Where a message stands in the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) stream_sequence: u64,
    pub(crate) recorded_at: OffsetDateTime,
}

impl Minutes {
    /// Begins behind `minute`, the last that has entries: a message that the stream's clock puts there or before is
    /// counted in the next, so that a minute never has entries twice.
    pub(crate) fn after(minute: Option<i64>) -> Self {
        Self { minute: minute.map_or(i64::MIN, |minute| minute.saturating_add(1)), open: BTreeMap::new() }
    }

    /// Takes the next message. Returns the entries of the minute before, if this one opens another.
    pub(crate) fn take(&mut self, payload: &[u8], place: Place) -> Vec<Record> {
        let minute = place.recorded_at.unix_timestamp().div_euclid(60);
        let closed = if minute > self.minute { self.close() } else { Vec::new() };
        self.minute = self.minute.max(minute);
        self.add(payload, place);
        closed
    }

    /// Whether the open minute was over at `now`, and `grace` more.
    pub(crate) fn is_over(&self, now: OffsetDateTime, grace: Duration) -> bool {
        let over = (now - grace).unix_timestamp().div_euclid(60) > self.minute;
        over && !self.open.is_empty()
    }

    /// Ends the open minute, and returns its entries.
    pub(crate) fn close(&mut self) -> Vec<Record> {
        let minute = self.minute;
        if self.open.is_empty() {
            return Vec::new();
        }
        self.minute = minute.saturating_add(1);
        let mut records: Vec<Record> = std::mem::take(&mut self.open)
            .into_iter()
            .flat_map(|((source, reason), addresses)| {
                let record = move |(address, tally): (String, Tally)| {
                    record(minute, &source, &reason, &address, tally)
                };
                addresses.into_iter().map(record)
            })
            .collect();
        records.sort_by_key(|record| record.stream_sequence);
        records
    }

    fn add(&mut self, payload: &[u8], place: Place) {
        let told = serde_json::from_slice(payload).unwrap_or_else(|_| Told::unreadable(place));
        if told.count == 0 {
            return;
        }
        let key =
            (Token::lossy(&told.source).as_str().to_owned(), Token::lossy(&told.reason).as_str().to_owned());
        let full = !self.open.contains_key(&key) && self.open.len() >= REASONS_MAX;
        let key = if full { (OTHER.to_owned(), OTHER.to_owned()) } else { key };
        let addresses = self.open.entry(key).or_default();
        let address = told.address.filter(|_| !full).map_or_else(|| OTHER.to_owned(), network);
        let full = !addresses.contains_key(&address) && addresses.len() >= ADDRESSES_MAX;
        let address = if full { OTHER.to_owned() } else { address };
        let tally = Tally::of(&told, place);
        addresses.entry(address).and_modify(|sum| sum.add(&tally)).or_insert(tally);
    }
}

impl Told {
    /// Somebody else than a gateway wrote it. Counted, so that it is seen.
    fn unreadable(place: Place) -> Self {
        Self {
            source: OTHER.to_owned(),
            reason: "unreadable".to_owned(),
            status: 0,
            count: 1,
            address: None,
            received_at: place.recorded_at,
            request_id: None,
            body_sha256: None,
            headers: BTreeMap::new(),
        }
    }
}

impl Tally {
    fn of(told: &Told, place: Place) -> Self {
        let single = (told.count == 1).then(|| {
            let mut texts = Map::new();
            let delivery =
                ["x-github-delivery", "webhook-id"].iter().find_map(|name| told.headers.get(*name));
            for (name, text) in [("request_id", told.request_id.as_ref()), ("delivery", delivery)] {
                if let Some(text) = text {
                    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
                    texts.insert(name.to_owned(), text[..end].replace('\0', "?").into());
                }
            }
            let body_sha256 = told.body_sha256.as_deref().and_then(BodyDigest::from_hex);
            Single { body_sha256, texts }
        });
        Self {
            count: i64::try_from(told.count).unwrap_or(i64::MAX),
            messages: 1,
            status: told.status,
            first: told.received_at,
            last: told.received_at,
            stream_sequence: i64::try_from(place.stream_sequence).unwrap_or(i64::MAX),
            recorded_at: place.recorded_at,
            single,
        }
    }

    fn add(&mut self, later: &Self) {
        self.count = self.count.saturating_add(later.count);
        self.messages += later.messages;
        self.first = self.first.min(later.first);
        self.last = self.last.max(later.last);
        self.stream_sequence = later.stream_sequence;
        self.recorded_at = later.recorded_at;
        self.single = None;
    }
}

/// As the gateway tells clients apart: an address, for IPv6 its /64.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & (!0 << 64))),
    }
}

fn record(minute: i64, source: &str, reason: &str, address: &str, tally: Tally) -> Record {
    let mut details = json!({
        "address": address, "reason": reason, "status": tally.status, "minute": rfc3339_minute(minute),
        "first": rfc3339(tally.first), "last": rfc3339(tally.last), "messages": tally.messages,
    });
    let single = tally.single.unwrap_or_default();
    if let Value::Object(details) = &mut details {
        details.extend(single.texts);
    }
    Record {
        kind: kind::REJECTED.to_owned(),
        stream: Some(REJECTIONS.to_owned()),
        stream_sequence: Some(tally.stream_sequence),
        event_id: None,
        source: Some(source.to_owned()),
        event_type: None,
        body_sha256: single.body_sha256.map(|digest| Hash(digest.0)),
        signature: None,
        key_id: None,
        actor: None,
        count: tally.count,
        details: details.to_string(),
        received_at: Micros::of(tally.last),
        recorded_at: Micros::of(tally.recorded_at),
    }
}

fn rfc3339(time: OffsetDateTime) -> String {
    // Fails only for years outside 0..=9999, which neither the parser nor the server lets in.
    time.format(&Rfc3339).unwrap_or_default()
}

fn rfc3339_minute(minute: i64) -> String {
    OffsetDateTime::from_unix_timestamp(minute.saturating_mul(60)).map(rfc3339).unwrap_or_default()
}

/// The minute that the details of an entry of ours name.
pub(crate) fn minute_of(details: &str) -> Option<i64> {
    let details: Value = serde_json::from_str(details).ok()?;
    let minute = OffsetDateTime::parse(details.get("minute")?.as_str()?, &Rfc3339).ok()?;
    Some(minute.unix_timestamp().div_euclid(60))
}

#[cfg(test)]
mod tests;
