//! `hookstream provision`: makes the server's streams and consumers what `schemas/streams/` says.

use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_bus::topology::{Change, Difference, Topology};
use hookstream_bus::{Bus, BusError};
use hookstream_runtime::Settings;
use serde_json::{Value, json};

use crate::output::{self, Format, progress};
use crate::{operations, operator};

/// Show how the server's streams and consumers differ from what hookstream needs, and apply it.
///
/// Without --apply nothing is changed: the differences are printed, one row each. With --apply, what is missing is
/// created and what can be changed in place is changed; run it as often as you like. Only the fields that hookstream
/// states are looked at, so replicas and placement stay as you set them.
///
/// Logs in as the role `operator` of nats.conf: NATS_URL, or NATS_USER and NATS_PASSWORD.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if the command could do what was asked (also when it only showed differences), 1 if the server cannot be
reached or refuses, or if differences remain after --apply because the server cannot change them in place.

Examples:
  hookstream provision
  hookstream provision --apply
  NATS_URL=nats://operator:secret@nats.example.org:4222 hookstream provision --format json")]
pub(crate) struct Args {
    /// Create and change what differs
    #[arg(long)]
    apply: bool,
    /// How to print the differences
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let bus = operator::connect(settings).await?;
    let topology = Topology::embedded();
    let differences = topology.plan(&bus).await.context("compare with the server");
    let differences = differences.map_err(|error| operator::explain(&bus, error))?;
    let remaining = if args.apply && !differences.is_empty() {
        apply(&bus, &topology, &differences).await.context("apply")?
    } else {
        differences.clone()
    };
    bus.drain().await;
    print(&args, &differences, &remaining)?;
    let failed = args.apply && !remaining.is_empty();
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Creates and changes what `differences` name, and tells the trail what was changed: that is not undone when the server
/// refuses a later one.
pub(crate) async fn apply(
    bus: &Bus,
    topology: &Topology,
    differences: &[Difference],
) -> Result<Vec<Difference>, BusError> {
    let outcome = topology.apply(bus, differences).await;
    let remaining = match &outcome {
        Ok(remaining) => Ok(remaining.clone()),
        Err(_) => topology.plan(bus).await,
    };
    if let Ok(remaining) = remaining {
        tell(bus, differences, &remaining).await;
    }
    outcome
}

async fn tell(bus: &Bus, differences: &[Difference], remaining: &[Difference]) {
    let applied = differences.iter().filter(|difference| !remaining.contains(difference));
    let applied: Vec<String> = applied.map(ToString::to_string).collect();
    if !applied.is_empty() {
        operations::tell(bus, operations::act("provision").with("applied", applied)).await;
    }
}

fn print(args: &Args, differences: &[Difference], remaining: &[Difference]) -> anyhow::Result<()> {
    let outcome = |difference: &Difference| match (args.apply, remaining.contains(difference)) {
        (false, _) => "differs",
        (true, false) => "applied",
        (true, true) => "cannot be changed in place",
    };
    match args.format {
        Format::Json => {
            let rows: Vec<Value> = differences.iter().map(|found| as_json(found, outcome(found))).collect();
            output::json(&json!({ "differences": rows, "remaining": remaining.len() }))?;
        }
        Format::Table if differences.is_empty() => {}
        Format::Table => {
            let rows: Vec<_> = differences.iter().map(|found| as_row(found, outcome(found))).collect();
            output::table(["WHAT", "FIELD", "IS", "SHOULD BE", "OUTCOME"], &rows)?;
        }
    }
    let fixed = |found: &&Difference| matches!(found.change, Change::Field { editable: false, .. });
    match (differences.len(), args.apply, remaining.len()) {
        (0, ..) => progress("streams and consumers are as they should be"),
        (_, false, count) => match differences.iter().filter(fixed).count() {
            0 => progress(format_args!("{}; --apply mends that", counted(count))),
            fixed => progress(format_args!(
                "{}; --apply mends all but {fixed} of that, which the server cannot change in place",
                counted(count)
            )),
        },
        (count, true, 0) => progress(format_args!("{} mended", counted(count))),
        (_, true, left) => progress(format_args!(
            "{} left that the server cannot change in place: a consumer may be deleted and provisioned again; a stream \
             holds the events, so move those first",
            counted(left)
        )),
    }
    Ok(())
}

fn counted(differences: usize) -> String {
    format!("{differences} difference{}", if differences == 1 { "" } else { "s" })
}

fn as_row(difference: &Difference, outcome: &str) -> [String; 5] {
    let asset = difference.asset.clone();
    let (field, live, wanted) = match &difference.change {
        Change::Missing => (String::new(), "missing".to_owned(), "there".to_owned()),
        Change::Field { field, live, wanted, .. } => (field.clone(), shown(live), shown(wanted)),
    };
    [asset, field, live, wanted, outcome.to_owned()]
}

fn as_json(difference: &Difference, outcome: &str) -> Value {
    match &difference.change {
        Change::Missing => json!({ "asset": difference.asset, "change": "missing", "outcome": outcome }),
        Change::Field { field, live, wanted, editable } => json!({
            "asset": difference.asset, "change": "field", "field": field, "is": live, "should_be": wanted,
            "editable": editable, "outcome": outcome,
        }),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not set".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
