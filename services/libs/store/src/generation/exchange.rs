use tokio_postgres::Client;

use super::relations::partitions;
use super::{
    Generation, Kind, LIVE, Relation, State, attach_memory, detach_memory, memory_of, note, own, relations,
};
use crate::StoreError;

/// Puts a generation in use and keeps what was in use as the previous one, checkpoint and memory included.
///
/// All of it happens in the transaction that the client is in, where the checkpoint in use is locked ([`hold`](super::hold)). Readers
/// are held up from [`Exchange::lock`] to the commit.
#[derive(Debug)]
pub struct Exchange<'c> {
    client: &'c Client,
    next: Generation,
    previous: Generation,
    /// What is exchanged, in the order in which it is locked.
    moved: Vec<Relation>,
}

impl<'c> Exchange<'c> {
    /// Moves rows, which holds up nobody who reads: those of the shared tables, and of `carried` tables, which `next`
    /// takes over. Grants what is granted on the tables in use. `previous` is the generation in use; [`create`](super::create) has made its schema.
    pub async fn prepare(
        client: &'c Client,
        next: Generation,
        previous: Generation,
        shared: &[Relation],
        carried: &[&str],
    ) -> Result<Self, StoreError> {
        let (old, new) = (previous.schema(), next.schema());
        let moved = own(client, &new, shared).await?;
        let mut sql = vec!["SET LOCAL statement_timeout = 0".to_owned()];
        sql.push(
            include_str!("exchange_rows.sql.in")
                .replace("{live}", LIVE)
                .replace("{old}", &old)
                .replace("{new}", &new)
                .replace("{projection}", &next.projection)
                .replace("{generation}", &next.number.to_string()),
        );
        for table in carried {
            sql.push(format!(
                "DELETE FROM {new}.{table}; INSERT INTO {new}.{table} SELECT * FROM {LIVE}.{table}"
            ));
        }
        if has_memory(&moved, &next.projection) {
            // Attaching it then takes no look at its rows.
            let memory = memory_of(&next.projection);
            let check = format!("CHECK (projection = '{}')", next.projection);
            sql.push(format!("ALTER TABLE {new}.{memory} ADD CONSTRAINT {ATTACHABLE} {check}"));
        }
        for relation in &moved {
            sql.extend(grants(client, relation, &new).await?);
        }
        client.batch_execute(&sql.join("; ")).await?;
        Ok(Self { client, next, previous, moved })
    }

    /// Waits for the locks on what is exchanged, at most for `milliseconds` altogether; false if somebody else still holds
    /// one of them then. From here to the commit, readers wait.
    pub async fn lock(&self, milliseconds: u32) -> Result<bool, StoreError> {
        let in_use = relations(self.client, LIVE).await?;
        let is_in_use = |relation: &&Relation| in_use.iter().any(|known| known.is_same(relation));
        let locks = self.moved.iter().filter(|relation| relation.kind.is_readable()).filter(is_in_use);
        // A reader locks a view before what it reads, so this does, too. They are locked one by one in this order.
        let mut names = vec![format!("{LIVE}.webhook_events"), format!("{LIVE}.event_memory")];
        names.extend(locks.map(|relation| relation.qualified(LIVE)));
        // One statement, so that its timeout bounds all the waiting: readers of the first table wait for the last lock, too.
        let sql = format!(
            "SET LOCAL lock_timeout = {milliseconds}; SET LOCAL statement_timeout = {milliseconds}; \
             LOCK TABLE {} IN ACCESS EXCLUSIVE MODE; SET LOCAL statement_timeout = 0",
            names.join(", ")
        );
        match self.client.batch_execute(&sql).await.map_err(StoreError::from) {
            Ok(()) => Ok(true),
            Err(error) if error.is_lock_timeout() || error.sqlstate() == Some(QUERY_CANCELED) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Exchanges the tables.
    pub async fn finish(self) -> Result<(), StoreError> {
        let in_use = relations(self.client, LIVE).await?;
        let projection = &self.next.projection;
        let (old, new) = (self.previous.schema(), self.next.schema());
        let memory = memory_of(projection);
        let is_memory =
            |relation: &Relation| relation.kind == Kind::Table && relation.name.starts_with(&memory);
        let mut sql = Vec::new();
        // The days of both memories need not be the same, nor the months of the tables.
        let mut leaving: Vec<&Relation> = in_use.iter().filter(|relation| is_memory(relation)).collect();
        if has_memory(&in_use, projection) {
            sql.push(detach_memory(LIVE, projection));
        }
        if has_memory(&self.moved, projection) {
            sql.push(detach_memory(&new, projection));
        }
        let parts = partitions(self.client, LIVE).await?;
        let is_part_of_moved = |relation: &Relation| {
            let root = parts.iter().find(|(part, _)| *part == relation.name).map(|(_, root)| root);
            root.is_some_and(|root| self.moved.iter().any(|moved| moved.name == *root))
        };
        leaving.extend(in_use.iter().filter(|relation| {
            !is_memory(relation)
                && (self.moved.iter().any(|moved| moved.is_same(relation)) || is_part_of_moved(relation))
        }));
        for relation in leaving {
            sql.push(relation.move_sql(LIVE, &old));
        }
        for relation in &self.moved {
            sql.push(relation.move_sql(&new, LIVE));
        }
        if has_memory(&self.moved, projection) {
            sql.push(attach_memory(LIVE, projection));
            sql.push(format!("ALTER TABLE {LIVE}.{memory} DROP CONSTRAINT {ATTACHABLE}"));
        }
        sql.push(note(&Generation { state: State::InUse, ..self.next.clone() }));
        sql.push(note(&Generation { state: State::Previous, ..self.previous.clone() }));
        Ok(self.client.batch_execute(&sql.join("; ")).await?)
    }
}

/// Statements that grant on the relation of `schema` what is granted on the one in use.
async fn grants(client: &Client, relation: &Relation, schema: &str) -> Result<Vec<String>, StoreError> {
    let rows = client.query(include_str!("grants.sql"), &[&LIVE, &relation.name, &schema]).await?;
    let mut sql = Vec::with_capacity(rows.len());
    for grant in rows {
        let (privilege, grantee): (&str, &str) = (grant.try_get("privilege")?, grant.try_get("grantee")?);
        sql.push(format!("GRANT {privilege} ON {} TO {grantee}", relation.qualified(schema)));
    }
    Ok(sql)
}

/// What a statement ends with whose time is up.
const QUERY_CANCELED: &str = "57014";

/// Name of the constraint that says of a memory whose it is.
const ATTACHABLE: &str = "of_one_projection";

fn has_memory(relations: &[Relation], projection: &str) -> bool {
    let memory = memory_of(projection);
    relations.iter().any(|relation| relation.name == memory)
}
