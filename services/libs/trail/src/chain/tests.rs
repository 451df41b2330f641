use std::fmt::Write as _;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use super::*;
use crate::entry::{Micros, Record};

#[derive(Deserialize)]
struct Vectors {
    entries: Vec<Vector>,
}

/// An entry of `vectors.json`.
#[derive(Deserialize)]
struct Vector {
    version: i16,
    audit_sequence: i64,
    kind: String,
    stream: Option<String>,
    stream_sequence: Option<i64>,
    event_id: Option<String>,
    source: Option<String>,
    event_type: Option<String>,
    body_sha256: Option<String>,
    signature: Option<String>,
    key_id: Option<String>,
    actor: Option<String>,
    count: i64,
    details: String,
    received_at: String,
    recorded_at: String,
    received_at_micros: i64,
    recorded_at_micros: i64,
    previous_hash: String,
    entry_hash: String,
    encoding: String,
}

impl Vector {
    fn entry(&self) -> Entry {
        let hash = |hex: &str| Hash::from_hex(hex).unwrap();
        Entry {
            version: self.version,
            audit_sequence: self.audit_sequence,
            record: Record {
                kind: self.kind.clone(),
                stream: self.stream.clone(),
                stream_sequence: self.stream_sequence,
                event_id: self.event_id.clone(),
                source: self.source.clone(),
                event_type: self.event_type.clone(),
                body_sha256: self.body_sha256.as_deref().map(hash),
                signature: self.signature.clone(),
                key_id: self.key_id.clone(),
                actor: self.actor.clone(),
                count: self.count,
                details: self.details.clone(),
                received_at: micros(&self.received_at),
                recorded_at: micros(&self.recorded_at),
            },
            previous_hash: hash(&self.previous_hash),
            entry_hash: hash(&self.entry_hash),
        }
    }
}

fn micros(text: &str) -> Micros {
    Micros::of(OffsetDateTime::parse(text, &Rfc3339).unwrap())
}

fn vectors() -> Vec<Vector> {
    let text = include_str!("../../../../../schemas/postgres/audit/vectors.json");
    serde_json::from_str::<Vectors>(text).unwrap().entries
}

fn record(number: i64) -> Record {
    let text = |text: &str| Some(text.to_owned());
    Record {
        kind: "stored".to_owned(),
        stream: text("WEBHOOKS"),
        stream_sequence: Some(number),
        event_id: Some(format!("github:{number}")),
        source: text("github"),
        event_type: text("com.github.push"),
        body_sha256: Some(Hash::of(&number.to_be_bytes())),
        signature: text("sha256=00"),
        key_id: text("current"),
        actor: text("api:ci"),
        count: 1,
        details: "{}".to_owned(),
        received_at: Micros(number * 1_000_000),
        recorded_at: Micros(number * 1_000_000 + 1),
    }
}

/// A chain of so many entries.
fn chain(entries: i64) -> Vec<Entry> {
    let mut head = Head::EMPTY;
    let append = |number| {
        let entry = Entry::append(head, record(number));
        head = entry.head();
        entry
    };
    (1..=entries).map(append).collect()
}

fn fault(entries: &[Entry]) -> (i64, Fault) {
    let broken = verify(Head::EMPTY, entries).expect_err("a broken chain");
    (broken.audit_sequence, broken.fault)
}

#[test]
fn the_published_vectors_hold() {
    for vector in vectors() {
        let entry = vector.entry();
        let (mut bytes, mut encoding) = (Vec::new(), String::new());
        entry.encode(&mut bytes);
        bytes.iter().try_for_each(|byte| write!(encoding, "{byte:02x}")).unwrap();
        assert_eq!(encoding, vector.encoding, "entry {}", vector.audit_sequence);
        assert_eq!(entry.computed_hash(&mut bytes).to_string(), vector.entry_hash);
        let times = (entry.record.received_at, entry.record.recorded_at);
        assert_eq!(times, (Micros(vector.received_at_micros), Micros(vector.recorded_at_micros)));
    }
    let entries: Vec<_> = vectors().iter().map(Vector::entry).collect();
    assert_eq!(verify(Head::EMPTY, &entries).map(|head| head.audit_sequence), Ok(5));
}

#[test]
fn a_chain_can_be_checked_in_pieces() {
    let entries = chain(10);
    assert_eq!(verify::<String>(Head::EMPTY, []), Ok(Head::EMPTY));
    let middle = verify(Head::EMPTY, &entries[..4]).unwrap();
    assert_eq!(verify(middle, &entries[4..]), Ok(entries[9].head()));
}

#[test]
fn a_change_of_any_field_is_found_and_named() {
    type Change = fn(&mut Entry);
    let changes: [Change; 30] = [
        |entry| entry.version += 1,
        |entry| entry.record.kind = "redelivered".to_owned(),
        |entry| entry.record.stream = Some("PHASES".to_owned()),
        |entry| entry.record.stream = None,
        |entry| entry.record.stream_sequence = entry.record.stream_sequence.map(|sequence| sequence + 1),
        |entry| entry.record.stream_sequence = None,
        |entry| entry.record.event_id = Some("github:x".to_owned()),
        |entry| entry.record.event_id = None,
        |entry| entry.record.source = Some("x".to_owned()),
        |entry| entry.record.source = None,
        |entry| entry.record.event_type = Some("x".to_owned()),
        |entry| entry.record.event_type = None,
        |entry| entry.record.body_sha256 = Some(Hash([7; 32])),
        |entry| entry.record.body_sha256 = None,
        |entry| entry.record.signature = Some("x".to_owned()),
        |entry| entry.record.signature = Some(String::new()),
        |entry| entry.record.signature = None,
        |entry| entry.record.key_id = Some("x".to_owned()),
        |entry| entry.record.key_id = None,
        |entry| entry.record.actor = Some("x".to_owned()),
        |entry| entry.record.actor = Some(String::new()),
        |entry| entry.record.actor = None,
        |entry| entry.record.count += 1,
        |entry| entry.record.details = "{ }".to_owned(),
        |entry| entry.record.details.clear(),
        |entry| entry.record.received_at.0 += 1,
        |entry| entry.record.recorded_at.0 -= 1,
        |entry| std::mem::swap(&mut entry.record.source, &mut entry.record.actor),
        |entry| entry.previous_hash.0[0] ^= 1,
        |entry| entry.entry_hash.0[0] ^= 1,
    ];
    for (number, change) in changes.into_iter().enumerate() {
        for at in [0, 4, 9] {
            let mut entries = chain(10);
            change(&mut entries[at]);
            let (named, _) = fault(&entries);
            assert_eq!(named, entries[at].audit_sequence, "change {number}");
        }
    }
}

#[test]
fn what_moves_between_two_fields_changes_the_hash() {
    // Without the lengths, the two would have the same encoding.
    let (mut one, mut other) = (record(1), record(1));
    (one.source, one.event_type) = (Some("ab".to_owned()), Some("c".to_owned()));
    (other.source, other.event_type) = (Some("a".to_owned()), Some("bc".to_owned()));
    let hash = |record| Entry::append(Head::EMPTY, record).entry_hash;
    assert_ne!(hash(one), hash(other));
}

#[test]
fn missing_inserted_and_swapped_entries_are_found_and_named() {
    let mut entries = chain(10);
    entries.remove(4);
    assert_eq!(fault(&entries), (5, Fault::Missing { found: 6 }));

    let mut entries = chain(10);
    entries.insert(4, entries[3].clone());
    assert_eq!(fault(&entries), (5, Fault::OutOfOrder { found: 4 }));

    let mut entries = chain(10);
    entries.swap(4, 5);
    assert_eq!(fault(&entries), (5, Fault::Missing { found: 6 }));

    // Their contents swapped, each with a hash of its own made anew: the link tells.
    let mut entries = chain(10);
    for (at, other) in [(4, 5), (5, 4)] {
        entries[at].record = record(other + 1);
        entries[at].entry_hash = entries[at].computed_hash(&mut Vec::new());
    }
    assert_eq!(fault(&entries), (6, Fault::PreviousHash));
}

#[test]
fn an_entry_of_another_chain_does_not_fit() {
    let mut other = Head { audit_sequence: 4, entry_hash: Hash([7; 32]) };
    let mut entries = chain(10);
    entries[4] = Entry::append(other, record(5));
    assert_eq!(fault(&entries), (5, Fault::PreviousHash));
    other.audit_sequence = 0;
    assert_eq!(fault(&[Entry::append(other, record(1))]), (1, Fault::PreviousHash));
}

#[test]
fn times_are_cut_towards_the_past() {
    assert_eq!(Micros::of(datetime!(1970-01-01 00:00:00.000001999 UTC)), Micros(1));
    assert_eq!(Micros::of(datetime!(1969-12-31 23:59:59.999999001 UTC)), Micros(-1));
    assert_eq!(Micros::of(datetime!(2026-11-23 12:00 +2)), micros("2026-11-23T10:00:00Z"));
    assert_eq!(Micros(i64::MAX).to_time(), None);
}
