use std::time::Duration;

/// A request to the server did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// There is no connection now; the client reconnects by itself.
    #[error("not connected to NATS{}", why(.0.as_deref()))]
    Disconnected(Option<String>),
    /// The server does not let us in: the user, or what proves it, is wrong.
    #[error("NATS refuses the user or its password (authorization violation)")]
    LoginRefused,
    /// A file that a setting names cannot be read.
    #[error("cannot read the file of {0}")]
    File(&'static str, #[source] std::io::Error),
    /// No answer in time. A refused permission looks so too: see [`Bus::violations`](crate::Bus::violations).
    #[error("NATS did not answer within {0:?}")]
    TimedOut(Duration),
    /// Nobody answers: JetStream is off, or the stream or consumer has no leader.
    #[error("JetStream does not answer")]
    NoResponders,
    /// The stream does not exist.
    #[error("stream {0} does not exist")]
    StreamMissing(String),
    /// The consumer does not exist, or was deleted while in use.
    #[error("consumer {consumer} of stream {stream} does not exist")]
    ConsumerMissing {
        /// Its stream.
        stream: String,
        /// Its name.
        consumer: String,
    },
    /// The server refused the request.
    #[error("JetStream refused: {description} ({code})")]
    Refused {
        /// JetStream's `err_code`, or the status where there is none.
        code: u64,
        /// JetStream's words.
        description: String,
    },
    /// The answer is not what the protocol says.
    #[error("unreadable answer from NATS: {0}")]
    Unreadable(String),
    /// Larger than this server takes.
    #[error("the message has {bytes} bytes with its headers, and the server takes {bytes_max} (max_payload)")]
    TooLarge {
        /// Headers and payload.
        bytes: usize,
        /// The server's `max_payload`.
        bytes_max: usize,
    },
    /// A consumer may not be moved behind the end of its stream: what comes next would be passed over.
    #[error("cannot rewind to {wanted}: stream {stream} ends at {last}")]
    BeyondEnd {
        /// The stream.
        stream: String,
        /// Sequence asked for.
        wanted: u64,
        /// Last sequence of the stream.
        last: u64,
    },
}

fn why(problem: Option<&str>) -> String {
    problem.map(|problem| format!(": {problem}")).unwrap_or_default()
}

/// An event was not stored, or it is not known whether it was.
///
/// After [`Disconnected`](Self::Disconnected) and [`TimedOut`](Self::TimedOut) it may have been stored, even later: the
/// client sends what it has queued once it is connected again. Every message carries its event id, so a second attempt
/// stores nothing twice.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// There is no connection to NATS, or it was lost in flight.
    #[error("not connected to NATS")]
    Disconnected,
    /// No stream takes this subject, or the stream has no leader now.
    #[error("no stream takes the subject")]
    NoStream,
    /// The stream or the disk is full. Nothing stored was dropped for it.
    #[error("the stream is full: {0}")]
    Full(String),
    /// Too many messages are under way, here or at the server.
    #[error("too many messages under way")]
    Busy,
    /// No answer within the budget.
    #[error("the stream did not answer within the budget")]
    TimedOut,
    /// Larger than the server, or the stream, accepts.
    #[error("the message is too large for the stream")]
    TooLarge,
    /// The server gave another reason.
    #[error("the stream refused: {0}")]
    Refused(String),
}

impl PublishError {
    /// A short name for metrics and logs, in snake case.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::NoStream => "no_stream",
            Self::Full(_) => "full",
            Self::Busy => "busy",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Refused(_) => "refused",
        }
    }
}
