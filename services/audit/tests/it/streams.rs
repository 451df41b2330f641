//! The trail behind a stream that is not the one it knew.

use std::path::Path;
use std::process::Command;

use hookstream_audit::{resume, verify_stream};
use hookstream_store::Client;
use hookstream_test_support::{TestNats, eventually, run_test};
use time::macros::datetime;

use crate::runner::{PATIENCE, Running, publisher};
use crate::support::{database, push, rows, verified};

async fn send(nats: &TestNats, ids: std::ops::RangeInclusive<u32>) {
    let publisher = publisher(nats).await;
    for id in ids {
        push(&format!("d-{id}")).publish(&publisher).await;
    }
}

async fn entries_when(client: &Client, count: usize) {
    eventually("the entries", PATIENCE, async || match rows(client).await {
        Ok(rows) if rows.len() == count => Ok(()),
        Ok(rows) => Err(format!("{} of {count}", rows.len())),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status()?;
    anyhow::ensure!(copied.success(), "cp -a {} {}", from.display(), to.display());
    Ok(())
}

#[tokio::test]
async fn a_stream_that_lost_its_end_verifies_once_the_trail_is_resumed_behind_it() {
    run_test(async || {
        let (nats, backup) = (TestNats::start().await, tempfile::tempdir()?);
        let (database, mut client) = database().await;
        send(&nats, 1..=3).await;
        nats.stop().await;
        copy(&nats.data_dir(), backup.path())?;
        nats.restart().await;
        send(&nats, 4..=7).await;
        let running = Running::start(&nats, &database);
        entries_when(&client, 7).await;
        running.stop().await?;

        nats.stop().await;
        std::fs::remove_dir_all(nats.data_dir())?;
        std::fs::create_dir(nats.data_dir())?;
        copy(backup.path(), &nats.data_dir())?;
        nats.restart().await;
        send(&nats, 8..=9).await;
        let bus = nats.connect("operator").await;
        let now = datetime!(2026-11-25 12:00 UTC);
        let resumed = resume(&mut client, &bus, &[], None, now).await?.expect("the end is missing");
        assert_eq!(resumed.stream.map(|gap| (gap.applied, gap.next)), Some((7, 1)));
        let running = Running::start(&nats, &database);
        // The gap, what the stream still has once more, and what it has new.
        entries_when(&client, 7 + 1 + 5).await;
        running.stop().await?;
        verified(&client).await?;
        let compared = verify_stream(&*client, &bus, |_| {}).await?;
        assert_eq!((compared.first, compared.last, compared.events), (1, 5, 5));
        Ok(())
    })
    .await;
}
