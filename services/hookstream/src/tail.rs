//! `hookstream tail`: follows the stream.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use hookstream_bus::{BusError, Message, PullLimits, Selection, Start};
use hookstream_event::{Subject, attribute, header};
use hookstream_runtime::Settings;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::operator;
use crate::output::{self, Closed, Format, progress as tell};
use crate::pace::size;
use crate::replay::filter::Filter;
use crate::replay::ndjson;
use crate::replay::range::Bound;
use crate::settings::Usage;
use crate::stop;

/// The stream of events.
const STREAM: &str = "WEBHOOKS";

/// Follow the stream: print each event as it is stored.
///
/// Reads with a consumer of its own, in order, each event once, and goes on where it was after the connection or the
/// server was away. Ends at Ctrl-C, or after --limit events.
///
/// Logs in as the role `operator` of nats.conf: NATS_URL, or NATS_USER and NATS_PASSWORD.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if it was ended, 1 if it could not go on.

Examples:
  hookstream tail
  hookstream tail --since -1h --event issues --repository octo-org/octo-repo
  hookstream tail --format json --bodies | jq .headers")]
pub(crate) struct Args {
    /// Begin with what was stored since: a sequence, a time, a day or how long ago (-1h); only what is new by default
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true)]
    since: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// End after so many events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// With --format json, add the bodies
    #[arg(long)]
    bodies: bool,
    /// How to print events: a line for people, or a JSON object a line
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let since: Option<Bound> = match &args.since {
        Some(text) => Some(text.parse().map_err(|error| Usage(format!("--since {text}: {error}")))?),
        None => None,
    };
    let start = since.map_or(Ok(Start::New), |since| since.start(OffsetDateTime::now_utc()))?;
    let bodies = args.bodies && args.format == Format::Json;
    let selection = Selection { subjects: args.filter.subjects()?, headers_only: !bodies };
    let bus = operator::connect(settings).await?;
    let mut stop = stop::signals()?;
    let mut reader = bus.reader(STREAM, start, selection);
    let limits = PullLimits { messages: 500, bytes: 8 << 20, wait: Duration::from_secs(1) };
    let (mut left, mut waits) = (args.limit.unwrap_or(u64::MAX), false);
    while left > 0 {
        let read = tokio::select! {
            biased;
            () = stop.wait() => break,
            read = reader.read(&limits) => read,
        };
        let messages = match read {
            Ok(messages) => messages,
            Err(error @ (BusError::StreamMissing(_) | BusError::Refused { .. })) => return Err(error.into()),
            Err(error) if !bus.violations().is_empty() => return Err(operator::explain(&bus, error.into())),
            Err(error) => {
                if !std::mem::replace(&mut waits, true) {
                    tell(format_args!("tail: waiting: {error}"));
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            }
        };
        if std::mem::take(&mut waits) {
            tell("tail: goes on");
        }
        for message in messages.iter().filter(|message| args.filter.takes(message)) {
            print(message, args.format, bodies)?;
            left -= 1;
            if left == 0 {
                break;
            }
        }
    }
    reader.end().await;
    bus.drain().await;
    Ok(ExitCode::SUCCESS)
}

fn print(message: &Message, format: Format, bodies: bool) -> anyhow::Result<()> {
    match format {
        Format::Table => output::line(pretty(message)?),
        Format::Json => {
            let line = ndjson::line(message, bodies)?;
            let mut out = std::io::stdout().lock();
            match out.write_all(&line).and_then(|()| out.flush()) {
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(Closed.into()),
                written => written.context("write to standard output"),
            }
        }
    }
}

/// `<time>  <sequence>  <source> <event>.<action>  <repository> #<issue>  <event id>  <size>`. Header values hold visible
/// ASCII only, so nothing in them can move a terminal's cursor.
fn pretty(message: &Message) -> anyhow::Result<String> {
    let header = |wanted: &str| {
        let found = message.headers.iter().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let attribute = |name: &str| header(&format!("{}{name}", header::ATTRIBUTE_PREFIX));
    let what = match Subject::parse_stored(&message.subject) {
        Some(Subject { source, event, action }) => format!("{source} {event}.{action}"),
        None => message.subject.clone(),
    };
    let issue = attribute(attribute::ISSUE).map(|issue| format!("#{issue}"));
    let about = [attribute(attribute::REPOSITORY), issue.as_deref()];
    let about: Vec<&str> = about.into_iter().flatten().collect();
    let about = if about.is_empty() { "-".to_owned() } else { about.join(" ") };
    Ok(format!(
        "{}  {:>8}  {what:<36}  {about:<32}  {}  {}",
        message.recorded_at.format(&Rfc3339)?,
        message.stream_sequence,
        header(header::ID).unwrap_or("no id"),
        size(crate::replay::body_bytes(message)),
    ))
}
