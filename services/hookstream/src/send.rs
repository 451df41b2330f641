//! `hookstream send`: signs a webhook as its source would, posts it, prints the receipt.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use hookstream_event::samples::{self, Sample};
use hookstream_runtime::Settings;
use hookstream_signature::Key;
use secrecy::ExposeSecret as _;
use serde_json::json;

use crate::http::{self, Answer};
use crate::output::{self, Format, progress};
use crate::settings::Usage;

pub(crate) mod signed;

use signed::Signed;

/// How long an answer may take. The gateway settles within a few seconds; a large body needs its time.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// Sign a webhook as its source would, post it to the gateway and print the receipt.
///
/// The body comes from FILE, from standard input (FILE is -) or is a built-in sample. It is signed with
/// GITHUB_WEBHOOK_SECRET or INTERNAL_WEBHOOK_SECRET and posted to GATEWAY_URL, under a fresh delivery id unless --id
/// names one. Sending the same --id again shows what a duplicate looks like.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if the event was stored, now (202) or before (200); 1 otherwise, with the gateway's answer.

Examples:
  hookstream send --list-samples
  hookstream send --sample issues.opened
  hookstream send --sample issues.opened --form
  hookstream send --source github --event push payload.json
  echo '{\"type\":\"queue.paused\"}' | hookstream send --source internal -
  hookstream send --source internal --signature hub --path /workflow-complete done.json")]
pub(crate) struct Args {
    /// File with the body, sent as it is; - is standard input
    #[arg(required_unless_present_any = ["sample", "list_samples"], conflicts_with = "sample", requires = "source")]
    file: Option<PathBuf>,
    /// Send this built-in sample
    #[arg(long, value_name = "NAME")]
    sample: Option<String>,
    /// List the built-in samples and send nothing
    #[arg(long, conflicts_with_all = ["file", "sample"])]
    list_samples: bool,
    /// Who would send it
    #[arg(long, value_enum, conflicts_with = "sample")]
    source: Option<Source>,
    /// GitHub's name for the event, the header X-GitHub-Event [needed with --source github]
    #[arg(long, value_name = "NAME", conflicts_with = "sample", required_if_eq("source", "github"))]
    event: Option<String>,
    /// Post a GitHub body as a form, payload=…, the other content type that GitHub offers
    #[arg(long)]
    form: bool,
    /// How to sign an internal event
    #[arg(long, value_enum, default_value_t)]
    signature: Scheme,
    /// Delivery id, instead of a fresh one: X-GitHub-Delivery or webhook-id
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Path at the gateway, instead of /webhooks/<source>
    #[arg(long, value_name = "PATH")]
    path: Option<String>,
    /// How to print the receipt
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    /// GitHub: X-Hub-Signature-256 over the body
    Github,
    /// Our own systems: an internal event, {"type":"<event type>", …}
    Internal,
}

/// How an internal event is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Scheme {
    /// Standard Webhooks: webhook-id, webhook-timestamp, webhook-signature
    #[default]
    Standard,
    /// X-Hub-Signature-256 alone, as the replaced system signed; the event id is derived from the body
    Hub,
}

/// What is to be sent.
struct Webhook {
    source: Source,
    event: String,
    body: Vec<u8>,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    if args.list_samples {
        return list_samples(args.format);
    }
    let webhook = webhook(args)?;
    let signed = sign(args, webhook, settings)?;
    let gateway = settings.get("GATEWAY_URL").unwrap_or_default();
    let url = format!("{}{}", gateway.trim_end_matches('/'), signed.path);
    let answer = http::post(&url, &signed.headers, &signed.body, ANSWER_WITHIN)
        .context("no answer from the gateway (start it, as `hookstream up` does, or correct GATEWAY_URL)")?;
    print_receipt(args.format, &answer)
}

fn list_samples(format: Format) -> anyhow::Result<ExitCode> {
    match format {
        Format::Json => {
            let names =
                samples::ALL.iter().map(|s| json!({"name": s.name, "source": s.source, "event": s.event}));
            output::json(&names.collect())?;
        }
        Format::Table => {
            let row = |sample: &Sample| {
                let bytes = sample.body.len().to_string();
                [sample.name.to_owned(), sample.source.to_owned(), sample.event.to_owned(), bytes]
            };
            let rows: Vec<_> = samples::ALL.iter().map(row).collect();
            output::table(["NAME", "SOURCE", "EVENT", "BYTES"], &rows)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn webhook(args: &Args) -> anyhow::Result<Webhook> {
    if let Some(name) = &args.sample {
        let Some(sample) = samples::find(name) else {
            let known: Vec<&str> = samples::ALL.iter().map(|sample| sample.name).collect();
            bail!(Usage(format!("there is no sample {name:?}; there are {}", known.join(", "))));
        };
        let source = if sample.source == "github" { Source::Github } else { Source::Internal };
        return Ok(Webhook { source, event: sample.event.to_owned(), body: sample.body.into() });
    }
    let file = args.file.as_deref().context("clap demands a file or a sample")?;
    let source = args.source.context("clap demands a source with a file")?;
    Ok(Webhook { source, event: args.event.clone().unwrap_or_default(), body: read(file)? })
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    if file == Path::new("-") {
        let mut body = Vec::new();
        std::io::stdin().read_to_end(&mut body).context("read standard input")?;
        return Ok(body);
    }
    fs::read(file).with_context(|| format!("read {}", file.display()))
}

fn sign(args: &Args, webhook: Webhook, settings: &Settings) -> anyhow::Result<Signed> {
    let id = args.id.clone().unwrap_or_else(hookstream_runtime::unique_id);
    let signed = match webhook.source {
        Source::Github => {
            let key = key(settings, "GITHUB_WEBHOOK_SECRET")?;
            let form = args.form;
            Signed::github(&key, &webhook.event, &id, webhook.body, form)
        }
        Source::Internal if args.form => {
            bail!(Usage("--form is GitHub's; an internal event is JSON".to_owned()))
        }
        Source::Internal => {
            let key = key(settings, "INTERNAL_WEBHOOK_SECRET")?;
            match args.signature {
                Scheme::Standard => Signed::internal(&key, &id, signed::unix_now()?, webhook.body),
                Scheme::Hub if args.id.is_some() => {
                    bail!(Usage(
                        "--signature hub has no place for an --id; the gateway derives one".to_owned()
                    ))
                }
                Scheme::Hub => Signed::internal_hub(&key, webhook.body),
            }
        }
    };
    match &args.path {
        Some(path) if !path.starts_with('/') => bail!(Usage("--path begins with /".to_owned())),
        Some(path) => Ok(Signed { path: path.clone(), ..signed }),
        None => Ok(signed),
    }
}

fn key(settings: &Settings, name: &str) -> anyhow::Result<Key> {
    let secret = settings.required_secret(name)?;
    Ok(Key::new("send", secret.expose_secret().as_bytes())?)
}

fn print_receipt(format: Format, answer: &Answer) -> anyhow::Result<ExitCode> {
    let body = answer.json();
    let stored = matches!(answer.status, 200 | 202) && body["sequence"].is_u64();
    match format {
        Format::Json => output::json(&json!({ "http_status": answer.status, "answer": body }))?,
        Format::Table if stored => {
            let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
            let row = [text("status"), text("event_id"), text("stream"), body["sequence"].to_string()];
            output::table(["STATUS", "EVENT ID", "STREAM", "SEQUENCE"], &[row])?;
        }
        Format::Table => {}
    }
    if stored {
        return Ok(ExitCode::SUCCESS);
    }
    progress(format_args!("not stored: {} {}", answer.status, answer.body.trim_end()));
    Ok(ExitCode::FAILURE)
}
