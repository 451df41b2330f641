use std::time::Duration;

use hookstream_bus::PullLimits;

/// How the runner behaves. The defaults are what production wants; tests shorten the times.
#[derive(Debug, Clone)]
pub struct RunnerSettings {
    /// Stream that the projection reads.
    pub stream: String,
    /// Name of consumer and lock, where they are not the projection's own: then another generation of its tables is
    /// filled beside the one in use, in the schema that the session's search path names, and nothing is done beside or alongside.
    pub aside: Option<String>,
    /// Ends once everything up to this sequence is applied, and applies nothing behind it.
    pub until: Option<u64>,
    /// Bounds of one batch.
    pub pull: PullLimits,
    /// Longest time that applying a batch may take, on our clock; while the events at fault are sought, each part of it.
    pub batch_timeout: Duration,
    /// How often a batch that met a deadlock or its like is tried again as a whole, and each of its events alone.
    pub transient_retries_max: u32,
    /// First pause of a back-off; doubled each time.
    pub backoff_min: Duration,
    /// Longest pause of a back-off.
    pub backoff_max: Duration,
    /// How often an idle leader looks at stream, consumer and checkpoint. Also how late it may be seen to have passed an
    /// event that its consumer's filter leaves out.
    pub idle_check: Duration,
    /// How long the consumer may have events for us and hand out none before it is rewound.
    pub stall_after: Duration,
    /// How many such rewinds in a row end the process, for the supervisor to start it anew.
    pub stalls_max: u32,
    /// How often a standby tries to take the lock, and up to a half more seldom.
    pub standby_poll: Duration,
    /// How often the memory is rid of what is older than seven days.
    pub forget_every: Duration,
    /// Shortest time between two calls of [`Projection::beside`](crate::Projection::beside).
    pub beside_every: Duration,
}

impl RunnerSettings {
    /// Name of consumer and lock.
    pub(crate) fn name<'s>(&'s self, projection: &'s str) -> &'s str {
        self.aside.as_deref().unwrap_or(projection)
    }
}

impl Default for RunnerSettings {
    fn default() -> Self {
        Self {
            stream: "WEBHOOKS".to_owned(),
            aside: None,
            until: None,
            pull: PullLimits { messages: 1000, bytes: 8 << 20, wait: Duration::from_secs(1) },
            batch_timeout: Duration::from_mins(2),
            transient_retries_max: 5,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(5),
            idle_check: Duration::from_secs(1),
            stall_after: Duration::from_secs(30),
            stalls_max: 3,
            standby_poll: Duration::from_secs(1),
            forget_every: Duration::from_hours(1),
            beside_every: Duration::from_millis(250),
        }
    }
}
