//! Generations of a projection's tables: the one in use, on the default search path, and others, each in a schema of its
//! own with all that belongs to it: its tables, its checkpoint, its memory, its dead letters. The tables in use may call
//! functions of the schema they were filled in, so it stays as long as they do.
//!
//! **Invariant:** an [`Exchange`] takes place in one transaction, or not at all.

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio_postgres::{Client, GenericClient};

use crate::{CORE, Connection, PgSettings, StoreError, migrate};

mod exchange;
mod relations;

pub use exchange::Exchange;
pub use relations::{Kind, Relation, dependents, relations};

/// Where the generation in use is: the first schema of the default search path.
pub const LIVE: &str = "public";

/// What a generation that is not in use is kept for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its tables are in use, on the default search path; its schema holds what they came with.
    InUse,
    /// It is being filled, to be put in use.
    Building,
    /// It was in use before, and may be again.
    Previous,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Whose tables.
    pub projection: String,
    /// Counts rebuilds, from 1.
    pub number: i32,
    /// What it is kept for.
    pub state: State,
}

impl Generation {
    /// Its schema, such as `task_log_g2`; also the name of its consumer and of its lock.
    pub fn schema(&self) -> String {
        format!("{}_g{}", self.projection, self.number)
    }
}

/// The generations of `projection` that have a schema, by number.
pub async fn list<C: GenericClient + Sync>(
    client: &C,
    projection: &str,
) -> Result<Vec<Generation>, StoreError> {
    let rows = client.query(include_str!("generation/list.sql"), &[]).await?;
    let mut found: Vec<Generation> = Vec::new();
    for row in rows {
        let (schema, comment): (&str, &str) = (row.try_get("schema")?, row.try_get("comment")?);
        let noted: Option<Generation> = serde_json::from_str(comment).ok();
        found.extend(noted.filter(|noted| noted.projection == projection && noted.schema() == schema));
    }
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

/// Makes the schema of a generation, unless it is there, and the shared tables in it. Its own are made by its runner, as
/// in any database.
pub async fn create(settings: &PgSettings, generation: &Generation, session: &str) -> Result<(), StoreError> {
    let schema = generation.schema();
    let mut client = Connection::open(&settings.clone().with_schema(&schema), session).await?;
    let made = format!("BEGIN; CREATE SCHEMA IF NOT EXISTS {schema}; {}; COMMIT", note(generation));
    client.batch_execute(&made).await?;
    migrate(&mut client, &[]).await?;
    Ok(())
}

/// Makes a generation that is not in use one that a runner can go on with.
pub async fn make_whole(client: &Client, generation: &Generation) -> Result<(), StoreError> {
    let (schema, memory) = (generation.schema(), memory_of(&generation.projection));
    let row = client.query_one(include_str!("generation/memory.sql"), &[&schema, &memory]).await?;
    if row.try_get("is_detached")? {
        let sql = attach_memory(&schema, &generation.projection);
        client.batch_execute(&sql).await?;
    }
    Ok(())
}

/// The part of the memory that is a projection's own; it has a part per day.
fn memory_of(projection: &str) -> String {
    format!("event_memory_{projection}")
}

fn attach_memory(schema: &str, projection: &str) -> String {
    let memory = memory_of(projection);
    format!(
        "ALTER TABLE {schema}.event_memory ATTACH PARTITION {schema}.{memory} FOR VALUES IN ('{projection}')"
    )
}

fn detach_memory(schema: &str, projection: &str) -> String {
    format!("ALTER TABLE {schema}.event_memory DETACH PARTITION {schema}.{}", memory_of(projection))
}

/// Drops a generation with all its rows.
pub async fn discard(client: &Client, generation: &Generation) -> Result<(), StoreError> {
    Ok(client.batch_execute(&format!("DROP SCHEMA IF EXISTS {} CASCADE", generation.schema())).await?)
}

/// The schema's comment is what says which generation it is.
fn note(generation: &Generation) -> String {
    let text = serde_json::to_string(generation).expect("names and numbers are JSON");
    format!("COMMENT ON SCHEMA {} IS '{}'", generation.schema(), text.replace('\'', "''"))
}

/// Where the generation in use stands, while it is held there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its checkpoint.
    pub sequence: u64,
    /// When the stream it follows was created.
    pub stream_created: OffsetDateTime,
}

/// Locks the checkpoint in use for the transaction that `client` is in: nobody moves it, and nobody who reads is held up.
/// `None` if the projection never ran.
pub async fn hold(client: &Client, projection: &str) -> Result<Option<Held>, StoreError> {
    let row = client.query_opt(include_str!("generation/hold.sql"), &[&projection]).await?;
    row.map(|row| {
        let sequence: i64 = row.try_get("sequence")?;
        Ok(Held {
            sequence: u64::try_from(sequence).map_err(|_| StoreError::OutOfRange { column: "sequence" })?,
            stream_created: row.try_get("stream_created")?,
        })
    })
    .transpose()
}

/// How many rows of `table` in the generation in use began with events before `sequence`.
pub async fn rows_before(
    client: &Client,
    (table, column): (&str, &str),
    sequence: u64,
) -> Result<i64, StoreError> {
    let query = format!("SELECT count(*) AS rows FROM {LIVE}.{table} WHERE {column} < $1");
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    Ok(client.query_one(&query, &[&sequence]).await?.try_get("rows")?)
}

/// A row that one generation has and the other has not.
#[derive(Debug, Clone, PartialEq)]
pub struct Differing {
    /// The table.
    pub table: String,
    /// The row is in the generation in use; else it is in the other.
    pub live: bool,
    /// The row.
    pub row: serde_json::Value,
}

/// How many rows of `table` differ between the generation in use and that of schema `other`, and the first `limit` of
/// them.
pub async fn compare<C: GenericClient + Sync>(
    tx: &C,
    other: &str,
    table: &str,
    limit: i64,
) -> Result<(i64, Vec<Differing>), StoreError> {
    let columns = tx.query_one(include_str!("generation/columns.sql"), &[&other, &table]).await?;
    let columns: String = columns.try_get("columns")?;
    let fill = |text: &str| {
        text.replace("{columns}", &columns)
            .replace("{live}", LIVE)
            .replace("{other}", other)
            .replace("{table}", table)
    };
    let sql = fill(include_str!("generation/compare.sql.in"));
    let rows = tx.query(&sql, &[&limit]).await?;
    let count = rows.first().map(|row| row.try_get("total")).transpose()?.unwrap_or(0);
    let differing = rows.iter().map(|row| {
        Ok(Differing { table: table.to_owned(), live: row.try_get("live")?, row: row.try_get("content")? })
    });
    Ok((count, differing.collect::<Result<_, StoreError>>()?))
}

/// What every generation has for itself beside its projection's own: what [`CORE`] makes.
pub async fn shared(client: &mut Client) -> Result<Vec<Relation>, StoreError> {
    const SCRATCH: &str = "hookstream_scratch";
    let tx = client.transaction().await?;
    tx.batch_execute(&format!("CREATE SCHEMA {SCRATCH}; SET LOCAL search_path = {SCRATCH}")).await?;
    for (_, sql) in CORE.migrations {
        tx.batch_execute(sql).await?;
    }
    let found = relations(&tx, SCRATCH).await?;
    tx.rollback().await?;
    Ok(found)
}

/// What belongs to the projection of generation `schema`, and not to all.
pub async fn own<C: GenericClient + Sync>(
    client: &C,
    schema: &str,
    shared: &[Relation],
) -> Result<Vec<Relation>, StoreError> {
    let mut found = relations(client, schema).await?;
    found.retain(|relation| !shared.iter().any(|known| known.is_same(relation)));
    Ok(found)
}
