use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_runtime::Settings;
use hookstream_trail::note::PublicKey;
use hookstream_trail::tree::verify_consistency;
use hookstream_trail::{Checkpoint, Resumption, kind};

use super::{Keys, prove};
use crate::output;

mod source;

use source::Source;

/// Remember the newest checkpoint, and refuse a history that is not its extension.
///
/// The state file holds the last checkpoint that was seen, as its signed note. Each run fetches the newest one, and a
/// proof that the history it was made of begins with all of the remembered one; only then is it remembered instead. Run
/// it from time to time, where the owner of the database cannot reach: then nothing that was there at one run can be
/// changed without the next one noticing.
///
/// It reads the trail's database, or with --url asks a backend, for which a witness needs nothing but the public key:
/// what the backend says is believed as far as the key has signed it.
///
/// If an older database was restored, the history is not an extension of the one that was remembered, and is refused,
/// even though the trail has an entry of kind resumed for it. Once you know why, --accept-resumption remembers the new
/// one; that the entry is in it is proved first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if the history extends what was remembered, or nothing was; 1 if it does not.

Examples:
  hookstream audit witness --state /var/lib/witness/trail.note --key 'example.org/trail+c74f20a3+ARpc…'
  hookstream audit witness --state trail.note --key 'example.org/trail+c74f20a3+ARpc…' --url https://hooks.example.org")]
pub(crate) struct Args {
    /// File that remembers the last checkpoint
    #[arg(long, value_name = "FILE")]
    state: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Ask the backend at this URL, rather than read the database
    #[arg(long, value_name = "BACKEND_URL")]
    url: Option<String>,
    /// Remember the new history although it lost what was remembered, if it says so itself
    #[arg(long)]
    accept_resumption: bool,
}

/// Runs the command.
pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.required(settings)?;
    let remembered = remembered(&args.state, &keys)?;
    let source = Source::open(args.url.as_deref(), settings).await?;
    let Some(note) = source.newest().await? else {
        match remembered {
            None => bail!("there is no checkpoint yet"),
            Some(old) => bail!("REFUSED: there is no checkpoint, but one of {} entries was seen", old.size),
        }
    };
    let new = Checkpoint::open(&note, &keys).context("REFUSED: the newest checkpoint")?;
    let Some(old) = remembered else {
        prove::write(&args.state, &note)?;
        output::line(format_args!("remembers {} entries of {} from now on", new.size, new.origin))?;
        return Ok(ExitCode::SUCCESS);
    };
    if old.origin != new.origin {
        bail!("REFUSED: the newest checkpoint is of the log {}, not of {}", new.origin, old.origin);
    }
    if let Err(refused) = extends(&source, &old, &new).await {
        let accepted = if args.accept_resumption { resumed(&source, &keys, &old, &new).await? } else { None };
        let Some(Accepted { resumption, note, new }) = accepted else {
            return Err(refused.context("REFUSED: the trail is not an extension of what was seen"));
        };
        prove::write(&args.state, &note)?;
        output::line(format_args!(
            "entries {} to {} as they were seen are lost, as the trail itself says; remembers {} entries of {} now",
            resumption.kept + 1,
            old.size,
            new.size,
            new.origin
        ))?;
        return Ok(ExitCode::SUCCESS);
    }
    prove::write(&args.state, &note)?;
    output::line(format_args!("{} entries extend the {} that were seen", new.size, old.size))?;
    Ok(ExitCode::SUCCESS)
}

fn remembered(path: &Path, keys: &[PublicKey]) -> anyhow::Result<Option<Checkpoint>> {
    let note = match fs::read_to_string(path) {
        Ok(note) => note,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
    };
    let checkpoint = Checkpoint::open(&note, keys);
    checkpoint.map(Some).with_context(|| format!("the checkpoint in {}", path.display()))
}

/// Proves that the new history begins with the old one.
async fn extends(source: &Source, old: &Checkpoint, new: &Checkpoint) -> anyhow::Result<()> {
    if new.size < old.size {
        bail!("the newest checkpoint is of {} entries, but one of {} was seen", new.size, old.size);
    }
    let proof = source.consistency(old.size, new.size).await?;
    verify_consistency(old.size, new.size, old.root, new.root, &proof).with_context(|| {
        format!("the first {} of {} entries are not those that were seen", old.size, new.size)
    })
}

/// A history that says itself what it lost.
struct Accepted {
    resumption: Resumption,
    /// The checkpoint that has it, which may be newer than the one that was refused, and its note.
    note: String,
    new: Checkpoint,
}

/// The resumption that names the lost checkpoint, if it is in the new history for sure.
async fn resumed(
    source: &Source,
    keys: &[PublicKey],
    old: &Checkpoint,
    new: &Checkpoint,
) -> anyhow::Result<Option<Accepted>> {
    for proof in source.resumptions().await? {
        let record = &proof.entry.record;
        let Ok(resumption) = serde_json::from_str::<Resumption>(&record.details) else { continue };
        if record.kind != kind::RESUMED || !resumption.explains(old) {
            continue;
        }
        let proved = proof.check(keys, Some(&new.origin)).context("the entry that records the gap")?;
        if proved.size >= new.size {
            return Ok(Some(Accepted { resumption, note: proof.checkpoint, new: proved }));
        }
    }
    Ok(None)
}
