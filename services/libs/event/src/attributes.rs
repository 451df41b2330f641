use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::header;

/// Longest attribute value, in bytes. A longer text is cut; the whole of it stays in the payload.
///
/// The server stores at most 65,535 bytes of headers a message, and percent-encoding can triple a text.
pub const ATTRIBUTE_BYTES_MAX: usize = 4096;

/// Names attributes, and the headers that they travel as.
macro_rules! attributes {
    ($($(#[$docs:meta])* $constant:ident = $name:literal;)*) => {
        /// The attributes that projections use. Each travels as header `hs-<name>`.
        pub mod attribute {
            $($(#[$docs])* pub const $constant: &str = $name;)*
        }

        /// The header that an attribute travels as.
        pub(crate) fn header(name: &str) -> Cow<'static, str> {
            match name {
                $($name => Cow::Borrowed(concat!("hs-", $name)),)*
                _ => Cow::Owned(format!("{}{name}", header::ATTRIBUTE_PREFIX)),
            }
        }
    };
}

attributes! {
    /// `owner/name` of the repository.
    REPOSITORY = "repository";
    /// Number of the issue or pull request that the event is about.
    ISSUE = "issue";
    /// Login of who caused the event.
    SENDER = "sender";
    /// Id of a run of an automated developer workflow.
    ADW_ID = "adw-id";
    /// Id of a phase in the queue.
    QUEUE_ID = "queue-id";
    /// Issue whose plan a phase belongs to.
    PARENT_ISSUE = "parent-issue";
    /// Number of the phase in its plan.
    PHASE_NUMBER = "phase-number";
    /// Name of the phase, of `task.logged`.
    PHASE_NAME = "phase-name";
    /// `started`, `completed`, `failed` or `skipped`.
    PHASE_STATUS = "phase-status";
    /// Template of the workflow.
    WORKFLOW_TEMPLATE = "workflow-template";
    /// What a task logged.
    LOG_MESSAGE = "log-message";
    /// Why a task or workflow failed.
    ERROR_MESSAGE = "error-message";
    /// RFC 3339 time a task started at.
    STARTED_AT = "started-at";
    /// RFC 3339 time a task ended at.
    COMPLETED_AT = "completed-at";
    /// How long it took, in seconds, as a decimal number.
    DURATION_SECONDS = "duration-seconds";
    /// Tokens a model used.
    TOKENS_USED = "tokens-used";
    /// What it cost, in US dollars, as a decimal number.
    COST_USD = "cost-usd";
    /// Who gave a command, such as `api:<token name>`.
    ACTOR = "actor";
    /// The time that the sender signed, in Unix seconds, where the scheme has one.
    SIGNED_AT = "signed-at";
    /// The id that the sender signed, where the scheme has one and it is not the event's.
    SIGNED_ID = "signed-id";
    /// `reject` where a body that is known under another id is not to be applied again.
    REPLAY_POLICY = "replay-policy";
}

/// Named texts that travel in message headers, so that most projections never read a body.
///
/// **Invariant:** no value is longer than [`ATTRIBUTE_BYTES_MAX`] or holds U+0000, which Postgres refuses in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(BTreeMap<String, String>);

impl Attributes {
    /// Sets an attribute; a value too long is cut at a character boundary, U+0000 becomes U+FFFD.
    pub fn set(&mut self, name: &str, value: &str) {
        let cut = |text: &str| text[..text.floor_char_boundary(ATTRIBUTE_BYTES_MAX)].to_owned();
        let mut kept = cut(value);
        if kept.contains('\0') {
            kept = cut(&kept.replace('\0', "\u{fffd}"));
        }
        self.0.insert(name.to_owned(), kept);
    }

    /// Sets an attribute if there is a value for it.
    pub fn set_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, &value.to_string());
        }
    }

    /// The value of an attribute.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The value of an attribute that is a number; `None` if absent or no such number.
    pub fn number<N: std::str::FromStr>(&self, name: &str) -> Option<N> {
        self.text(name)?.parse().ok()
    }

    /// All attributes, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attribute_travels_under_its_prefixed_name() {
        for name in [attribute::REPOSITORY, attribute::REPLAY_POLICY, "of-a-newer-gateway"] {
            assert_eq!(header(name).strip_prefix(header::ATTRIBUTE_PREFIX), Some(name));
        }
    }

    #[test]
    fn values_are_bounded_and_free_of_nul() {
        let mut attributes = Attributes::default();
        attributes.set("log-message", &"é".repeat(5000));
        attributes.set("error-message", &"\0".repeat(5000));
        for (name, value) in attributes.iter() {
            assert!(value.len() <= ATTRIBUTE_BYTES_MAX && value.len() > ATTRIBUTE_BYTES_MAX - 4, "{name}");
            assert!(!value.contains('\0'), "{name}");
        }
    }
}
