//! Events published anew, on a subject of the caller's.

use anyhow::Context as _;
use hookstream_bus::{Bus, Message};
use hookstream_event::{Header, header};
use time::format_description::well_known::Rfc3339;

use crate::settings::Usage;

/// First tokens of subjects that have a meaning already.
const TAKEN: [&str; 8] =
    ["ingest", "webhooks", "rejections", "phases", "operations", "audit", "_INBOX", "_INBOX_operator"];

/// Refuses what is no subject, and what would be mistaken for something else.
pub(crate) fn check(subject: &str) -> Result<(), Usage> {
    let tokens: Vec<&str> = subject.split('.').collect();
    let is_token = |token: &&str| {
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !b"*>".contains(&byte))
    };
    let first = tokens.first().copied().unwrap_or_default();
    if !tokens.iter().all(is_token) || subject.len() > 256 || first.starts_with('$') || TAKEN.contains(&first)
    {
        return Err(Usage(format!(
            "--to-subject {subject:?}: give a subject of your own without wildcards, such as backfill.mine"
        )));
    }
    Ok(())
}

/// Publishes one event with the headers it was stored with, and where and when that was.
pub(crate) async fn publish(bus: &Bus, subject: &str, stream: &str, message: &Message) -> anyhow::Result<()> {
    // The server acts on its own headers. The id is the event's, and keeps it single in a stream that takes the subject.
    let ours = |name: &str| !name.starts_with("Nats-") || name == header::MSG_ID;
    let kept = message.headers.iter().filter(|(name, _)| ours(name)).cloned();
    let mut headers: Vec<Header> = kept.map(|(name, value)| (name.into(), value)).collect();
    let mut add = |name: &'static str, value: String| headers.push((name.into(), value));
    add("hs-stream", stream.to_owned());
    add("hs-stream-sequence", message.stream_sequence.to_string());
    add("hs-stream-subject", message.subject.clone());
    add("hs-recorded-at", message.recorded_at.format(&Rfc3339)?);
    let sent = bus.broadcast(subject.to_owned(), headers, message.payload.clone()).await;
    sent.with_context(|| format!("publish event {} on {subject}", message.stream_sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subject_of_ones_own_is_taken() {
        for good in ["backfill.mine", "team-a.replay.2026_11"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for wrong in [
            "",
            ".",
            "a..b",
            "a.*",
            "a.>",
            "a b",
            "ingest.x",
            "webhooks.github",
            "$JS.API.x",
            "_INBOX.x",
            "é",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
