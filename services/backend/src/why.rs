//! Why a phase does not run yet, in a sentence.

use serde::Serialize;

/// A phase that another one depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Dependency {
    pub(crate) phase_number: i32,
    /// Null if no such phase is in the queue.
    pub(crate) queue_id: Option<String>,
    pub(crate) status: Option<String>,
}

/// What applies to the queue as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dispatch {
    pub(crate) paused: bool,
    pub(crate) max_concurrent: i64,
    /// Phases that are announced or running.
    pub(crate) occupied: i64,
}

/// A phase, as far as the reason goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting<'w> {
    pub(crate) status: &'w str,
    pub(crate) held: bool,
    /// It was announced, and no worker has begun.
    pub(crate) announced: bool,
    pub(crate) error_message: Option<&'w str>,
    /// Those of its dependencies that have not completed.
    pub(crate) unmet: &'w [Dependency],
}

/// Why the phase waits; `None` if it does not.
pub(crate) fn why(waiting: &Waiting<'_>, dispatch: Dispatch) -> Option<String> {
    match waiting.status {
        "queued" if waiting.unmet.is_empty() => Some("it is being looked at".to_owned()),
        "queued" => {
            Some(format!("waits for {}", waiting.unmet.iter().map(told).collect::<Vec<_>>().join(", ")))
        }
        "blocked" => {
            Some(waiting.error_message.unwrap_or("a phase that it depends on has failed").to_owned())
        }
        "ready" => Some(ready(waiting, dispatch)),
        _ => None,
    }
}

fn told(dependency: &Dependency) -> String {
    let number = dependency.phase_number;
    match (&dependency.queue_id, &dependency.status) {
        (Some(id), Some(status)) => format!("phase {number} ({id}), which is {status}"),
        _ => format!("phase {number}, which is not in the queue"),
    }
}

fn ready(waiting: &Waiting<'_>, dispatch: Dispatch) -> String {
    let Dispatch { paused, max_concurrent, occupied } = dispatch;
    if waiting.announced {
        "announced; no worker has begun it yet".to_owned()
    } else if waiting.held {
        "held until its execution is requested".to_owned()
    } else if paused {
        "the queue is paused".to_owned()
    } else if occupied >= max_concurrent {
        format!("{occupied} phases are announced or running, and max_concurrent is {max_concurrent}")
    } else {
        "about to be announced".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: Dispatch = Dispatch { paused: false, max_concurrent: 3, occupied: 1 };

    fn waiting(status: &str) -> Waiting<'_> {
        Waiting { status, held: false, announced: false, error_message: None, unmet: &[] }
    }

    #[test]
    fn a_queued_phase_names_what_it_waits_for() {
        let known = Dependency {
            phase_number: 1,
            queue_id: Some("q-1".to_owned()),
            status: Some("running".to_owned()),
        };
        let absent = Dependency { phase_number: 2, queue_id: None, status: None };
        let unmet = [known, absent];
        let told = why(&Waiting { unmet: &unmet, ..waiting("queued") }, OPEN);
        let expected = "waits for phase 1 (q-1), which is running, phase 2, which is not in the queue";
        assert_eq!(told.as_deref(), Some(expected));
    }

    #[test]
    fn a_ready_phase_says_what_keeps_it_from_being_announced() {
        let ready = waiting("ready");
        let told = |waiting: Waiting<'_>, dispatch| why(&waiting, dispatch).unwrap();
        assert_eq!(told(ready, OPEN), "about to be announced");
        assert_eq!(told(ready, Dispatch { paused: true, ..OPEN }), "the queue is paused");
        let full = "3 phases are announced or running, and max_concurrent is 3";
        assert_eq!(told(ready, Dispatch { occupied: 3, ..OPEN }), full);
        assert_eq!(told(Waiting { held: true, ..ready }, OPEN), "held until its execution is requested");
        let announced = Waiting { announced: true, ..ready };
        let expected = "announced; no worker has begun it yet";
        assert_eq!(told(announced, Dispatch { paused: true, ..OPEN }), expected);
    }

    #[test]
    fn a_blocked_phase_says_what_failed_and_others_wait_for_nothing() {
        let error_message = Some("phase 2 (q-2) failed: tests failed");
        let blocked = Waiting { error_message, ..waiting("blocked") };
        assert_eq!(why(&blocked, OPEN).as_deref(), error_message);
        for status in ["running", "completed", "failed"] {
            assert_eq!(why(&waiting(status), OPEN), None, "{status}");
        }
    }
}
