//! Checkpoints and proofs of the trail, for those who have no access to its database.

use std::time::Duration;

use hookstream_audit::{Audit, CheckpointSettings};
use hookstream_test_support::{SampleEvent, eventually, run_test};
use hookstream_trail::note::Signer;
use hookstream_trail::{Checkpoint, Proof};
use serde_json::json;

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

#[tokio::test]
async fn an_event_is_proved_by_the_newest_checkpoint_and_the_public_key_alone() {
    run_test(async || {
        let app = App::start().await;
        problem(&app.get("/audit/checkpoint").await?, 404, "no-checkpoint");
        let keys = settings().keys;
        let _audit = project(&app, Audit::with_checkpoints(settings()));
        let publisher = app.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        for id in 1..=5 {
            let ping = json!({ "zen": "Keep it logically awesome.", "hook_id": id });
            SampleEvent::github("ping", &format!("d-{id}"), &ping).publish(&publisher).await;
        }
        let note = eventually("a checkpoint of all five", PATIENCE, async || {
            let answer = app.get("/audit/checkpoint").await.map_err(|error| error.to_string())?;
            match Checkpoint::open(&answer.text(), &keys) {
                Ok(checkpoint) if checkpoint.size == 5 => Ok(answer),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert_eq!(note.header("content-type"), Some("text/plain; charset=utf-8"));

        let answer = app.get("/audit/proof/github:d-2?min_sequence=5").await?;
        assert_eq!(answer.status, 200, "{}", answer.text());
        validate("EventProofs", &answer.json());
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
