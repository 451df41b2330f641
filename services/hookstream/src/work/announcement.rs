//! What the phase queue says of a phase in the stream PHASES.

use anyhow::{Context as _, ensure};
use hookstream_bus::{Bus, BusError, Message};
use hookstream_event::BodyDigest;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The stream.
pub(super) const STREAM: &str = "PHASES";

/// Announcements that are looked at for news of one phase. Those of an issue share a subject only where a number was
/// enqueued again, and those of no issue.
const NEWS_MAX: usize = 10_000;

/// A phase as it was announced.
#[derive(Debug, Clone, Deserialize)]
#[expect(clippy::struct_field_names, reason = "they are those of the announcement")]
pub(crate) struct Phase {
    pub(crate) queue_id: String,
    pub(crate) parent_issue: i64,
    pub(crate) phase_number: i32,
    pub(crate) issue_number: Option<i64>,
    pub(crate) status: String,
    pub(crate) priority: i32,
    pub(crate) queue_position: i64,
    pub(crate) adw_id: String,
    pub(crate) announcement: u64,
    pub(crate) phase_data: Map<String, Value>,
}

/// What has become of an announcement since it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum News {
    /// Nothing that is known.
    None,
    /// Its run has begun.
    Running,
    /// The phase has another status, or was announced again.
    Over(String),
}

impl Phase {
    /// Reads an announcement.
    pub(super) fn read(payload: &[u8]) -> anyhow::Result<Self> {
        let phase: Self = serde_json::from_slice(payload).context("not an announcement")?;
        // It becomes a file's name.
        let mut bytes = phase.queue_id.bytes();
        let head = bytes.next().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        let clean = head && bytes.all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        ensure!(clean && phase.queue_id.len() <= 128, "not an announcement: queue_id is malformed");
        Ok(phase)
    }

    /// The workflow to run.
    pub(crate) fn workflow_type(&self) -> &str {
        self.phase_data.get("workflow_type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The id of what is reported about this announcement: the same however often, and by whomever, it is reported.
    pub(super) fn report_id(&self, what: &str) -> String {
        let Self { queue_id, queue_position, announcement, .. } = self;
        let named = format!("{what}\0{queue_id}\0{queue_position}\0{announcement}");
        format!("work-{what}-{}", &BodyDigest::of(named.as_bytes()).to_string()[..32])
    }

    /// Whether both speak of the same phase.
    fn is(&self, other: &Self) -> bool {
        (&self.queue_id, self.queue_position) == (&other.queue_id, other.queue_position)
    }

    /// Looks behind the announcement for what has become of it.
    pub(super) async fn news(&self, bus: &Bus, message: &Message) -> Result<News, BusError> {
        let subject = format!("phases.{}.{}.*", self.parent_issue, self.phase_number);
        let mut next = message.stream_sequence + 1;
        let mut news = News::None;
        for _ in 0..NEWS_MAX {
            let Some(stored) = bus.message_from(STREAM, next, &subject).await? else { break };
            next = stored.stream_sequence + 1;
            match Self::read(&stored.payload) {
                Ok(later) if later.is(self) => news = later.tells(self.announcement),
                _ => {}
            }
        }
        Ok(news)
    }

    /// What this one, made later, says about the announcement of that number.
    fn tells(&self, announcement: u64) -> News {
        match self.status.as_str() {
            "running" => News::Running,
            "ready" if self.announcement <= announcement => News::None,
            "ready" => News::Over("announced again".to_owned()),
            status => News::Over(status.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn announced(queue_id: &str, status: &str, announcement: u64) -> anyhow::Result<Phase> {
        let phase = json!({
            "queue_id": queue_id, "parent_issue": 7, "phase_number": 1, "issue_number": null, "status": status,
            "priority": 50, "queue_position": 3, "adw_id": "a", "announcement": announcement,
            "phase_data": {"workflow_type": "adw_plan_iso", "adw_id": "a"}, "depends_on_phases": [], "later": 1,
        });
        Phase::read(phase.to_string().as_bytes())
    }

    #[test]
    fn a_phase_whose_id_could_do_harm_as_a_files_name_is_refused() {
        assert_eq!(announced("41-1", "ready", 1).unwrap().workflow_type(), "adw_plan_iso");
        for wrong in ["", "..", "../x", "a/b", "-a", "a b", &"a".repeat(129)] {
            assert!(announced(wrong, "ready", 1).is_err(), "{wrong:?}");
        }
        assert!(Phase::read(b"{}").is_err());
    }

    #[test]
    fn a_report_has_one_id_for_each_announcement() {
        let id = |queue_id: &str, announcement, what| {
            announced(queue_id, "ready", announcement).unwrap().report_id(what)
        };
        assert_eq!(id("q", 1, "started"), id("q", 1, "started"));
        let others = [id("q", 2, "started"), id("r", 1, "started"), id("q", 1, "completed")];
        assert!(others.iter().all(|other| *other != id("q", 1, "started")));
        let clean = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        assert!(id("q.:", 1, "completed").bytes().all(clean), "what a webhook-id may hold");
    }

    #[test]
    fn later_announcements_tell_what_became_of_one() {
        let tells = |status, number| announced("q", status, number).unwrap().tells(2);
        assert_eq!(tells("running", 1), News::Running);
        assert_eq!(tells("ready", 3), News::Over("announced again".to_owned()));
        assert_eq!(tells("completed", 1), News::Over("completed".to_owned()));
        assert_eq!(tells("ready", 2), News::None);
    }
}
