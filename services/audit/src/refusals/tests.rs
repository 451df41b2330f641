use proptest::prelude::*;
use time::macros::datetime;

use super::*;

const NOON: OffsetDateTime = datetime!(2026-11-25 12:00 UTC);

fn place(stream_sequence: u64, seconds: i64) -> Place {
    Place { stream_sequence, recorded_at: NOON + Duration::seconds(seconds) }
}

fn told(reason: &str, address: Option<&str>, count: u64) -> Vec<u8> {
    let mut told = json!({
        "source": "github", "reason": reason, "status": 401, "count": count, "sampled": count > 1,
        "received_at": "2026-11-25T11:59:59.5Z",
    });
    if let Some(address) = address {
        told["address"] = address.into();
    }
    told.to_string().into_bytes()
}

/// `count source reason address` of each entry.
fn shown(records: &[Record]) -> Vec<String> {
    let show = |record: &Record| {
        let details: Value = serde_json::from_str(&record.details).unwrap();
        let text = |name: &str| details[name].as_str().unwrap().to_owned();
        let source = record.source.as_deref().unwrap();
        format!("{} {source} {} {}", record.count, text("reason"), text("address"))
    };
    records.iter().map(show).collect()
}

#[test]
fn a_minute_is_an_entry_per_source_reason_and_address() {
    let mut minutes = Minutes::after(None);
    for (sequence, message) in (1..).zip([
        told("signature_mismatch", Some("192.0.2.1"), 1),
        told("signature_mismatch", Some("192.0.2.1"), 998),
        told("signature_mismatch", Some("2001:db8::17"), 2),
        told("signature_mismatch", Some("2001:db8::18"), 1),
        told("signature_mismatch", None, 7),
        told("not_found", Some("192.0.2.1"), 1),
        b"nothing that a gateway says".to_vec(),
    ]) {
        assert_eq!(minutes.take(&message, place(sequence, 10)), []);
    }
    let closed = minutes.take(&told("not_found", Some("192.0.2.1"), 1), place(8, 60));
    let expected = [
        "999 github signature_mismatch 192.0.2.1",
        "3 github signature_mismatch 2001:db8::/64",
        "7 github signature_mismatch other",
        "1 github not_found 192.0.2.1",
        "1 other unreadable other",
    ];
    assert_eq!(shown(&closed), expected);
    assert_eq!(closed[0].stream_sequence, Some(2), "that of the last message");
    let details: Value = serde_json::from_str(&closed[0].details).unwrap();
    assert_eq!((&details["minute"], &details["messages"]), (&json!("2026-11-25T12:00:00Z"), &json!(2)));
    assert_eq!(details["first"], "2026-11-25T11:59:59.5Z", "as the gateway says");
    assert_eq!(minute_of(&closed[0].details), Some(NOON.unix_timestamp() / 60));
    assert_eq!(shown(&minutes.close()), ["1 github not_found 192.0.2.1"]);
}

#[test]
fn a_single_refusal_keeps_what_tells_which_request_it_was() {
    let mut minutes = Minutes::after(None);
    let digest = BodyDigest::of(b"{}");
    let one = json!({
        "source": "github", "reason": "signature_mismatch", "status": 401, "count": 1, "sampled": false,
        "address": "192.0.2.1", "received_at": "2026-11-25T12:00:01Z", "request_id": "00ff",
        "headers": {"x-github-delivery": "d-1", "content-type": "application/json"},
        "body_sha256": digest.to_string(), "body_bytes": 2,
    });
    minutes.take(one.to_string().as_bytes(), place(1, 1));
    let closed = minutes.close();
    let details: Value = serde_json::from_str(&closed[0].details).unwrap();
    assert_eq!((&details["request_id"], &details["delivery"]), (&json!("00ff"), &json!("d-1")));
    assert_eq!(closed[0].body_sha256, Some(Hash(digest.0)));
    assert_eq!(closed[0].received_at, Micros::of(datetime!(2026-11-25 12:00:01 UTC)));
}

#[test]
fn a_minute_has_entries_once_whatever_the_clocks_say() {
    let minute = NOON.unix_timestamp() / 60;
    let message = || told("not_found", None, 1);
    // The entries of this minute are in the trail already.
    let mut minutes = Minutes::after(Some(minute));
    assert_eq!(minutes.take(&message(), place(1, 59)), []);
    assert!(!minutes.is_over(NOON + Duration::seconds(119), Duration::ZERO));
    assert!(!minutes.is_over(NOON + Duration::seconds(124), Duration::seconds(5)));
    assert!(minutes.is_over(NOON + Duration::seconds(125), Duration::seconds(5)));
    let closed = minutes.close();
    assert_eq!(minute_of(&closed[0].details), Some(minute + 1));
    // Closed by our clock, and the stream's is behind.
    assert_eq!(minutes.take(&message(), place(2, 61)), []);
    assert_eq!(minute_of(&minutes.close()[0].details), Some(minute + 2));
    assert!(!minutes.is_over(NOON + Duration::days(1), Duration::ZERO), "nothing is open");
}

proptest! {
    #[test]
    fn no_refusal_is_lost_and_the_entries_are_bounded(
        messages in prop::collection::vec((0..400_u32, any::<u8>(), 1..50_u64, 0..90_i64), 1..600)
    ) {
        let (mut minutes, mut expected, mut found) = (Minutes::after(None), 0, 0);
        let mut count = |records: Vec<Record>| -> Result<(), TestCaseError> {
            prop_assert!(records.len() <= (REASONS_MAX + 1) * (ADDRESSES_MAX + 1));
            let mut keys: Vec<_> = shown(&records).iter().map(|text| text.split_once(' ').unwrap().1.to_owned()).collect();
            keys.sort();
            keys.dedup();
            prop_assert_eq!(keys.len(), records.len(), "each key once");
            prop_assert!(records.iter().all(|record| record.details.len() <= 4096));
            found += records.iter().map(|record| record.count).sum::<i64>();
            Ok(())
        };
        for (sequence, (reason, address, refusals, seconds)) in (1..).zip(messages) {
            expected += i64::try_from(refusals).unwrap();
            let message = told(&format!("reason_{reason}"), Some(&format!("192.0.2.{address}")), refusals);
            count(minutes.take(&message, place(sequence, seconds)))?;
        }
        count(minutes.close())?;
        prop_assert_eq!(found, expected);
    }
}
