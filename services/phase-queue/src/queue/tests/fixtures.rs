use hookstream_event::internal::{PhaseData, PhaseEnqueued, WorkflowCompleted, WorkflowStatus};
use serde_json::json;
use time::macros::datetime;
use time::{Duration, OffsetDateTime};

use crate::{Effect, Moment, Queue, Refusal, Step, Unchanged};

/// The moment of the `position`th event: a second after the one before.
pub(super) fn moment(position: i64) -> Moment {
    let start: OffsetDateTime = datetime!(2026-11-23 10:00 UTC);
    Moment { position, at: start + Duration::seconds(position) }
}

/// Phase `number` of an issue, with queue id `<issue>-<number>` and run `run-<issue>-<number>`.
pub(super) fn phase(issue: i64, number: i32, depends_on: &[i32]) -> PhaseEnqueued {
    named_phase(&id(issue, number), issue, number, depends_on)
}

pub(super) fn named_phase(queue_id: &str, issue: i64, number: i32, depends_on: &[i32]) -> PhaseEnqueued {
    let adw_id = format!("run-{issue}-{number}");
    let json = json!({"workflow_type": "adw_build_iso", "adw_id": adw_id});
    PhaseEnqueued {
        queue_id: queue_id.to_owned(),
        parent_issue: issue,
        phase_number: number,
        phase_data: PhaseData {
            workflow_type: "adw_build_iso".to_owned(),
            adw_id,
            json: json.as_object().expect("an object").clone(),
        },
        depends_on_phases: depends_on.to_vec(),
        priority: 50,
        issue_number: None,
    }
}

pub(super) fn id(issue: i64, number: i32) -> String {
    format!("{issue}-{number}")
}

/// A plan in which each phase depends on the one before.
pub(super) fn chain(issue: i64, length: i32) -> Step {
    let depends_on = |number| if number == 1 { vec![] } else { vec![number - 1] };
    Step::EnqueuePlan((1..=length).map(|number| phase(issue, number, &depends_on(number))).collect())
}

/// A plan of four: 2 and 3 depend on 1, 4 on both.
pub(super) fn diamond(issue: i64) -> Step {
    let depends_on: [&[i32]; 4] = [&[], &[1], &[1], &[2, 3]];
    Step::EnqueuePlan((1..).zip(depends_on).map(|(number, on)| phase(issue, number, on)).collect())
}

pub(super) fn start(issue: i64, number: i32) -> Step {
    Step::Start { queue_id: id(issue, number), adw_id: format!("run-{issue}-{number}") }
}

/// A report with queue id, by the run that the phase was enqueued with.
pub(super) fn report(issue: i64, number: i32, status: WorkflowStatus) -> WorkflowCompleted {
    WorkflowCompleted {
        adw_id: format!("run-{issue}-{number}"),
        status,
        queue_id: Some(id(issue, number)),
        parent_issue: Some(issue),
        phase_number: Some(number),
        issue_number: None,
        trigger_next: true,
        error_message: (status == WorkflowStatus::Failed).then(|| "tests failed".to_owned()),
        duration_seconds: None,
        tokens_used: None,
        cost_usd: None,
        workflow_template: None,
        metadata: None,
    }
}

pub(super) fn completed(issue: i64, number: i32) -> Step {
    Step::Report(report(issue, number, WorkflowStatus::Completed))
}

pub(super) fn failed(issue: i64, number: i32) -> Step {
    Step::Report(report(issue, number, WorkflowStatus::Failed))
}

pub(super) fn retry(issue: i64, number: i32) -> Step {
    Step::Retry { queue_id: id(issue, number) }
}

pub(super) fn dequeue(issue: i64, number: i32) -> Step {
    Step::Dequeue { queue_id: id(issue, number) }
}

pub(super) fn request_execution(issue: i64, number: i32) -> Step {
    Step::RequestExecution { queue_id: id(issue, number) }
}

/// A queue under test, and what became of the last step.
pub(super) struct Story {
    pub(super) queue: Queue,
    position: i64,
    last: Result<Effect, Refusal>,
}

/// A queue after steps that must all be legal.
pub(super) fn given(steps: impl IntoIterator<Item = Step>) -> Story {
    let effect = Effect::Unchanged(Unchanged::Already("new"));
    let mut story = Story { queue: Queue::default(), position: 0, last: Ok(effect) };
    for step in steps {
        story = story.when(step);
        if let Err(refusal) = &story.last {
            panic!("given step {} was refused: {refusal}", story.position);
        }
    }
    story
}

impl Story {
    pub(super) fn when(mut self, step: Step) -> Self {
        self.position += 1;
        self.last = self.queue.apply(step, moment(self.position));
        self
    }

    /// The same, so many seconds later.
    pub(super) fn after(mut self, seconds: i64) -> Self {
        self.position += seconds;
        self
    }

    /// What the phases of an issue are doing, in order of their numbers.
    #[track_caller]
    pub(super) fn then(self, issue: i64, states: &str) -> Self {
        if let Err(refusal) = &self.last {
            panic!("refused: {refusal}");
        }
        assert_eq!(states_of(&self.queue, issue), states);
        self
    }

    /// The step was refused, and the phases of an issue are doing what they did.
    #[track_caller]
    pub(super) fn then_refused(self, refusal: &Refusal, issue: i64, states: &str) -> Self {
        assert_eq!(self.last.as_ref(), Err(refusal));
        assert_eq!(states_of(&self.queue, issue), states);
        self
    }

    #[track_caller]
    pub(super) fn then_unchanged(self, unchanged: Unchanged, issue: i64, states: &str) -> Self {
        assert_eq!(self.last, Ok(Effect::Unchanged(unchanged)));
        assert_eq!(states_of(&self.queue, issue), states);
        self
    }

    #[track_caller]
    pub(super) fn then_error_message(self, queue_id: &str, message: Option<&str>) -> Self {
        let phase = self.queue.phases().find(|phase| phase.queue_id == queue_id).expect("the phase");
        assert_eq!(phase.error_message(), message, "{queue_id}");
        self
    }

    pub(super) fn outcome(&self) -> String {
        match &self.last {
            Ok(Effect::Changed) => "changed".to_owned(),
            Ok(Effect::Unchanged(why)) => why.to_string(),
            Err(refusal) => refusal.code().to_owned(),
        }
    }
}

pub(super) fn states_of(queue: &Queue, issue: i64) -> String {
    let states: Vec<&str> = queue
        .phases()
        .filter(|phase| phase.parent_issue == issue)
        .map(|phase| match phase.state {
            crate::State::Ready { held: true, .. } => "held",
            _ => phase.state.as_str(),
        })
        .collect();
    states.join(" ")
}
