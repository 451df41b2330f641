//! `hookstream audit`: the trail, for those who check it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use hookstream_runtime::Settings;
use hookstream_store::{Connection, PgSettings};

mod list;
mod reverify;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Read the audit trail, and verify what it is about.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, 1 failed (something is wrong with what was checked, or it cannot be read), 2 wrong usage or settings.

Examples:
  hookstream audit list --kind conflict --since -24h
  hookstream audit reverify")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Reverify(reverify::Args),
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args, settings).await,
        Command::Reverify(args) => reverify::run(args, settings).await,
    }
}

/// A session on the trail's database.
async fn database(settings: &Settings) -> anyhow::Result<Connection> {
    let postgres = PgSettings::read(&|name| settings.get(name))?;
    let opening = Connection::open(&postgres, "hookstream-audit-command");
    let opened = tokio::time::timeout(CONNECT_WITHIN, opening).await.context("no answer in time");
    opened
        .and_then(|opened| Ok(opened?))
        .with_context(|| format!("connect to Postgres at {}", postgres.describe()))
}
