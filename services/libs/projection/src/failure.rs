use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use hookstream_store::{Aftermath, Kind, PgError, StoreError, Transaction};

use crate::{Applied, ApplyError, ClaimedEvent, Projection};

/// Why events were not applied.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The projection named the event.
    #[error("event {stream_sequence} cannot be applied: {error}")]
    Event { stream_sequence: u64, reason: &'static str, error: String },
    /// The projection named an event that it was not given.
    #[error("the projection named event {0}, which it was not given")]
    Stray(u64),
    /// The projection panicked; the event is not known.
    #[error("the projection panicked: {0}")]
    Panic(String),
}

impl From<PgError> for Failure {
    fn from(error: PgError) -> Self {
        Self::Store(error.into())
    }
}

impl From<ApplyError> for Failure {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Store(error) => Self::Store(error),
            ApplyError::Event { stream_sequence, reason, error } => {
                Self::Event { stream_sequence, reason, error }
            }
        }
    }
}

impl Aftermath for Failure {
    fn is_aftermath(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_aftermath())
    }
}

impl Failure {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Event { .. } | Self::Panic(_) => Kind::Event,
            Self::Stray(_) => Kind::Schema,
        }
    }

    pub(crate) fn is_lock_timeout(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_lock_timeout())
    }

    pub(crate) fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Store(error) => error.sqlstate(),
            Self::Event { .. } | Self::Stray(_) | Self::Panic(_) => None,
        }
    }

    /// The whole story on one line.
    pub(crate) fn chain(&self) -> String {
        match self {
            Self::Store(error) => error.chain(),
            other => other.to_string(),
        }
    }

    /// The code of a dead letter that comes of it.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) if error.kind() == Kind::Transient => "retries_used_up",
            Self::Store(_) => "refused_by_postgres",
            Self::Event { reason, .. } => reason,
            Self::Stray(_) => "stray",
            Self::Panic(_) => "panic",
        }
    }
}

/// Bounds a step on our clock: the server's own timeouts do not help where the line is silent.
pub(crate) async fn bounded<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let timed_out = StoreError::TimedOut { seconds: limit.as_secs() };
    tokio::time::timeout(limit, step).await.unwrap_or(Err(timed_out.into()))
}

/// Calls `apply`. A panic in it is a failure like any other, so that one event cannot stop a projection for ever.
pub(crate) async fn call<P: Projection>(
    projection: &P,
    tx: &Transaction<'_>,
    events: &[ClaimedEvent],
) -> Result<Applied, Failure> {
    if events.is_empty() {
        return Ok(Applied::default());
    }
    let mut applying = pin!(projection.apply(tx, events));
    let outcome = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| applying.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(outcome)) => Poll::Ready(Ok(outcome)),
            Err(panic) => Poll::Ready(Err(Failure::Panic(message_of(&*panic)))),
        }
    });
    let outcome = outcome.await?;
    let named: Vec<u64> = match &outcome {
        Ok(applied) => applied.refused.iter().map(|refused| refused.stream_sequence).collect(),
        Err(ApplyError::Event { stream_sequence, .. }) => vec![*stream_sequence],
        Err(ApplyError::Store(_)) => Vec::new(),
    };
    let given = |sequence: &u64| events.iter().any(|claimed| claimed.event.stream_sequence == *sequence);
    match named.into_iter().find(|sequence| !given(sequence)) {
        Some(stray) => Err(Failure::Stray(stray)),
        None => Ok(outcome?),
    }
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message").to_owned()
}
