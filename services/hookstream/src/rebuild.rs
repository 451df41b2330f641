//! `hookstream rebuild`: fills another generation of a projection's tables from the stream, and puts it in use.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use hookstream_bus::Bus;
use hookstream_bus::topology::Topology;
use hookstream_phase_queue::PhaseQueue;
use hookstream_projection::Projection;
use hookstream_runtime::Settings;
use hookstream_store::generation::{self, Generation, LIVE, State};
use hookstream_store::{Connection, PgSettings, SessionTimeouts, leadership};
use hookstream_task_log::TaskLog;

use crate::operator;
use crate::output::{Format, progress as tell};
use crate::settings::Usage;

mod act;
mod build;
mod compare;
mod plan;
mod swap;

/// How a session of this command calls itself.
const SESSION: &str = "hookstream-rebuild";

/// Fill a projection's tables anew from the stream, beside those in use, and exchange the two.
///
/// A new generation of the tables is filled in a schema of its own (task_log_g2) while the one in use keeps serving and
/// following. Once it has caught up, the two are compared at one and the same event, and exchanged in one transaction:
/// readers wait for milliseconds, and no event is missed or applied twice. What was in use is kept in a schema of its own
/// (task_log_g1), until --rollback puts it back in use or --drop drops it.
///
/// Interrupted or killed, it goes on where it was when the command is given again; --drop drops what it has built.
/// The audit trail is never rebuilt: it outlives the stream.
///
/// Logs in to NATS as the role `operator` of nats.conf, and to Postgres as the owner of the tables. Give it the settings
/// that the projection itself has, such as HOOKSTREAM_BOT_MARKER.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, 1 if not (nothing is exchanged then, and the message says what to do), 2 for wrong usage.

Examples:
  hookstream rebuild task_log --dry-run
  hookstream rebuild task_log
  hookstream rebuild phase_queue --diff --no-swap
  hookstream rebuild task_log --rollback
  hookstream rebuild task_log --drop")]
pub(crate) struct Args {
    /// phase_queue or task_log
    projection: String,
    /// Say what would be read and lost, and change nothing
    #[arg(long, conflicts_with_all = ["diff", "no_swap", "accept_gap", "rollback", "drop"])]
    dry_run: bool,
    /// Print the rows that differ, as data
    #[arg(long)]
    diff: bool,
    /// Build and compare, but leave what is in use in use
    #[arg(long)]
    no_swap: bool,
    /// Go on although events have left the stream, whose rows the new generation will not have
    #[arg(long)]
    accept_gap: bool,
    /// Put the generation that was in use before back in use, once it has caught up
    #[arg(long, conflicts_with = "drop")]
    rollback: bool,
    /// Drop the generations that are not in use
    #[arg(long, conflicts_with_all = ["diff", "no_swap", "accept_gap"])]
    drop: bool,
    /// How to print differing rows
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    /// Builds and compares, and leaves what is in use in use.
    pub(crate) fn fill(projection: String) -> Self {
        let (format, no_swap) = (Format::default(), true);
        let [dry_run, diff, accept_gap, rollback, drop] = [false; 5];
        Self { projection, dry_run, diff, no_swap, accept_gap, rollback, drop, format }
    }
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    match args.projection.as_str() {
        "task_log" => with(&args, settings, || Ok(TaskLog::from_settings(settings)?)).await,
        "phase_queue" => with(&args, settings, || Ok(PhaseQueue::from_settings(settings)?)).await,
        "audit" => Err(Usage(
            "the audit trail is never rebuilt: it outlives the stream, and entries that were made anew would prove nothing"
                .to_owned(),
        )
        .into()),
        other => Err(Usage(format!("there is no projection {other:?}: give phase_queue or task_log")).into()),
    }
}

async fn with<P: Projection>(
    args: &Args,
    settings: &Settings,
    make: impl Fn() -> anyhow::Result<P>,
) -> anyhow::Result<ExitCode> {
    let postgres = PgSettings::read(&|name| settings.get(name))?;
    operator::lowest_priority();
    let session = operator::session(&postgres, SESSION).await?;
    let bus = operator::connect(settings).await?;
    let mut work = Work { args, settings, postgres, session, bus, make };
    let done = work.run().await;
    let done = done.map_err(|error| operator::explain(&work.bus, error));
    work.bus.drain().await;
    done
}

/// What a rebuild works with.
struct Work<'w, F> {
    args: &'w Args,
    settings: &'w Settings,
    postgres: PgSettings,
    /// On the generation in use.
    session: Connection,
    bus: Bus,
    /// Makes the projection, once for each run of it.
    make: F,
}

impl<P: Projection, F: Fn() -> anyhow::Result<P>> Work<'_, F> {
    /// A session for statements that read whole tables, as long as that takes.
    async fn reader(&self) -> anyhow::Result<Connection> {
        let endless = SessionTimeouts { statement: Duration::ZERO, ..self.postgres.timeouts() };
        operator::session(&self.postgres.clone().with_timeouts(endless), SESSION).await
    }

    async fn run(&mut self) -> anyhow::Result<ExitCode> {
        let purpose = format!("rebuild of {}", P::NAME);
        if !leadership::try_lock(&self.session, &purpose).await? {
            bail!("another hookstream rebuild {} is under way: wait for it, or stop it", P::NAME);
        }
        let mut others = generation::list(&*self.session, P::NAME).await?;
        others.retain(|other| other.state != State::InUse);
        if self.args.drop {
            return self.drop_others(&others).await;
        }
        let plan = self.plan().await?;
        if self.args.dry_run {
            return plan.print(self.args.format);
        }
        let next = self.next(&others, &plan).await?;
        self.build(&next, &plan).await?;
        self.check_dependents(LIVE, &next).await?;
        let compared = self.compare(&next).await?;
        if self.args.no_swap {
            tell(format_args!(
                "rebuild: generation {} is ready in schema {}; the same command without --no-swap puts it in use, \
                 --drop drops it",
                next.number,
                next.schema()
            ));
            return Ok(ExitCode::SUCCESS);
        }
        self.swap(&next, plan.live.generation, compared).await?;
        Ok(ExitCode::SUCCESS)
    }

    /// Which generation is to come into use: the former one, the one begun before, or a new one.
    async fn next(&mut self, others: &[Generation], plan: &plan::Plan) -> anyhow::Result<Generation> {
        let of = |state: State| others.iter().find(|other| other.state == state).cloned();
        if self.args.rollback {
            let Some(previous) = of(State::Previous) else {
                bail!("no former generation of {} is kept: there is nothing to go back to", P::NAME);
            };
            generation::make_whole(&self.session, &previous).await?;
            tell(format_args!("rebuild: generation {} follows the stream again", previous.number));
            return Ok(previous);
        }
        if let Some(building) = of(State::Building) {
            tell(format_args!("rebuild: goes on with generation {}", building.number));
            return Ok(building);
        }
        if let Some(previous) = of(State::Previous) {
            bail!(
                "generation {} of {} is still kept: --drop it first, or --rollback to it",
                previous.number,
                P::NAME
            );
        }
        plan.check_gap(self.args.accept_gap)?;
        let number = 1 + others.iter().map(|other| other.number).fold(plan.live.generation, i32::max);
        let next = Generation { projection: P::NAME.to_owned(), number, state: State::Building };
        self.tell_act("rebuild", |act| act.with("generation", number)).await?;
        generation::create(&self.postgres, &next, SESSION).await?;
        Ok(next)
    }

    async fn drop_others(&mut self, others: &[Generation]) -> anyhow::Result<ExitCode> {
        if others.is_empty() {
            tell(format_args!("rebuild: no generation of {} but the one in use", P::NAME));
        }
        for other in others {
            self.check_dependents(&other.schema(), other).await?;
            self.tell_act("generation_dropped", |act| act.with("generation", other.number)).await?;
            generation::discard(&self.session, other).await?;
            self.bus.delete_consumer(build::STREAM, &other.schema()).await?;
            tell(format_args!("rebuild: dropped generation {} of {}", other.number, P::NAME));
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Refuses where a view of somebody else's reads from the tables of `schema`: it would follow them out of use.
    async fn check_dependents(&mut self, schema: &str, like: &Generation) -> anyhow::Result<()> {
        let shared = generation::shared(&mut self.session).await?;
        let own = generation::own(&*self.session, schema, &shared).await?;
        let names = if schema == LIVE {
            // The schema in use may hold what is not ours: what counts are the names that the other one has.
            let next = generation::own(&*self.session, &like.schema(), &shared).await?;
            let is_next = |name: &String| next.iter().any(|known| known.name == *name);
            own.into_iter().map(|relation| relation.name).filter(is_next).collect()
        } else {
            own.into_iter().map(|relation| relation.name).collect::<Vec<_>>()
        };
        let dependents = generation::dependents(&*self.session, schema, &names).await?;
        if !dependents.is_empty() {
            bail!(
                "{} read from tables of {} in schema {schema}: drop these views first, and create them again afterwards",
                dependents.join(", "),
                P::NAME
            );
        }
        Ok(())
    }

    fn topology() -> Topology {
        Topology::embedded()
    }
}

/// How long a step may take that asks little.
const STEP: Duration = Duration::from_secs(15);
