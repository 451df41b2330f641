//! `hookstream doctor`: examines what hookstream stands on, and says what to do about what it finds.

use std::process::ExitCode;

use hookstream_runtime::Settings;
use serde_json::{Value, json};

use crate::output::{self, Format, progress};

mod finding;
mod nats;
mod postgres;
mod secrets;

use finding::{Finding, State};

/// Examine NATS, Postgres, secrets and clocks, and say what to do about each failure.
///
/// Checks that NATS can be reached and is new enough, that it syncs every message to disk before it acks it (through
/// its monitoring port, NATS_MONITOR_URL), that streams and consumers are as `hookstream provision` would make them,
/// that Postgres can be reached, is new enough, durable and migrated, that the secrets are there and usable, and that
/// this machine's clock agrees with the database's. Changes nothing.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if no check fails (a warning is no failure), 1 if one does.

Examples:
  hookstream doctor                          beside a running `hookstream up`
  hookstream doctor --format json | jq '.checks[] | select(.state != \"ok\")'
  NATS_URL=nats://operator:secret@nats:4222 NATS_MONITOR_URL=http://nats:8222 \\
    DATABASE_URL=postgres://hookstream:secret@db/hookstream hookstream doctor")]
pub(crate) struct Args {
    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let (of_nats, of_postgres) = tokio::join!(nats::examine(settings), postgres::examine(settings));
    let findings = [of_nats?, of_postgres?, secrets::examine(settings)].concat();
    print(args.format, &findings)?;
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn print(format: Format, findings: &[Finding]) -> anyhow::Result<()> {
    let failed = findings.iter().filter(|finding| finding.state == State::Fail).count();
    match format {
        Format::Json => {
            let checks: Vec<Value> = findings.iter().map(Finding::to_json).collect();
            output::json(&json!({ "ok": failed == 0, "checks": checks }))?;
        }
        Format::Table => {
            let rows: Vec<_> = findings.iter().map(Finding::to_row).collect();
            output::table(["STATE", "CHECK", "FOUND"], &rows)?;
            for finding in findings {
                if let Some(advice) = &finding.advice {
                    output::line(format_args!("\n{}: {advice}", finding.check))?;
                }
            }
        }
    }
    match failed {
        0 => progress("no check failed"),
        1 => progress("1 check failed"),
        _ => progress(format_args!("{failed} checks failed")),
    }
    Ok(())
}
