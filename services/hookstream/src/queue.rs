//! `hookstream queue`: the phase queue, over the backend's HTTP API.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use hookstream_event::internal::limit;
use hookstream_runtime::Settings;
use serde_json::{Value, json};
use tokio::task::block_in_place;

use crate::output::{self, Format, progress};

mod api;
mod plan;
mod watch;

use api::{Api, Reply};

/// Look at the phase queue and command it, over the backend's HTTP API.
///
/// The backend is at BACKEND_URL; commands need HOOKSTREAM_API_TOKEN. A command is done once its event is stored and the
/// queue has applied it; if that takes more than 5 s, it says so and ends all the same.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done (also where a command was stored before, under the same --id); 1 refused or not reached; 2 for wrong
usage or settings.

Examples:
  hookstream queue enqueue plan.toml
  hookstream queue show 41
  hookstream queue list --status failed --format json
  hookstream queue retry 41-build --reason 'the runner was out of disk'
  hookstream queue watch")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

/// A phase, and how to print the receipt.
#[derive(Debug, clap::Args)]
struct OnPhase {
    /// The phase's queue id
    queue_id: String,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How to print the receipt
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The whole queue, and how to print the receipt.
#[derive(Debug, clap::Args)]
struct OnQueue {
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// How to print the receipt
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List phases, first enqueued first
    List {
        /// Only those with this status
        #[arg(long, value_parser = ["queued", "ready", "running", "completed", "blocked", "failed"])]
        status: Option<String>,
        /// Most phases to list
        #[arg(long, default_value_t = 1000, value_name = "COUNT")]
        limit: usize,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show the phases of one issue, and why each waits
    Show {
        /// The issue whose plan it is
        #[arg(value_parser = issue())]
        parent_issue: i64,
        /// How to print them
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Enqueue a plan, or one phase, from a TOML or JSON file
    ///
    /// A plan has parent_issue and a list phases; one phase has parent_issue and the fields of a phase itself. The fields
    /// are those of the internal events plan.enqueued and phase.enqueued.
    #[expect(clippy::doc_markdown, reason = "it is the text of --help")]
    #[command(after_help = "\
Example of a plan:
  parent_issue = 41

  [[phases]]
  queue_id = \"41-plan\"
  phase_number = 1
  phase_data = { workflow_type = \"adw_plan_iso\", adw_id = \"41-a\", title = \"Plan it\" }

  [[phases]]
  queue_id = \"41-build\"
  phase_number = 2
  depends_on_phases = [1]
  phase_data = { workflow_type = \"adw_build_iso\", adw_id = \"41-b\" }")]
    Enqueue {
        /// The file, *.toml or *.json; - is standard input, in either form
        file: PathBuf,
        /// Names the command: sent again under the same id, it is stored once
        #[arg(long, value_name = "ID")]
        id: Option<String>,
        /// How to print the receipt
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Announce no further phase until resumed
    Pause(OnQueue),
    /// Announce phases again
    Resume(OnQueue),
    /// Set how many phases may be announced or running at once
    Configure {
        /// So many
        #[arg(long, value_name = "COUNT")]
        max_concurrent: u32,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// How to print the receipt
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Announce a ready phase now, past the concurrency limit and the pause
    Execute(OnPhase),
    /// Run a failed phase again
    Retry(OnPhase),
    /// Remove a phase that is not running
    Rm {
        /// The phase's queue id
        queue_id: String,
        /// How to print the receipt
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Print each change of a phase as it is announced, until Ctrl-C
    ///
    /// Listens to phases.> in NATS as the role operator (NATS_URL, or NATS_USER and NATS_PASSWORD).
    #[expect(clippy::doc_markdown, reason = "it is the text of --help")]
    Watch {
        /// Only phases of this issue's plan
        #[arg(long, value_name = "NUMBER", value_parser = issue())]
        parent_issue: Option<i64>,
        /// How to print them; json is one phase a line
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// The issues that phases may have.
pub(crate) fn issue() -> clap::builder::RangedI64ValueParser<i64> {
    clap::value_parser!(i64).range(0..=limit::INTEGER)
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Command::Watch { parent_issue, format } = args.command {
        return watch::run(parent_issue, format, settings).await;
    }
    // One request after the other, and nothing else to do meanwhile.
    block_in_place(|| ask(args.command, &Api::new(settings)))
}

fn ask(command: Command, api: &Api) -> anyhow::Result<ExitCode> {
    match command {
        Command::List { status, limit, format } => {
            let status = status.map(|status| format!("status={status}&")).unwrap_or_default();
            let found = api.items(&format!("/queue?{status}"), limit)?;
            print_phases(found, format, false)
        }
        Command::Show { parent_issue, format } => {
            print_phases(api.items(&format!("/queue/{parent_issue}?"), usize::MAX)?, format, true)
        }
        Command::Enqueue { file, id, format } => {
            let fields = plan::read(&file)?;
            let path = if fields.get("phases").is_some() { "/queue/plan" } else { "/queue/enqueue" };
            print_receipt(api, api.command(path, &fields, id.as_deref())?, format)
        }
        Command::Pause(on) => pause(api, true, &on),
        Command::Resume(on) => pause(api, false, &on),
        Command::Configure { max_concurrent, reason, format } => {
            let fields = json!({ "max_concurrent": max_concurrent, "reason": reason });
            print_receipt(api, api.command("/queue/config", &fields, None)?, format)
        }
        Command::Execute(on) => on_phase(api, "execute", &on),
        Command::Retry(on) => on_phase(api, "retry", &on),
        Command::Rm { queue_id, format } => {
            print_receipt(api, api.delete(&format!("/queue/{}", segment(&queue_id)))?, format)
        }
        Command::Watch { .. } => unreachable!("it is run apart"),
    }
}

fn pause(api: &Api, paused: bool, on: &OnQueue) -> anyhow::Result<ExitCode> {
    let fields = json!({ "paused": paused, "reason": on.reason });
    print_receipt(api, api.command("/queue/config/pause", &fields, None)?, on.format)
}

fn on_phase(api: &Api, verb: &str, on: &OnPhase) -> anyhow::Result<ExitCode> {
    let path = format!("/queue/{}/{verb}", segment(&on.queue_id));
    print_receipt(api, api.command(&path, &json!({ "reason": on.reason }), None)?, on.format)
}

/// A text as one segment of a path. Whatever may mean something there is escaped, and so is the first character: a phase
/// may be called `config`.
fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut escaped = String::new();
    for (at, byte) in text.bytes().enumerate() {
        if at > 0 && (byte.is_ascii_alphanumeric() || b"_-".contains(&byte)) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

fn print_phases(reply: Reply<Vec<Value>>, format: Format, why: bool) -> anyhow::Result<ExitCode> {
    let phases = match reply {
        Reply::Good(phases) => phases,
        Reply::Problem(problem) => return Ok(failed(&problem)),
    };
    let text = |phase: &Value, name: &str| match &phase[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    match format {
        Format::Json => output::json(&json!({ "items": phases }))?,
        Format::Table => {
            let row = |phase: &Value| {
                let last = if why && phase["why"].is_string() { "why" } else { "error_message" };
                let last = one_line(&text(phase, last));
                let workflow = text(&phase["phase_data"], "workflow_type");
                let [queue_id, issue, number, status, priority] =
                    ["queue_id", "parent_issue", "phase_number", "status", "priority"]
                        .map(|name| text(phase, name));
                [queue_id, issue, number, status, priority, workflow, last]
            };
            let rows: Vec<_> = phases.iter().map(row).collect();
            let last = if why { "WHY" } else { "ERROR" };
            output::table(["QUEUE ID", "ISSUE", "PHASE", "STATUS", "PRIORITY", "WORKFLOW", last], &rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The beginning of a text of many lines, as one. What a command wrote may hold sequences that a terminal would obey.
fn one_line(text: &str) -> String {
    const CHARS_MAX: usize = 100;
    let text = text.replace(char::is_control, " ");
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn print_receipt(api: &Api, reply: Reply<Value>, format: Format) -> anyhow::Result<ExitCode> {
    let receipt = match reply {
        Reply::Good(receipt) => receipt,
        Reply::Problem(problem) => return Ok(failed(&problem)),
    };
    match format {
        Format::Json => output::json(&receipt)?,
        Format::Table => {
            let text = |name: &str| receipt[name].as_str().unwrap_or_default().to_owned();
            let row = [text("status"), text("event_id"), text("stream"), receipt["sequence"].to_string()];
            output::table(["STATUS", "EVENT ID", "STREAM", "SEQUENCE"], &[row])?;
        }
    }
    // So that whoever looks next sees what it did.
    let sequence = receipt["sequence"].as_u64().unwrap_or_default();
    match api.outcome(sequence, receipt["event_id"].as_str().unwrap_or_default()) {
        Ok(None) => {}
        Ok(Some(error)) => {
            return Ok(failed(&format!("{error} (it is stored, and a dead letter of phase_queue)")));
        }
        Err(problem) => {
            progress(format_args!("stored, and the queue will follow, but has not yet: {problem}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(problem: &str) -> ExitCode {
    progress(format_args!("refused: {problem}"));
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_in_one_line() {
        assert_eq!(one_line("exit code 3\n  boom\n"), "exit code 3 boom");
        assert_eq!(one_line("\u{1b}[31mboom\u{1b}[0m\u{9b}2J"), "[31mboom [0m 2J");
        assert_eq!(one_line(&"é ".repeat(90)), format!("{}…", "é ".repeat(50)));
        assert_eq!(one_line(&"é".repeat(100)), "é".repeat(100));
    }

    #[test]
    fn a_queue_id_is_one_segment_and_no_word_of_a_path() {
        assert_eq!(segment("41-build"), "%341-build");
        assert_eq!(segment("config"), "%63onfig");
        assert_eq!(segment("a/../b?c#d e.:"), "%61%2F%2E%2E%2Fb%3Fc%23d%20e%2E%3A");
    }
}
