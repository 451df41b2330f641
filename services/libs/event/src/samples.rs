//! Webhook bodies to try things with: what `hookstream send --sample` and the demo send.

/// A webhook without its signature and delivery id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Who would send it: `github` or `internal`.
    pub source: &'static str,
    /// Unique name: `issues.opened`, `workflow.completed`.
    pub name: &'static str,
    /// What goes into `X-GitHub-Event`; of internal events, the type.
    pub event: &'static str,
    /// The JSON body.
    pub body: &'static str,
}

macro_rules! github {
    ($event:literal, $name:literal) => {
        Sample {
            source: "github",
            name: $name,
            event: $event,
            body: include_str!(concat!("../../../../schemas/events/github/examples/", $name, ".json")),
        }
    };
}

macro_rules! internal {
    ($event:literal, $example:literal) => {
        Sample {
            source: "internal",
            name: $event,
            event: $event,
            body: include_str!(concat!(
                "../../../../schemas/events/internal/",
                $event,
                "/examples/ok/",
                $example,
                ".json"
            )),
        }
    };
}

/// All samples. The internal ones tell a story: a plan of three phases, its first one done, a line of the task log.
/// The body of `issues.opened` holds a workflow command.
pub const ALL: [Sample; 11] = [
    github!("ping", "ping"),
    github!("push", "push"),
    github!("issues", "issues.opened"),
    github!("issue_comment", "issue_comment.created"),
    github!("pull_request", "pull_request.opened"),
    github!("check_run", "check_run.completed"),
    github!("release", "release.published"),
    github!("workflow_run", "workflow_run.completed"),
    internal!("plan.enqueued", "three-phases"),
    internal!("workflow.completed", "full"),
    internal!("task.logged", "full"),
];

/// The sample with that name.
pub fn find(name: &str) -> Option<&'static Sample> {
    ALL.iter().find(|sample| sample.name == name)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;
    use crate::{Token, github, internal};

    #[test]
    fn every_sample_is_accepted_under_its_own_event() {
        for sample in ALL {
            let body = sample.body.as_bytes();
            if sample.source == "github" {
                let event = Token::parse(sample.event).unwrap();
                let described = github::describe(&event, body, datetime!(2026-11-23 12:00 UTC)).unwrap();
                let action = described.subject.action.as_str();
                let name =
                    if action == "none" { sample.event.to_owned() } else { format!("{event}.{action}") };
                assert_eq!(name, sample.name);
            } else {
                assert_eq!(internal::decode(body, None).unwrap().type_name(), sample.event);
            }
            assert_eq!(find(sample.name), Some(&sample), "names are unique");
        }
    }

    #[test]
    fn the_sample_issue_asks_for_a_workflow() {
        assert!(find("issues.opened").unwrap().body.contains("adw_plan_iso"));
        assert_eq!(find("issues.closed"), None);
    }
}
