use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_proofs::{entries_of_event, inclusion, newest_checkpoint};
use hookstream_runtime::Settings;
use hookstream_trail::{Checkpoint, Proof};

use super::{Keys, database, hold_still};
use crate::output::{self, progress as tell};

/// Write a proof that an event is in the trail.
///
/// A proof is a line of JSON: the entry, the hashes from it to the root of the tree, and the newest signed checkpoint. It
/// is checked with nothing else but the public key, by `hookstream audit check` or by a verifier of one's own. An event
/// that was delivered more than once has several entries, and a line for each.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if the proof was written, 1 if the event has no entry, or no checkpoint covers it yet.

Examples:
  hookstream audit prove --event github:72d3162e-cc78-11e3-81ab-4c9367dc0958
  hookstream audit prove --event internal:msg_1 --out proof.json")]
pub(crate) struct Args {
    /// Event id
    #[arg(long, value_name = "ID")]
    event: String,
    /// File to write; standard output by default
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    keys: Keys,
}

/// Runs the command.
pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.required(settings)?;
    let client = database(settings).await?;
    hold_still(&client).await?;
    let entries = entries_of_event(&*client, &args.event).await.context("read the trail")?;
    if entries.is_empty() {
        bail!("the trail has no entry for event {}", args.event);
    }
    let Some(note) = newest_checkpoint(&*client).await? else {
        bail!("there is no checkpoint yet: the audit process makes them if it has HOOKSTREAM_AUDIT_KEY");
    };
    let checkpoint = Checkpoint::open(&note, &keys).context("the newest checkpoint")?;
    let covered = |sequence: i64| u64::try_from(sequence).is_ok_and(|sequence| sequence <= checkpoint.size);
    let (covered, later): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| covered(entry.audit_sequence));
    let (Some(_), found) = (covered.first(), covered.len()) else {
        bail!("no checkpoint covers event {} yet: the newest is of {} entries", args.event, checkpoint.size);
    };
    let mut lines = String::new();
    for entry in covered {
        let hashes =
            inclusion(&*client, &[entry.audit_sequence], checkpoint.size).await.context("prove it")?;
        let proof = Proof { entry, inclusion: hashes.concat(), checkpoint: note.clone() };
        // Nothing is handed out that would not be believed.
        proof.check(&keys, None).context("the proof is not one; see `hookstream audit verify`")?;
        lines.push_str(&serde_json::to_string(&proof)?);
        lines.push('\n');
    }
    match &args.out {
        Some(path) => write(path, &lines)?,
        None => output::line(lines.trim_end())?,
    }
    tell(format_args!("{found} proved, {} not covered by a checkpoint yet", later.len()));
    Ok(ExitCode::SUCCESS)
}

/// In one step: the file is there whole, or as it was.
pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().with_context(|| format!("write {}", path.display()))
}
