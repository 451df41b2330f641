//! Changes of phases, as they are announced.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use hookstream_runtime::Settings;
use serde_json::Value;

use crate::output::{self, Format, progress};
use crate::{operator, stop};

/// Where they are kept.
const STREAM: &str = "PHASES";

/// Prints each until a signal comes.
pub(super) async fn run(
    parent_issue: Option<i64>,
    format: Format,
    settings: &Settings,
) -> anyhow::Result<ExitCode> {
    let mut stop = stop::signals().context("listen for signals")?;
    let bus = operator::connect(settings).await?;
    let subject = parent_issue.map_or("phases.>".to_owned(), |issue| format!("phases.{issue}.>"));
    let mut announced = bus.subscribe(&subject).await.context("listen to NATS")?;
    let refused = bus.refused();
    tokio::pin!(refused);
    tokio::select! {
        // Whatever the server thinks of the subscription, it has said before it answers this.
        known = bus.stream_state(STREAM) => drop(known.context("look at the announcements")?),
        violation = &mut refused => bail!(operator::refusal(&violation, operator::ROLE)),
        () = stop.wait() => return Ok(ExitCode::SUCCESS),
    }
    progress(format_args!("listens to {subject}; Ctrl-C ends it"));
    loop {
        let received = tokio::select! {
            received = announced.next() => received.context("the connection to NATS is closed")?,
            violation = &mut refused => bail!(operator::refusal(&violation, operator::ROLE)),
            () = stop.wait() => return Ok(ExitCode::SUCCESS),
        };
        // What is no phase is none of ours.
        let Ok(phase) = serde_json::from_slice::<Value>(&received.payload) else { continue };
        match format {
            Format::Json => output::line(&phase)?,
            Format::Table => output::line(told(&phase))?,
        }
    }
}

fn told(phase: &Value) -> String {
    let text = |name: &str| match &phase[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let [at, status, issue, number, queue_id] =
        ["updated_at", "status", "parent_issue", "phase_number", "queue_id"].map(text);
    let error = phase["error_message"].as_str().and_then(|error| error.lines().next());
    let error = error.map(|error| format!("  {}", super::one_line(error))).unwrap_or_default();
    format!("{at:<27}  {status:<9}  issue {issue}, phase {number}  {queue_id}{error}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_is_told_with_the_first_line_of_its_error_and_nothing_that_moves_a_cursor() {
        let phase = json!({
            "updated_at": "2026-11-23T10:00:00Z", "status": "failed", "parent_issue": 7, "phase_number": 1,
            "queue_id": "7-1", "error_message": "\u{1b}[2Jboom\nmore",
        });
        let told = told(&phase);
        assert_eq!(told, "2026-11-23T10:00:00Z         failed     issue 7, phase 1  7-1  [2Jboom");
    }
}
