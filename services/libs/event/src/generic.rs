//! What a webhook of a configured source says: which header or which value of its body is its id, event, action and
//! time is data, not code.
//!
//! Nothing here is required of a body but that it is a JSON object: what a provider leaves out or invents must not
//! cost its deliveries.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::description::{Description, in_utc};
use crate::select::{Selected, Selection};
use crate::{Attributes, BodyDigest, EventId, EventType, InvalidBody, Source, Subject, Token};

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Field {
    /// The request's header of this name.
    Header(String),
    /// The body's value at these keys, joined by dots.
    Path(String),
}

/// Where a source's deliveries carry what we need. Of several fields the first that has a value counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The delivery's id, the same at each retry.
    pub id: Vec<Field>,
    /// What happened, such as `invoice.paid`.
    pub event: Vec<Field>,
    /// What was done, where the event does not say it.
    pub action: Vec<Field>,
    /// When it happened: RFC 3339, Unix seconds, or as GitLab writes it: `2015-05-17 18:08:09 UTC`.
    pub time: Vec<Field>,
}

/// How a source's deliveries are read; made once, used often.
#[derive(Debug)]
pub struct Rule {
    source: Source,
    type_prefix: String,
    fields: Fields,
    selection: Selection,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Its id, if the sender gave it one, in the form that an event id can hold.
    pub id: Option<String>,
    /// The rest.
    pub description: Description,
}

impl Rule {
    /// A rule for `source`, whose event types begin with `type_prefix`.
    pub fn new(source: Source, type_prefix: &str, fields: Fields) -> Self {
        let all = [&fields.id, &fields.event, &fields.action, &fields.time].into_iter().flatten();
        let paths =
            all.filter_map(|field| if let Field::Path(path) = field { Some(path.clone()) } else { None });
        let selection = Selection::new(paths);
        Self { source, type_prefix: type_prefix.to_owned(), fields, selection }
    }

    /// Reads a verified body. `header` gives the one value of a header; `fallback` is the time of an event that does
    /// not tell its own.
    ///
    /// A dotted event such as `invoice.paid` is split at its first dot. Without one, and without an action of its own,
    /// the action is `none`; without an event it is `event`.
    pub fn describe(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        body: &[u8],
        fallback: OffsetDateTime,
    ) -> Result<Delivery, InvalidBody> {
        let found = self.selection.read(body)?;
        let texts = |fields: &[Field]| fields.iter().find_map(|field| text(field, header, &found));
        let event = texts(&self.fields.event).unwrap_or_else(|| "event".to_owned());
        let (event, split) = match event.split_once('.') {
            Some((event, action)) => (event.to_owned(), Some(action.to_owned())),
            None => (event, None),
        };
        let event = Token::lossy(&event);
        let action = texts(&self.fields.action).or(split).map(|action| Token::lossy(&action));
        let tokens = std::iter::once(&event).chain(&action);
        let time = self.fields.time.iter().find_map(|field| time(field, header, &found));
        let description = Description {
            event_type: EventType::join(&self.type_prefix, tokens),
            origin: format!("/webhooks/{}", self.source),
            about: None,
            occurred_at: time.unwrap_or(fallback),
            attributes: Attributes::default(),
            subject: Subject {
                source: self.source.token().clone(),
                event: event.clone(),
                action: action.clone().unwrap_or_else(|| Token::lossy("none")),
            },
        };
        // What was replaced in the text of a body could make two ids one: such an id is none.
        let is_own = |field: &Field, id: &str| matches!(field, Field::Header(_)) || !id.contains('\u{fffd}');
        let id_of = |field| text(field, header, &found).filter(|id| is_own(field, id));
        let id = self.fields.id.iter().find_map(id_of);
        Ok(Delivery { id: id.map(|id| self.delivery_id(id)), description })
    }

    /// The headers that may carry the id.
    pub fn id_headers(&self) -> impl Iterator<Item = &str> {
        self.fields.id.iter().filter_map(|field| match field {
            Field::Header(name) => Some(name.as_str()),
            Field::Path(_) => None,
        })
    }

    /// The source's name.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The id as it is, if an event id can hold it; else 32 hex digits of its digest, which are as much its own.
    fn delivery_id(&self, id: String) -> String {
        if EventId::new(&self.source, &id).is_ok() { id } else { digest_id(id.as_bytes()) }
    }
}

/// The delivery id of bytes that have none: the first 32 hex digits of their SHA-256.
pub fn digest_id(bytes: &[u8]) -> String {
    let mut id = BodyDigest::of(bytes).to_string();
    id.truncate(32);
    id
}

/// The value of a field, if there is one that is not empty.
fn text(field: &Field, header: &dyn Fn(&str) -> Option<String>, found: &Selected<'_>) -> Option<String> {
    let text = match field {
        Field::Header(name) => header(name),
        Field::Path(path) => found.name(path).map(std::borrow::Cow::into_owned),
    };
    text.filter(|text| !text.is_empty())
}

fn time(
    field: &Field,
    header: &dyn Fn(&str) -> Option<String>,
    found: &Selected<'_>,
) -> Option<OffsetDateTime> {
    let text = text(field, header, found)?;
    let unix = |text: &str| OffsetDateTime::from_unix_timestamp(text.parse().ok()?).ok();
    let rfc3339 = |text: &str| OffsetDateTime::parse(text, &Rfc3339).ok();
    let gitlab = |text: &str| {
        let (date, time) = text.strip_suffix(" UTC")?.split_once(' ')?;
        rfc3339(&format!("{date}T{time}Z"))
    };
    rfc3339(&text).or_else(|| unix(&text)).or_else(|| gitlab(&text)).and_then(in_utc)
}

#[cfg(test)]
mod tests;
