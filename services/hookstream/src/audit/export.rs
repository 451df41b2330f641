use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_proofs::{entries_after, inclusion, newest_checkpoint};
use hookstream_runtime::Settings;
use hookstream_trail::{Checkpoint, Proof};

use super::{Keys, database, hold_still};
use crate::output::{self, progress as tell};
use crate::pace::Meter;

/// Entries read and proved at a time: neighbours share most of the hashes that their proofs need.
const PAGE_ENTRIES: i64 = 512;

/// Print entries as JSON Lines, each with its proof.
///
/// Each line is a proof against the newest checkpoint, which `hookstream audit check` takes by itself or with all the
/// others. Entries that no checkpoint covers yet are left out, and counted.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if all that a checkpoint covers was printed, 1 if not.

Examples:
  hookstream audit export > trail.jsonl
  hookstream audit export --from 1000 --to 1999 | hookstream audit check - --key \"$(cat trail.vkey)\" --quiet")]
pub(crate) struct Args {
    /// First entry
    #[arg(long, value_name = "ENTRY", default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..))]
    from: i64,
    /// Last entry; the last that a checkpoint covers by default
    #[arg(long, value_name = "ENTRY", value_parser = clap::value_parser!(i64).range(1..))]
    to: Option<i64>,
    #[command(flatten)]
    keys: Keys,
}

/// Runs the command.
pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.required(settings)?;
    let client = database(settings).await?;
    hold_still(&client).await?;
    let Some(note) = newest_checkpoint(&*client).await.context("read the trail")? else {
        bail!("there is no checkpoint yet: the audit process makes them if it has HOOKSTREAM_AUDIT_KEY");
    };
    let checkpoint = Checkpoint::open(&note, &keys).context("the newest checkpoint")?;
    let covered = i64::try_from(checkpoint.size).unwrap_or(i64::MAX);
    let last = args.to.unwrap_or(covered).min(covered);
    let total = u64::try_from((last - args.from).saturating_add(1)).unwrap_or(0);
    let mut meter = Meter::new("audit export", total, 0);
    let (mut after, mut done) = (args.from - 1, 0);
    while after < last {
        let entries = entries_after(&*client, after, PAGE_ENTRIES.min(last - after)).await?;
        let sequences: Vec<i64> = entries.iter().map(|entry| entry.audit_sequence).collect();
        let Some(end) = sequences.last().copied() else { break };
        let hashes = inclusion(&*client, &sequences, checkpoint.size).await.context("prove the entries")?;
        let mut lines = String::new();
        for (entry, inclusion) in entries.into_iter().zip(hashes) {
            let proof = Proof { entry, inclusion, checkpoint: note.clone() };
            lines.push_str(&serde_json::to_string(&proof)?);
            lines.push('\n');
        }
        output::line(lines.trim_end())?;
        (after, done) = (end, done + sequences.len() as u64);
        meter.at(done);
    }
    meter.end();
    tell(format_args!("{done} entries, against the checkpoint of {} entries", checkpoint.size));
    let wanted = args.to.is_some_and(|to| to > last);
    if wanted {
        tell(format_args!("entries behind {last} are covered by no checkpoint yet"));
    }
    Ok(if wanted || done < total { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
