//! What holds of every history.

use std::collections::{BTreeMap, BTreeSet};

use hookstream_event::internal::{PhaseEnqueued, WorkflowStatus};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};
use serde_json::{Map, Value};

use super::fixtures::{moment, named_phase, report};
use crate::{
    Announcement, Concerns, Control, Effect, KeptReport, Moment, Outcome, Phase, PlanKey, Queue, Reach,
    State, Step,
};

pub(super) type History = Vec<(Step, Moment)>;

/// One of two phases that a history may have under a number: the second one comes after the first has finished.
fn queue_id(issue: i64, number: i32, again: bool) -> String {
    format!("{issue}-{number}{}", if again { "-again" } else { "" })
}

fn enqueued(issue: i64, number: i32) -> impl Strategy<Value = PhaseEnqueued> {
    let earlier: Vec<i32> = (1..number).collect();
    let most = earlier.len();
    (subsequence(earlier, 0..=most), prop::bool::weighted(0.2)).prop_map(move |(depends_on, again)| {
        named_phase(&queue_id(issue, number, again), issue, number, &depends_on)
    })
}

fn plan(issue: i64) -> impl Strategy<Value = Step> {
    (1..=5_i32).prop_flat_map(move |length| {
        let phases: Vec<_> = (1..=length).map(|number| enqueued(issue, number).boxed()).collect();
        phases.prop_map(Step::EnqueuePlan)
    })
}

/// A step on one issue's plan; issue 0 is none.
fn step(issue: i64) -> impl Strategy<Value = Step> {
    let id = (1..=5_i32, prop::bool::weighted(0.2));
    let id = id.prop_map(move |(number, again)| (number, queue_id(issue, number, again)));
    let status = prop_oneof![3 => Just(WorkflowStatus::Completed), 1 => Just(WorkflowStatus::Failed)];
    let run = prop::sample::select(vec!["run-a", "run-b"]);
    let reported = (id.clone(), status, run.clone(), prop::bool::weighted(0.8), 0..3_u8);
    prop_oneof![
        2 => plan(issue),
        4 => (1..=5_i32).prop_flat_map(move |number| enqueued(issue, number)).prop_map(Step::Enqueue),
        1 => enqueued(issue, 1).prop_map(Step::Command),
        4 => (id.clone(), run).prop_map(|((_, queue_id), run)| Step::Start { queue_id, adw_id: run.to_owned() }),
        10 => reported.prop_map(move |((number, queue_id), status, run, trigger_next, precision)| {
            let mut report = report(issue, number, status);
            report.adw_id = run.to_owned();
            report.trigger_next = trigger_next;
            report.queue_id = (precision == 0).then_some(queue_id);
            report.phase_number = (precision <= 1).then_some(number);
            Step::Report(report)
        }),
        2 => id.clone().prop_map(|(_, queue_id)| Step::Retry { queue_id }),
        1 => id.clone().prop_map(|(_, queue_id)| Step::Dequeue { queue_id }),
        1 => id.clone().prop_map(|(_, queue_id)| Step::RequestExecution { queue_id }),
        2 => (id, 1..4_i32).prop_map(|((_, queue_id), announcement)| Step::Expire { queue_id, announcement }),
        1 => Just(Step::Close { issue, repository: None }),
        1 => Just(Step::Reopen { issue, repository: None }),
        1 => any::<bool>().prop_map(Step::SetPaused),
        1 => (1..4_i32).prop_map(Step::SetMaxConcurrent),
    ]
}

fn at_moments(steps: Vec<Step>) -> History {
    steps.into_iter().zip((1..).map(moment)).collect()
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let steps = prop_oneof![1 => step(0).boxed(), 6 => step(7).boxed(), 3 => step(8).boxed()];
    prop::collection::vec(steps, 0..60).prop_map(at_moments)
}

pub(super) fn fold(history: &[(Step, Moment)]) -> Queue {
    let mut queue = Queue::default();
    for (step, moment) in history {
        // Refused steps are part of every history.
        let _ = queue.apply(step.clone(), *moment);
    }
    queue
}

pub(super) fn phases(queue: &Queue) -> Vec<Phase> {
    queue.phases().cloned().collect()
}

fn told(queue: &Queue) -> Vec<Announcement> {
    queue.announcements().to_vec()
}

/// The phases as they are but for their announcements.
fn unannounced(queue: &Queue) -> Vec<Phase> {
    let mut all = phases(queue);
    for phase in &mut all {
        if let State::Ready { announced_at, .. } = &mut phase.state {
            *announced_at = None;
        }
        (phase.announcements, phase.updated_at) = (0, phase.created_at);
    }
    all
}

pub(super) fn key(phase: &Phase) -> PlanKey {
    PlanKey::of(phase.parent_issue, phase.queue_position)
}

fn has_completed(phase: &Phase) -> bool {
    matches!(phase.state, State::Finished { outcome: Outcome::Completed, .. })
}

/// The newest phase of a number in the plan of `phase`.
fn current<'p>(all: &'p [Phase], phase: &Phase, number: i32) -> Option<&'p Phase> {
    let same = |other: &&Phase| key(other) == key(phase) && other.phase_number == number;
    all.iter().filter(same).max_by_key(|other| other.queue_position)
}

/// Whether a failed phase is reached from one that waits, through others that wait.
fn is_in_vain(all: &[Phase], phase: &Phase) -> bool {
    phase.depends_on.iter().filter_map(|number| current(all, phase, *number)).any(|dependency| {
        match &dependency.state {
            State::Finished { outcome, .. } => matches!(outcome, Outcome::Failed { .. }),
            state => state.is_waiting() && is_in_vain(all, dependency),
        }
    })
}

/// Tables that are read and written as the projection reads and writes its own: no more than a batch concerns, and what the
/// queue says has changed.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, (Phase, Map<String, Value>)>,
    /// Edges: plan and number that is waited for, and who waits.
    edges: BTreeSet<(PlanKey, i32, String)>,
    early: BTreeMap<String, KeptReport>,
    last_early: i64,
    shelf: BTreeMap<String, PhaseEnqueued>,
    control: Control,
    told: Vec<Announcement>,
}

impl Table {
    fn apply(&mut self, batch: &[(Step, Moment)]) {
        let mut concerns = Concerns::default();
        for (step, _) in batch {
            concerns.include(step);
        }
        let mut queue = self.load(&concerns);
        for (step, moment) in batch {
            let _ = queue.apply(step.clone(), *moment);
        }
        self.write(&queue);
    }

    fn write(&mut self, queue: &Queue) {
        let edges = |phase: &Phase| {
            let edge = |number: &i32| (key(phase), *number, phase.queue_id.clone());
            phase.depends_on.iter().map(edge).collect::<Vec<_>>()
        };
        for edge in queue.overlinked().flat_map(edges) {
            assert!(self.edges.remove(&edge), "{edge:?} had a row");
        }
        for queue_id in queue.removed() {
            assert!(self.rows.remove(queue_id).is_some(), "{queue_id} had a row");
        }
        for phase in queue.changed() {
            self.rows.get_mut(&phase.queue_id).expect("it had a row").0 = phase.clone();
        }
        for added in queue.added() {
            let row = (added.phase.clone(), added.phase_data.clone());
            assert!(self.rows.insert(added.phase.queue_id.clone(), row).is_none(), "{added:?} had no row");
        }
        for edge in queue.unlinked().flat_map(edges) {
            assert!(self.edges.insert(edge.clone()), "{edge:?} had no row");
        }
        for queue_id in queue.early_reports_removed() {
            assert!(self.early.remove(queue_id).is_some(), "{queue_id} had a row");
        }
        for kept in queue.early_reports_added() {
            assert!(self.early.insert(kept.queue_id.clone(), kept.clone()).is_none(), "{kept:?} had no row");
        }
        for queue_id in queue.shelf_removed() {
            assert!(self.shelf.remove(queue_id).is_some(), "{queue_id} had a row");
        }
        for phase in queue.shelf_added() {
            assert!(
                self.shelf.insert(phase.queue_id.clone(), phase.clone()).is_none(),
                "{phase:?} had no row"
            );
        }
        self.last_early = queue.last_early_report();
        self.control = Control { paused_at: None, configured_at: None, ..queue.control() };
        self.told.extend_from_slice(queue.announcements());
    }

    fn load(&self, concerns: &Concerns) -> Queue {
        let is_concerned = |phase: &PhaseEnqueued| concerns.issues.contains(&phase.parent_issue);
        let shelved: Vec<PhaseEnqueued> =
            self.shelf.values().filter(|phase| is_concerned(phase)).cloned().collect();
        let mut phases = self.concerned(concerns, &shelved);
        phases.extend(self.candidates(concerns.announcements_max(&self.control)));
        let is_named = |kept: &&KeptReport| {
            concerns.queue_ids.contains_key(&kept.queue_id)
                || shelved.iter().any(|phase| phase.queue_id == kept.queue_id)
        };
        let early = self.early.values().filter(is_named).cloned().collect();
        let may_go = |(phase, _): &&(Phase, Map<String, Value>)| {
            concerns.issues.contains(&phase.parent_issue) && phase.parent_issue > 0 && !has_completed(phase)
        };
        let contents = self.rows.values().filter(may_go);
        let contents = contents.map(|(phase, data)| (phase.queue_id.clone(), data.clone())).collect();
        Queue::load(phases, self.control)
            .with_early_reports(self.last_early, early)
            .with_shelf(shelved, contents)
    }

    /// As `rows/load_phases.sql` has it.
    fn concerned(&self, concerns: &Concerns, shelved: &[PhaseEnqueued]) -> Vec<Phase> {
        let all = || self.rows.values().map(|(phase, _)| phase);
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut reached: BTreeSet<(PlanKey, i32, Reach)> = BTreeSet::new();
        for ((issue, number), reach) in &concerns.places {
            reached.insert((PlanKey::Issue(*issue), *number, *reach));
        }
        for phase in all() {
            let by_id = concerns.queue_ids.get(&phase.queue_id).copied();
            let by_run = concerns.runs.get(&phase.adw_id).copied().filter(|_| phase.state.is_running());
            let comes_back = shelved.iter().any(|shelved| shelved.queue_id == phase.queue_id);
            for reach in [by_id, by_run, comes_back.then_some(Reach::Alone)].into_iter().flatten() {
                found.insert(&phase.queue_id);
                reached.insert((key(phase), phase.phase_number, reach));
            }
        }
        let mut rest: Vec<_> = reached.iter().copied().collect();
        while let Some((plan, number, reach)) = rest.pop() {
            for (_, _, queue_id) in self.edges.iter().filter(|edge| edge.0 == plan && edge.1 == number) {
                let waiting = &self.rows[queue_id].0;
                let goes_on = reach > Reach::Near || waiting.early.is_some();
                let next = (plan, waiting.phase_number, if goes_on { Reach::Far } else { Reach::Alone });
                if reach >= Reach::Near && reached.insert(next) {
                    rest.push(next);
                }
            }
        }
        let newest = |plan: PlanKey, number: i32| {
            all().filter(|p| key(p) == plan && p.phase_number == number).max_by_key(|p| p.queue_position)
        };
        for (plan, number, reach) in &reached {
            let phase = newest(*plan, *number);
            found.extend(phase.map(|phase| phase.queue_id.as_str()));
            for number in phase.iter().filter(|_| *reach > Reach::Near).flat_map(|phase| &phase.depends_on) {
                found.extend(newest(*plan, *number).map(|phase| phase.queue_id.as_str()));
            }
            if *reach == Reach::History {
                let history = all().filter(|p| key(p) == *plan && p.phase_number == *number);
                found.extend(history.map(|phase| phase.queue_id.as_str()));
            }
        }
        found.into_iter().map(|queue_id| self.rows[queue_id].0.clone()).collect()
    }

    /// The first phases that wait to be announced.
    fn candidates(&self, most: i64) -> Vec<Phase> {
        let waiting = self.rows.values().map(|(phase, _)| phase).filter(|phase| phase.state.is_candidate());
        let mut waiting: Vec<Phase> = waiting.cloned().collect();
        waiting.sort_by_key(|phase| (phase.priority, phase.queue_position, phase.phase_number));
        waiting.truncate(usize::try_from(most).expect("not negative"));
        waiting
    }
}

proptest! {
    #[test]
    fn no_phase_is_ready_or_running_before_its_dependencies_completed(history in history()) {
        let mut queue = Queue::default();
        let mut completed: BTreeSet<(PlanKey, i32)> = BTreeSet::new();
        for (step, moment) in history {
            let _ = queue.apply(step, moment);
            completed.extend(queue.phases().filter(|p| has_completed(p)).map(|p| (key(p), p.phase_number)));
            for phase in queue.phases().filter(|phase| !phase.state.is_waiting()) {
                for dependency in &phase.depends_on {
                    prop_assert!(completed.contains(&(key(phase), *dependency)), "{phase:?} in {queue:?}");
                }
            }
        }
    }

    #[test]
    fn a_phase_that_waits_is_blocked_if_and_only_if_something_it_depends_on_failed(history in history()) {
        let all = phases(&fold(&history));
        for phase in all.iter().filter(|phase| phase.state.is_waiting()) {
            let is_blocked = matches!(phase.state, State::Blocked { .. });
            prop_assert_eq!(is_blocked, is_in_vain(&all, phase), "{:?} in {:?}", phase, &all);
        }
    }

    #[test]
    fn a_phase_that_could_run_is_not_left_waiting(history in history()) {
        let all = phases(&fold(&history));
        for phase in all.iter().filter(|phase| phase.state.is_waiting()) {
            let met = |number: &i32| current(&all, phase, *number).is_some_and(has_completed);
            prop_assert!(!phase.depends_on.iter().all(met), "{:?} in {:?}", phase, &all);
        }
    }

    #[test]
    fn what_a_phase_counts_is_what_it_waits_for(history in history()) {
        let all = phases(&fold(&history));
        let blocks = |dependency: &Phase| match &dependency.state {
            State::Finished { outcome: Outcome::Failed { why }, .. } => {
                let (number, queue_id) = (dependency.phase_number, &dependency.queue_id);
                Some(format!("phase {number} ({queue_id}) failed: {why}"))
            }
            State::Blocked { why } => Some(why.clone()),
            _ => None,
        };
        for phase in &all {
            let is_open = |number: &&i32| !current(&all, phase, **number).is_some_and(has_completed);
            let why = phase.depends_on.iter().filter_map(|number| blocks(current(&all, phase, *number)?));
            let why: Vec<String> = why.collect();
            let counts = (phase.waiting_on, phase.blocked_on);
            if phase.state.is_waiting() {
                let open = phase.depends_on.iter().filter(is_open).count();
                prop_assert_eq!(counts, (i32::try_from(open).unwrap(), i32::try_from(why.len()).unwrap()), "{:?}", phase);
                prop_assert_eq!(phase.error_message(), why.first().map(String::as_str));
            } else {
                prop_assert_eq!((counts, &phase.early), ((0, 0), &None));
            }
        }
    }

    #[test]
    fn a_plan_has_at_most_one_unfinished_phase_of_a_number(history in history()) {
        let queue = fold(&history);
        let unfinished: Vec<_> =
            queue.phases().filter(|p| !p.state.is_finished()).map(|p| (key(p), p.phase_number)).collect();
        let distinct: BTreeSet<_> = unfinished.iter().collect();
        prop_assert_eq!(distinct.len(), unfinished.len());
    }

    #[test]
    fn a_history_and_the_same_with_each_event_doubled_give_the_same_queue(history in history()) {
        let doubled: History = history.iter().flat_map(|event| [event.clone(), event.clone()]).collect();
        let (once, twice) = (fold(&history), fold(&doubled));
        prop_assert_eq!(phases(&once), phases(&twice));
        prop_assert_eq!(told(&once), told(&twice));
    }

    #[test]
    fn only_a_step_with_an_effect_changes_anything(history in history()) {
        let mut queue = Queue::default();
        for (step, moment) in history {
            let (before, control) = (phases(&queue), queue.control());
            if queue.apply(step, moment) != Ok(Effect::Changed) {
                prop_assert_eq!(before, phases(&queue));
                prop_assert_eq!(control, queue.control());
            }
        }
    }

    #[test]
    fn events_of_different_plans_may_come_in_any_order(
        steps in prop::collection::vec(prop_oneof![step(7).boxed(), step(8).boxed()], 0..60),
        swaps in prop::collection::vec(any::<Index>(), 0..60),
    ) {
        // Reports of a run alone may be about either plan, and the pause is about all. All plans share the slots, so it
        // is what the phases are doing that does not depend on the order, not when they are announced.
        let issue = |step: &Step| match step {
            Step::Enqueue(phase) | Step::Command(phase) => Some(phase.parent_issue),
            Step::EnqueuePlan(phases) => Some(phases[0].parent_issue),
            Step::Start { queue_id, .. }
            | Step::Retry { queue_id }
            | Step::Dequeue { queue_id }
            | Step::Expire { queue_id, .. }
            | Step::RequestExecution { queue_id } => queue_id.split('-').next()?.parse().ok(),
            Step::Report(report) => report.phase_number.and(report.parent_issue),
            Step::Close { issue, .. } | Step::Reopen { issue, .. } => Some(*issue),
            Step::SetPaused(_) | Step::SetMaxConcurrent(_) => None,
        };
        let steps: Vec<Step> = steps.into_iter().filter(|step| issue(step).is_some()).collect();
        let history = at_moments(steps);
        let mut swapped = history.clone();
        for at in swaps.iter().filter(|_| history.len() > 1).map(|swap| swap.index(history.len() - 1)) {
            if issue(&swapped[at].0) != issue(&swapped[at + 1].0) {
                swapped.swap(at, at + 1);
            }
        }
        prop_assert_eq!(unannounced(&fold(&history)), unannounced(&fold(&swapped)));
    }

    #[test]
    fn phases_may_be_enqueued_in_any_order(
        plan in plan(7),
        order in Just((0..5).collect::<Vec<usize>>()).prop_shuffle(),
        rest in prop::collection::vec(step(7), 0..20),
    ) {
        let Step::EnqueuePlan(phases) = plan else { unreachable!() };
        let history_in = |order: &[usize]| {
            let enqueued = order.iter().filter_map(|at| phases.get(*at)).cloned().map(Step::Enqueue);
            at_moments(enqueued.chain(rest.clone()).collect())
        };
        let states = |history: &[(Step, Moment)]| -> BTreeMap<String, (&str, Option<String>)> {
            let queue = fold(history);
            let state = |p: &Phase| (p.queue_id.clone(), (p.state.as_str(), p.error_message().map(str::to_owned)));
            queue.phases().map(state).collect()
        };
        prop_assert_eq!(states(&history_in(&[0, 1, 2, 3, 4])), states(&history_in(&order)));
    }

    #[test]
    fn it_does_not_matter_how_a_history_is_cut_into_batches(
        history in history(),
        cuts in prop::collection::vec(1..10_usize, 60),
    ) {
        let mut table = Table::default();
        let mut rest = &history[..];
        for cut in cuts {
            let (batch, later) = rest.split_at(cut.min(rest.len()));
            table.apply(batch);
            rest = later;
        }
        let whole = fold(&history);
        let mut rows: Vec<Phase> = table.rows.into_values().map(|(phase, _)| phase).collect();
        rows.sort_by_key(|phase| (key(phase), phase.phase_number, phase.queue_position));
        prop_assert_eq!(rows, phases(&whole));
        prop_assert_eq!(table.control, Control { paused_at: None, configured_at: None, ..whole.control() });
        prop_assert_eq!(table.told, whole.announcements());
        prop_assert_eq!(table.last_early, whole.last_early_report());
        let early: Vec<&KeptReport> = whole.early_reports_added().collect();
        prop_assert_eq!(table.early.values().collect::<Vec<_>>(), early);
        let shelf: Vec<&PhaseEnqueued> = whole.shelf_added().collect();
        prop_assert_eq!(table.shelf.values().collect::<Vec<_>>(), shelf);
        let edges: BTreeSet<_> = whole
            .unlinked()
            .flat_map(|p| p.depends_on.iter().map(|number| (key(p), *number, p.queue_id.clone())))
            .collect();
        prop_assert_eq!(table.edges, edges);
    }
}
