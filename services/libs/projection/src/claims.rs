//! Which events of a batch the projection has seen before: pure, from what its memory recalled.

use std::collections::HashMap;

use hookstream_event::{BodyDigest, Envelope, attribute};
use hookstream_store::memory::{HORIZON, Recalled};
use time::OffsetDateTime;

use crate::Claim;

/// What is known so far; grows as the batch is gone through, so that two of a kind in one batch claim like two in a row.
#[derive(Debug, Default)]
pub(crate) struct Known {
    ids: HashMap<String, (BodyDigest, OffsetDateTime)>,
    digests: HashMap<BodyDigest, OffsetDateTime>,
}

impl From<Recalled> for Known {
    fn from(recalled: Recalled) -> Self {
        Self {
            ids: recalled.ids.into_iter().map(|(id, digest, at)| (id, (digest, at))).collect(),
            digests: recalled.digests.into_iter().collect(),
        }
    }
}

impl Known {
    /// Claims one event, and knows it from now on.
    pub(crate) fn claim(&mut self, envelope: &Envelope) -> Claim {
        if envelope.id_derived {
            return Claim::Fresh;
        }
        let (digest, received_at) = (envelope.body_sha256, envelope.received_at);
        if let Some((known, at)) = self.ids.get(envelope.id.as_str())
            && within_horizon(*at, received_at)
        {
            return if *known == digest { Claim::Redelivered } else { Claim::Conflict };
        }
        let replayed = self.digests.get(&digest).is_some_and(|at| within_horizon(*at, received_at));
        if replayed && envelope.attributes.text(attribute::REPLAY_POLICY) == Some("reject") {
            // Its id is not known from now on: nothing was done under it.
            return Claim::RejectedReplay;
        }
        self.ids.insert(envelope.id.as_str().to_owned(), (digest, received_at));
        let latest = self.digests.entry(digest).or_insert(received_at);
        *latest = received_at.max(*latest);
        if replayed { Claim::SuspectedReplay } else { Claim::Fresh }
    }
}

/// Two gateways' clocks may differ, so the later event may seem the earlier.
fn within_horizon(one: OffsetDateTime, other: OffsetDateTime) -> bool {
    (one - other).abs() <= HORIZON
}

#[cfg(test)]
mod tests {
    use hookstream_event::{Attributes, EventId, EventType, Token};
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    const DAY_0: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);

    fn event(id: &str, body: &str, days: i64) -> Envelope {
        Envelope {
            id: EventId::parse(id).unwrap(),
            id_derived: false,
            event_type: EventType::join("com.github", [&Token::lossy("push")]),
            origin: "https://api.github.com".to_owned(),
            about: None,
            occurred_at: DAY_0,
            received_at: DAY_0 + Duration::days(days),
            content_type: "application/json".to_owned(),
            body_sha256: BodyDigest::of(body.as_bytes()),
            signature: "sha256=00".to_owned(),
            key_id: "current".to_owned(),
            attributes: Attributes::default(),
            traceparent: None,
            suspected_replay: false,
        }
    }

    fn claims<const N: usize>(events: [Envelope; N]) -> [Claim; N] {
        let mut known = Known::default();
        events.map(|event| known.claim(&event))
    }

    #[test]
    fn ids_and_bodies_claim_as_the_table_of_duplicates_says() {
        let claimed = claims([
            event("github:a", "1", 0),
            event("github:a", "1", 0),
            event("github:a", "2", 0),
            event("github:b", "1", 0),
            event("github:b", "1", 0),
            event("internal:a", "3", 0),
        ]);
        let expected = [
            Claim::Fresh,
            Claim::Redelivered,
            Claim::Conflict,
            Claim::SuspectedReplay,
            Claim::Redelivered,
            Claim::Fresh,
        ];
        assert_eq!(claimed, expected);
    }

    #[test]
    fn after_seven_days_an_id_and_a_body_are_fresh_again() {
        let a = |days| event("github:a", "1", days);
        assert_eq!(claims([a(0), a(7)]), [Claim::Fresh, Claim::Redelivered]);
        assert_eq!(claims([a(0), a(8), a(9)]), [Claim::Fresh, Claim::Fresh, Claim::Redelivered]);
        assert_eq!(claims([a(0), event("github:b", "1", 8)]), [Claim::Fresh, Claim::Fresh]);
    }

    #[test]
    fn a_source_set_to_reject_has_no_second_effect_of_a_body_under_whatever_id() {
        let rejecting = |id: &str, body: &str| {
            let mut event = event(id, body, 0);
            event.attributes.set(attribute::REPLAY_POLICY, "reject");
            event
        };
        let claimed = claims([
            rejecting("github:a", "1"),
            rejecting("github:b", "1"),
            rejecting("github:b", "1"),
            rejecting("github:a", "1"),
            rejecting("github:b", "2"),
            event("github:c", "1", 0),
        ]);
        let expected = [
            Claim::Fresh,
            Claim::RejectedReplay,
            Claim::RejectedReplay,
            Claim::Redelivered,
            Claim::Fresh,
            Claim::SuspectedReplay,
        ];
        assert_eq!(claimed, expected);
    }

    #[test]
    fn a_derived_id_is_always_fresh_and_never_known() {
        let derived = || Envelope { id_derived: true, ..event("internal:a", "1", 0) };
        let given = event("internal:a", "1", 0);
        assert_eq!(claims([derived(), derived(), given]), [Claim::Fresh, Claim::Fresh, Claim::Fresh]);
    }

    #[test]
    fn what_was_recalled_counts_unless_it_is_too_old() {
        let digest = BodyDigest::of(b"1");
        let recalled =
            |at| Recalled { ids: vec![("github:a".to_owned(), digest, at)], digests: vec![(digest, at)] };
        let claim = |at, id: &str| Known::from(recalled(at)).claim(&event(id, "1", 0));
        assert_eq!(claim(DAY_0, "github:a"), Claim::Redelivered);
        assert_eq!(claim(DAY_0, "github:b"), Claim::SuspectedReplay);
        assert_eq!(claim(DAY_0 - Duration::days(8), "github:a"), Claim::Fresh);
        assert_eq!(claim(DAY_0 + Duration::days(6), "github:a"), Claim::Redelivered);
    }
}
