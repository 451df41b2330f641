//! Projects workflow events into the phase queue.
//!
//! [`Queue`] is the state machine: pure, no I/O, no clock. Everything else here feeds it. A batch of events becomes
//! [`Step`]s; one query loads the plans that they touch, the queue takes the steps in memory, and what changed goes back
//! with one statement per kind of change.
//!
//! **Invariant:** no phase is ready or running before what it depends on has completed.
//!
//! **Invariant:** an event that is not legal as things stand changes nothing, and is kept with the reason
//! ([`Refusal`]).
//!
//! # The rules
//!
//! - A phase depends on the numbers it lists and on nothing else; without a list it is ready at once. A lone
//!   `phase.enqueued` may depend on a phase that comes later. What a `plan.enqueued` depends on must be in it or in the
//!   queue, else it is refused whole.
//! - A failure blocks everything that depends on it, directly or not; `phase.retried` undoes that. Only what failed can
//!   be retried, not what it blocks.
//! - A worker may report the end of a phase without having reported its beginning. Once it has, only that run may end
//!   it. A report that was given before, and one about nothing that the queue knows, change nothing and are no fault.
//! - A report is about the phase of its `queue_id`; without one, about that of its `parent_issue` and `phase_number`;
//!   without these, about the one that its `adw_id` is running.
//! - What becomes ready by a report with `trigger_next` false is held until its execution is requested.
//! - A number may be enqueued again once its phase has finished. What waits for that number then waits for the new
//!   phase, and the old one cannot be retried any more.
//! - Issue 0 is none. Its phases are a plan only if one `plan.enqueued` brought them, and are reported by `queue_id` or
//!   `adw_id`.
//! - A workflow command in an issue that is opened, or in a comment on one, enqueues phase 1 of that issue; while the
//!   issue has an unfinished phase 1, it does nothing. Each issue and comment enqueues once.
//! - A report of a phase that is not in the queue is kept for an hour of the stream's time (the latest
//!   [`EARLY_REPORTS_MAX`] are). A phase that is enqueued with that queue id and run is ended by it as soon as it is ready.
//! - When an issue is closed on GitHub, its phases that have not begun go; when it is opened again they come back, behind
//!   all others. A phase that names another repository is not meant.
//! - Every change of a phase's status is announced (an [`Announcement`], passed on to stream `PHASES`). `ready` is announced
//!   when the phase gets one of `max_concurrent` slots and the queue is not paused, in order of priority, queue position
//!   and number. It has its slot until it has run, or is dequeued.
//! - A request to execute announces a ready phase at once, past pause and slots.
//! - A phase that nobody begins within its lease is announced again, in its slot; while the queue is paused it goes back
//!   and waits with the others.

mod announcement;
mod github;
mod intake;
mod phase;
mod plan;
mod projection;
mod queue;
mod relay;
mod rows;

pub use announcement::Announcement;
pub use phase::{EarlyReport, Outcome, Phase, REASON_BYTES_MAX, State};
pub use plan::{PlanKey, Refusal};
pub use projection::{BOT_MARKER, COMMAND_PATTERN, MIGRATIONS, PHASE_LEASE, PhaseQueue};
pub use queue::{
    Concerns, Control, EARLY_REPORT_HORIZON, EARLY_REPORTS_MAX, Effect, KeptReport, Moment, NewPhase, Queue,
    Reach, Step, Unchanged,
};
