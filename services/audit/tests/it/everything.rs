//! The whole of it: in a trail of two thousand entries, whatever somebody with all rights does is found, and named.

mod columns;

use hookstream_audit::{CheckpointFault, Expectations, Misfit, Verified, VerifyError, verify_trail};
use hookstream_proofs::entries_after;
use hookstream_store::{Connection, GenericClient};
use hookstream_test_support::run_test;
use hookstream_trail::note::{PublicKey, Signer};
use hookstream_trail::tree::{Frontier, leaf_hash};
use hookstream_trail::{Checkpoint, Entry, Head, Micros};

use crate::support::{mixed_trail, signer, unlock};

const ENTRIES: i64 = 2000;

/// Checkpoints are made of every so many entries.
const EVERY: i64 = 150;

/// Checkpoints of `entries`, signed by `signer`, as rows.
async fn checkpoints(client: &Connection, signer: &Signer) -> anyhow::Result<Vec<String>> {
    let (mut frontier, mut notes) = (Frontier::default(), Vec::new());
    for entry in entries_after(&**client, 0, ENTRIES).await? {
        frontier.push(leaf_hash(entry.entry_hash), |_| {});
        if entry.audit_sequence % EVERY == 0 || entry.audit_sequence == ENTRIES {
            let (origin, size) = ("example.org/trail".to_owned(), frontier.size());
            let note = Checkpoint { origin, size, root: frontier.root() }.sign(signer);
            let row = "INSERT INTO audit_checkpoints (tree_size, note) VALUES ($1, $2)";
            client.execute(row, &[&entry.audit_sequence, &note]).await?;
            notes.push(note);
        }
    }
    Ok(notes)
}

fn expectations(signer: &Signer, outside: Vec<(String, Checkpoint)>) -> Expectations {
    Expectations {
        keys: vec![signer.public().clone()],
        origin: Some("example.org/trail".to_owned()),
        outside,
    }
}

async fn verify<C: GenericClient + Sync>(client: &C, signer: &Signer) -> Result<Verified, VerifyError> {
    verify_trail(client, &expectations(signer, Vec::new()), |_| {}).await
}

/// Does `statements`, has `found` judge what is found, and undoes them.
async fn tamper(
    client: &mut Connection,
    signer: &Signer,
    statements: &str,
    found: impl Fn(&VerifyError) -> bool,
) -> anyhow::Result<()> {
    let tx = client.transaction().await?;
    tx.batch_execute(statements).await?;
    match verify(&*tx, signer).await {
        Err(error) => assert!(found(&error), "{statements}: {error}"),
        Ok(verified) => panic!("not found: {statements}: {verified:?}"),
    }
    tx.rollback().await?;
    Ok(())
}

fn names(entry: i64) -> impl Fn(&VerifyError) -> bool {
    move |error| matches!(error, VerifyError::Broken(broken) if broken.audit_sequence == entry)
}

#[tokio::test]
async fn removed_inserted_and_swapped_entries_are_found_and_named() {
    run_test(async || {
        let signer = signer();
        let (_database, mut client) = mixed_trail(ENTRIES).await?;
        checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        let client = &mut client;
        for sequence in [1, 1000, ENTRIES] {
            let delete = format!("DELETE FROM audit_trail WHERE audit_sequence = {sequence}");
            tamper(client, &signer, &delete, names(sequence)).await?;
        }
        tamper(client, &signer, "DELETE FROM audit_trail WHERE audit_sequence > 1990", names(1991)).await?;
        tamper(client, &signer, "DELETE FROM audit_trail", names(1)).await?;
        let copy = |at: i64| {
            format!(
                "CREATE TEMPORARY TABLE copied AS SELECT * FROM audit_trail WHERE audit_sequence = 1000;
                 UPDATE copied SET audit_sequence = {at}; INSERT INTO audit_trail SELECT * FROM copied;
                 DROP TABLE copied;"
            )
        };
        tamper(client, &signer, &copy(0), names(1)).await?;
        tamper(client, &signer, &copy(ENTRIES + 1), names(ENTRIES + 1)).await?;
        let make_room =
            "UPDATE audit_trail SET audit_sequence = audit_sequence + 1 WHERE audit_sequence >= 1500;";
        tamper(client, &signer, &format!("{make_room} {}", copy(1500)), names(1500)).await?;
        let swap = |one: i64, other: i64| {
            format!(
                "UPDATE audit_trail SET audit_sequence = {one} + {other} - audit_sequence
                 WHERE audit_sequence IN ({one}, {other})"
            )
        };
        tamper(client, &signer, &swap(700, 701), names(700)).await?;
        tamper(client, &signer, &swap(1, ENTRIES), names(1)).await?;
        assert_eq!(verify(&**client, &signer).await?.head.audit_sequence, ENTRIES);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_edited_tree_head_or_checkpoint_is_found_and_named() {
    run_test(async || {
        let (signer, other) = (signer(), Signer::parse(&Signer::private_key("example.org/trail", &[8; 32])?)?);
        let (_database, mut client) = mixed_trail(ENTRIES).await?;
        let notes = checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        let client = &mut client;
        for (statement, place) in [
            ("UPDATE audit_tree SET hash = sha256(hash) WHERE position = 3", (769, 1024)),
            ("DELETE FROM audit_tree WHERE position = 3", (769, 1024)),
            ("UPDATE audit_tree SET position = position + 100 WHERE position = 3", (769, 1024)),
            ("INSERT INTO audit_tree SELECT level, 7, hash FROM audit_tree WHERE position = 3", (1793, 2048)),
            ("INSERT INTO audit_tree SELECT 16, 0, hash FROM audit_tree WHERE position = 3", (1, 65_536)),
        ] {
            let found = |error: &VerifyError| {
                matches!(error, VerifyError::Node { first, last, .. } if (*first, *last) == place)
            };
            tamper(client, &signer, statement, found).await?;
        }
        for statement in [
            "UPDATE audit_head SET audit_sequence = 1999",
            "UPDATE audit_head SET entry_hash = sha256(entry_hash)",
            "UPDATE audit_head SET peaks = set_byte(peaks, 3, 255 - get_byte(peaks, 3))",
            "UPDATE audit_head SET peaks = ''",
            "DELETE FROM audit_head",
        ] {
            let found = |error: &VerifyError| matches!(error, VerifyError::Head { end: 2000, .. });
            tamper(client, &signer, statement, found).await?;
        }
        tamper(client, &signer, "UPDATE audit_head SET audit_sequence = 2001", names(2001)).await?;

        // Every character of a note; sizes; a note in another's place; another key, even of the same name.
        let note = &notes[3];
        for at in 0..note.chars().count() {
            let statement = format!(
                "UPDATE audit_checkpoints SET note = overlay(note PLACING
                     CASE substr(note, {at} + 1, 1) WHEN 'x' THEN 'y' ELSE 'x' END FROM {at} + 1 FOR 1)
                 WHERE tree_size = 600"
            );
            tamper(client, &signer, &statement, names_checkpoint(600)).await?;
        }
        for statement in [
            "UPDATE audit_checkpoints SET tree_size = 601 WHERE tree_size = 600",
            "UPDATE audit_checkpoints SET tree_size = 5000 WHERE tree_size = 600",
            "UPDATE audit_checkpoints SET tree_size = 0 WHERE tree_size = 600",
            "UPDATE audit_checkpoints SET note = (SELECT note FROM audit_checkpoints WHERE tree_size = 750)
             WHERE tree_size = 600",
            "UPDATE audit_checkpoints SET note = '' WHERE tree_size = 600",
        ] {
            let found = |error: &VerifyError| matches!(error, VerifyError::Checkpoint { .. });
            tamper(client, &signer, statement, found).await?;
        }
        let checkpoint = Checkpoint::open(note, &[signer.public().clone()])?;
        let lie = Checkpoint { root: hookstream_trail::Hash([7; 32]), ..checkpoint.clone() };
        let elsewhere = Checkpoint { origin: "example.org/other".to_owned(), ..checkpoint.clone() };
        for forged in [checkpoint.sign(&other), lie.sign(&signer), elsewhere.sign(&signer)] {
            let statement = format!("UPDATE audit_checkpoints SET note = '{forged}' WHERE tree_size = 600");
            tamper(client, &signer, &statement, names_checkpoint(600)).await?;
        }
        assert_eq!(verify(&**client, &signer).await?.checkpoints, notes.len() as u64);
        Ok(())
    })
    .await;
}

fn names_checkpoint(of: i64) -> impl Fn(&VerifyError) -> bool {
    move |error| matches!(error, VerifyError::Checkpoint { size, .. } if *size == of)
}

/// Rewrites the trail from entry `from` on, as its owner can: every hash, the tree and the head fit again.
async fn rewrite(client: &mut Connection, from: i64, change: impl Fn(&mut Entry)) -> anyhow::Result<()> {
    let entries = entries_after(&**client, 0, ENTRIES).await?;
    let tx = client.transaction().await?;
    tx.batch_execute("DELETE FROM audit_tree; DELETE FROM audit_checkpoints").await?;
    let (mut head, mut frontier, mut nodes) = (Head::EMPTY, Frontier::default(), Vec::new());
    for mut entry in entries {
        if entry.audit_sequence == from {
            change(&mut entry);
        }
        let entry = Entry::append(head, entry.record);
        head = entry.head();
        frontier.push(leaf_hash(entry.entry_hash), |node| nodes.push(node));
        if entry.audit_sequence >= from {
            let received_at = entry.record.received_at.to_time().expect("a time");
            let (previous, hash) = (&entry.previous_hash.0[..], &entry.entry_hash.0[..]);
            let row = "UPDATE audit_trail SET previous_hash = $2, entry_hash = $3, received_at = $4
                       WHERE audit_sequence = $1";
            tx.execute(row, &[&entry.audit_sequence, &previous, &hash, &received_at]).await?;
        }
    }
    for node in nodes {
        let (level, position) = (i16::from(node.level), i64::try_from(node.position)?);
        let row = "INSERT INTO audit_tree (level, position, hash) VALUES ($1, $2, $3)";
        tx.execute(row, &[&level, &position, &&node.hash.0[..]]).await?;
    }
    let row = "UPDATE audit_head SET entry_hash = $1, peaks = $2";
    tx.execute(row, &[&&head.entry_hash.0[..], &frontier.to_bytes()]).await?;
    tx.commit().await?;
    Ok(())
}

#[tokio::test]
async fn what_an_owner_rewrites_with_all_its_hashes_is_found_by_a_checkpoint_that_left() {
    run_test(async || {
        let signer = signer();
        let (_database, mut client) = mixed_trail(ENTRIES).await?;
        let notes = checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        let keys: [PublicKey; 1] = [signer.public().clone()];
        let open = |note: &String| Ok(("the witness".to_owned(), Checkpoint::open(note, &keys)?));
        let outside: Vec<_> = notes.iter().map(open).collect::<anyhow::Result<_>>()?;
        let whole = verify_trail(&*client, &expectations(&signer, outside.clone()), |_| {}).await?;
        assert_eq!(whole.outside, notes.len() as u64);

        rewrite(&mut client, 1990, |entry| entry.record.received_at = Micros(0)).await?;
        // By itself, it is whole again.
        assert_eq!(verify(&*client, &signer).await?.head.audit_sequence, ENTRIES);
        let found = verify_trail(&*client, &expectations(&signer, outside.clone()), |_| {}).await;
        match found.unwrap_err() {
            VerifyError::Outside { misfit: Misfit::OtherRoot { size: 2000, .. }, .. } => {}
            other => panic!("{other}"),
        }
        // Without the last checkpoint, nothing that left covers the entries from 1951 on.
        let earlier = outside[..outside.len() - 1].to_vec();
        verify_trail(&*client, &expectations(&signer, earlier), |_| {}).await?;

        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_older_backup_is_sound_by_itself_and_found_by_a_checkpoint_that_left() {
    const KEPT: i64 = 1200;
    run_test(async || {
        let signer = signer();
        let (_database, mut client) = mixed_trail(ENTRIES).await?;
        let notes = checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        restore(&mut client, KEPT).await?;
        let verified = verify(&*client, &signer).await?;
        assert_eq!((verified.head.audit_sequence, verified.checkpoints), (KEPT, 8));
        let keys: [PublicKey; 1] = [signer.public().clone()];
        for (note, size) in notes.iter().zip((1..).map(|number| (number * EVERY).min(ENTRIES))) {
            let outside = vec![("the witness".to_owned(), Checkpoint::open(note, &keys)?)];
            let found = verify_trail(&*client, &expectations(&signer, outside), |_| {}).await;
            match found {
                Ok(verified) => assert!(size <= KEPT && verified.outside == 1, "{size}: {verified:?}"),
                Err(VerifyError::Outside { place, misfit }) => {
                    let (size, end) = (size.unsigned_abs(), KEPT.unsigned_abs());
                    assert_eq!((place.as_str(), misfit), ("the witness", Misfit::Shorter { size, end }));
                }
                Err(other) => panic!("{other}"),
            }
        }
        Ok(())
    })
    .await;
}

/// Takes the tables back to what they were when there were `kept` entries.
async fn restore(client: &mut Connection, kept: i64) -> anyhow::Result<()> {
    let mut frontier = Frontier::default();
    let entries = entries_after(&**client, 0, kept).await?;
    for entry in &entries {
        frontier.push(leaf_hash(entry.entry_hash), |_| {});
    }
    let head = entries.last().map_or(Head::EMPTY, Entry::head);
    let tx = client.transaction().await?;
    let sql = format!(
        "DELETE FROM audit_trail WHERE audit_sequence > {kept};
         DELETE FROM audit_checkpoints WHERE tree_size > {kept};
         DELETE FROM audit_tree WHERE (position + 1) * (2 ^ level) > {kept}"
    );
    tx.batch_execute(&sql).await?;
    let row = "UPDATE audit_head SET audit_sequence = $1, entry_hash = $2, peaks = $3";
    tx.execute(row, &[&head.audit_sequence, &&head.entry_hash.0[..], &frontier.to_bytes()]).await?;
    Ok(tx.commit().await?)
}

#[tokio::test]
async fn a_checkpoint_of_entries_that_were_replaced_names_itself() {
    run_test(async || {
        let signer = signer();
        let (_database, mut client) = mixed_trail(ENTRIES).await?;
        let notes = checkpoints(&client, &signer).await?;
        unlock(&client).await?;
        rewrite(&mut client, 700, |entry| entry.record.received_at = Micros(0)).await?;
        for (note, size) in notes.iter().zip([150_i64, 300, 450, 600, 750]) {
            let row = "INSERT INTO audit_checkpoints (tree_size, note) VALUES ($1, $2)";
            client.execute(row, &[&size, note]).await?;
        }
        match verify(&*client, &signer).await.unwrap_err() {
            VerifyError::Checkpoint { size: 750, error: CheckpointFault::Root { .. } } => Ok(()),
            other => panic!("{other}"),
        }
    })
    .await;
}
