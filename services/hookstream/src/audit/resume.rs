use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_audit::{outside, resume};
use hookstream_bus::Bus;
use hookstream_runtime::Settings;
use hookstream_trail::Checkpoint;
use hookstream_trail::note::PublicKey;
use time::OffsetDateTime;

use super::{Keys, database, notes};
use crate::operator;
use crate::output::{self, progress as tell};

/// Go on with the trail behind a gap, with an entry that records it.
///
/// For two cases, in which the audit process stops rather than pretend that nothing happened. An older database was
/// restored: checkpoints that left it cover entries that are gone. Or the stream is not the one that was followed: it was
/// recreated or truncated, or messages expired before they were recorded. An entry of kind resumed then says what is
/// missing, and the audit process, started again, goes on behind it with what the stream still holds.
///
/// Nothing is hidden by that: `verify` lists the gap for ever, and witnesses refuse the history until they are told to
/// accept it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if the trail goes on, also if nothing was missing; 1 if not.

Examples:
  hookstream audit verify
  hookstream audit resume --reason 'disk failed, restored the backup of 24 November'")]
pub(crate) struct Args {
    /// Why, for those who read the trail
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    keys: Keys,
    /// Compare with the checkpoints in this file too: a note, or the file that the trail appends to
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
}

/// It has to fit into an entry, beside the rest.
fn reason(text: &str) -> Result<String, String> {
    let fits = text.len() <= 1000 && !text.contains(char::is_control);
    if fits { Ok(text.to_owned()) } else { Err("must be one line of at most 1000 bytes".to_owned()) }
}

/// Runs the command.
pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.to_compare(&args.against, settings)?;
    let bus = operator::connect(settings).await?;
    let done = go_on(args, keys, &bus, settings).await;
    bus.drain().await;
    done.map_err(|error| operator::explain(&bus, error))
}

async fn go_on(args: Args, keys: Vec<PublicKey>, bus: &Bus, settings: &Settings) -> anyhow::Result<ExitCode> {
    let mut known: Vec<(String, Checkpoint)> = Vec::new();
    if keys.is_empty() {
        tell("no public key is known: checkpoints outside of the database are not compared (--key)");
    } else {
        let file = settings.get("HOOKSTREAM_AUDIT_CHECKPOINT_PATH").map(PathBuf::from);
        for path in args.against.iter().chain(file.as_ref().filter(|file| file.exists())) {
            known.extend(notes::in_file(path, &keys)?);
        }
        known.extend(notes::on_nats(bus, &keys).await?);
    }
    let checkpoints: Vec<Checkpoint> = known.into_iter().map(|(_, checkpoint)| checkpoint).collect();
    let mut client = database(settings).await?;
    let now = OffsetDateTime::now_utc();
    let resumed =
        resume(&mut client, bus, &checkpoints, args.reason, now).await.context("resume the trail")?;
    let Some(resumption) = resumed else {
        output::line(format_args!(
            "nothing is missing: the trail extends {} checkpoints outside of it, and the stream is the one it follows",
            checkpoints.len()
        ))?;
        return Ok(ExitCode::SUCCESS);
    };
    let entry = resumption.kept + 1;
    output::line(format_args!("the trail goes on: entry {entry} records the gap"))?;
    if let Some(lost) = &resumption.lost {
        let (first, last) = (resumption.kept + 1, lost.size);
        output::line(format_args!("entries {first} to {last}, of which a checkpoint was signed, are lost"))?;
    }
    if let Some(gap) = &resumption.stream {
        output::line(format_args!(
            "{}: entries reach to message {}, the next one will be of message {}",
            gap.found, gap.applied, gap.next
        ))?;
    }
    tell(format_args!(
        "start the audit process again, if it stopped; its next checkpoint goes to {}",
        outside::SUBJECT
    ));
    Ok(ExitCode::SUCCESS)
}
