use std::collections::BTreeMap;

/// Longest attribute value, in bytes. A longer text is cut; the whole of it stays in the payload.
///
/// The server stores at most 65,535 bytes of headers a message, and percent-encoding can triple a text.
pub const ATTRIBUTE_BYTES_MAX: usize = 4096;

/// The attributes that projections use. Each travels as header `hs-<name>`.
pub mod attribute {
    /// `owner/name` of the repository.
    pub const REPOSITORY: &str = "repository";
    /// Number of the issue or pull request that the event is about.
    pub const ISSUE: &str = "issue";
    /// Login of who caused the event.
    pub const SENDER: &str = "sender";
    /// Id of a run of an automated developer workflow.
    pub const ADW_ID: &str = "adw-id";
    /// Id of a phase in the queue.
    pub const QUEUE_ID: &str = "queue-id";
    /// Issue whose plan a phase belongs to.
    pub const PARENT_ISSUE: &str = "parent-issue";
    /// Number of the phase in its plan.
    pub const PHASE_NUMBER: &str = "phase-number";
    /// Name of the phase, of `task.logged`.
    pub const PHASE_NAME: &str = "phase-name";
    /// `started`, `completed`, `failed` or `skipped`.
    pub const PHASE_STATUS: &str = "phase-status";
    /// Template of the workflow.
    pub const WORKFLOW_TEMPLATE: &str = "workflow-template";
    /// What a task logged.
    pub const LOG_MESSAGE: &str = "log-message";
    /// Why a task or workflow failed.
    pub const ERROR_MESSAGE: &str = "error-message";
    /// RFC 3339 time a task started at.
    pub const STARTED_AT: &str = "started-at";
    /// RFC 3339 time a task ended at.
    pub const COMPLETED_AT: &str = "completed-at";
    /// How long it took, in seconds, as a decimal number.
    pub const DURATION_SECONDS: &str = "duration-seconds";
    /// Tokens a model used.
    pub const TOKENS_USED: &str = "tokens-used";
    /// What it cost, in US dollars, as a decimal number.
    pub const COST_USD: &str = "cost-usd";
    /// Who gave a command, such as `api:<token name>`.
    pub const ACTOR: &str = "actor";
    /// The time that the sender signed, in Unix seconds, where the scheme has one.
    pub const SIGNED_AT: &str = "signed-at";
    /// The id that the sender signed, where the scheme has one and it is not the event's.
    pub const SIGNED_ID: &str = "signed-id";
    /// `reject` where a body that is known under another id is not to be applied again.
    pub const REPLAY_POLICY: &str = "replay-policy";
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
