//! Issues and comments on GitHub that ask for a workflow.

mod command;

pub(crate) use command::Commands;

use std::sync::LazyLock;

use hookstream_event::internal::{PhaseData, PhaseEnqueued, limit};
use hookstream_event::select::{Selected, Selection};
use hookstream_event::{BodyDigest, EventId, InvalidBody, RecordedEvent, form};
use serde_json::{Map, Value};

use crate::Step;

/// Longest excerpt of an issue's or a comment's text that is kept, in bytes.
const EXCERPT_BYTES_MAX: usize = 4096;

/// Longest title that is kept, in bytes. GitHub allows 256 characters.
const TITLE_BYTES_MAX: usize = 1024;

/// The first phase's number, and the only one that a command enqueues.
const FIRST_PHASE: i32 = 1;

/// The priority of what nobody gave one.
const PRIORITY: i32 = 50;

static SELECTION: LazyLock<Selection> = LazyLock::new(|| {
    Selection::new([
        "comment.body",
        "comment.id",
        "comment.user.login",
        "issue.body",
        "issue.id",
        "issue.number",
        "issue.title",
        "issue.user.login",
        "repository.full_name",
        "sender.login",
        "sender.type",
    ])
});

/// Where on GitHub a command may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Issue,
    Comment,
}

/// What of GitHub's concerns the queue.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// What a workflow command looks like.
    pub(crate) commands: Commands,
    /// A text that our own workflows put into what they write.
    pub(crate) bot_marker: Option<String>,
}

/// The step that a webhook of GitHub asks for: a workflow command in an issue that was opened, or in a comment that was
/// made; an issue that was closed or opened again.
pub(crate) fn step(event: &RecordedEvent, rules: &Rules) -> Result<Option<Step>, InvalidBody> {
    let place = match (event.subject.event.as_str(), event.subject.action.as_str()) {
        ("issues", "opened") => Place::Issue,
        ("issue_comment", "created") => Place::Comment,
        ("issues", "closed" | "reopened") => return opened_or_closed(event).map(Some),
        _ => return Ok(None),
    };
    let body = SELECTION.read(&form::json(&event.envelope.content_type, &event.payload)?)?;
    command(event, place, &body, rules)
}

/// Takes the issue's phases out, or puts them back.
fn opened_or_closed(event: &RecordedEvent) -> Result<Step, InvalidBody> {
    let body = SELECTION.read(&form::json(&event.envelope.content_type, &event.payload)?)?;
    let issue = issue_number(&body)?;
    let repository = body.text("repository.full_name").map(str::to_owned);
    Ok(match event.subject.action.as_str() {
        "reopened" => Step::Reopen { issue, repository },
        _ => Step::Close { issue, repository },
    })
}

/// Neither by a bot nor with the bot marker, or workflows that report on GitHub would start each other.
fn command(
    event: &RecordedEvent,
    place: Place,
    body: &Selected<'_>,
    rules: &Rules,
) -> Result<Option<Step>, InvalidBody> {
    let texts: [Option<&str>; 2] = match place {
        Place::Issue => [body.text("issue.title"), body.text("issue.body")],
        Place::Comment => [body.text("comment.body"), None],
    };
    let Some(command) = texts.iter().flatten().find_map(|text| rules.commands.find(text)) else {
        return Ok(None);
    };
    let is_marked = |text: &&str| rules.bot_marker.as_ref().is_some_and(|marker| text.contains(marker));
    if body.text("sender.type") == Some("Bot") || texts.iter().flatten().any(is_marked) {
        return Ok(None);
    }
    let issue = issue_number(body)?;
    let adw_id = format!("gh-{}", digits(&["adw_id", event.envelope.id.as_str()]));
    Ok(Some(Step::Command(PhaseEnqueued {
        queue_id: queue_id(place, body, &event.envelope.id),
        parent_issue: issue,
        phase_number: FIRST_PHASE,
        phase_data: PhaseData {
            workflow_type: command.to_owned(),
            json: phase_data(place, body, command, &adw_id),
            adw_id,
        },
        depends_on_phases: Vec::new(),
        priority: PRIORITY,
        issue_number: Some(issue),
    })))
}

fn issue_number(body: &Selected<'_>) -> Result<i64, InvalidBody> {
    let issue = body.integer("issue.number").filter(|number| (1..=limit::INTEGER).contains(number));
    issue.ok_or_else(|| InvalidBody::FieldInvalid {
        field: "issue.number".to_owned(),
        rule: "must be the number of an issue".to_owned(),
    })
}

/// Derived from what GitHub calls the issue or comment, so that one of them enqueues once, however often and under
/// however many delivery ids it is delivered.
fn queue_id(place: Place, body: &Selected<'_>, event_id: &EventId) -> String {
    let (kind, id) = match place {
        Place::Issue => ("issue", body.name("issue.id")),
        Place::Comment => ("comment", body.name("comment.id")),
    };
    let repository = body.text("repository.full_name").unwrap_or_default();
    match id {
        Some(id) => format!("gh-{}", digits(&[kind, repository, &id])),
        None => format!("gh-{}", digits(&["event", event_id.as_str()])),
    }
}

fn phase_data(place: Place, body: &Selected<'_>, command: &str, adw_id: &str) -> Map<String, Value> {
    let author = match place {
        Place::Issue => body.text("issue.user.login"),
        Place::Comment => body.text("comment.user.login"),
    };
    let comment = body.text("comment.body").filter(|_| place == Place::Comment);
    let fields = [
        ("workflow_type", Some(command)),
        ("adw_id", Some(adw_id)),
        ("title", body.text("issue.title").map(|title| cut(title, TITLE_BYTES_MAX))),
        ("content", body.text("issue.body").map(|text| cut(text, EXCERPT_BYTES_MAX))),
        ("comment", comment.map(|text| cut(text, EXCERPT_BYTES_MAX))),
        ("repository", body.text("repository.full_name").map(|name| cut(name, TITLE_BYTES_MAX))),
        ("author", author.or(body.text("sender.login")).map(|name| cut(name, TITLE_BYTES_MAX))),
    ];
    let present = |(name, value): (&str, Option<&str>)| Some((name.to_owned(), Value::from(value?)));
    fields.into_iter().filter_map(present).collect()
}

fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// 64 bits of the SHA-256 of the parts, as hex digits.
fn digits(parts: &[&str]) -> String {
    let mut digits = BodyDigest::of(parts.join("\n").as_bytes()).to_string();
    digits.truncate(16);
    digits
}

#[cfg(test)]
mod tests;
