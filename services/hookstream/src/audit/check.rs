use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_runtime::Settings;
use hookstream_trail::Proof;
use hookstream_trail::note::PublicKey;

use super::Keys;
use crate::output::{self, progress as tell};

/// Longest proof that is read.
const PROOF_BYTES_MAX: u64 = 1 << 20;

/// Check proofs, with nothing but the file and the public key.
///
/// Each line of the file is a proof, as `prove` and `export` write them. What each proves is printed. Nothing is asked of
/// any server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if every proof holds, 1 if one does not, or there is none.

Examples:
  hookstream audit check proof.json --key 'example.org/trail+c74f20a3+ARpc…'
  hookstream audit check - --key \"$(cat trail.vkey)\" --quiet < export.jsonl")]
pub(crate) struct Args {
    /// File of proofs; - is standard input
    #[arg(value_name = "PROOF")]
    proof: PathBuf,
    #[command(flatten)]
    keys: Keys,
    /// Only believe checkpoints of the log with this name
    #[arg(long, value_name = "NAME")]
    origin: Option<String>,
    /// Do not print what was proved
    #[arg(long)]
    quiet: bool,
}

/// Runs the command.
pub(super) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.required(settings)?;
    let checked = if args.proof == Path::new("-") {
        check(io::stdin().lock(), args, &keys)
    } else {
        let file = File::open(&args.proof).with_context(|| format!("open {}", args.proof.display()))?;
        check(BufReader::new(file), args, &keys)
    };
    let checked = checked.with_context(|| format!("{}", args.proof.display()))?;
    tell(format_args!("{checked} proved"));
    Ok(ExitCode::SUCCESS)
}

fn check(mut reader: impl BufRead, args: &Args, keys: &[PublicKey]) -> anyhow::Result<u64> {
    let (mut checked, mut number) = (0, 0_u64);
    loop {
        let mut line = Vec::new();
        if (&mut reader).take(PROOF_BYTES_MAX).read_until(b'\n', &mut line).context("read")? == 0 {
            break;
        }
        number += 1;
        if line.trim_ascii().is_empty() {
            continue;
        }
        let proof: Proof =
            serde_json::from_slice(&line).with_context(|| format!("line {number} is no proof"))?;
        let origin = args.origin.as_deref();
        let checkpoint = proof.check(keys, origin).with_context(|| format!("line {number}: NOT PROVED"))?;
        checked += 1;
        if !args.quiet {
            let entry = &proof.entry;
            let about =
                entry.record.event_id.as_deref().or(entry.record.event_type.as_deref()).unwrap_or("-");
            output::line(format_args!(
                "entry {} ({} {about}) is in the first {} entries of {}",
                entry.audit_sequence, entry.record.kind, checkpoint.size, checkpoint.origin
            ))?;
        }
    }
    if checked == 0 {
        bail!("holds no proof");
    }
    Ok(checked)
}
