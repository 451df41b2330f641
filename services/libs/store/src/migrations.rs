//! Migrations: ordered files under `schemas/postgres/<set>/`, carried in the binary.
//!
//! Each is applied once, in a transaction of its own that holds an advisory lock, and is recorded with its SHA-256.
//! Two processes may therefore start at once, and a failed migration leaves nothing behind.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio_postgres::{Client, GenericClient, Transaction};

use crate::StoreError;
use crate::leadership::lock_key;

/// The migrations of one owner, in order.
#[derive(Debug, Clone, Copy)]
pub struct MigrationSet {
    /// The set's name: its folder, and part of each record's key.
    pub name: &'static str,
    /// Name (`0001_task_logs`) and SQL of each, oldest first.
    pub migrations: &'static [(&'static str, &'static str)],
}

macro_rules! core_migration {
    ($name:literal) => {
        ($name, include_str!(concat!("../../../../schemas/postgres/core/", $name, ".sql")))
    };
}

/// What every projection shares. [`migrate`] applies it before any other set.
pub const CORE: MigrationSet = MigrationSet {
    name: "core",
    migrations: &[
        core_migration!("0001_schema_migrations"),
        core_migration!("0002_projections"),
        core_migration!("0003_histograms"),
        core_migration!("0004_large_partitions"),
    ],
};

/// Names a migration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationId {
    /// The set's name.
    pub set: &'static str,
    /// The migration's name.
    pub name: &'static str,
}

impl std::fmt::Display for MigrationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.set, self.name)
    }
}

/// Brings the database up to [`CORE`] and `sets`; returns what was applied now.
///
/// Waits for another process that migrates, for as long as the session's `lock_timeout` allows. Migrations that this
/// build does not know are left alone: old code runs on a newer schema.
pub async fn migrate(client: &mut Client, sets: &[&MigrationSet]) -> Result<Vec<MigrationId>, StoreError> {
    let mut applied = Vec::new();
    for migration in in_order(sets) {
        // Looked up without the lock first, so that a start with nothing to do takes none.
        if is_applied(client, &migration).await? {
            continue;
        }
        let tx = client.transaction().await?;
        tx.execute(include_str!("migrations/lock.sql"), &[&lock_key("migrations")]).await?;
        if !is_applied(&tx, &migration).await? {
            apply(&tx, &migration).await?;
            applied.push(migration.id);
        }
        tx.commit().await?;
    }
    Ok(applied)
}

/// What [`migrate`] would apply. Changes nothing.
pub async fn pending<C: GenericClient + Sync>(
    client: &C,
    sets: &[&MigrationSet],
) -> Result<Vec<MigrationId>, StoreError> {
    let mut pending = Vec::new();
    for migration in in_order(sets) {
        if !is_applied(client, &migration).await? {
            pending.push(migration.id);
        }
    }
    Ok(pending)
}

struct Migration {
    id: MigrationId,
    sql: &'static str,
}

/// [`CORE`] first, each set once.
fn in_order(sets: &[&MigrationSet]) -> Vec<Migration> {
    let mut seen = BTreeSet::new();
    std::iter::once(&CORE)
        .chain(sets.iter().copied())
        .filter(|set| seen.insert(set.name))
        .flat_map(|set| {
            set.migrations
                .iter()
                .map(|(name, sql)| Migration { id: MigrationId { set: set.name, name }, sql })
        })
        .collect()
}

async fn apply(tx: &Transaction<'_>, migration: &Migration) -> Result<(), StoreError> {
    let MigrationId { set, name } = migration.id;
    let failed = |source| StoreError::Migration { set: set.to_owned(), name: name.to_owned(), source };
    // A migration may take long; what bounds it is the lock timeout, which keeps it from blocking others.
    tx.batch_execute(include_str!("migrations/no_statement_timeout.sql")).await?;
    tx.batch_execute(migration.sql).await.map_err(failed)?;
    let checksum = checksum(migration.sql);
    tx.execute(include_str!("migrations/record.sql"), &[&set, &name, &&checksum[..]])
        .await
        .map_err(failed)?;
    Ok(())
}

/// Whether it is recorded, with the contents that this build carries.
async fn is_applied<C: GenericClient + Sync>(client: &C, migration: &Migration) -> Result<bool, StoreError> {
    let MigrationId { set, name } = migration.id;
    let row = client.query_one(include_str!("migrations/exists.sql"), &[]).await?;
    if !row.try_get::<_, bool>("exists")? {
        return Ok(false);
    }
    let Some(row) = client.query_opt(include_str!("migrations/recorded.sql"), &[&set, &name]).await? else {
        return Ok(false);
    };
    let (recorded, carried): (&[u8], _) = (row.try_get("checksum")?, checksum(migration.sql));
    if recorded == carried {
        return Ok(true);
    }
    Err(StoreError::ChangedMigration {
        set: set.to_owned(),
        name: name.to_owned(),
        applied: hex(recorded),
        carried: hex(&carried),
    })
}

fn checksum(sql: &str) -> [u8; 32] {
    Sha256::digest(sql).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
