//! Checkpoints and proofs of the trail, for those who have no access to its database.

use std::ops::RangeInclusive;
use std::time::Duration;

use hookstream_audit::{Audit, CheckpointSettings};
use hookstream_test_support::http::Response;
use hookstream_test_support::{SampleEvent, eventually, run_test};
use hookstream_trail::note::Signer;
use hookstream_trail::tree::{Frontier, leaf_hash, verify_consistency};
use hookstream_trail::{Checkpoint, Hash, Proof};
use serde_json::{Value, json};

use crate::freshness::project;
use crate::openapi::validate;
use crate::support::{App, PATIENCE, problem};

const ORIGIN: &str = "example.org/trail";

fn settings() -> CheckpointSettings {
    let signer = Signer::private_key(ORIGIN, &[7; 32]).and_then(|key| Signer::parse(&key)).expect("a key");
    CheckpointSettings {
        keys: vec![signer.public().clone()],
        signer: Some(signer),
        origin: ORIGIN.to_owned(),
        entries: 1000,
        every: Duration::from_millis(200),
        file: None,
    }
}

/// Stores these pings, and returns the answer that is the first checkpoint of as many entries as the last one's id.
async fn record(app: &App, ids: RangeInclusive<u64>) -> Response {
    let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
    for id in ids.clone() {
        let ping = json!({ "zen": "Keep it logically awesome.", "hook_id": id });
        SampleEvent::github("ping", &format!("d-{id}"), &ping).publish(&publisher).await;
    }
    let keys = settings().keys;
    eventually("a checkpoint of all", PATIENCE, async || {
        let answer = app.get("/audit/checkpoint").await.map_err(|error| error.to_string())?;
        match Checkpoint::open(&answer.text(), &keys) {
            Ok(checkpoint) if checkpoint.size == *ids.end() => Ok(answer),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

#[tokio::test]
async fn an_event_is_proved_by_the_newest_checkpoint_and_the_public_key_alone() {
    run_test(async || {
        let app = App::start().await;
        problem(&app.get("/audit/checkpoint").await?, 404, "no-checkpoint");
        let keys = settings().keys;
        let _audit = project(&app, Audit::with_checkpoints(settings()));
        let note = record(&app, 1..=5).await;
        assert_eq!(note.header("content-type"), Some("text/plain; charset=utf-8"));

        let answer = app.get("/audit/proof/github:d-2?min_sequence=5").await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        validate("EntryProofs", &answer.json());
        assert_eq!(answer.json()["uncovered_count"], 0);
        let proofs: Vec<Proof> = serde_json::from_value(answer.json()["proofs"].clone())?;
        assert_eq!(proofs.len(), 1);
        assert_eq!(proofs[0].entry.record.event_id.as_deref(), Some("github:d-2"));
        assert_eq!(proofs[0].check(&keys, Some(ORIGIN))?.size, 5);
        let mut changed = proofs[0].clone();
        changed.entry.record.count += 1;
        assert!(changed.check(&keys, Some(ORIGIN)).is_err(), "a changed entry proves nothing");

        for unknown in ["github:d-6", "%00", "%ff", "a%20b"] {
            problem(&app.get(&format!("/audit/proof/{unknown}")).await?, 404, "no-entry");
        }
        Ok(())
    })
    .await;
}

/// The roots of the trees over the first 0, 1, 2, … entries, as the list tells them.
async fn roots(app: &App) -> anyhow::Result<Vec<Hash>> {
    let mut entries = app.items("/audit?limit=500").await?;
    entries.reverse();
    let mut frontier = Frontier::default();
    let mut roots = vec![frontier.root()];
    for entry in entries {
        let hash = entry["entry_hash"].as_str().and_then(Hash::from_hex).expect("a hash");
        frontier.push(leaf_hash(hash), |_| {});
        roots.push(frontier.root());
    }
    Ok(roots)
}

#[tokio::test]
async fn a_later_trail_is_proved_to_begin_with_an_earlier_one() {
    run_test(async || {
        let app = App::start().await;
        problem(&app.get("/audit/consistency?from=0").await?, 404, "no-checkpoint");
        let keys = settings().keys;
        let _audit = project(&app, Audit::with_checkpoints(settings()));
        let seen = Checkpoint::open(&record(&app, 1..=3).await.text(), &keys)?;
        record(&app, 4..=8).await;
        let roots = roots(&app).await?;
        assert_eq!((seen.size, seen.root), (3, roots[3]));
        let hashes = |answer: &Value| -> Vec<Hash> {
            serde_json::from_value(answer["consistency"].clone()).expect("hashes in hex")
        };

        // All that somebody needs who has seen the first checkpoint, in one answer.
        let answer = app.get("/audit/consistency?from=3&min_sequence=8").await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        validate("Consistency", &answer);
        assert_eq!((&answer["from"], &answer["to"]), (&3.into(), &8.into()));
        let newest = Checkpoint::open(answer["checkpoint"].as_str().expect("a note"), &keys)?;
        verify_consistency(3, newest.size, seen.root, newest.root, &hashes(&answer))?;
        let forged = Hash::of(b"another history");
        assert!(verify_consistency(3, newest.size, forged, newest.root, &hashes(&answer)).is_err());

        for to in 0..=8_usize {
            for from in 0..=to {
                let answer = app.get(&format!("/audit/consistency?from={from}&to={to}")).await?.json();
                validate("Consistency", &answer);
                verify_consistency(from as u64, to as u64, roots[from], roots[to], &hashes(&answer))?;
            }
        }
        for beyond in ["from=9", "from=3&to=9", "from=9223372036854775807"] {
            problem(&app.get(&format!("/audit/consistency?{beyond}")).await?, 404, "no-checkpoint");
        }
        for wrong in ["", "to=3", "from=-1", "from=x", "from=4&to=3", "from=1&to=", "from=1&size=2"] {
            problem(&app.get(&format!("/audit/consistency?{wrong}")).await?, 400, "bad-parameter");
        }
        let none = app.get("/audit/resumptions").await?.json();
        validate("EntryProofs", &none);
        assert_eq!(none, json!({ "proofs": [], "uncovered_count": 0 }));
        Ok(())
    })
    .await;
}
