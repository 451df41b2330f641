//! `hookstream audit verify|prove|check|export|witness|resume|key`, as an operator and an auditor use them.

use std::path::Path;
use std::time::Duration;

use hookstream_audit::{Audit, CheckpointSettings};
use hookstream_backend::Backend;
use hookstream_projection::{Context, Projection as _, RunnerSettings};
use hookstream_proofs::newest_checkpoint;
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::Limits;
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::Connection;
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually};
use hookstream_trail::note::Signer;
use hookstream_trail::{Checkpoint, Hash};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::command::{Done, Hookstream};

const PATIENCE: Duration = Duration::from_mins(1);

/// A trail with a key, and the commands on it.
pub(crate) struct Trail {
    nats: TestNats,
    database: TestDatabase,
    client: Connection,
    folder: tempfile::TempDir,
    private: String,
    public: String,
    sent: u32,
}

impl Trail {
    pub(crate) async fn start() -> Self {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        database.migrate(&[&hookstream_audit::MIGRATIONS]).await;
        let (client, folder) = (database.client().await, tempfile::tempdir().unwrap());
        let made = Hookstream::new(&["audit", "key", "example.org/trail"]).run().await.expect_code(0);
        let (private, public) = (made.stdout.trim().to_owned(), made.stderr.trim().to_owned());
        Self { nats, database, client, folder, private, public, sent: 0 }
    }

    /// Records so many more events, and waits until a checkpoint of `entries` has been made.
    pub(crate) async fn record(&mut self, events: u32, entries: u64) {
        let publisher = self.nats.connect("gateway").await.publisher(Duration::from_secs(10));
        for id in self.sent + 1..=self.sent + events {
            let body = json!({ "zen": id, "hook_id": 1 });
            SampleEvent::github("ping", &format!("d-{id}"), &body).publish(&publisher).await;
        }
        self.sent += events;
        let info = ProcessInfo { name: "hookstream-audit", about: "", version: "0" };
        let context = Context {
            nats: self.nats.settings(Audit::NAME),
            postgres: self.database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&info),
        };
        let signer = Signer::parse(&self.private).unwrap();
        let keys = vec![signer.public().clone()];
        let settings = CheckpointSettings {
            signer: Some(signer),
            keys: keys.clone(),
            origin: "example.org/trail".to_owned(),
            entries: 1000,
            every: Duration::from_millis(200),
            file: None,
        };
        let shutdown = CancellationToken::new();
        let audit = Audit::with_checkpoints(settings);
        let running = tokio::spawn(hookstream_projection::run(audit, context, shutdown.clone()));
        eventually("the checkpoint", PATIENCE, async || {
            let note = newest_checkpoint(&*self.client).await.map_err(|error| error.to_string())?;
            let opened = Checkpoint::open(&note.unwrap_or_default(), &keys);
            if opened.as_ref().is_ok_and(|opened| opened.size == entries) {
                Ok(())
            } else {
                Err(format!("{opened:?}"))
            }
        })
        .await;
        shutdown.cancel();
        running.await.unwrap().unwrap();
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Done {
        Hookstream::new(&[&["audit"], arguments].concat())
            .env("DATABASE_URL", &self.database.url())
            .env("NATS_URL", &self.nats.url("operator"))
            .env("HOOKSTREAM_AUDIT_PUBLIC_KEYS", &self.public)
            .run()
            .await
    }

    /// A backend over the trail, and its URL.
    async fn backend(&self) -> (DropGuard, String) {
        let info = ProcessInfo { name: "hookstream-backend", about: "", version: "0" };
        let admin = Admin { health: Health::new(), metrics: Metrics::new(&info) };
        let nats = self.nats.settings(hookstream_backend::ROLE);
        let backend = Backend::connect(&nats, self.database.settings(), admin).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        tokio::spawn(backend.serve(listener, Limits::default(), shutdown.clone()));
        (shutdown.drop_guard(), url)
    }

    /// A witness with the database, and one with nothing but a URL and the public key: what they say has to be the same.
    async fn witnesses(&self, url: &str, more: &[&str], code: i32) -> String {
        let [database, backend] = ["witness.note", "outsider.note"].map(|name| self.path(name));
        let by_database = [&["witness", "--state", &database], more].concat();
        let by_database = self.run(&by_database).await.expect_code(code);
        let by_url =
            [&["audit", "witness", "--state", &backend, "--key", &self.public, "--url", url], more].concat();
        let by_url = Hookstream::new(&by_url).run().await.expect_code(code);
        assert_eq!((&by_url.stdout, &by_url.stderr), (&by_database.stdout, &by_database.stderr));
        format!("{}{}", by_url.stdout, by_url.stderr)
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Back to when it had `entries` entries, as a restored backup is; `back_up` was called then.
    async fn restore(&self, entries: i64) {
        let sql = format!(
            "ALTER TABLE audit_trail DISABLE TRIGGER audit_trail_append_only;
             ALTER TABLE audit_checkpoints DISABLE TRIGGER audit_checkpoints_append_only;
             DELETE FROM audit_trail WHERE audit_sequence > {entries};
             DELETE FROM audit_checkpoints WHERE tree_size > {entries};
             DELETE FROM event_memory WHERE stream_sequence > {entries};
             UPDATE audit_head AS head
             SET audit_sequence = kept.audit_sequence, entry_hash = kept.entry_hash, peaks = kept.peaks
             FROM backup_head AS kept;
             UPDATE projection_checkpoints AS position
             SET sequence = kept.sequence, message_id = kept.message_id
             FROM backup_positions AS kept WHERE kept.projection = position.projection"
        );
        self.client.batch_execute(&sql).await.unwrap();
    }

    async fn back_up(&self) {
        let sql = "CREATE TABLE backup_head AS SELECT * FROM audit_head;
                   CREATE TABLE backup_positions AS SELECT * FROM projection_checkpoints";
        self.client.batch_execute(sql).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_proved_is_checked_with_nothing_but_the_file_and_the_key() {
    let mut trail = Trail::start().await;
    trail.record(5, 5).await;
    let verified = trail.run(&["verify", "--format", "json"]).await.expect_code(0).json();
    assert_eq!((&verified["verified"], &verified["entries"]), (&json!(true), &json!(5)));
    assert_eq!(verified["stream"], json!({ "first": 1, "last": 5, "events": 5 }));
    assert_eq!(verified["checkpoints_outside"], 1);

    let proof = trail.path("proof.json");
    trail.run(&["prove", "--event", "github:d-3", "--out", &proof]).await.expect_code(0);
    // No database, no server, no setting.
    let check =
        async |proof: &str, key: &str| Hookstream::new(&["audit", "check", proof, "--key", key]).run().await;
    let checked = check(&proof, &trail.public).await.expect_code(0);
    assert_eq!(
        checked.stdout,
        "entry 3 (stored github:d-3) is in the first 5 entries of example.org/trail\n"
    );
    let text = std::fs::read_to_string(&proof).unwrap();
    for (from, to) in [("github:d-3", "github:d-4"), ("\"count\":1", "\"count\":2"), ("\\n5\\n", "\\n6\\n")] {
        let forged = trail.path("forged.json");
        assert!(text.contains(from), "{text}");
        std::fs::write(&forged, text.replace(from, to)).unwrap();
        let refused = check(&forged, &trail.public).await.expect_code(1);
        assert!(refused.stderr.contains("NOT PROVED"), "{refused:?}");
    }
    let stranger = Hookstream::new(&["audit", "key", "example.org/trail"]).run().await.expect_code(0).stderr;
    let refused = check(&proof, stranger.trim()).await.expect_code(1);
    assert!(refused.stderr.contains("no key that is trusted"), "{refused:?}");
    let unknown = trail.run(&["prove", "--event", "github:none"]).await.expect_code(1);
    assert!(unknown.stderr.contains("no entry for event github:none"), "{unknown:?}");

    let export = trail.run(&["export", "--from", "2", "--to", "4"]).await.expect_code(0).stdout;
    assert_eq!(export.lines().count(), 3);
    let all = trail.path("export.jsonl");
    std::fs::write(&all, export).unwrap();
    assert_eq!(check(&all, &trail.public).await.expect_code(0).stdout.lines().count(), 3);
    let beyond = trail.run(&["export", "--to", "9"]).await.expect_code(1);
    assert!(beyond.stderr.contains("covered by no checkpoint"), "{beyond:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_and_verify_notice_an_older_database_and_resume_records_the_gap() {
    let mut trail = Trail::start().await;
    let (_backend, url) = trail.backend().await;
    let none = trail.witnesses(&url, &[], 1).await;
    assert!(none.contains("there is no checkpoint yet"), "{none}");
    trail.record(4, 4).await;
    trail.back_up().await;
    let first = trail.witnesses(&url, &[], 0).await;
    assert!(first.contains("remembers 4 entries"), "{first}");
    trail.record(5, 9).await;
    let second = trail.witnesses(&url, &[], 0).await;
    assert!(second.contains("9 entries extend the 4"), "{second}");

    trail.restore(4).await;
    let wrong = trail.run(&["verify"]).await.expect_code(1).stderr;
    assert!(wrong.contains("WRONG: stream CHECKPOINTS") && wrong.contains("entries 5–9 are gone"), "{wrong}");
    let state = trail.path("witness.note");
    let against = trail.run(&["verify", "--without-stream", "--against", &state]).await.expect_code(1).stderr;
    assert!(against.contains("witness.note") && against.contains("entries 5–9 are gone"), "{against}");
    let refused = trail.witnesses(&url, &[], 1).await;
    assert!(refused.contains("REFUSED") && refused.contains("one of 9 was seen"), "{refused}");

    let resumed = trail.run(&["resume", "--reason", "the disk failed"]).await.expect_code(0).stdout;
    assert!(resumed.contains("entry 5 records the gap") && resumed.contains("entries 5 to 9"), "{resumed}");
    let again = trail.run(&["resume"]).await.expect_code(0).stdout;
    assert!(again.contains("nothing is missing"), "{again}");
    trail.record(1, 11).await;
    let verified = trail.run(&["verify", "--format", "json"]).await.expect_code(0).json();
    assert_eq!(verified["resumptions"][0]["reason"], "the disk failed");
    assert_eq!(verified["resumptions"][0]["lost"]["size"], 9);
    // Loud, until it is accepted.
    let refused = trail.witnesses(&url, &[], 1).await;
    assert!(refused.contains("REFUSED") && refused.contains("first 9 of 11 entries"), "{refused}");
    let accepted = trail.witnesses(&url, &["--accept-resumption"], 0).await;
    assert!(accepted.contains("entries 5 to 9 as they were seen are lost"), "{accepted}");
    assert!(trail.witnesses(&url, &[], 0).await.contains("11 entries extend the 11"));
    assert!(Path::new(&state).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_without_the_database_believes_the_key_alone() {
    let mut trail = Trail::start().await;
    let (_backend, url) = trail.backend().await;
    trail.record(3, 3).await;
    let witness = async |state: &str, key: &str, url: &str| {
        let state = trail.path(state);
        Hookstream::new(&["audit", "witness", "--state", &state, "--key", key, "--url", url]).run().await
    };
    let stranger = Hookstream::new(&["audit", "key", "example.org/trail"]).run().await.expect_code(0).stderr;
    let refused = witness("stranger", stranger.trim(), &url).await.expect_code(1);
    assert!(refused.stderr.contains("no key that is trusted"), "{refused:?}");
    witness("outsider", &trail.public, &url).await.expect_code(0);

    // Somebody with the database and the private key writes another history.
    let public = trail.public.clone();
    let other = Checkpoint { origin: "example.org/trail".to_owned(), size: 2, root: Hash([7; 32]) };
    let note = other.sign(&Signer::parse(&trail.private).unwrap());
    std::fs::write(trail.path("outsider"), note).unwrap();
    let refused = witness("outsider", &public, &url).await.expect_code(1);
    assert!(refused.stderr.contains("first 2 of 3 entries are not those"), "{refused:?}");

    let nobody = witness("outsider", &public, &format!("{url}/elsewhere")).await.expect_code(1);
    assert!(
        nobody.stderr.contains("the backend answers 404"),
        "not taken for a trail without one: {nobody:?}"
    );
    let usage = witness("outsider", &public, "trail.example.org").await.expect_code(2);
    assert!(usage.stderr.contains("--url"), "{usage:?}");
}

#[test]
fn keys_that_are_missing_or_malformed_are_no_reason_to_verify_less() {
    let audit = |arguments: &[&str]| {
        Hookstream::new(&[&["audit"], arguments].concat()).env("DATABASE_URL", "postgres://a@127.0.0.1:1/a")
    };
    for command in [&["verify", "--without-stream"][..], &["resume"]] {
        let against = [command, &["--against", "trail.note"]].concat();
        let against = audit(&against).run_blocking().expect_code(2);
        assert!(against.stderr.contains("public key of the checkpoints with --key"), "{against:?}");
    }
    let malformed = audit(&["verify", "--without-stream"])
        .env("HOOKSTREAM_AUDIT_KEY", "canary")
        .run_blocking()
        .expect_code(2);
    assert!(malformed.stderr.contains("HOOKSTREAM_AUDIT_KEY (environment)"), "{malformed:?}");
    assert!(!malformed.stderr.contains("canary"), "{malformed:?}");
}
