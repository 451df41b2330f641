//! What a rebuild would read, and what it would lose.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_bus::{Start, StreamState};
use hookstream_projection::Projection;
use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_store::generation;
use serde_json::json;

use super::Work;
use super::build::STREAM;
use crate::output::{self, Format, progress as tell};

/// What is there, before anything is done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) live: Checkpoint,
    pub(super) stream: StreamState,
    /// Events that the projection's consumer would hand out.
    events: u64,
    /// Sequence of the oldest event held.
    first: u64,
    /// Rows of each table that began with events which have left the stream.
    lost: Vec<(&'static str, i64)>,
}

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    pub(super) async fn plan(&self) -> anyhow::Result<Plan> {
        let stream = self.bus.stream_state(STREAM).await.context("look at the stream")?;
        let live = checkpoint::load(&*self.session, P::NAME).await;
        let live = live.context("read the checkpoint in use")?.with_context(|| {
            format!("{} has never run on this database: start it, there is nothing to rebuild", P::NAME)
        })?;
        let selection = Self::topology().selection(P::NAME).context("a projection has a consumer")?;
        let ahead = self.bus.ahead(STREAM, Start::Sequence(1), &selection).await?;
        let first =
            if stream.messages == 0 { stream.last_sequence + 1 } else { stream.first_sequence.max(1) };
        let mut lost = Vec::new();
        let reader = self.reader().await?;
        for origin in P::ORIGINS {
            lost.push((origin.0, generation::rows_before(&reader, *origin, first).await?));
        }
        let plan = Plan { live, stream, events: ahead.messages, first, lost };
        tell(format_args!(
            "rebuild: reads {} events of {STREAM} {}–{}",
            plan.events, plan.first, plan.stream.last_sequence
        ));
        if plan.first > 1 {
            tell(format_args!("rebuild: {}", plan.gap()));
        }
        Ok(plan)
    }
}

impl Plan {
    fn gap(&self) -> String {
        let lost: Vec<String> =
            self.lost.iter().map(|(table, rows)| format!("{rows} rows of {table}")).collect();
        format!(
            "sequences 1–{} have left the stream: {} come from them and will be missing, and so will be what else they did",
            self.first - 1,
            lost.join(", ")
        )
    }

    /// Refuses to lose what only the tables in use still have, unless told to.
    pub(super) fn check_gap(&self, accepted: bool) -> anyhow::Result<()> {
        if self.first > 1 && !accepted {
            bail!("{}; --accept-gap goes on nonetheless", self.gap());
        }
        Ok(())
    }

    pub(super) fn print(&self, format: Format) -> anyhow::Result<ExitCode> {
        let Self { live, stream, events, first, lost } = self;
        match format {
            Format::Json => {
                let lost: Vec<_> =
                    lost.iter().map(|(table, rows)| json!({ "table": table, "rows": rows })).collect();
                output::json(&json!({
                    "projection": live.projection, "generation": live.generation, "checkpoint": live.sequence,
                    "events": events, "first": first, "last": stream.last_sequence, "lost": lost,
                }))?;
            }
            Format::Table => {
                let lost: Vec<String> =
                    lost.iter().map(|(table, rows)| format!("{rows} of {table}")).collect();
                output::table(
                    ["PROJECTION", "GENERATION", "CHECKPOINT", "EVENTS", "FIRST", "LAST", "ROWS LOST"],
                    &[[
                        live.projection.clone(),
                        live.generation.to_string(),
                        live.sequence.to_string(),
                        events.to_string(),
                        first.to_string(),
                        stream.last_sequence.to_string(),
                        lost.join(", "),
                    ]],
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
