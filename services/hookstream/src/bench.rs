//! `hookstream bench`: how fast a gateway is on this machine, and what each part of it costs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_local::{Scratch, random_password};
use hookstream_runtime::Settings;
use hookstream_runtime::settings::Setting;
use hookstream_signature::Key;

mod checks;
mod deliveries;
mod load;
mod report;
pub(crate) mod stand_in;
mod targets;

use deliveries::Deliveries;
use load::{End, Pace, Round};
use report::{Report, Row};
use targets::{Kind, Plan, Server, Taker};

use crate::output::{Format, progress};

/// So many seconds of deliveries by a schedule.
const SCHEDULE_SECONDS: f64 = 2.0;

/// The part of what the slowest can do that is sent by a schedule.
const SCHEDULE_PART: f64 = 0.6;

/// Measure the gateway on this machine, beside parts of itself.
///
/// Starts private servers and gateways, sends signed GitHub deliveries of 8 to 12 KiB over 1, 64 and 256 connections,
/// and prints how many were stored a second and how long each took: first as fast as they are answered, then by a
/// schedule that all of them can hold, where a delivery's time counts from when it was due. Rounds of the gateway and of
/// what it is compared with take turns, and what is printed are medians. Nothing of a running hookstream is touched.
///
///   answer only               the same HTTP server, which answers 202 to anything
///   verify only               a gateway that verifies and parses, and stores nothing
///   publish only, one by one  no gateway: events published to the stream, each with an fsync of its own
///   gateway, no group commit  each event with an fsync of its own
///   gateway                   as it is: events that arrive together share an fsync
///   …, lazy sync              in front of a server that syncs every two minutes, and may lose what it acked
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Exit code: 0 measured, 1 failed, or with --check a limit was not held.

Examples:
  hookstream bench
  hookstream bench --rounds 1 --format json
  hookstream bench --deliveries github.ndjson --check"
)]
pub(crate) struct Args {
    /// Take bodies from here: one {"event": …, "payload": …} a line; those of 8 to 12 KiB are sent
    #[arg(long, value_name = "FILE")]
    deliveries: Option<PathBuf>,
    /// Rounds of each measurement
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// Deliveries of a round; over one connection, a twentieth
    #[arg(long, value_name = "N", default_value_t = 8000, value_parser = clap::value_parser!(u32).range(1000..=100_000))]
    count: u32,
    /// Connections that deliveries are sent over, such as 64 or 1,64,256
    #[arg(long, value_name = "N", value_delimiter = ',', default_values_t = [1, 64, 256],
        value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: Vec<u16>,
    /// What to measure, by the names above; all unless given
    #[arg(long, value_name = "NAME", value_delimiter = ';', value_parser = kind, conflicts_with = "check")]
    only: Vec<Kind>,
    /// Fail unless the limits are held that the gateway is built for
    #[arg(long)]
    check: bool,
    /// How to print the results
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The settings that the gateways get.
pub(crate) fn concern(setting: &Setting) -> bool {
    targets::BOUNDS.contains(&setting.name) || setting.name == "HOOKSTREAM_NATS_SERVER"
}

/// Runs the command, on one thread: the others are for what is measured.
pub(crate) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(run_on_this_thread(args, settings))
}

async fn run_on_this_thread(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let secret = random_password()?;
    let key = Key::new("bench", secret.as_bytes())?;
    let mut deliveries = Deliveries::new(args.deliveries.as_deref(), key)?;
    let mut report = Report::default();
    let all = args.only.is_empty();
    let kinds: Vec<Kind> =
        targets::KINDS.into_iter().filter(|kind| all || args.only.contains(kind)).collect();
    for connections in &args.connections {
        let scratch = Scratch::new("bench")?;
        let plan = Plan { secret: &secret, settings, folder: scratch.path() };
        let bench = Bench::start(&plan, &kinds).await?;
        bench.measure(args, usize::from(*connections), &mut deliveries, &mut report).await?;
    }
    report.checks.extend(checks::of_ratios(&report));
    if !all {
        return report.print(args.format).map(|()| ExitCode::SUCCESS);
    }
    let scratch = Scratch::new("bench")?;
    let plan = Plan { secret: &secret, settings, folder: scratch.path() };
    report.checks.extend(checks::of_a_process(&plan, &mut deliveries).await?);
    report.checks.extend(checks::of_syncs(&plan, &mut deliveries).await?);
    report.print(args.format)?;
    let failed = args.check && report.checks.iter().any(|check| !check.holds());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything that is measured, running.
struct Bench {
    ends: BTreeMap<Kind, End>,
    _takers: Vec<Taker>,
    _servers: [Server; 2],
}

impl Bench {
    async fn start(plan: &Plan<'_>, kinds: &[Kind]) -> anyhow::Result<Self> {
        let syncing = Server::start(&plan.folder.join("syncing"), plan.settings, true).await?;
        let lazy = Server::start(&plan.folder.join("lazy"), plan.settings, false).await?;
        let (mut ends, mut takers) = (BTreeMap::new(), Vec::new());
        for kind in kinds.iter().copied() {
            if kind == Kind::Publish {
                ends.insert(kind, syncing.publisher().await?);
                continue;
            }
            let server = if matches!(kind, Kind::Gateway { sync: false, .. }) { &lazy } else { &syncing };
            let taker = plan.start(kind, server).with_context(|| format!("start {}", kind.name()))?;
            ends.insert(kind, End::Http(taker.address));
            takers.push(taker);
        }
        Ok(Self { ends, _takers: takers, _servers: [syncing, lazy] })
    }

    /// All kinds take turns within each round, so that what else the machine does hits all of them alike.
    async fn measure(
        &self,
        args: &Args,
        connections: usize,
        deliveries: &mut Deliveries,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let count = args.count as usize / if connections == 1 { 20 } else { 1 };
        let mut answered = BTreeMap::new();
        let mut scheduled = BTreeMap::new();
        for number in 0..=args.rounds {
            let rounds = self.turn(connections, count, Pace::Answered, deliveries).await?;
            // The first one warms up.
            if number > 0 {
                progress(format_args!("{connections} connections: round {number} of {}", args.rounds));
                note(&mut answered, rounds);
            }
        }
        let rate =
            SCHEDULE_PART * answered.values().map(|rounds| median_rate(rounds)).fold(f64::MAX, f64::min);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let count = (rate * SCHEDULE_SECONDS) as usize;
        for number in 1..=args.rounds {
            let pace = Pace::PerSecond(rate);
            progress(format_args!(
                "{connections} connections, {rate:.0} a second: round {number} of {}",
                args.rounds
            ));
            note(&mut scheduled, self.turn(connections, count.max(100), pace, deliveries).await?);
        }
        for (kind, answered) in answered {
            let scheduled = scheduled.remove(&kind).context("every kind has its turn")?;
            report.rows.push(Row { kind, connections, rate, answered, scheduled });
        }
        Ok(())
    }

    async fn turn(
        &self,
        connections: usize,
        count: usize,
        pace: Pace,
        deliveries: &mut Deliveries,
    ) -> anyhow::Result<Vec<(Kind, Round)>> {
        let mut rounds = Vec::new();
        for (kind, end) in &self.ends {
            let round = load::send(end, deliveries.make(count), connections, pace).await;
            rounds.push((*kind, round.with_context(|| kind.name().to_owned())?));
        }
        Ok(rounds)
    }
}

fn kind(name: &str) -> Result<Kind, String> {
    let found = targets::KINDS.into_iter().find(|kind| kind.name() == name);
    found.ok_or_else(|| format!("one of: {}", targets::KINDS.map(Kind::name).join("; ")))
}

fn note(all: &mut BTreeMap<Kind, Vec<Round>>, rounds: Vec<(Kind, Round)>) {
    for (kind, round) in rounds {
        all.entry(kind).or_default().push(round);
    }
}

fn median_rate(rounds: &[Round]) -> f64 {
    report::median(rounds.iter().map(Round::per_second))
}
