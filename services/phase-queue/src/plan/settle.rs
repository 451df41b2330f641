use time::OffsetDateTime;

use super::{Entry, Place, Plan};
use crate::{Outcome, State};

impl Plan {
    /// Derives what each waiting phase is from what it depends on; what becomes ready is held if `hold`.
    pub(super) fn settle(&mut self, at: OffsetDateTime, hold: bool) {
        let waiting = |entry: &&Entry| entry.phase.state.is_waiting();
        let places: Vec<Place> =
            self.entries().filter(waiting).map(|e| (e.phase.phase_number, e.phase.queue_position)).collect();
        for place in places {
            let state = self.derive(&self.phase(place).depends_on, at, hold);
            if state != self.phase(place).state {
                self.enter(place, state, at);
            }
        }
    }

    fn derive(&self, depends_on: &[i32], at: OffsetDateTime, hold: bool) -> State {
        let mut state = State::Ready { since: at, held: hold, announced_at: None };
        for &number in depends_on {
            let Some(dependency) = self.current(number) else {
                state = State::Queued;
                continue;
            };
            match &dependency.state {
                State::Finished { outcome: Outcome::Failed { why }, .. } => {
                    let why = format!("phase {number} ({}) failed: {why}", dependency.queue_id);
                    return State::Blocked { why };
                }
                State::Blocked { why } => return State::Blocked { why: why.clone() },
                State::Finished { outcome: Outcome::Completed, .. } => {}
                State::Queued | State::Ready { .. } | State::Running { .. } => state = State::Queued,
            }
        }
        state
    }
}
