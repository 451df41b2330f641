//! What a GitHub webhook's body says: its action, and the CloudEvents attributes of the event.
//!
//! Driven by data: `schemas/events/github.json` says per event which keys its bodies have and where the attributes
//! are. Events that the table does not know are accepted, since GitHub keeps adding some; they get what every
//! webhook has.

mod table;
mod template;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::description::{Description, URI_BYTES_MAX, bounded_text, in_utc};
use crate::github::table::{Rule, Table};
use crate::select::{Picked, Selected};
use crate::{Attributes, EventType, InvalidBody, Source, Subject, Token, attribute};

/// CloudEvents source of an event whose body names no repository, organisation or sender.
const ORIGIN: &str = "https://github.com";

/// Reads the JSON body of a GitHub webhook; of a form-encoded one, the decoded `payload`.
///
/// `event` is the value of `X-GitHub-Event`. GitHub does not sign that header, so a body that has not the keys of its
/// event, or has those of another, is refused.
pub fn describe(event: &Token, body: &[u8], received_at: OffsetDateTime) -> Result<Description, InvalidBody> {
    let table = Table::embedded();
    let rule = table.rule(event.as_str());
    let found = rule.selection().read(body)?;
    check_keys(event, rule, &found)?;

    let action = action(&found)?;
    let type_suffix: Vec<Token> =
        rule.type_paths().filter_map(|path| found.name(path)).map(|name| Token::lossy(&name)).collect();
    let mut time_paths = rule.time_paths(action.as_str());
    let occurred_at = time_paths.find_map(|path| time(found.get(path)?)).unwrap_or(received_at);
    Ok(Description {
        event_type: EventType::join("com.github", std::iter::once(event).chain(&type_suffix)),
        origin: origin(rule, &found),
        about: rule
            .subject()
            .and_then(|path| found.name(path))
            .map(|name| bounded_text(&name))
            .filter(|name| !name.is_empty()),
        occurred_at,
        attributes: attributes(rule, &found),
        subject: Subject { source: Source::github().token().clone(), event: event.clone(), action },
    })
}

fn check_keys(event: &Token, rule: &Rule, found: &Selected<'_>) -> Result<(), InvalidBody> {
    let lacking = |key: &&str| !found.has(key);
    let unmentioned = |key: &&str| found.get(key).is_none();
    if let Some(key) = rule.requires().find(lacking).or_else(|| rule.present().find(unmentioned)) {
        return Err(InvalidBody::KeyMissing { event: event.clone(), key: key.to_owned() });
    }
    match rule.absent().find(|key| found.has(key)) {
        Some(key) => Err(InvalidBody::KeyForeign { event: event.clone(), key: key.to_owned() }),
        None => Ok(()),
    }
}

/// The action as a subject token. Senders of `repository_dispatch` choose theirs freely, hence lossy.
fn action(found: &Selected<'_>) -> Result<Token, InvalidBody> {
    match found.get("action") {
        None | Some(Picked::Null) => Ok(Token::lossy("none")),
        Some(Picked::Text(action)) => Ok(Token::lossy(action)),
        Some(_) => Err(InvalidBody::ActionNotText),
    }
}

fn origin(rule: &Rule, found: &Selected<'_>) -> String {
    let fallbacks = ["repository.url", "organization.url", "sender.url"];
    let fits = |uri: &String| {
        (1..=URI_BYTES_MAX).contains(&uri.len()) && uri.bytes().all(|byte| byte.is_ascii_graphic())
    };
    rule.source()
        .render(found)
        .filter(fits)
        .or_else(|| fallbacks.iter().filter_map(|path| found.text(path)).map(str::to_owned).find(fits))
        .unwrap_or_else(|| ORIGIN.to_owned())
}

/// An RFC 3339 text, or Unix seconds: some installation events have the one, some the other.
fn time(value: &Picked) -> Option<OffsetDateTime> {
    let time = match value {
        Picked::Text(text) => OffsetDateTime::parse(text, &Rfc3339).ok()?,
        Picked::Integer(seconds) => {
            OffsetDateTime::from_unix_timestamp(i64::try_from(*seconds).ok()?).ok()?
        }
        _ => return None,
    };
    in_utc(time)
}

fn attributes(rule: &Rule, found: &Selected<'_>) -> Attributes {
    let mut attributes = Attributes::default();
    attributes.set_some(attribute::REPOSITORY, found.text("repository.full_name"));
    attributes.set_some(attribute::SENDER, found.text("sender.login"));
    let issue = rule.issue().and_then(|path| found.integer(path)).filter(|number| *number >= 0);
    attributes.set_some(attribute::ISSUE, issue);
    attributes
}

#[cfg(test)]
mod tests;
