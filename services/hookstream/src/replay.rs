//! `hookstream replay`: reads a range of the stream again, and counts it, publishes it or writes it to files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::ArgGroup;
use hookstream_bus::{Bus, Message, PullLimits, Reader, Selection, Start};
use hookstream_runtime::Settings;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::output::{self, Format, progress as tell};
use crate::pace::{Meter, Pace, size, span};
use crate::settings::Usage;
use crate::stop::{self, Stop};
use crate::{operator, rebuild};

mod cursor;
pub(crate) mod filter;
pub(crate) mod ndjson;
pub(crate) mod range;
mod sink;
mod subject;

use cursor::{Cursor, Progress, Request};
use filter::Filter;
use range::{Bound, Range, Resolved};
pub(crate) use sink::body_bytes;
use sink::{Destination, Sink};

/// The stream of events.
const STREAM: &str = "WEBHOOKS";

/// How long an outage of NATS is waited out before the replay stops, to be gone on with later.
const OUTAGE_MAX: Duration = Duration::from_mins(1);

/// Read a range of the stream again, and send it somewhere.
///
/// Says first how many events that touches and which of them have left the stream, then reads them in order with a
/// consumer of its own, at no more than --rate events a second, so that live projections keep their pace. What was stopped
/// or killed goes on where it was when the same command is given again: a cursor file knows how far it has come.
///
/// On a subject, each event has the headers and the body it was stored with, and its place in the stream in the headers
/// hs-stream, hs-stream-sequence, hs-stream-subject and hs-recorded-at. Files hold a JSON object a line, are split by
/// the day of recording and by source, and have their name only once they are complete.
///
/// Logs in as the role `operator` of nats.conf, which may publish on backfill.>: NATS_URL, or NATS_USER and
/// NATS_PASSWORD.
#[expect(clippy::doc_markdown, reason = "it is the text of --help")]
#[derive(Debug, clap::Args)]
#[command(
    group = ArgGroup::new("destination").required(true),
    after_help = "\
A range's end is a stream sequence (1200), a time (2026-11-24T10:00:00Z), a day (2026-11-24) or how long ago (-24h, -30m,
-7d). --from is included. --to is included where it is a sequence, else it is the time at which the range ends.

Exit code: 0 if the whole range was dealt with, 1 if not (the message says how to go on), 2 for wrong usage.

Examples:
  hookstream replay --from -24h --count
  hookstream replay --from -24h --event issues --to-subject backfill.mine
  hookstream replay --from 2026-11-24 --to 2026-11-25 --source github --to-ndjson export/
  hookstream replay --from 1200 --to 1300 --repository octo-org/octo-repo --to-subject backfill.mine --rate 50"
)]
pub(crate) struct Args {
    /// Where to begin; the beginning of the stream by default
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true)]
    from: Option<String>,
    /// Where to end; what is stored now by default
    #[arg(long, value_name = "BOUND", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Count the events by source and event
    #[arg(long, group = "destination")]
    count: bool,
    /// Publish the events on this subject
    #[arg(long, group = "destination", value_name = "SUBJECT")]
    to_subject: Option<String>,
    /// Write the events to files in this folder
    #[arg(long, group = "destination", value_name = "DIR")]
    to_ndjson: Option<PathBuf>,
    /// Fill a new generation of this projection's tables, as `hookstream rebuild <PROJECTION> --no-swap` does
    #[arg(long, group = "destination", value_name = "PROJECTION",
        conflicts_with_all = ["from", "to", "subject", "source", "event", "repository", "cursor", "rate", "batch"])]
    to_projection: Option<String>,
    /// Most events a second; 0 for as many as there can be
    #[arg(long, default_value_t = 5000, value_name = "EVENTS")]
    rate: u32,
    /// Events taken at a time; behind each batch the cursor is kept
    #[arg(long, default_value_t = 500, value_name = "EVENTS", value_parser = clap::value_parser!(u16).range(1..=5000))]
    batch: u16,
    /// Where to keep how far it has come; <DIR>/.replay-cursor for files, replay-<SUBJECT>.cursor for a subject
    #[arg(long, value_name = "FILE")]
    cursor: Option<PathBuf>,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Args {
    fn destination(&self) -> Result<Destination, Usage> {
        match (&self.to_subject, &self.to_ndjson) {
            (Some(subject), _) => {
                subject::check(subject)?;
                Ok(Destination::Subject(subject.clone()))
            }
            (None, Some(folder)) => Ok(Destination::Ndjson(folder.clone())),
            (None, None) => Ok(Destination::Count),
        }
    }

    fn cursor(&self, destination: &Destination) -> Option<Cursor> {
        let usual = match destination {
            Destination::Count => return None,
            Destination::Subject(subject) => PathBuf::from(format!("replay-{subject}.cursor")),
            Destination::Ndjson(folder) => folder.join(".replay-cursor"),
        };
        Some(Cursor(self.cursor.clone().unwrap_or(usual)))
    }
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    if let Some(projection) = args.to_projection {
        // Its tables are made of all events, in order: there is no range to choose.
        return rebuild::run(rebuild::Args::fill(projection), settings).await;
    }
    let destination = args.destination()?;
    let bound = |flag: &str, text: &Option<String>| -> Result<Option<Bound>, Usage> {
        let parsed = text.as_deref().map(str::parse).transpose();
        parsed.map_err(|error: String| {
            Usage(format!("{flag} {}: {error}", text.as_deref().unwrap_or_default()))
        })
    };
    let (from, to) = (bound("--from", &args.from)?, bound("--to", &args.to)?);
    let subjects = args.filter.subjects()?;
    let headers_only = destination == Destination::Count;
    let selection = Selection { subjects, headers_only };
    operator::lowest_priority();
    let bus = operator::connect(settings).await?;
    let replayed = replay(&args, &bus, destination, selection, (from, to)).await;
    let replayed = replayed.map_err(|error| operator::explain(&bus, error));
    bus.drain().await;
    replayed
}

async fn replay(
    args: &Args,
    bus: &Bus,
    destination: Destination,
    selection: Selection,
    (from, to): (Option<Bound>, Option<Bound>),
) -> anyhow::Result<ExitCode> {
    let stream = bus.stream_state(STREAM).await.context("look at the stream")?;
    let request = Request {
        stream: stream.name.clone(),
        stream_created: stream.created,
        destination: destination.to_string(),
        from: args.from.clone(),
        to: args.to.clone(),
        filter: args.filter.clone(),
    };
    let cursor = args.cursor(&destination);
    let begun = cursor.as_ref().map(|cursor| cursor.load(&request)).transpose()?.flatten();
    let goes_on = begun.is_some();
    let progress = if let Some(progress) = begun {
        progress
    } else {
        let now = OffsetDateTime::now_utc();
        let Resolved { range, gap } = range::resolve(bus, &stream, from, to, now).await?;
        let mut progress = Progress::new(request, range);
        progress.gaps.extend(gap);
        progress
    };
    let mut run = Run { bus, progress, selection, pace: Pace::new(args.rate), batch: args.batch.into() };
    let total = run.say_first(&destination, args.rate, goes_on).await?;
    let mut sink = Sink::open(&destination, cursor.clone(), &run.progress)?;
    let mut meter = Meter::new("replay", total, run.progress.read);
    let ended = run.all(&mut sink, &mut meter).await;
    meter.end();
    match ended {
        Ok(End::Done) => {}
        Ok(End::Stopped) => bail!("stopped at {}: {}", run.progress.next, again(cursor.as_ref())),
        Err(error) => {
            let context =
                format!("at {} of {}: {}", run.progress.next, run.progress.range, again(cursor.as_ref()));
            return Err(error.context(context));
        }
    }
    sink.finish(&mut run.progress)?;
    if let Sink::Subject { subject, .. } = &sink {
        // The last refusal may have been told and not noted yet; it is once the connection is closed.
        bus.drain().await;
        may_publish(bus, subject)?;
    }
    print(args.format, &sink, &run.progress)?;
    Ok(ExitCode::SUCCESS)
}

fn may_publish(bus: &Bus, subject: &str) -> anyhow::Result<()> {
    if let Some(violation) = bus.violations().first() {
        bail!(
            "NATS does not let this user publish on {subject} ({violation}): nats.conf gives the role operator backfill.>"
        );
    }
    Ok(())
}

fn again(cursor: Option<&Cursor>) -> String {
    match cursor {
        Some(Cursor(path)) if path.exists() => {
            format!("the same command goes on from there ({} knows where)", path.display())
        }
        // It ended before anything was safe.
        Some(_) => "nothing is kept, so the same command begins anew".to_owned(),
        None => "give the command again".to_owned(),
    }
}

/// How a run came to its end.
enum End {
    Done,
    Stopped,
}

/// A replay under way.
struct Run<'r> {
    bus: &'r Bus,
    progress: Progress,
    selection: Selection,
    pace: Pace,
    batch: usize,
}

impl Run<'_> {
    /// Says what will be touched, and returns how many events that is, those done before included.
    async fn say_first(&self, destination: &Destination, rate: u32, goes_on: bool) -> anyhow::Result<u64> {
        let Progress { range, next, read, gaps, .. } = &self.progress;
        let stream = self.bus.stream_state(STREAM).await?;
        let selected = async |from: u64| -> anyhow::Result<u64> {
            Ok(self.bus.ahead(STREAM, Start::Sequence(from), &self.selection).await?.messages)
        };
        let left = if next > &range.to {
            0
        } else {
            selected(*next).await?.saturating_sub(selected(range.to + 1).await?)
        };
        let bytes = stream.bytes.checked_div(stream.messages).unwrap_or_default() * left;
        let verb = if goes_on { "goes on with" } else { "reads" };
        tell(format_args!(
            "replay: {verb} {left} events, about {}, of {STREAM} {}, to {destination}",
            size(bytes),
            Range { from: *next, to: range.to }
        ));
        if rate > 0 && left > u64::from(rate) {
            #[expect(clippy::cast_precision_loss, reason = "a time is for people")]
            let seconds = left as f64 / f64::from(rate);
            tell(format_args!("replay: at most {rate} events a second: {}", span(seconds)));
        }
        gaps.iter().for_each(tell_gap);
        Ok(read + left)
    }

    async fn all(&mut self, sink: &mut Sink, meter: &mut Meter) -> anyhow::Result<End> {
        let mut stop = stop::signals()?;
        let start = Start::Sequence(self.progress.next);
        let mut reader = self.bus.reader(STREAM, start, self.selection.clone());
        let ended = self.batches(&mut reader, sink, meter, &mut stop).await;
        reader.end().await;
        ended
    }

    /// One batch after the other. Whoever wants it to stop waits for the batch in hand.
    async fn batches(
        &mut self,
        reader: &mut Reader,
        sink: &mut Sink,
        meter: &mut Meter,
        stop: &mut Stop,
    ) -> anyhow::Result<End> {
        while self.progress.next <= self.progress.range.to {
            let limits = PullLimits {
                messages: self.pace.batch(self.batch),
                bytes: 8 << 20,
                wait: Duration::from_secs(1),
            };
            let messages = tokio::select! {
                biased;
                () = stop.wait() => return self.stopped(sink),
                messages = operator::wait_out(OUTAGE_MAX, async || reader.read(&limits).await) => messages?,
            };
            let read = messages.len();
            self.take(&messages, reader.is_at_end(), sink).await?;
            meter.at(self.progress.read);
            let wait = self.pace.wait_after(read, Instant::now());
            tokio::select! {
                biased;
                () = stop.wait() => return self.stopped(sink),
                () = tokio::time::sleep(wait) => {}
            }
        }
        Ok(End::Done)
    }

    fn stopped(&mut self, sink: &mut Sink) -> anyhow::Result<End> {
        sink.commit(&mut self.progress, true)?;
        Ok(End::Stopped)
    }

    /// Takes one batch.
    async fn take(&mut self, messages: &[Message], at_end: bool, sink: &mut Sink) -> anyhow::Result<()> {
        let last = self.progress.range.to;
        let within = messages.iter().take_while(|message| message.stream_sequence <= last);
        if let Some(first) = messages.first() {
            self.note_gap(first.stream_sequence.min(last + 1)).await?;
        }
        for message in within {
            if self.progress.request.filter.takes(message) {
                sink.take(self.bus, message, &mut self.progress).await?;
                self.progress.events += 1;
                self.progress.bytes += body_bytes(message);
            }
            self.progress.read += 1;
            self.progress.next = message.stream_sequence + 1;
        }
        let beyond = messages.last().is_some_and(|message| message.stream_sequence > last);
        if at_end || beyond || messages.last().is_some_and(|message| message.pending == 0) {
            self.note_gap(last + 1).await?;
            self.progress.next = last + 1;
        }
        self.make_sure_of(sink).await?;
        sink.commit(&mut self.progress, false)
    }

    /// What was published is with the server, and allowed.
    async fn make_sure_of(&self, sink: &Sink) -> anyhow::Result<()> {
        if let Sink::Subject { subject, .. } = sink {
            self.bus.stream_state(STREAM).await.context("ask whether the events were taken")?;
            may_publish(self.bus, subject)?;
        }
        Ok(())
    }

    /// What expired before we came to it is told, not passed over. `found` is the sequence that came next.
    async fn note_gap(&mut self, found: u64) -> anyhow::Result<()> {
        let next = self.progress.next;
        if found <= next {
            return Ok(());
        }
        let stream = operator::wait_out(OUTAGE_MAX, async || self.bus.stream_state(STREAM).await).await?;
        let held = if stream.messages == 0 { stream.last_sequence + 1 } else { stream.first_sequence };
        let gap = Range { from: next, to: held.saturating_sub(1).min(found - 1) };
        if !gap.is_empty() {
            tell_gap(&gap);
            self.progress.gaps.push(gap);
        }
        Ok(())
    }
}

fn tell_gap(gap: &Range) {
    tell(format_args!(
        "replay: a gap: sequences {gap} have left the stream, so their events are not part of this"
    ));
}

fn print(format: Format, sink: &Sink, progress: &Progress) -> anyhow::Result<()> {
    let Progress { range, events, bytes, gaps, files, request, .. } = progress;
    if format == Format::Json {
        let gaps: Vec<Value> = gaps.iter().map(|gap| json!([gap.from, gap.to])).collect();
        let mut document = json!({
            "stream": request.stream, "from": range.from, "to": range.to, "events": events, "body_bytes": bytes,
            "gaps": gaps,
        });
        match sink {
            Sink::Count { kinds } => {
                let kinds = kinds.iter().map(|(kind, (events, bytes))| {
                    let (source, event) = kind.split_once(' ').unwrap_or((kind, ""));
                    json!({ "source": source, "event": event, "events": events, "body_bytes": bytes })
                });
                document["kinds"] = kinds.collect();
            }
            Sink::Ndjson { .. } => {
                let files = files.iter().map(
                    |(name, state)| json!({ "name": name, "events": state.events, "bytes": state.bytes }),
                );
                document["files"] = files.collect();
            }
            Sink::Subject { .. } => {}
        }
        return output::json(&document);
    }
    match sink {
        Sink::Count { kinds } => {
            let rows: Vec<_> = kinds
                .iter()
                .map(|(kind, (events, bytes))| {
                    let (source, event) = kind.split_once(' ').unwrap_or((kind, ""));
                    [source.to_owned(), event.to_owned(), events.to_string(), bytes.to_string()]
                })
                .collect();
            output::table(["SOURCE", "EVENT", "EVENTS", "BODY BYTES"], &rows)?;
        }
        Sink::Ndjson { .. } => {
            let rows: Vec<_> = files
                .iter()
                .map(|(name, state)| [name.clone(), state.events.to_string(), state.bytes.to_string()])
                .collect();
            output::table(["FILE", "EVENTS", "BYTES"], &rows)?;
        }
        Sink::Subject { .. } => {}
    }
    let missing: u64 = gaps.iter().map(|gap| gap.len()).sum();
    let gone = if missing > 0 { format!("; {missing} sequences had left the stream") } else { String::new() };
    tell(format_args!("replay: done: {events} events of {range}, {} of bodies{gone}", size(*bytes)));
    Ok(())
}
