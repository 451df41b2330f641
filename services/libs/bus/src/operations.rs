//! Acts that touch history, told to the stream `OPERATIONS`, from where the audit trail takes them.
//!
//! The subject is `operations.<role>.<act>`, and nats.conf lets each role publish under its own name only, so the role
//! is as sure as its password. Everything else is what the actor says.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use hookstream_event::{Token, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::{Bus, PublishError, Receipt};

/// Most bytes of an act's details, as JSON; longer ones are left out, and their length is told instead.
const DETAILS_BYTES_MAX: usize = 16 * 1024;

/// An act that touches history: redrive, rebuild, swap, a change of streams, of keys, retention.
///
/// **Invariant:** its details hold no body and no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What was done, in snake case; the last token of the subject.
    #[serde(skip)]
    pub act: String,
    /// The role of nats.conf that did it; the second token of the subject.
    #[serde(skip)]
    pub role: String,
    /// When it was done.
    #[serde(with = "time::serde::rfc3339")]
    pub at: OffsetDateTime,
    /// What it was done to, and how it ended.
    pub details: Map<String, Value>,
    /// Unique, so that an act that is told twice is recorded once.
    #[serde(skip)]
    id: String,
}

impl Operation {
    /// An act of `role` at `at`.
    pub fn new(role: &str, act: &str, at: OffsetDateTime) -> Self {
        let (one, two) = (RandomState::new().hash_one(1), RandomState::new().hash_one(2));
        Self {
            act: act.to_owned(),
            role: role.to_owned(),
            at,
            details: Map::new(),
            id: format!("operation:{one:016x}{two:016x}"),
        }
    }

    /// The same with one more detail.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }

    /// Reads a message of the stream `OPERATIONS`; `None` if it is no act of ours.
    pub fn read(subject: &str, payload: &[u8]) -> Option<Self> {
        let mut tokens = subject.strip_prefix("operations.")?.split('.');
        let (role, act) = (tokens.next()?, tokens.next()?);
        let read: Self = serde_json::from_slice(payload).ok()?;
        tokens.next().is_none().then(|| Self { role: role.to_owned(), act: act.to_owned(), ..read })
    }

    fn payload(&self) -> String {
        let text = |operation: &Self| serde_json::to_string(operation).expect("texts and numbers are JSON");
        let whole = text(self);
        if whole.len() <= DETAILS_BYTES_MAX {
            return whole;
        }
        text(&Self {
            details: Map::from_iter([("omitted_bytes".to_owned(), whole.len().into())]),
            ..self.clone()
        })
    }
}

impl Bus {
    /// Tells the stream `OPERATIONS` about an act, within `budget`. May be called again for the same act after an error:
    /// it is stored once.
    pub async fn tell_operation(
        &self,
        operation: &Operation,
        budget: Duration,
    ) -> Result<Receipt, PublishError> {
        let Operation { role, act, id, .. } = operation;
        let subject = format!("operations.{}.{}", Token::lossy(role), Token::lossy(act));
        let headers = vec![
            (header::MSG_ID.into(), id.clone()),
            (header::CONTENT_TYPE.into(), "application/json".to_owned()),
        ];
        self.publisher(budget).publish(subject, headers, operation.payload().into()).await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn operation() -> Operation {
        Operation::new("operator", "rebuild", OffsetDateTime::UNIX_EPOCH).with("projection", "task_log")
    }

    #[test]
    fn an_act_is_read_as_it_was_told() {
        let told = operation();
        let read = Operation::read("operations.operator.rebuild", told.payload().as_bytes()).unwrap();
        assert_eq!(read, Operation { id: String::new(), ..told.clone() });
        for (subject, payload) in [
            ("operations.operator", "{}"),
            ("operations.operator.rebuild.twice", &*told.payload()),
            ("rejections.github.x", &*told.payload()),
            ("operations.operator.rebuild", "{}"),
            ("operations.operator.rebuild", "\u{0}"),
        ] {
            assert_eq!(Operation::read(subject, payload.as_bytes()), None, "{subject} {payload}");
        }
    }

    #[test]
    fn details_are_bounded() {
        let long = operation().with("changes", "x".repeat(20_000));
        let read = Operation::read("operations.operator.rebuild", long.payload().as_bytes()).unwrap();
        assert!(read.details["omitted_bytes"].as_u64() > Some(20_000), "{:?}", read.details);
        assert_eq!(json!(read.details).as_object().unwrap().len(), 1);
    }
}
