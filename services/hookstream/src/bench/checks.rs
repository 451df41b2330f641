//! The limits that the gateway is built for, each with what was measured.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::deliveries::Deliveries;
use super::load::{self, End, Pace, Round, count};
use super::report::{Report, median};
use super::targets::{ALONE, GATEWAY, Kind, LAZY, Plan, Server};

/// A limit, and whether it was held.
#[derive(Debug)]
pub(super) struct Check {
    about: &'static str,
    /// Nothing if it could not be measured: then it is not held, either.
    measured: Option<f64>,
    limit: Limit,
}

#[derive(Debug, Clone, Copy)]
enum Limit {
    Least(f64),
    Most(f64),
}

impl Check {
    pub(super) fn holds(&self) -> bool {
        match (self.measured, self.limit) {
            (Some(value), Limit::Least(limit)) => value >= limit,
            (Some(value), Limit::Most(limit)) => value <= limit,
            (None, _) => false,
        }
    }

    pub(super) fn as_row(&self) -> [String; 4] {
        let measured = self.measured.map_or_else(|| "could not be measured".to_owned(), short);
        let limit = match self.limit {
            Limit::Least(limit) => format!("≥ {}", short(limit)),
            Limit::Most(limit) => format!("≤ {}", short(limit)),
        };
        [self.about.to_owned(), measured, limit, if self.holds() { "yes" } else { "NO" }.to_owned()]
    }

    pub(super) fn as_json(&self) -> Value {
        let (least, most) = match self.limit {
            Limit::Least(limit) => (Some(limit), None),
            Limit::Most(limit) => (None, Some(limit)),
        };
        json!({ "check": self.about, "measured": self.measured, "least": least, "most": most, "held": self.holds() })
    }
}

fn short(value: f64) -> String {
    if value.fract() == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}

/// What the rounds tell.
pub(super) fn of_ratios(report: &Report) -> Vec<Check> {
    let rate = |connections, one, other| {
        Some(report.ratio(connections, (one, other), |row| &row.answered, Round::per_second))
    };
    let p99 = report.ratio(256, (GATEWAY, ALONE), |row| &row.scheduled, |round| round.percentile(0.99));
    let p50 = report.ratio(1, (GATEWAY, ALONE), |row| &row.answered, |round| round.percentile(0.5));
    let checks = [
        Check {
            about: "64 connections, lazy sync: accepted a second, of verify only",
            measured: rate(64, LAZY, Kind::Verify),
            limit: Limit::Least(0.45),
        },
        Check {
            about: "256 connections: accepted a second, of no group commit",
            measured: rate(256, GATEWAY, ALONE),
            limit: Limit::Least(2.5),
        },
        Check {
            about: "256 connections, by schedule: p99, of no group commit",
            measured: Some(p99),
            limit: Limit::Most(1.0),
        },
        Check {
            about: "1 connection: p50, of no group commit",
            measured: Some(p50),
            limit: Limit::Most(1.3),
        },
    ];
    // What was not to be measured has no figure.
    checks.into_iter().filter(|check| check.measured.is_some_and(|value| !value.is_nan())).collect()
}

/// How soon a process takes webhooks, and how much memory it holds.
pub(super) async fn of_a_process(plan: &Plan<'_>, deliveries: &mut Deliveries) -> anyhow::Result<Vec<Check>> {
    const STARTS: usize = 5;
    let server = Server::start(&plan.folder.join("process"), plan.settings, true).await?;
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(start_to_answer(plan, &server, deliveries).await?.as_secs_f64() * 1e3);
    }
    let taker = plan.start(GATEWAY, &server)?;
    load::send(&End::Http(taker.address), deliveries.make(10_000), 256, Pace::Answered).await?;
    let megabytes = count(usize::try_from(taker.memory_peak()?)?) / 1e6;
    Ok(vec![
        Check {
            about: "from start to the first webhook accepted, ms",
            measured: Some(median(starts)),
            limit: Limit::Most(100.0),
        },
        Check {
            about: "256 connections, bodies of 10 KB: peak of resident memory, MB",
            measured: Some(megabytes),
            limit: Limit::Most(40.0),
        },
    ])
}

async fn start_to_answer(
    plan: &Plan<'_>,
    server: &Server,
    deliveries: &mut Deliveries,
) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let taker = plan.spawn(GATEWAY, server)?;
    loop {
        // Refused until it listens, and then 503 until it is connected.
        let sent = load::send(&End::Http(taker.address), deliveries.make(1), 1, Pace::Answered).await;
        let took = start.elapsed();
        match sent {
            Ok(_) => return Ok(took),
            Err(error) => ensure!(took < Duration::from_secs(10), "it takes no webhook: {error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// How many fsyncs deliveries cost, as strace counts them.
pub(super) async fn of_syncs(plan: &Plan<'_>, deliveries: &mut Deliveries) -> anyhow::Result<Vec<Check>> {
    let (mut together, mut one_by_one) = (None, None);
    let folder = plan.folder.join("traced");
    if let Some(program) = traced_server(plan, &folder)? {
        let server = Server::start_program(&folder, Some(program), true).await?;
        let taker = plan.start(GATEWAY, &server)?;
        let end = End::Http(taker.address);
        let before = syncs(&folder)?;
        load::send(&end, deliveries.make(5000), 256, Pace::Answered).await?;
        let between = syncs(&folder)?;
        load::send(&end, deliveries.make(100), 1, Pace::Answered).await?;
        together = Some(count(between - before));
        one_by_one = Some(count(syncs(&folder)? - between));
    }
    Ok(vec![
        Check {
            about: "256 connections: fsyncs of 5,000 accepted",
            measured: together,
            limit: Limit::Most(999.0),
        },
        Check {
            about: "1 connection: fsyncs of 100 accepted",
            measured: one_by_one,
            limit: Limit::Least(100.0),
        },
    ])
}

/// A script that behaves as nats-server does, with its fsyncs written to a file; nothing where strace cannot trace, as
/// in a container that forbids it.
fn traced_server(plan: &Plan<'_>, folder: &Path) -> anyhow::Result<Option<PathBuf>> {
    let strace = std::process::Command::new("strace").args(OPTIONS.split(' ')).arg("true").output();
    if !strace.is_ok_and(|output| output.status.success()) {
        crate::output::progress("strace is not installed or may not trace: fsyncs are not counted");
        return Ok(None);
    }
    let server = match plan.settings.get("HOOKSTREAM_NATS_SERVER") {
        Some(program) => program.into(),
        None => hookstream_local::find::nats_server()?,
    };
    std::fs::create_dir_all(folder)?;
    let script = folder.join("nats-server.sh");
    let text = format!(
        "#!/bin/sh\nexec strace {OPTIONS} -o '{}' '{}' \"$@\"\n",
        folder.join(SYNCS).display(),
        server.display()
    );
    std::fs::write(&script, text)?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
    Ok(Some(script))
}

/// How strace is asked for fsyncs. With -D the server stays our child, and strace is its grandchild.
const OPTIONS: &str = "-D -f --seccomp-bpf -qq -e trace=fsync,fdatasync";

/// Where strace writes a line for each fsync.
const SYNCS: &str = "syncs.log";

fn syncs(folder: &Path) -> anyhow::Result<usize> {
    let log = std::fs::read_to_string(folder.join(SYNCS)).context("read what strace wrote")?;
    // One that is interrupted has a second line, which does not hold the bracket.
    Ok(log.lines().filter(|line| line.contains("sync(")).count())
}
