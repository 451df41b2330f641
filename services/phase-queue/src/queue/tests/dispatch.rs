//! What holds of announcements in every history.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;

use super::fixtures::moment;
use super::properties::{history, key, phases};
use crate::{Announcement, PlanKey, Queue, Step};

fn payload(announcement: &Announcement) -> Value {
    serde_json::from_str(&announcement.phase).unwrap()
}

fn status(announcement: &Announcement) -> &str {
    announcement.subject.rsplit('.').next().unwrap()
}

/// In order of announcement.
fn ranks(queue: &Queue) -> Vec<(i32, i64, i32, PlanKey)> {
    let waiting = phases(queue).into_iter().filter(|phase| phase.state.is_candidate());
    let mut ranks: Vec<_> = waiting
        .map(|phase| (phase.priority, phase.queue_position, phase.phase_number, key(&phase)))
        .collect();
    ranks.sort_unstable();
    ranks
}

proptest! {
    #[test]
    fn slots_are_counted_and_never_left_free(history in history()) {
        let mut queue = Queue::default();
        for (step, moment) in history {
            let _ = queue.apply(step, moment);
            let control = queue.control();
            let active = phases(&queue).iter().filter(|phase| phase.state.is_active()).count();
            prop_assert_eq!(usize::try_from(control.active).unwrap(), active);
            let may_announce = !control.paused && control.active < control.max_concurrent;
            prop_assert!(!may_announce || ranks(&queue).is_empty(), "{:?}", queue);
        }
    }

    #[test]
    fn only_requests_and_workers_go_past_the_slots_and_the_pause(history in history()) {
        let mut queue = Queue::default();
        for (step, moment) in history {
            let before = (queue.control().active, queue.announcements().len());
            let asks = matches!(step, Step::RequestExecution { .. } | Step::Start { .. });
            let _ = queue.apply(step, moment);
            if asks {
                continue;
            }
            let control = queue.control();
            prop_assert!(control.active <= control.max_concurrent.max(before.0));
            let ready = queue.announcements()[before.1..].iter().any(|told| status(told) == "ready");
            prop_assert!(!(ready && control.paused));
        }
    }

    #[test]
    fn the_first_in_order_is_announced_first(history in history()) {
        let mut queue = Queue::default();
        for (step, moment) in history {
            let told = queue.announcements().len();
            // These choose their phase themselves.
            let chosen = matches!(step, Step::RequestExecution { .. } | Step::Expire { .. });
            let _ = queue.apply(step, moment);
            if chosen {
                continue;
            }
            let announced = queue.announcements()[told..].iter().filter(|told| status(told) == "ready");
            let announced: Vec<(i64, i64, i64)> = announced
                .map(|told| {
                    let phase = payload(told);
                    let number = |name: &str| phase[name].as_i64().unwrap();
                    (number("priority"), number("queue_position"), number("phase_number"))
                })
                .collect();
            prop_assert!(announced.is_sorted());
            if let (Some(last), Some(next)) = (announced.last(), ranks(&queue).first()) {
                prop_assert!(*last < (i64::from(next.0), next.1, i64::from(next.2)));
            }
        }
    }

    #[test]
    fn each_announcement_of_a_ready_phase_has_the_next_number(history in history()) {
        let queue = super::properties::fold(&history);
        let mut last: BTreeMap<(String, i64), i64> = BTreeMap::new();
        for told in queue.announcements().iter().filter(|told| status(told) == "ready") {
            let number = last.entry((told.queue_id.clone(), told.queue_position)).or_default();
            *number += 1;
            prop_assert_eq!(payload(told)["announcement"].as_i64(), Some(*number));
        }
    }

    #[test]
    fn who_listens_knows_what_every_phase_is_doing(history in history()) {
        let queue = super::properties::fold(&history);
        let mut heard: BTreeMap<(String, i64), String> = BTreeMap::new();
        for told in queue.announcements() {
            let phase = payload(told);
            prop_assert_eq!(phase["status"].as_str(), Some(status(told)));
            heard.insert((told.queue_id.clone(), told.queue_position), status(told).to_owned());
        }
        for phase in phases(&queue) {
            let heard = heard.remove(&(phase.queue_id.clone(), phase.queue_position));
            // Whatever it was before: it is ready, and waits for its slot.
            if !phase.state.is_candidate() && !matches!(phase.state, crate::State::Ready { held: true, .. }) {
                prop_assert_eq!(heard.as_deref(), Some(phase.state.as_str()), "{:?}", phase);
            }
        }
        prop_assert!(heard.values().all(|status| status == "dequeued"), "{:?}", heard);
    }

    #[test]
    fn announcements_are_in_order_and_each_has_a_place_of_its_own(history in history()) {
        let queue = super::properties::fold(&history);
        let places: Vec<(i64, i32)> = queue.announcements().iter().map(|told| (told.cause, told.ordinal)).collect();
        prop_assert!(places.is_sorted_by(|one, other| one < other), "{:?}", places);
    }
}

#[test]
fn an_announcement_tells_all_of_a_phase() {
    use super::fixtures::{chain, given, start};
    let story = given([chain(7, 2), start(7, 1)]);
    let told: Vec<(&str, i64, i32)> = story
        .queue
        .announcements()
        .iter()
        .map(|told| (told.subject.as_str(), told.cause, told.ordinal))
        .collect();
    assert_eq!(told, [("phases.7.2.queued", 1, 0), ("phases.7.1.ready", 1, 1), ("phases.7.1.running", 2, 0)]);
    let time = |position| {
        let at = moment(position).at;
        at.format(&time::format_description::well_known::Rfc3339).unwrap()
    };
    let expected = serde_json::json!({
        "queue_id": "7-1", "parent_issue": 7, "phase_number": 1, "issue_number": null, "status": "running",
        "announcement": 1, "depends_on_phases": [], "priority": 50, "queue_position": 1, "adw_id": "run-7-1",
        "error_message": null, "created_at": time(1), "updated_at": time(2), "ready_at": time(1),
        "started_at": time(2), "finished_at": null,
    });
    let last = story.queue.announcements().last().unwrap();
    assert_eq!(payload(last), expected);
    let whole = crate::announcement::payload(&last.phase, r#"{"a":"}"}"#);
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["phase_data"], serde_json::json!({"a": "}"}));
    assert_eq!(whole["status"], "running");
}
