//! A verifier that shares nothing with ours: `schemas/postgres/audit/verify.py`, Python's standard library and no more.

use std::path::Path;
use std::process::Command;

use hookstream_test_support::run_test;
use hookstream_trail::tree::{Node, Nodes, inclusion_ranges, leaf_hash};
use hookstream_trail::{Entry, Proof};
use serde_json::{Value, json};

use crate::audit_proofs::Trail;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../schemas/postgres/audit/verify.py");
const VECTORS: &str = include_str!("../../../../schemas/postgres/audit/vectors.json");

/// What it says of these lines: what it verified, or what is wrong.
fn verify(folder: &Path, lines: &[Value]) -> Result<String, String> {
    let file = folder.join("export.jsonl");
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    std::fs::write(&file, text.join("\n")).unwrap();
    let output = Command::new("python3").arg(SCRIPT).arg(&file).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// The first to the last of `lines` verify, and none does if any field of the middle one is another.
fn verifies_only_as_it_is(folder: &Path, lines: &[Value], entries: &str) {
    let verified = verify(folder, lines).unwrap();
    assert!(verified.contains(entries), "{verified}");
    let middle = lines.len() / 2;
    let found = |changed: &[Value], line: usize, what: &str| {
        let wrong = verify(folder, changed).expect_err(what);
        assert!(wrong.starts_with(&format!("line {line} ")), "{what}: {wrong}");
    };
    let entry = lines[middle]["entry"].as_object().unwrap();
    assert_eq!(entry.len(), 18, "a new column has to be hashed: {entry:?}");
    for (name, value) in entry {
        let mut changed = lines.to_vec();
        changed[middle]["entry"][name] = match value {
            // Another millennium.
            Value::String(text) if name.ends_with("_at") => {
                json!(format!("{}{}", if text.starts_with('1') { '2' } else { '1' }, &text[1..]))
            }
            Value::String(text) if text.len() == 64 => json!(format!("{}{}", &text[1..], &text[..1])),
            Value::String(text) => json!(format!("{text} ")),
            Value::Number(number) => json!(number.as_i64().unwrap() + 1),
            Value::Null if name.ends_with("sequence") => json!(0),
            _ => json!(""),
        };
        assert_ne!(changed, lines, "{name}");
        found(&changed, middle + 1, name);
    }
    for name in ["inclusion", "checkpoint"] {
        let mut changed = lines.to_vec();
        changed[middle][name] = match &changed[middle][name] {
            Value::Array(hashes) => hashes[1..].into(),
            other => other.as_str().unwrap().replacen('\n', "\n1", 1).into(),
        };
        found(&changed, middle + 1, name);
    }
    let mut changed = lines.to_vec();
    changed.remove(middle);
    found(&changed, middle + 1, "one is left out");
    let mut changed = lines.to_vec();
    changed.swap(middle, middle + 1);
    found(&changed, middle + 1, "two are swapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_verifies_with_what_the_documentation_says() {
    run_test(async || {
        let mut trail = Trail::start().await;
        trail.record(9, 9).await;
        let export = async |arguments: &[&str]| -> Vec<Value> {
            let done = trail.run(&[&["export"], arguments].concat()).await.expect_code(0);
            done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let folder = tempfile::tempdir()?;
        verifies_only_as_it_is(folder.path(), &export(&[]).await, "entries 1 to 9 are chained");
        let part = export(&["--from", "4", "--to", "6"]).await;
        verifies_only_as_it_is(folder.path(), &part, "entries 4 to 6 are chained");
        Ok(())
    })
    .await;
}

/// Entries of all kinds, with nulls and empty texts, numbers beyond 2^53 and times before 1970.
#[test]
fn the_vectors_verify_with_what_the_documentation_says() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let entries: Vec<Entry> = serde_json::from_value(vectors["entries"].clone()).unwrap();
    let (mut nodes, size) = (Nodes::default(), entries.len() as u64);
    for (position, entry) in (0..).zip(&entries) {
        nodes.insert(Node { level: 0, position, hash: leaf_hash(entry.entry_hash) });
    }
    let checkpoint = vectors["checkpoint"]["note"].as_str().unwrap();
    let line = |(index, entry)| {
        let inclusion = nodes.hashes(&inclusion_ranges(index, size)).unwrap();
        serde_json::to_value(Proof { entry, inclusion, checkpoint: checkpoint.to_owned() }).unwrap()
    };
    let lines: Vec<Value> = (0..).zip(entries).map(line).collect();
    let folder = tempfile::tempdir().unwrap();
    verifies_only_as_it_is(folder.path(), &lines, "entries 1 to 5 are chained");
    verifies_only_as_it_is(folder.path(), &lines[2..], "entries 3 to 5 are chained");
}
