use std::fmt::Write as _;

use serde::Deserialize;
use time::format_description::well_known::Rfc3339;
use time::macros::datetime;

use super::*;

/// An entry of `vectors.json`.
#[derive(Deserialize)]
struct Vector {
    version: i16,
    audit_sequence: i64,
    kind: String,
    event_id: String,
    stream_sequence: i64,
    source: String,
    event_type: String,
    body_sha256: String,
    signature: String,
    key_id: String,
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
        let hash = |hex| Hash(BodyDigest::from_hex(hex).unwrap().0);
        Entry {
            version: self.version,
            audit_sequence: self.audit_sequence,
            record: Record {
                kind: self.kind.clone(),
                event_id: self.event_id.clone(),
                stream_sequence: self.stream_sequence,
                source: self.source.clone(),
                event_type: self.event_type.clone(),
                body_sha256: BodyDigest::from_hex(&self.body_sha256).unwrap(),
                signature: self.signature.clone(),
                key_id: self.key_id.clone(),
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
    serde_json::from_str(include_str!("../../../../schemas/postgres/audit/vectors.json")).unwrap()
}

fn record(number: i64) -> Record {
    Record {
        kind: "stored".to_owned(),
        event_id: format!("github:{number}"),
        stream_sequence: number,
        source: "github".to_owned(),
        event_type: "com.github.push".to_owned(),
        body_sha256: BodyDigest::of(&number.to_be_bytes()),
        signature: "sha256=00".to_owned(),
        key_id: "current".to_owned(),
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
        let mut encoding = String::new();
        entry.encode().iter().try_for_each(|byte| write!(encoding, "{byte:02x}")).unwrap();
        assert_eq!(encoding, vector.encoding, "entry {}", vector.audit_sequence);
        assert_eq!(entry.computed_hash().to_string(), vector.entry_hash);
        let times = (entry.record.received_at, entry.record.recorded_at);
        assert_eq!(times, (Micros(vector.received_at_micros), Micros(vector.recorded_at_micros)));
    }
    let entries: Vec<_> = vectors().iter().map(Vector::entry).collect();
    assert_eq!(verify(Head::EMPTY, &entries).map(|head| head.audit_sequence), Ok(3));
}

#[test]
fn a_chain_can_be_checked_in_pieces() {
    let entries = chain(10);
    assert_eq!(verify(Head::EMPTY, []), Ok(Head::EMPTY));
    let middle = verify(Head::EMPTY, &entries[..4]).unwrap();
    assert_eq!(verify(middle, &entries[4..]), Ok(entries[9].head()));
}

#[test]
fn a_change_of_any_field_is_found_and_named() {
    type Change = fn(&mut Entry);
    let changes: [Change; 13] = [
        |entry| entry.version += 1,
        |entry| entry.record.kind = "redelivered".to_owned(),
        |entry| entry.record.event_id.push('x'),
        |entry| entry.record.stream_sequence += 1,
        |entry| entry.record.source.push('x'),
        |entry| entry.record.event_type.push('x'),
        |entry| entry.record.body_sha256.0[31] ^= 1,
        |entry| entry.record.signature.push('0'),
        |entry| entry.record.key_id.clear(),
        |entry| entry.record.received_at.0 += 1,
        |entry| entry.record.recorded_at.0 -= 1,
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
    (one.source, one.event_type) = ("ab".to_owned(), "c".to_owned());
    (other.source, other.event_type) = ("a".to_owned(), "bc".to_owned());
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
        entries[at].entry_hash = entries[at].computed_hash();
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
