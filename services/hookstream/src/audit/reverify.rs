//! `hookstream audit reverify`: checks the signature of every stored event again.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hookstream_audit::last_recorded;
use hookstream_bus::{Bus, Message, PullLimits, Reader, Selection, Start, StreamState};
use hookstream_gateway::{Archive, Verdict};
use hookstream_runtime::Settings;
use time::OffsetDateTime;

use super::database;
use crate::operator;
use crate::output::{Format, progress as tell};
use crate::pace::Meter;
use crate::replay::range::{self, Bound, Range};
use crate::settings::Usage;
use crate::stop::{self, Stop};

mod report;

use report::{Problem, Report};

/// The stream of events.
const STREAM: &str = "WEBHOOKS";
/// How long an outage of NATS is waited out.
const OUTAGE_MAX: Duration = Duration::from_mins(1);
/// How long the stream may have more and hand out nothing, before what comes next is asked for by its sequence.
const STALL_MAX: Duration = Duration::from_secs(5);
/// What is said of a message that is not there.
const GONE: &str = "the stream does not hold it any more";

/// Check the signature of every stored event again.
///
/// Walks the stream and verifies each event from its exact bytes, its stored signature and the key of its stored id. Keys
/// come from the settings: those in force, those whose not_after has come, and those under `retired`, which verify
/// nothing else. Lists each event that does not verify and each sequence that the stream should hold and does not; where it
/// should end, the trail says, for a file that is damaged may lose its end without a trace.
/// Commands that the backend appended, and leases that the phase queue saw expire, were never signed, and those of schemes
/// that sign nothing (GitLab) have nothing but the digest of their body: both are counted by themselves.
///
/// Logs in as the role `operator` of nats.conf: NATS_URL, or NATS_USER and NATS_PASSWORD; and to Postgres.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A range's end is a stream sequence (1200), a time (2026-11-24T10:00:00Z), a day (2026-11-24) or how long ago (-24h, -30m,
-7d). --from is included. --to is included where it is a sequence, else it is the time at which the range ends.

Exit code: 0 if all of it verifies, 1 if not or if it could not be read, 2 for wrong usage or settings.

Examples:
  hookstream audit reverify
  hookstream audit reverify --from -24h --subject 'webhooks.github.>'
  hookstream audit reverify --config hookstream.toml --format json")]
pub(crate) struct Args {
    /// Where to begin; the beginning of the stream by default
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true)]
    from: Option<String>,
    /// Where to end; what is stored now by default
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true)]
    to: Option<String>,
    /// Only events stored under this subject, such as 'webhooks.github.>'; what is missing is listed all the same
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,
    /// Leave Postgres alone: messages that the stream lost at its end are not noticed
    #[arg(long)]
    without_trail: bool,
    /// How to print the report
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let bound = |flag: &str, text: &Option<String>| -> Result<Option<Bound>, Usage> {
        let Some(text) = text else { return Ok(None) };
        text.parse().map(Some).map_err(|error: String| Usage(format!("{flag} {text}: {error}")))
    };
    let (from, to) = (bound("--from", &args.from)?, bound("--to", &args.to)?);
    let archive = Archive::read(settings)?;
    // Before the stream is looked at, which grows.
    let recorded = if args.without_trail { None } else { recorded(settings).await? };
    operator::lowest_priority();
    let bus = operator::connect(settings).await?;
    let walked = async {
        let stream = bus.stream_state(STREAM).await.context("look at the stream")?;
        let resolved = range::resolve(&bus, &stream, from, to, OffsetDateTime::now_utc()).await?;
        let mut walk = Walk {
            bus: &bus,
            archive: &archive,
            subject: args.subject.as_deref(),
            report: Report::of(resolved.range),
        };
        if let Some(gap) = resolved.gap {
            tell(format_args!("reverify: {gap} have left the stream by their age, or were never in it"));
        }
        let keys = archive.keys();
        tell(format_args!("reverify: {STREAM} {} with {keys} keys", resolved.range));
        walk.all().await?;
        if let Some(lost) = lost_at_the_end(&stream, to, recorded) {
            walk.report.missing(lost, "the stream ends before it, and the trail has recorded it");
        }
        anyhow::Ok(walk.report)
    };
    let report = walked.await.map_err(|error| operator::explain(&bus, error));
    bus.drain().await;
    let report = report?;
    report.print(args.format)?;
    Ok(if report.problems() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The last message that the trail has recorded.
async fn recorded(settings: &Settings) -> anyhow::Result<Option<u64>> {
    let asked = async {
        let client = database(settings).await?;
        Ok(last_recorded(&*client).await?)
    };
    asked.await.map_err(|error: anyhow::Error| {
        error.context("ask the trail where the stream has to end (--without-trail does without)")
    })
}

/// What was recorded and lies behind the end of the stream, as far as it was asked for: up to a time is not.
fn lost_at_the_end(stream: &StreamState, to: Option<Bound>, recorded: Option<u64>) -> Option<Range> {
    let to = match to {
        None => recorded?,
        Some(Bound::Sequence(to)) => recorded?.min(to),
        Some(_) => return None,
    };
    let lost = Range { from: stream.last_sequence + 1, to };
    (!lost.is_empty()).then_some(lost)
}

/// A walk through the stream.
struct Walk<'w> {
    bus: &'w Bus,
    archive: &'w Archive,
    subject: Option<&'w str>,
    report: Report,
}

impl Walk<'_> {
    async fn all(&mut self) -> anyhow::Result<()> {
        let Range { from, to } = self.report.range;
        let (mut meter, mut stop) = (Meter::new("reverify", self.report.range.len(), 0), stop::signals()?);
        let mut reader = self.reader();
        let mut moved = Instant::now();
        while self.report.next <= to {
            let messages = self.some(&mut reader, &mut stop).await?;
            if !messages.is_empty() {
                moved = Instant::now();
            }
            for message in messages.iter().take_while(|message| message.stream_sequence <= to) {
                self.pass_to(message.stream_sequence).await?;
                self.take(message);
                self.report.next = message.stream_sequence + 1;
            }
            let beyond = messages.last().is_some_and(|message| message.stream_sequence > to);
            if beyond || reader.is_at_end() {
                self.pass_to(to + 1).await?;
            } else if moved.elapsed() > STALL_MAX {
                // The server cannot read on by itself.
                self.pass_unreadable().await?;
                (reader, moved) = (self.reader(), Instant::now());
            }
            meter.at(self.report.next.saturating_sub(from));
        }
        meter.end();
        reader.end().await;
        Ok(())
    }

    fn reader(&self) -> Reader {
        self.bus.reader(STREAM, Start::Sequence(self.report.next), Selection::default())
    }

    async fn some(&self, reader: &mut Reader, stop: &mut Stop) -> anyhow::Result<Vec<Message>> {
        let limits = PullLimits { messages: 500, bytes: 8 << 20, wait: Duration::from_secs(1) };
        tokio::select! {
            biased;
            () = stop.wait() => bail!("stopped at {}: go on with --from {0}", self.report.next),
            messages = operator::wait_out(OUTAGE_MAX, async || reader.read(&limits).await) => messages,
        }
    }

    fn take(&mut self, message: &Message) {
        if self.subject.is_some_and(|pattern| !matches(pattern, &message.subject)) {
            self.report.others += 1;
            return;
        }
        let sequence = message.stream_sequence;
        let event = match message.to_event() {
            Ok(event) => event,
            Err(error) => {
                let detail = error.to_string();
                let (event_id, key_id) = (None, None);
                return self.report.note(Problem { sequence, event_id, key_id, code: error.code(), detail });
            }
        };
        match self.archive.verify_again(&event.envelope, &message.payload) {
            Ok(Verdict::Verified) => self.report.verified += 1,
            Ok(Verdict::DigestOnly) => self.report.digest_only += 1,
            Ok(Verdict::Appended) => self.report.appended += 1,
            Err(doubt) => self.report.note(Problem {
                sequence,
                event_id: Some(event.envelope.id.to_string()),
                key_id: Some(event.envelope.key_id),
                code: doubt.code(),
                detail: doubt.to_string(),
            }),
        }
    }

    /// The next message there is has this sequence: what should come before it is missing, unless it expired meanwhile.
    async fn pass_to(&mut self, found: u64) -> anyhow::Result<()> {
        if found <= self.report.next {
            return Ok(());
        }
        let stream = self.bus.stream_state(STREAM).await.context("look at the stream")?;
        let first = if stream.messages == 0 { stream.last_sequence + 1 } else { stream.first_sequence };
        self.report.missing(Range { from: self.report.next.max(first), to: found - 1 }, GONE);
        self.report.next = found;
        Ok(())
    }

    /// Asks for the next message by its sequence.
    async fn pass_unreadable(&mut self) -> anyhow::Result<()> {
        let sequence = self.report.next;
        let only = Range { from: sequence, to: sequence };
        match self.bus.message_at(STREAM, sequence).await {
            // It is there after all: whoever reads on will get it.
            Ok(Some(_)) => return Ok(()),
            Ok(None) => self.report.missing(only, GONE),
            Err(error) => self.report.missing(only, &format!("the server cannot read it: {error}")),
        }
        self.report.next += 1;
        Ok(())
    }
}

/// Whether a subject matches a pattern with `*` and `>`.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(wanted), Some(found)) if wanted == "*" || wanted == found => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_match_as_the_server_matches_them() {
        for (pattern, found) in [
            ("webhooks.github.>", true),
            ("webhooks.*.issues.*", true),
            ("webhooks.github.issues.opened", true),
            ("webhooks.github", false),
            ("webhooks.github.issues.opened.>", false),
            ("webhooks.internal.>", false),
        ] {
            assert_eq!(matches(pattern, "webhooks.github.issues.opened"), found, "{pattern}");
        }
    }
}
