//! Random loads.

use hookstream_test_support::SampleEvent;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// A load, and perhaps a rebuild beside it.
#[derive(Debug, Clone)]
pub(super) struct Round {
    pub(super) steps: Vec<Step>,
    pub(super) rebuild: Option<Rebuild>,
}

/// What happens next.
#[derive(Debug, Clone)]
pub(super) enum Step {
    /// An event comes that was received so long ago.
    Store { fields: Fields, hours_ago: i64 },
    /// One that was stored comes again; its source repeats it, or repeats it when the broker has forgotten its id.
    Repeat { which: Index, is_known_to_broker: bool },
    /// kill -9 of the projection, which is then started again.
    Kill,
}

/// A rebuild with exchange, during the load.
#[derive(Debug, Clone)]
pub(super) struct Rebuild {
    /// Before which step it is given.
    pub(super) begins: Index,
    /// It is killed itself after so many more steps, if it still runs, and given again.
    pub(super) killed_after: Option<usize>,
    /// What was in use before is put back in use afterwards.
    pub(super) is_rolled_back: bool,
}

/// What an event says.
#[derive(Debug, Clone)]
pub(super) enum Fields {
    Issue { number: u64, repository: &'static str },
    Internal(Value),
}

impl Fields {
    pub(super) fn event(&self, id: &str) -> SampleEvent {
        match self {
            Self::Issue { number, repository } => {
                let body = json!({
                    "action": "opened", "issue": { "number": number, "title": "t" },
                    "repository": { "full_name": repository, "url": format!("https://api.github.com/repos/{repository}") },
                    "sender": { "login": "octocat" },
                });
                SampleEvent::github("issues", id, &body)
            }
            Self::Internal(body) => SampleEvent::internal(id, body),
        }
    }
}

/// A load of 60 to 250 steps; with a rebuild, if told so.
pub(super) fn round(has_rebuild: bool) -> impl Strategy<Value = Round> {
    let rebuild = (any::<Index>(), prop::option::of(0_usize..120), any::<bool>())
        .prop_map(|(begins, killed_after, is_rolled_back)| Rebuild { begins, killed_after, is_rolled_back });
    (prop::collection::vec(step(), 60..250), rebuild)
        .prop_map(move |(steps, rebuild)| Round { steps, rebuild: has_rebuild.then_some(rebuild) })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // Within the seven days that a projection remembers ids for.
        80 => (fields(), 0_i64..150).prop_map(|(fields, hours_ago)| Step::Store { fields, hours_ago }),
        18 => (any::<Index>(), any::<bool>())
            .prop_map(|(which, is_known_to_broker)| Step::Repeat { which, is_known_to_broker }),
        2 => Just(Step::Kill),
    ]
}

fn fields() -> impl Strategy<Value = Fields> {
    let repository = prop::sample::select(vec!["octo-org/one", "octo-org/two"]);
    let issue = (0_u64..4, repository).prop_map(|(number, repository)| Fields::Issue { number, repository });
    prop_oneof![issue, work().prop_map(Fields::Internal)]
}

/// A task that was logged, or a workflow that ended, of an issue or of a run without one.
fn work() -> impl Strategy<Value = Value> {
    let status = prop::sample::select(vec!["started", "completed", "failed", "skipped"]);
    let template = prop::option::of(prop::sample::select(vec!["adw_plan_iso", "adw_build_iso"]));
    let error =
        prop::option::of(prop::sample::select(vec!["3 tests failed", "7 tests failed", "no disk at /x"]));
    let amounts = (
        prop::option::of(prop_oneof![0.0..0.002_f64, 0.0..5_000.0_f64]),
        prop::option::of(0_u64..1_000_000),
        prop::option::of(0.0..100.0_f64),
    );
    (any::<bool>(), any::<bool>(), 0_u64..4, 1_u8..4, status, template, error, amounts).prop_map(
        |(is_task, has_issue, issue, phase, status, template, error, (duration, tokens, cost))| {
            let mut body = json!({
                "adw_id": format!("run-{issue}"), "phase_number": phase, "workflow_template": template,
                "error_message": error, "duration_seconds": duration, "tokens_used": tokens, "cost_usd": cost,
            });
            if is_task || has_issue {
                body["issue_number"] = json!(issue);
            }
            let more = if is_task {
                json!({ "type": "task.logged", "phase_name": "Build", "phase_status": status, "log_message": "built" })
            } else {
                let status = if status == "failed" { "failed" } else { "completed" };
                json!({ "type": "workflow.completed", "status": status })
            };
            for (name, value) in more.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            body
        },
    )
}
