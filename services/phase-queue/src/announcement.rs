//! What is told of a phase on `phases.<parent issue>.<phase number>.<status>`.

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{Moment, Phase, State};

/// A change of a phase's status, to be told to who listens. Its place in the order of announcements is `cause`, then
/// `ordinal`: the same on every replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Stream sequence of the event that caused it.
    pub cause: i64,
    /// Its place among the announcements of that event, from 0.
    pub ordinal: i32,
    /// The phase.
    pub queue_id: String,
    /// Together with `queue_id`, tells the phase from another that has its queue id later.
    pub queue_position: i64,
    /// `phases.<parent issue>.<phase number>.<status>`.
    pub subject: String,
    /// The phase as it was then, as a JSON object without `phase_data`.
    pub phase: String,
}

/// The payload, but for `phase_data`. A published field is never taken away.
#[derive(Serialize)]
struct Payload<'p> {
    queue_id: &'p str,
    parent_issue: i64,
    phase_number: i32,
    issue_number: Option<i64>,
    status: &'static str,
    announcement: i32,
    depends_on_phases: &'p [i32],
    priority: i32,
    queue_position: i64,
    adw_id: &'p str,
    error_message: Option<&'p str>,
    created_at: String,
    updated_at: String,
    ready_at: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
}

impl Announcement {
    /// What is told of `phase` now, as the next one of the event in hand.
    pub(crate) fn new(phase: &Phase, status: &'static str, now: Moment, ordinal: &mut i32) -> Self {
        let times = phase.state.times();
        let payload = Payload {
            queue_id: &phase.queue_id,
            parent_issue: phase.parent_issue,
            phase_number: phase.phase_number,
            issue_number: phase.issue_number,
            status,
            announcement: phase.announcements.max(1),
            depends_on_phases: &phase.depends_on,
            priority: phase.priority,
            queue_position: phase.queue_position,
            adw_id: &phase.adw_id,
            error_message: phase.error_message(),
            created_at: rfc3339(phase.created_at),
            updated_at: rfc3339(phase.updated_at),
            ready_at: times.ready.map(rfc3339),
            started_at: times.started.map(rfc3339),
            finished_at: times.finished.map(rfc3339),
        };
        let announcement = Self {
            cause: now.position,
            ordinal: *ordinal,
            queue_id: phase.queue_id.clone(),
            queue_position: phase.queue_position,
            subject: format!("phases.{}.{}.{status}", phase.parent_issue, phase.phase_number),
            phase: serde_json::to_string(&payload).expect("texts and numbers are always JSON"),
        };
        *ordinal += 1;
        announcement
    }
}

/// The whole payload: `phase` with `phase_data`, both of them JSON.
pub(crate) fn payload(phase: &str, phase_data: &str) -> String {
    // An object of ours is never empty and ends with its brace.
    format!("{},\"phase_data\":{phase_data}}}", phase.strip_suffix('}').unwrap_or(phase))
}

fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("the stream's times are of the years 1 to 9999")
}

/// The times of a phase that depend on what it is doing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times {
    pub(crate) ready: Option<OffsetDateTime>,
    pub(crate) announced: Option<OffsetDateTime>,
    pub(crate) started: Option<OffsetDateTime>,
    pub(crate) finished: Option<OffsetDateTime>,
}

impl State {
    pub(crate) fn times(&self) -> Times {
        match *self {
            Self::Queued | Self::Blocked { .. } => Times::default(),
            Self::Ready { since, announced_at, .. } => {
                Times { ready: Some(since), announced: announced_at, ..Times::default() }
            }
            Self::Running { ready_at, started_at } => {
                Times { ready: Some(ready_at), started: Some(started_at), ..Times::default() }
            }
            Self::Finished { ready_at, started_at, finished_at, .. } => Times {
                ready: Some(ready_at),
                started: started_at,
                finished: Some(finished_at),
                ..Times::default()
            },
        }
    }
}
