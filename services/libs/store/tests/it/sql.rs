use std::fs;
use std::path::{Path, PathBuf};

use hookstream_test_support::TestDatabase;

fn sql_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files.extend(sql_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "sql") {
            files.push(path);
        }
    }
    files
}

#[tokio::test]
async fn every_statement_fits_the_migrated_schema() {
    let database = TestDatabase::create().await;
    database.migrate(&[]).await;
    let client = database.client().await;
    let files = sql_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let sql = fs::read_to_string(&file).expect("a readable file");
        let prepared = client.prepare(&sql).await;
        prepared.unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
    }
}

#[tokio::test]
async fn the_names_that_others_rely_on_are_there() {
    let database = TestDatabase::create().await;
    database.migrate(&[]).await;
    let client = database.client().await;
    for (table, columns) in [
        (
            "webhook_events",
            "webhook_id, webhook_type, source, body_sha256, stream_sequence, adw_id, issue_number, received_at, \
             processed",
        ),
        (
            "dead_letters",
            "projection, stream_sequence, event_id, subject, reason, error, attempts, payload, headers, created_at, \
             redriven_at",
        ),
        (
            "projection_checkpoints",
            "projection, stream, stream_created, sequence, message_id, epoch, generation, updated_at",
        ),
    ] {
        let found = client.query(&format!("SELECT {columns} FROM {table}"), &[]).await;
        found.unwrap_or_else(|error| panic!("{table}: {error:?}"));
    }
}
