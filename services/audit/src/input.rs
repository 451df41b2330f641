//! A stream that goes into the trail beside the projection's own: its position commits with its entries.
//!
//! **Invariant:** nothing is acked before the entries of its message are committed. What was read and not committed is
//! read again, by rewinding the consumer to the position.

use std::time::{Duration, Instant};

use hookstream_bus::{BusError, Consumer, Message, PullLimits, StreamState};
use hookstream_projection::{ApplyError, Beside};
use hookstream_store::StoreError;
use hookstream_store::checkpoint::{self, Checkpoint};
use hookstream_trail::Record;
use time::OffsetDateTime;

use crate::Trail;
use crate::operations;
use crate::refusals::Place;

/// Messages of one step, and how long it waits for the first: hardly, for the projection waits meanwhile.
const PULL: PullLimits = PullLimits { messages: 1000, bytes: 8 << 20, wait: Duration::from_millis(5) };

/// How long NATS is left alone after a failure.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What becomes of the messages of a stream.
pub(crate) trait Fold: Send {
    /// Takes the next message; returns what to record now, and up to where that is all there is to say.
    fn take(&mut self, message: &Message) -> Option<Ready>;

    /// What to record although no message came. `caught_up`: none waits in the stream.
    fn ready(&mut self, now: OffsetDateTime, caught_up: bool) -> Option<Ready>;

    /// Forgets what was taken and not returned; `last` are the details of the last entry of this kind, if any.
    fn begin(&mut self, last: Option<&str>);
}

/// Entries, and the last message that they cover.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) records: Vec<Record>,
    pub(crate) last: Message,
}

/// A stream, its consumer, and where it stands.
#[derive(Debug)]
pub(crate) struct Input<F> {
    stream: &'static str,
    /// The consumer's name, and that of the checkpoint.
    name: &'static str,
    fold: F,
    /// Where the trail stands, once this session has taken over.
    checkpoint: Option<Checkpoint>,
    reading: Option<Reading>,
    /// What is to be recorded with the next commit: messages that are missing.
    gaps: Vec<Record>,
    failed_at: Option<Instant>,
    problem: Option<String>,
}

/// From a rewind on.
#[derive(Debug)]
struct Reading {
    consumer: Consumer,
    /// Positions of the last message: among what the consumer handed out, and in the stream.
    consumer_sequence: u64,
    stream_sequence: u64,
}

/// A step did not do what it should.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Bus(#[from] BusError),
    #[error("message {0} came out of order")]
    Order(u64),
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Apply(error.into())
    }
}

impl<F: Fold> Input<F> {
    pub(crate) fn new(stream: &'static str, name: &'static str, fold: F) -> Self {
        let (checkpoint, reading, failed_at, problem) = (None, None, None, None);
        Self { stream, name, fold, checkpoint, reading, gaps: Vec::new(), failed_at, problem }
    }

    /// Another session holds the lead: what was in hand is nothing.
    pub(crate) fn forget(&mut self) {
        (self.checkpoint, self.reading) = (None, None);
    }

    /// Reads some, and records what is complete. What NATS does not do is tried again at a later step.
    pub(crate) async fn step(
        &mut self,
        beside: &mut Beside<'_>,
        trail: &Trail,
        now: OffsetDateTime,
    ) -> Result<(), ApplyError> {
        if self.failed_at.is_some_and(|at| at.elapsed() < AGAIN_AFTER) {
            return Ok(());
        }
        self.failed_at = None;
        match self.read(beside, trail, now).await {
            Ok(()) => self.problem = None,
            Err(Failure::Apply(error)) => return Err(error),
            Err(failure) => {
                (self.reading, self.failed_at) = (None, Some(Instant::now()));
                let (problem, stream) = (failure.to_string(), self.stream);
                if self.problem.as_ref() != Some(&problem) {
                    tracing::warn!(stream, "cannot read {stream} for the trail: {problem}");
                }
                self.problem = Some(problem);
            }
        }
        Ok(())
    }

    async fn read(
        &mut self,
        beside: &mut Beside<'_>,
        trail: &Trail,
        now: OffsetDateTime,
    ) -> Result<(), Failure> {
        if self.reading.is_none() {
            self.reading = Some(self.begin(beside, trail).await?);
        }
        let Some(reading) = &self.reading else { return Ok(()) };
        let consumer = reading.consumer.clone();
        let messages = consumer.pull(&PULL).await?;
        let caught_up = messages.last().is_none_or(|message| message.pending == 0);
        for message in &messages {
            self.follow(message)?;
            if let Some(ready) = self.fold.take(message) {
                self.commit(ready, beside, trail).await?;
            }
        }
        if let Some(ready) = self.fold.ready(now, caught_up) {
            self.commit(ready, beside, trail).await?;
        }
        Ok(())
    }

    /// Takes over, if this session has not yet, and rewinds the consumer to the position.
    async fn begin(&mut self, beside: &mut Beside<'_>, trail: &Trail) -> Result<Reading, Failure> {
        let stream = beside.bus.stream_state(self.stream).await?;
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => self.take_over(beside, &stream).await?,
        };
        let checkpoint = self.recognise(checkpoint, &stream, beside, trail).await?;
        let sequence = checkpoint.sequence;
        self.checkpoint = Some(checkpoint);
        let last = beside.connection.query_opt(include_str!("sql/last_refused.sql"), &[]).await;
        let last = last.map_err(StoreError::from)?.map(|row| row.try_get::<_, String>("details"));
        self.gaps.clear();
        self.fold.begin(last.transpose().map_err(StoreError::from)?.as_deref());
        let consumer = beside.bus.consumer(self.stream, self.name);
        consumer.rewind(sequence + 1).await?;
        Ok(Reading { consumer, consumer_sequence: 0, stream_sequence: sequence })
    }

    async fn take_over(&self, beside: &Beside<'_>, stream: &StreamState) -> Result<Checkpoint, StoreError> {
        let connection = &*beside.connection;
        checkpoint::take_over(connection, self.name, self.stream, stream.created, 0).await
    }

    /// A stream that is not the one we knew is recorded as such, and read from its beginning.
    async fn recognise(
        &self,
        known: Checkpoint,
        stream: &StreamState,
        beside: &mut Beside<'_>,
        trail: &Trail,
    ) -> Result<Checkpoint, Failure> {
        let why = if known.stream_created != stream.created {
            "the stream was made anew"
        } else if stream.last_sequence < known.sequence {
            "the stream ends before what was recorded of it"
        } else {
            return Ok(known);
        };
        tracing::error!(stream = self.stream, "{why}: reading {} from its beginning", self.stream);
        let place = Place { stream_sequence: known.sequence.max(1), recorded_at: OffsetDateTime::now_utc() };
        let record =
            operations::stream_changed(self.stream, known.sequence, stream.last_sequence, why, place);
        let tx = beside.connection.transaction().await.map_err(StoreError::from)?;
        let forget = include_str!("sql/forget_position.sql");
        let forgotten = tx.execute(forget, &[&known.projection, &known.epoch]).await;
        if forgotten.map_err(StoreError::from)? == 0 {
            return Err(StoreError::Fenced { projection: known.projection }.into());
        }
        trail.append(&tx, vec![record]).await.map_err(ApplyError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(self.take_over(beside, stream).await?)
    }

    /// Whether a message is what comes next. What is missing before it is recorded: the stream dropped it, to make room
    /// or because of its age.
    fn follow(&mut self, message: &Message) -> Result<(), Failure> {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let (last, sequence) = (reading.stream_sequence, message.stream_sequence);
        let expected = reading.consumer_sequence + 1;
        if message.consumer_sequence != expected || message.attempt != 1 || sequence <= last {
            return Err(Failure::Order(sequence));
        }
        (reading.consumer_sequence, reading.stream_sequence) = (expected, sequence);
        if sequence > last + 1 {
            let place = Place { stream_sequence: sequence - 1, recorded_at: message.recorded_at };
            self.gaps.push(operations::messages_missing(self.stream, last + 1, sequence - 1, place));
        }
        Ok(())
    }

    async fn commit(&mut self, ready: Ready, beside: &mut Beside<'_>, trail: &Trail) -> Result<(), Failure> {
        let Some(from) = &self.checkpoint else { return Ok(()) };
        let Ready { records, last } = ready;
        let tx = beside.connection.transaction().await.map_err(StoreError::from)?;
        let moved = checkpoint::advance(&tx, from, last.stream_sequence, None).await?;
        // A gap behind `last` is found again after a rewind.
        let is_before = |gap: &Record| gap.stream_sequence < i64::try_from(last.stream_sequence).ok();
        let (mut entries, behind): (Vec<Record>, _) =
            std::mem::take(&mut self.gaps).into_iter().partition(is_before);
        self.gaps = behind;
        entries.extend(records);
        trail.append(&tx, entries).await.map_err(ApplyError::from)?;
        tx.commit().await.map_err(StoreError::from)?;
        self.checkpoint = Some(moved);
        if let Some(reading) = &self.reading {
            // The consumer takes it for all before it as well.
            reading.consumer.clone().ack(std::slice::from_ref(&last)).await?;
        }
        Ok(())
    }
}
