//! Both generations at one and the same event, and what differs between them there.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_projection::Projection;
use hookstream_store::generation::{self, Differing, Generation, Kind};
use hookstream_store::{Connection, IsolationLevel, leadership};
use serde_json::json;

use super::build::{NEAR, STREAM};
use super::{SESSION, Work};
use crate::output::{self, Format, progress as tell};

/// How long the tables in use may be held while the new generation comes to where they stand.
const HOLD_MAX: Duration = Duration::from_secs(8);

/// How long the new generation may take to come near.
const APPROACH_MAX: Duration = Duration::from_hours(1);

/// How long the tables in use may stand behind the new generation without coming nearer.
const PATIENCE: Duration = Duration::from_secs(20);

/// How often to try to have both at one event.
const TRIES: u32 = 40;

/// How long the tables in use stand still before we ask whether anybody leads their projection at all: a leader that lost
/// its session is back by then.
const STANDSTILL: Duration = Duration::from_secs(3);

/// Most differing rows of a table that are printed.
const ROWS_MAX: i64 = 1000;

/// How the two generations stand to each other, while the one in use is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alignment {
    /// At the same event.
    Same(u64),
    /// Nobody follows the stream with the one in use, or it followed another stream: the new one is ahead.
    Ahead(u64),
}

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    /// A session whose transaction holds the tables in use where they are. It ends with the session.
    pub(super) async fn holder(&self) -> anyhow::Result<Connection> {
        Ok(Connection::open(&self.postgres, SESSION).await?)
    }

    /// Opens a transaction on `holder` that holds the tables in use, and brings `next` to where they stand. Readers are
    /// not held up.
    pub(super) async fn align(&self, holder: &Connection, next: &Generation) -> anyhow::Result<Alignment> {
        let other = self.other_session(next).await?;
        let mut waited = Duration::ZERO;
        for _ in 0..TRIES {
            let filled = self.position(&other).await?.map_or(0, |checkpoint| checkpoint.sequence);
            holder.batch_execute("BEGIN; SET LOCAL lock_timeout = '5s'").await?;
            let live = generation::hold(holder, P::NAME).await?;
            let live = live.with_context(|| format!("the checkpoint of {} is gone", P::NAME))?;
            // Only what is asked now is known to hold all that those tables were made of.
            let stream = self.bus.stream_state(STREAM).await?;
            if live.stream_created != stream.created || live.sequence > stream.last_sequence.max(filled) {
                return Ok(Alignment::Ahead(filled));
            }
            if live.sequence >= filled && live.sequence - filled <= 2 * NEAR {
                self.build_to(next, live.sequence, HOLD_MAX).await?;
                return Ok(Alignment::Same(live.sequence));
            }
            if live.sequence < filled
                && waited >= STANDSTILL
                && leadership::try_lock(&self.session, P::NAME).await?
            {
                return Ok(Alignment::Ahead(filled));
            }
            holder.batch_execute("ROLLBACK").await?;
            if live.sequence >= filled {
                self.build_to(next, live.sequence, APPROACH_MAX).await?;
                continue;
            }
            let until = waited + STANDSTILL;
            while waited < until && self.live_sequence().await? < filled {
                if waited >= PATIENCE {
                    bail!(
                        "the {} in use stays at {}, behind the new generation at {filled}: see why it does not follow \
                         (hookstream doctor), then give the command again",
                        P::NAME,
                        live.sequence
                    );
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                waited += Duration::from_millis(20);
            }
        }
        bail!("the two generations of {} do not come to one event: give the command again", P::NAME)
    }

    async fn live_sequence(&self) -> anyhow::Result<u64> {
        let live = self.position(&self.session).await?;
        Ok(live.map_or(0, |checkpoint| checkpoint.sequence))
    }

    /// Compares the two generations; returns how many rows differ, or `None` where they cannot be compared.
    pub(super) async fn compare(&mut self, next: &Generation) -> anyhow::Result<Option<i64>> {
        let shared = generation::shared(&mut self.session).await?;
        let holder = self.holder().await?;
        let at = match self.align(&holder, next).await? {
            Alignment::Same(at) => at,
            Alignment::Ahead(at) => {
                tell(format_args!(
                    "rebuild: not compared: the new generation is at {at}, the one in use is not"
                ));
                return Ok(None);
            }
        };
        let mut reader = self.reader().await?;
        let tx = reader.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
        let tx = tx.start().await?;
        // The first statement takes the snapshot, in which both stand at one event.
        let own = generation::own(&tx, &next.schema(), &shared).await?;
        holder.batch_execute("ROLLBACK").await?;
        let mut differing = 0;
        let mut printed = Vec::new();
        for table in own {
            let compared = table.kind == Kind::Table && !table.is_partition;
            if !compared || P::CARRIED.contains(&table.name.as_str()) {
                continue;
            }
            let limit = if self.args.diff { ROWS_MAX } else { 1 };
            let (count, rows) = generation::compare(&tx, &next.schema(), &table.name, limit).await?;
            differing += count;
            printed.extend(rows);
        }
        if self.args.diff {
            print(self.args.format, &printed)?;
        }
        tell(format_args!("rebuild: compared at {at}: {differing} rows differ"));
        Ok(Some(differing))
    }
}

fn print(format: Format, rows: &[Differing]) -> anyhow::Result<()> {
    let generation = |row: &Differing| if row.live { "in use" } else { "new" };
    match format {
        Format::Json => {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| json!({ "table": row.table, "generation": generation(row), "row": row.row }))
                .collect();
            output::json(&rows.into())
        }
        Format::Table if rows.is_empty() => Ok(()),
        Format::Table => {
            let rows: Vec<_> = rows
                .iter()
                .map(|row| [row.table.clone(), generation(row).to_owned(), row.row.to_string()])
                .collect();
            output::table(["TABLE", "GENERATION", "ROW"], &rows)
        }
    }
}
