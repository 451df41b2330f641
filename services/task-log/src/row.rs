//! What a row says of its event. Pure: the event goes in, the row comes out.

use std::borrow::Cow;
use std::str::FromStr;

use hookstream_event::{Attributes, EventType, RecordedEvent, attribute, internal};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A row of `task_logs`; the fields are its columns. `id` is the stream sequence.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskLogRow<'e> {
    /// Position in the stream.
    pub stream_sequence: i64,
    /// The issue that the event names, else the parent issue of its plan.
    pub issue_number: Option<i64>,
    /// Tokens a model used.
    pub tokens_used: Option<i64>,
    /// How long it took, in seconds.
    pub duration_seconds: Option<f64>,
    /// Size of the body, which stays in the stream.
    pub payload_bytes: i64,
    /// When the task began.
    pub started_at: Option<OffsetDateTime>,
    /// When the task ended.
    pub completed_at: Option<OffsetDateTime>,
    /// When the gateway received the event.
    pub captured_at: OffsetDateTime,
    /// When the stream recorded the event.
    pub created_at: OffsetDateTime,
    /// The phase's number in its plan.
    pub phase_number: Option<i32>,
    /// Event id.
    pub event_id: &'e str,
    /// CloudEvents type.
    pub event_type: &'e str,
    /// Who sent it.
    pub source: &'e str,
    /// `webhook_received`, `phase_<n>_complete`, `workflow_complete`, what else happened to a phase (`phase_started`), or
    /// the name that a logged task gives.
    pub phase_name: Cow<'e, str>,
    /// `started`, `completed`, `failed`, `skipped` or `unknown`.
    pub phase_status: &'static str,
    /// `owner/name`.
    pub repository: Option<&'e str>,
    /// Run of an automated developer workflow.
    pub adw_id: Option<&'e str>,
    /// Template of the workflow.
    pub workflow_template: Option<&'e str>,
    /// What a task logged.
    pub log_message: Option<&'e str>,
    /// Why it failed.
    pub error_message: Option<&'e str>,
    /// What it cost, in millionths of a US dollar.
    pub cost_micros: Option<i64>,
}

/// `phase_name` of events that are not about a phase or a task.
pub const WEBHOOK_RECEIVED: &str = "webhook_received";

/// `phase_status` where an event has no status that we know.
pub const UNKNOWN: &str = "unknown";

/// Internal name of a logged task's event.
const TASK_LOGGED: &str = "task.logged";

/// Longest text in a column that is indexed, in bytes: a B-tree entry holds at most about 2,700.
const INDEXED_BYTES_MAX: usize = 1024;

/// Costs from here on do not fit into `numeric(16, 6)`.
const COST_USD_END: f64 = 1e10;

/// Durations from here on are nonsense, and do not fit into 64 bits of microseconds.
const DURATION_SECONDS_END: f64 = 1e12;

impl<'e> TaskLogRow<'e> {
    /// The row of `event`.
    ///
    /// What the columns cannot hold, such as a number that does not parse or is negative, is `None`, never an error:
    /// the event itself stays in the stream as it is.
    pub fn of(event: &'e RecordedEvent) -> Self {
        let envelope = &event.envelope;
        let attributes = &envelope.attributes;
        let phase_number = number::<i32>(attributes, attribute::PHASE_NUMBER);
        let (phase_name, phase_status) = phase(event, phase_number);
        Self {
            // The runner refuses a sequence beyond a bigint before anything is applied.
            stream_sequence: i64::try_from(event.stream_sequence).unwrap_or(i64::MAX),
            issue_number: number(attributes, attribute::ISSUE)
                .or_else(|| number(attributes, attribute::PARENT_ISSUE)),
            tokens_used: number(attributes, attribute::TOKENS_USED),
            duration_seconds: amount(attributes, attribute::DURATION_SECONDS, DURATION_SECONDS_END),
            payload_bytes: i64::try_from(event.payload_bytes).unwrap_or(i64::MAX),
            started_at: time(attributes, attribute::STARTED_AT),
            completed_at: time(attributes, attribute::COMPLETED_AT),
            captured_at: envelope.received_at,
            created_at: event.recorded_at,
            phase_number,
            event_id: envelope.id.as_str(),
            event_type: envelope.event_type.as_str(),
            source: envelope.source().as_str(),
            phase_name,
            phase_status,
            repository: attributes.text(attribute::REPOSITORY).map(indexable),
            adw_id: attributes.text(attribute::ADW_ID).map(indexable),
            workflow_template: attributes.text(attribute::WORKFLOW_TEMPLATE).map(indexable),
            log_message: attributes.text(attribute::LOG_MESSAGE),
            error_message: attributes.text(attribute::ERROR_MESSAGE),
            cost_micros: amount(attributes, attribute::COST_USD, COST_USD_END).map(millionths),
        }
    }

    /// How long it took, in whole microseconds.
    pub(crate) fn duration_us(&self) -> Option<i64> {
        self.duration_seconds.map(millionths)
    }

    /// Whether it tells of work: of a workflow that ended, or of a task that logged.
    pub(crate) fn is_work(&self) -> bool {
        matches!(internal_name(self.event_type), Some(internal::WORKFLOW_COMPLETED | TASK_LOGGED))
    }

    /// Whether a workflow ended.
    pub(crate) fn is_workflow_end(&self) -> bool {
        internal_name(self.event_type) == Some(internal::WORKFLOW_COMPLETED)
    }
}

fn internal_name(event_type: &str) -> Option<&str> {
    event_type.strip_prefix(EventType::INTERNAL_PREFIX)
}

/// Name and status of the phase.
fn phase(event: &RecordedEvent, number: Option<i32>) -> (Cow<'_, str>, &'static str) {
    let attributes = &event.envelope.attributes;
    match event.envelope.event_type.internal_name() {
        Some(internal::WORKFLOW_COMPLETED) => {
            let name = match number {
                Some(number) => Cow::Owned(format!("phase_{number}_complete")),
                None => Cow::Borrowed("workflow_complete"),
            };
            (name, status(attributes))
        }
        Some(TASK_LOGGED) => {
            let name = attributes.text(attribute::PHASE_NAME).unwrap_or("task_logged");
            (Cow::Borrowed(indexable(name)), status(attributes))
        }
        Some(other) if other.starts_with("phase.") || other.starts_with("plan.") => transition(other, number),
        _ => (Cow::Borrowed(WEBHOOK_RECEIVED), internal::TaskStatus::Completed.as_str()),
    }
}

/// A phase on its way: `phase.started` is `phase_started`, or `phase_2_started` where the event has the number.
fn transition(name: &str, number: Option<i32>) -> (Cow<'_, str>, &'static str) {
    let status = match name {
        "phase.started" => internal::TaskStatus::Started,
        "phase.dequeued" => internal::TaskStatus::Skipped,
        _ => internal::TaskStatus::Completed,
    };
    let between = number.map_or("_".to_owned(), |number| format!("_{number}_"));
    (Cow::Owned(name.replacen('.', &between, 1)), status.as_str())
}

/// The status among those that we know, so that analytics have few groups whatever a sender writes.
fn status(attributes: &Attributes) -> &'static str {
    let text = attributes.text(attribute::PHASE_STATUS);
    let known = internal::TaskStatus::ALL.map(internal::TaskStatus::as_str);
    known.into_iter().find(|status| Some(*status) == text).unwrap_or(UNKNOWN)
}

/// A whole number from 0 on.
fn number<N: FromStr + PartialOrd + Default>(attributes: &Attributes, name: &str) -> Option<N> {
    attributes.number(name).filter(|number| *number >= N::default())
}

/// A number from 0 on, and below `end`.
fn amount(attributes: &Attributes, name: &str, end: f64) -> Option<f64> {
    number::<f64>(attributes, name).filter(|amount| *amount < end)
}

/// Millionths of an amount, the nearest. Postgres rounds alike, so that sums agree to the last digit.
#[allow(clippy::cast_possible_truncation)] // Amounts are bounded.
fn millionths(amount: f64) -> i64 {
    (amount * 1e6).round_ties_even() as i64
}

/// A time of the years 1 to 9999, which both sides can hold.
fn time(attributes: &Attributes, name: &str) -> Option<OffsetDateTime> {
    let time = OffsetDateTime::parse(attributes.text(name)?, &Rfc3339).ok()?;
    time.checked_to_offset(UtcOffset::UTC).filter(|time| (1..=9999).contains(&time.year()))
}

fn indexable(text: &str) -> &str {
    &text[..text.floor_char_boundary(INDEXED_BYTES_MAX)]
}

#[cfg(test)]
mod tests;
