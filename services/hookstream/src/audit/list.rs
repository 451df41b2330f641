//! `hookstream audit list`: entries of the trail by what they are about.

use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_runtime::Settings;
use hookstream_store::Row;
use hookstream_store::types::ToSql;
use hookstream_trail::kind;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Format};
use crate::replay::range::Bound;
use crate::settings::Usage;

/// List entries of the audit trail, the newest first.
///
/// Needs nothing but the database: DATABASE_URL, or PGHOST and its like. Says nothing of whether the trail is as it was
/// written.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, also if nothing was found; 1 if the trail cannot be read, 2 for wrong usage or settings.

Examples:
  hookstream audit list --kind conflict --kind suspected_replay --since -7d
  hookstream audit list --event github:72d3162e-cc78-11e3-81ab-4c9367dc0958 --format json
  hookstream audit list --kind rejected --since -24h --totals")]
pub(crate) struct Args {
    /// Only entries of this kind; may be given several times
    #[arg(long, value_name = "KIND", value_parser = kind::ALL)]
    kind: Vec<String>,
    /// Only entries about this event
    #[arg(long, value_name = "EVENT ID")]
    event: Option<String>,
    /// Only entries about this source
    #[arg(long, value_name = "SOURCE")]
    source: Option<String>,
    /// Only entries recorded since: a time (2026-11-24T10:00:00Z), a day (2026-11-24) or how long ago (-24h)
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Most entries to list
    #[arg(long, value_name = "ENTRIES", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Instead of the entries, how many there are of each kind, and how many events, requests or acts they stand for
    #[arg(long)]
    totals: bool,
    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let since = args.since.as_deref().map(since).transpose()?;
    let kinds = (!args.kind.is_empty()).then_some(&args.kind);
    let database = super::database(settings).await?;
    let limit = i64::from(args.limit);
    let filters: [&(dyn ToSql + Sync); 4] = [&kinds, &args.event, &args.source, &since];
    if args.totals {
        let rows =
            database.query(include_str!("list/totals.sql"), &filters).await.context("read the trail")?;
        totals(&rows, args.format)?;
    } else {
        let with_limit = [&filters[..], &[&limit]].concat();
        let rows =
            database.query(include_str!("list/entries.sql"), &with_limit).await.context("read the trail")?;
        entries(&rows, args.format)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn since(text: &str) -> Result<OffsetDateTime, Usage> {
    let wrong = || Usage(format!("--since {text}: give a time, a day or how long ago (-24h)"));
    match text.parse().map_err(|_: String| wrong())? {
        Bound::Time(time) => Ok(time),
        Bound::Ago(ago) => {
            OffsetDateTime::now_utc().checked_sub(ago.try_into().map_err(|_| wrong())?).ok_or_else(wrong)
        }
        Bound::Sequence(_) => Err(wrong()),
    }
}

fn totals(rows: &[Row], format: Format) -> anyhow::Result<()> {
    let read = |row: &Row| -> anyhow::Result<(String, i64, i64)> {
        Ok((row.try_get("kind")?, row.try_get("entries")?, row.try_get("counted")?))
    };
    let totals: Vec<_> = rows.iter().map(read).collect::<anyhow::Result<_>>()?;
    match format {
        Format::Json => {
            let row = |(kind, entries, counted): &(String, i64, i64)| json!({ "kind": kind, "entries": entries, "count": counted });
            output::json(&json!({ "totals": totals.iter().map(row).collect::<Vec<_>>() }))
        }
        Format::Table => {
            let row = |(kind, entries, counted): &(String, i64, i64)| {
                [kind.clone(), entries.to_string(), counted.to_string()]
            };
            output::table(["KIND", "ENTRIES", "COUNT"], &totals.iter().map(row).collect::<Vec<_>>())
        }
    }
}

fn entries(rows: &[Row], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let entries: Vec<Value> = rows.iter().map(as_json).collect::<anyhow::Result<_>>()?;
            output::json(&json!({ "entries": entries }))
        }
        Format::Table => {
            let entries: Vec<_> = rows.iter().map(as_row).collect::<anyhow::Result<_>>()?;
            output::table(["ENTRY", "RECORDED", "KIND", "SOURCE", "ABOUT", "COUNT", "BY", "AT"], &entries)
        }
    }
}

fn as_json(row: &Row) -> anyhow::Result<Value> {
    let text = |name: &str| row.try_get::<_, Option<String>>(name);
    let details: String = row.try_get("details")?;
    Ok(json!({
        "audit_sequence": row.try_get::<_, i64>("audit_sequence")?,
        "kind": text("kind")?,
        "stream": text("stream")?,
        "stream_sequence": row.try_get::<_, Option<i64>>("stream_sequence")?,
        "event_id": text("event_id")?,
        "source": text("source")?,
        "event_type": text("event_type")?,
        "body_sha256": text("body_sha256")?,
        "key_id": text("key_id")?,
        "actor": text("actor")?,
        "count": row.try_get::<_, i64>("count")?,
        "details": serde_json::from_str(&details).unwrap_or(Value::String(details)),
        "received_at": time(row, "received_at")?,
        "recorded_at": time(row, "recorded_at")?,
        "entry_hash": text("entry_hash")?,
    }))
}

fn as_row(row: &Row) -> anyhow::Result<[String; 8]> {
    let text = |name: &str| -> anyhow::Result<Option<String>> { Ok(row.try_get(name)?) };
    let details: Value = serde_json::from_str(&row.try_get::<_, String>("details")?).unwrap_or_default();
    // Of refusals the reason and the client, of acts their name, of events their id.
    let told = |name: &str| details[name].as_str().map(str::to_owned);
    let refusal =
        told("reason").zip(told("address")).map(|(reason, address)| format!("{reason} from {address}"));
    let about = text("event_id")?.or(refusal).or(text("event_type")?);
    let place = text("stream")?.zip(row.try_get::<_, Option<i64>>("stream_sequence")?);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    Ok([
        row.try_get::<_, i64>("audit_sequence")?.to_string(),
        time(row, "recorded_at")?,
        or_dash(text("kind")?),
        or_dash(text("source")?),
        or_dash(about),
        row.try_get::<_, i64>("count")?.to_string(),
        or_dash(text("actor")?),
        or_dash(place.map(|(stream, sequence)| format!("{stream} {sequence}"))),
    ])
}

fn time(row: &Row, name: &str) -> anyhow::Result<String> {
    let time: OffsetDateTime = row.try_get(name)?;
    Ok(time.format(&Rfc3339).unwrap_or_else(|_| time.to_string()))
}
