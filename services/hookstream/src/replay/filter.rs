//! Which events: by subject at the server, by repository here.

use hookstream_bus::Message;
use hookstream_event::{Token, attribute, header};

use crate::settings::Usage;

/// What the caller wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, serde::Serialize, serde::Deserialize)]
pub(crate) struct Filter {
    /// Only events stored under this subject, such as 'webhooks.github.issues.*'; may be given several times
    #[arg(long, value_name = "SUBJECT", conflicts_with_all = ["source", "event"])]
    pub(crate) subject: Vec<String>,
    /// Only events of this source, such as github; may be given several times
    #[arg(long, value_name = "SOURCE")]
    pub(crate) source: Vec<String>,
    /// Only this event, with or without its action: issues, issues.opened; may be given several times
    #[arg(long, value_name = "EVENT")]
    pub(crate) event: Vec<String>,
    /// Only events of this repository, owner/name
    #[arg(long, value_name = "OWNER/NAME")]
    pub(crate) repository: Option<String>,
}

impl Filter {
    /// The subjects to ask the server for; none for all.
    pub(crate) fn subjects(&self) -> Result<Vec<String>, Usage> {
        let mut subjects = Vec::new();
        for subject in &self.subject {
            if !is_stored(subject) {
                let example = "webhooks.<source>.<event>.<action>, each a name or *, or webhooks.<source>.>";
                return Err(Usage(format!("--subject {subject}: give {example}")));
            }
            subjects.push(subject.clone());
        }
        for source in or_any(&self.source) {
            for event in or_any(&self.event) {
                let (event, action) = event.split_once('.').unwrap_or((event, "*"));
                for (flag, token) in [("--source", source), ("--event", event), ("--event", action)] {
                    if !is_token(token) {
                        return Err(Usage(format!(
                            "{flag}: {token:?} is no name of a source, event or action"
                        )));
                    }
                }
                if self.subject.is_empty() {
                    subjects.push(format!("webhooks.{source}.{event}.{action}"));
                }
            }
        }
        if subjects == ["webhooks.*.*.*"] {
            return Ok(Vec::new());
        }
        without_overlap(subjects)
    }

    /// Whether an event that the server has selected is of the repository asked for.
    pub(crate) fn takes(&self, message: &Message) -> bool {
        let Some(wanted) = &self.repository else { return true };
        let named = format!("{}{}", header::ATTRIBUTE_PREFIX, attribute::REPOSITORY);
        // The names that GitHub gives are visible ASCII, which headers hold as they are; case does not tell them apart.
        message.headers.iter().any(|(name, value)| *name == named && value.eq_ignore_ascii_case(wanted))
    }
}

fn or_any(given: &[String]) -> Vec<&str> {
    if given.is_empty() { vec!["*"] } else { given.iter().map(String::as_str).collect() }
}

fn is_token(text: &str) -> bool {
    text == "*" || Token::parse(text).is_ok()
}

/// A subject of stored events, perhaps with wildcards.
fn is_stored(subject: &str) -> bool {
    let Some(rest) = subject.strip_prefix("webhooks.") else { return false };
    let tokens: Vec<&str> = rest.split('.').collect();
    let open = tokens.last() == Some(&">");
    let named = if open { &tokens[..tokens.len() - 1] } else { &tokens[..] };
    let depth_fits = if open { tokens.len() <= 3 } else { tokens.len() == 3 };
    depth_fits && named.iter().all(|token| is_token(token))
}

/// Leaves out what another one covers. The server refuses filters of which two can match one subject.
fn without_overlap(subjects: Vec<String>) -> Result<Vec<String>, Usage> {
    let mut kept: Vec<String> = Vec::new();
    for subject in subjects {
        if kept.iter().any(|other| covers(other, &subject)) {
            continue;
        }
        kept.retain(|other| !covers(&subject, other));
        if let Some(other) = kept.iter().find(|other| overlaps(other, &subject)) {
            return Err(Usage(format!(
                "{other} and {subject} overlap, which NATS does not take: replay them one after the other"
            )));
        }
        kept.push(subject);
    }
    Ok(kept)
}

/// Whether every subject that `narrow` matches is matched by `wide`.
fn covers(wide: &str, narrow: &str) -> bool {
    pairs(wide, narrow).all(|(wide, narrow)| wide == "*" || wide == narrow)
}

/// Whether one subject can match both.
fn overlaps(one: &str, other: &str) -> bool {
    pairs(one, other).all(|(one, other)| one == "*" || other == "*" || one == other)
}

/// Token by token; all have four, `>` standing for those that are left.
fn pairs<'s>(one: &'s str, other: &'s str) -> impl Iterator<Item = (&'s str, &'s str)> {
    let tokens = |subject: &'s str| {
        let named: Vec<&str> = subject.split('.').take_while(|token| *token != ">").collect();
        named.into_iter().chain(std::iter::repeat("*")).take(4)
    };
    tokens(one).zip(tokens(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(source: &[&str], event: &[&str], subject: &[&str]) -> Result<Vec<String>, Usage> {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let (source, event, subject) = (list(source), list(event), list(subject));
        Filter { subject, source, event, repository: None }.subjects()
    }

    #[test]
    fn sources_and_events_become_subjects() {
        assert_eq!(subjects(&[], &[], &[]).unwrap(), [""; 0]);
        assert_eq!(subjects(&["github"], &[], &[]).unwrap(), ["webhooks.github.*.*"]);
        assert_eq!(subjects(&[], &["workflow.completed"], &[]).unwrap(), ["webhooks.*.workflow.completed"]);
        assert_eq!(
            subjects(&["github", "ci"], &["issues", "push"], &[]).unwrap(),
            [
                "webhooks.github.issues.*",
                "webhooks.github.push.*",
                "webhooks.ci.issues.*",
                "webhooks.ci.push.*"
            ]
        );
    }

    #[test]
    fn what_another_filter_covers_is_left_out() {
        assert_eq!(subjects(&[], &["issues.opened", "issues"], &[]).unwrap(), ["webhooks.*.issues.*"]);
        assert_eq!(subjects(&["github", "github"], &[], &[]).unwrap(), ["webhooks.github.*.*"]);
        let given = ["webhooks.github.>", "webhooks.github.issues.*"];
        assert_eq!(subjects(&[], &[], &given).unwrap(), ["webhooks.github.>"]);
    }

    #[test]
    fn what_is_no_filter_is_named() {
        for wrong in ["issues", "webhooks", "webhooks.>.x.y", "webhooks.a.b", "ingest.>", "webhooks.A.b.c"] {
            assert!(subjects(&[], &[], &[wrong]).unwrap_err().0.contains(wrong), "{wrong}");
        }
        assert!(subjects(&["Git Hub"], &[], &[]).unwrap_err().0.contains("--source"));
        assert!(subjects(&[], &["issues.opened.now"], &[]).unwrap_err().0.contains("--event"));
        let overlapping = ["webhooks.github.*.*", "webhooks.*.issues.*"];
        assert!(subjects(&[], &[], &overlapping).unwrap_err().0.contains("overlap"));
    }
}
