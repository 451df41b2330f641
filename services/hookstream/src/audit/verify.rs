use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_audit::{Compared, Expectations, Verified, VerifyError, size_of, verify_stream, verify_trail};
use hookstream_bus::Bus;
use hookstream_runtime::Settings;
use hookstream_store::Connection;
use hookstream_trail::note::PublicKey;
use serde_json::json;

use super::{Keys, database, hold_still, notes};
use crate::operator;
use crate::output::{self, Format, progress as tell};
use crate::pace::Meter;

/// Recompute all of the trail, and name what is wrong first.
///
/// The chain of hashes, the tree, every checkpoint with its signature, and that no event between two was left out; then
/// every message that the stream still holds against its entry, with the digest of its body computed anew. Checkpoints
/// that left the database are compared as well: the newest that NATS keeps, those of the file
/// HOOKSTREAM_AUDIT_CHECKPOINT_PATH, and those of --against. They alone show that all of the trail was rewritten, or
/// that an older database was restored.
///
/// Reads the trail as it is at one moment, in constant memory. Logs in to NATS as the role `operator` of nats.conf.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if all of it is right, 1 if anything is wrong (the first wrong entry is named) or cannot be read.

Examples:
  hookstream audit verify
  hookstream audit verify --key 'example.org/trail+c74f20a3+ARpc…' --against checkpoints.jsonl
  hookstream audit verify --without-stream --format json")]
pub(crate) struct Args {
    #[command(flatten)]
    keys: Keys,
    /// Compare with the checkpoints in this file too: a note, or the file that the trail appends to
    #[arg(long, value_name = "FILE")]
    against: Vec<PathBuf>,
    /// Leave NATS alone: neither its messages nor its checkpoints are compared
    #[arg(long)]
    without_stream: bool,
    /// How to print what was verified
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(super) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let keys = args.keys.to_compare(&args.against, settings)?;
    let bus = if args.without_stream { None } else { Some(operator::connect(settings).await?) };
    let done = compare(&args, keys, bus.as_ref(), settings).await;
    let Some(bus) = bus else { return done };
    bus.drain().await;
    done.map_err(|error| operator::explain(&bus, error))
}

async fn compare(
    args: &Args,
    keys: Vec<PublicKey>,
    bus: Option<&Bus>,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let expectations = expectations(args, keys, bus, settings).await?;
    if expectations.keys.is_empty() {
        tell("no public key is known: the signatures of checkpoints are not checked (--key)");
    }
    let client = database(settings).await?;
    hold_still(&client).await?;
    match verify(&client, bus, &expectations).await {
        Ok((verified, compared)) => {
            print(args, &verified, compared)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(VerifyError::Store(error)) => Err(error).context("read the trail"),
        Err(VerifyError::Bus(error)) => Err(error).context("read the stream"),
        Err(wrong) => {
            if args.format == Format::Json {
                output::json(&json!({ "verified": false, "wrong": wrong.to_string() }))?;
            }
            tell(format_args!("WRONG: {wrong}"));
            Ok(ExitCode::FAILURE)
        }
    }
}

async fn expectations(
    args: &Args,
    keys: Vec<PublicKey>,
    bus: Option<&Bus>,
    settings: &Settings,
) -> anyhow::Result<Expectations> {
    let mut expectations =
        Expectations { origin: settings.get("HOOKSTREAM_AUDIT_ORIGIN"), ..Expectations::default() };
    if !keys.is_empty() {
        let file = settings.get("HOOKSTREAM_AUDIT_CHECKPOINT_PATH").map(PathBuf::from);
        if let Some(missing) = file.as_ref().filter(|file| !file.exists()) {
            tell(format_args!("{} is not there: its checkpoints are not compared", missing.display()));
        }
        for path in args.against.iter().chain(file.as_ref().filter(|file| file.exists())) {
            expectations.outside.extend(notes::in_file(path, &keys)?);
        }
        if let Some(bus) = bus {
            expectations.outside.extend(notes::on_nats(bus, &keys).await?);
        }
    }
    expectations.keys = keys;
    Ok(expectations)
}

async fn verify(
    client: &Connection,
    bus: Option<&Bus>,
    expectations: &Expectations,
) -> Result<(Verified, Option<Compared>), VerifyError> {
    let mut meter = Meter::new("audit verify", size_of(&**client).await?, 0);
    let verified = verify_trail(&**client, expectations, |done| meter.at(done)).await;
    meter.end();
    let verified = verified?;
    let Some(bus) = bus else { return Ok((verified, None)) };
    let last = bus.stream_state("WEBHOOKS").await?;
    let mut meter =
        Meter::new("audit verify, stream", last.last_sequence, last.first_sequence.saturating_sub(1));
    let compared = verify_stream(&**client, bus, |done| meter.at(done)).await;
    meter.end();
    Ok((verified, Some(compared?)))
}

fn print(args: &Args, verified: &Verified, compared: Option<Compared>) -> anyhow::Result<()> {
    let Verified { head, root, checkpoints, outside, resumptions } = verified;
    if args.format == Format::Json {
        let stream = compared.map(
            |compared| json!({ "first": compared.first, "last": compared.last, "events": compared.events }),
        );
        return output::json(&json!({
            "verified": true, "entries": head.audit_sequence, "head": head.entry_hash, "root": root,
            "checkpoints": checkpoints, "checkpoints_outside": outside, "stream": stream, "resumptions": resumptions,
        }));
    }
    let text = |text: &str| text.to_owned();
    let mut rows = vec![
        [text("entries"), head.audit_sequence.to_string()],
        [text("head"), head.entry_hash.to_string()],
        [text("root"), root.to_string()],
        [text("checkpoints"), format!("{checkpoints} in the database, {outside} outside of it")],
    ];
    let stream = match compared {
        None => text("not compared"),
        Some(Compared { events: 0, .. }) => text("holds nothing that was recorded"),
        Some(Compared { first, last, events }) => format!("{events} events, messages {first} to {last}"),
    };
    rows.push([text("stream"), stream]);
    for resumption in resumptions {
        let details = serde_json::to_string(resumption)?;
        rows.push([text("gap on record"), details]);
    }
    output::table(["VERIFIED", ""], &rows)
}
