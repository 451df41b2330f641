//! Checkpoints leave the database, and tell when an older one is restored.

use std::path::Path;
use std::time::Duration;

use hookstream_audit::{
    Audit, CheckpointSettings, Expectations, Misfit, VerifyError, outside, resume, resumptions,
    verify_stream, verify_trail,
};
use hookstream_bus::Bus;
use hookstream_projection::{Context, Projection as _, RunError, RunnerSettings, run};
use hookstream_proofs::newest_checkpoint;
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::{Client, Connection};
use hookstream_test_support::{TestDatabase, TestNats, eventually, run_test};
use hookstream_trail::Checkpoint;
use hookstream_trail::note::{PublicKey, Signer};
use time::macros::datetime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::{database, push, signer, unlock};

const PATIENCE: Duration = Duration::from_secs(30);

fn settings(file: &Path, signer: Signer) -> CheckpointSettings {
    CheckpointSettings {
        keys: vec![signer.public().clone()],
        signer: Some(signer),
        origin: "example.org/trail".to_owned(),
        entries: 3,
        every: Duration::from_millis(300),
        file: Some(file.to_owned()),
    }
}

struct Running {
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    fn start(nats: &TestNats, database: &TestDatabase, checkpoints: CheckpointSettings) -> Self {
        let process = ProcessInfo { name: "test", about: "", version: "0" };
        let context = Context {
            nats: nats.settings(Audit::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&process),
        };
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(run(Audit::with_checkpoints(checkpoints), context, shutdown.clone()));
        Self { shutdown, task }
    }

    async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.task.await??)
    }

    /// Why it stopped by itself.
    async fn halted(self) -> String {
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("it stops by itself");
        ended.expect("no panic").expect_err("it is not asked to").to_string()
    }
}

/// The newest checkpoint, once it covers so many entries.
async fn checkpoint_of(client: &Client, size: u64) -> Checkpoint {
    eventually("the checkpoint", PATIENCE, async || {
        let note = newest_checkpoint(client).await.map_err(|error| error.to_string())?;
        let keys = [signer().public().clone()];
        match note.map(|note| Checkpoint::open(&note, &keys)) {
            Some(Ok(checkpoint)) if checkpoint.size == size => Ok(checkpoint),
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn send(nats: &TestNats, ids: std::ops::RangeInclusive<u32>) {
    let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
    for id in ids {
        push(&format!("d-{id}")).publish(&publisher).await;
    }
}

/// Waits until the checkpoint has left: it does so after the commit.
async fn left(path: &Path, bus: &Bus, checkpoint: &Checkpoint) {
    let keys: [PublicKey; 1] = [signer().public().clone()];
    eventually("the checkpoint outside", PATIENCE, async || {
        let file = outside::last_in_file(path).map_err(|error| error.to_string())?;
        let stream = outside::last_in_stream(bus).await.map_err(|error| error.to_string())?;
        let open = |note: Option<String>| note.and_then(|note| Checkpoint::open(&note, &keys).ok());
        let (file, stream) = (open(file), open(stream));
        let all = file.as_ref() == Some(checkpoint) && stream.as_ref() == Some(checkpoint);
        if all { Ok(()) } else { Err(format!("{file:?} {stream:?}")) }
    })
    .await;
}

/// Takes the database back to when it had `entries` entries, as a restored backup is.
async fn restore(client: &Connection, entries: i64) -> anyhow::Result<()> {
    for (table, trigger) in
        [("audit_trail", "audit_trail_append_only"), ("audit_checkpoints", "audit_checkpoints_append_only")]
    {
        client.batch_execute(&format!("ALTER TABLE {table} DISABLE TRIGGER {trigger}")).await?;
    }
    let sql = format!(
        "CREATE TEMPORARY TABLE kept AS SELECT * FROM backup_head;
         DELETE FROM audit_trail WHERE audit_sequence > {entries};
         DELETE FROM audit_checkpoints WHERE tree_size > {entries};
         DELETE FROM event_memory WHERE stream_sequence > {entries};
         UPDATE audit_head SET audit_sequence = kept.audit_sequence, entry_hash = kept.entry_hash, peaks = kept.peaks
         FROM kept;
         UPDATE projection_checkpoints SET sequence = backup.sequence, message_id = backup.message_id
         FROM backup_position AS backup WHERE backup.projection = projection_checkpoints.projection"
    );
    Ok(client.batch_execute(&sql).await?)
}

async fn back_up(client: &Client) -> anyhow::Result<()> {
    let sql = "CREATE TABLE backup_head AS SELECT * FROM audit_head;
               CREATE TABLE backup_position AS SELECT * FROM projection_checkpoints";
    Ok(client.batch_execute(sql).await?)
}

#[tokio::test]
async fn checkpoints_are_signed_stored_published_and_appended_to_the_file() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (database, client) = database().await;
        let (path, bus) = (folder.path().join("checkpoints"), nats.connect("operator").await);
        let subscriber = nats.connect("subscriber").await;
        let mut subscription = subscriber.subscribe(outside::SUBJECT).await?;
        send(&nats, 1..=4).await;
        let running = Running::start(&nats, &database, settings(&path, signer()));
        let checkpoint = checkpoint_of(&client, 4).await;
        left(&path, &bus, &checkpoint).await;
        send(&nats, 5..=9).await;
        let checkpoint = checkpoint_of(&client, 9).await;
        left(&path, &bus, &checkpoint).await;
        running.stop().await?;
        let heard = tokio::time::timeout(PATIENCE, subscription.next()).await?.expect("published");
        let note = String::from_utf8(heard.payload.to_vec())?;
        assert!(note.starts_with("example.org/trail\n"), "{note}");

        let expectations = Expectations {
            keys: vec![signer().public().clone()],
            origin: Some("example.org/trail".to_owned()),
            outside: vec![("the file".to_owned(), checkpoint)],
        };
        let verified = verify_trail(&*client, &expectations, |_| {}).await?;
        assert_eq!((verified.head.audit_sequence, verified.outside), (9, 1));
        assert!(verified.checkpoints >= 2, "{verified:?}");
        let compared = verify_stream(&*client, &bus, |_| {}).await?;
        assert_eq!((compared.first, compared.last, compared.events), (1, 9, 9));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_older_database_stops_the_projection_until_the_gap_is_on_record() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (database, mut client) = database().await;
        let (path, bus) = (folder.path().join("checkpoints"), nats.connect("operator").await);
        send(&nats, 1..=4).await;
        let running = Running::start(&nats, &database, settings(&path, signer()));
        checkpoint_of(&client, 4).await;
        running.stop().await?;
        back_up(&client).await?;
        let running = Running::start(&nats, &database, settings(&path, signer()));
        send(&nats, 5..=9).await;
        let lost = checkpoint_of(&client, 9).await;
        left(&path, &bus, &lost).await;
        running.stop().await?;

        restore(&client, 4).await?;
        // With the file, with the stream alone, and idle.
        for file in [path.clone(), folder.path().join("another")] {
            let halted = Running::start(&nats, &database, settings(&file, signer())).halted().await;
            assert!(halted.contains("entries 5–9 are gone") && halted.contains("audit resume"), "{halted}");
        }
        let count = "SELECT count(*) FROM audit_trail";
        assert_eq!(client.query_one(count, &[]).await?.get::<_, i64>(0), 4, "nothing was appended");
        let outside = |checkpoint: &Checkpoint| Expectations {
            keys: vec![signer().public().clone()],
            origin: None,
            outside: vec![("the file".to_owned(), checkpoint.clone())],
        };
        match verify_trail(&*client, &outside(&lost), |_| {}).await.unwrap_err() {
            VerifyError::Outside { misfit, .. } => assert_eq!(misfit, Misfit::Shorter { size: 9, end: 4 }),
            other => panic!("{other}"),
        }

        let now = datetime!(2026-11-25 12:00 UTC);
        let reason = Some("the disk failed".to_owned());
        let lost_ones = [lost.clone()];
        let resumed =
            resume(&mut client, &bus, &lost_ones, reason, now).await?.expect("something is missing");
        assert_eq!((resumed.kept, resumed.stream.clone()), (4, None));
        assert_eq!(resume(&mut client, &bus, &lost_ones, None, now).await?, None, "once is enough");
        let running = Running::start(&nats, &database, settings(&path, signer()));
        // The gap's entry, and the five events once more.
        let checkpoint = checkpoint_of(&client, 10).await;
        left(&path, &bus, &checkpoint).await;
        running.stop().await?;
        let verified = verify_trail(&*client, &outside(&lost), |_| {}).await?;
        assert_eq!(verified.resumptions, [resumed]);
        assert_eq!(verify_stream(&*client, &bus, |_| {}).await?.events, 9);
        assert_eq!(resumptions(&*client).await?[0].lost.as_ref().map(|lost| lost.size), Some(9));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_outside_by_a_strange_key_stops_the_projection() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (database, client) = database().await;
        let path = folder.path().join("checkpoints");
        send(&nats, 1..=4).await;
        let running = Running::start(&nats, &database, settings(&path, signer()));
        checkpoint_of(&client, 4).await;
        running.stop().await?;
        let strange = || Signer::parse(&Signer::private_key("example.org/trail", &[8; 32]).expect("a name"));
        let halted = Running::start(&nats, &database, settings(&path, strange()?)).halted().await;
        assert!(halted.contains("is not to be trusted"), "{halted}");
        // With the former key among the trusted ones it goes on, and both keys' checkpoints verify.
        let mut both = settings(&path, strange()?);
        both.keys.push(signer().public().clone());
        let keys = both.keys.clone();
        let running = Running::start(&nats, &database, both);
        send(&nats, 5..=8).await;
        eventually("the checkpoint", PATIENCE, async || {
            let note =
                newest_checkpoint(&*client).await.map_err(|error| error.to_string())?.unwrap_or_default();
            let size = Checkpoint::open(&note, &keys).map(|checkpoint| checkpoint.size);
            if size == Ok(8) { Ok(()) } else { Err(format!("{size:?}")) }
        })
        .await;
        running.stop().await?;
        let expectations = Expectations { keys, ..Expectations::default() };
        assert!(verify_trail(&*client, &expectations, |_| {}).await?.checkpoints >= 2);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_stream_holds_is_compared_with_the_entries() {
    run_test(async || {
        let (nats, folder) = (TestNats::start().await, tempfile::tempdir()?);
        let (database, client) = database().await;
        let bus = nats.connect("operator").await;
        send(&nats, 1..=6).await;
        let running = Running::start(&nats, &database, settings(&folder.path().join("c"), signer()));
        checkpoint_of(&client, 6).await;
        running.stop().await?;
        assert_eq!(verify_stream(&*client, &bus, |_| {}).await?.events, 6);
        unlock(&client).await?;
        for (statement, expected) in [
            (
                "UPDATE audit_trail SET body_sha256 = sha256('') WHERE audit_sequence = 3",
                "audit entry 3: message 3 of the stream has another body than was recorded",
            ),
            (
                "UPDATE audit_trail SET signature = 'sha256=00' WHERE audit_sequence = 6",
                "audit entry 6: message 6 of the stream has another signature than was recorded",
            ),
            (
                "UPDATE audit_trail SET event_type = 'x' WHERE audit_sequence = 1",
                "audit entry 1: message 1 of the stream has another event type than was recorded",
            ),
            (
                "DELETE FROM audit_trail WHERE audit_sequence = 4",
                "message 4 of the stream (github:d-4) has no audit entry",
            ),
            (
                "DELETE FROM audit_trail WHERE audit_sequence = 1",
                "message 1 of the stream (github:d-1) has no audit entry",
            ),
        ] {
            client.batch_execute("BEGIN").await?;
            client.batch_execute(statement).await?;
            let found = verify_stream(&*client, &bus, |_| {}).await.unwrap_err();
            assert_eq!(found.to_string(), expected);
            client.batch_execute("ROLLBACK").await?;
        }
        Ok(())
    })
    .await;
}
