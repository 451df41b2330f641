//! Tells the gateway of a run, as a signed webhook, for as long as it takes.

use std::time::Duration;

use anyhow::bail;
use hookstream_signature::Key;
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::http::{self, Answer};
use crate::output::progress;
use crate::send::signed::{Signed, unix_now};

/// How long an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// Pause before a report is sent again, doubled each time up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_LONGEST: Duration = Duration::from_secs(10);

/// Who posts to the gateway.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    gateway: String,
    key: Key,
}

/// The gateway has stored it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Now, or by an earlier attempt of ours whose answer was lost.
    ByUs,
    /// By somebody else, a moment ago.
    ByAnother,
}

impl Reporter {
    /// Posts to the gateway at `url`.
    pub(crate) fn new(url: &str, key: Key) -> Self {
        Self { gateway: url.trim_end_matches('/').to_owned(), key }
    }

    /// Posts an internal event under its id until the gateway has stored it. An error means that it never will: the
    /// secret is wrong, or the event.
    pub(super) async fn post(&self, id: &str, event: &Value) -> anyhow::Result<Stored> {
        let (mut pause, mut doubt, mut told) = (PAUSE_FIRST, false, false);
        let type_name = event["type"].as_str().unwrap_or_default();
        loop {
            let problem = match self.post_once(id, event).await {
                Ok(Answer { status: 202, .. }) => return Ok(Stored::ByUs),
                Ok(Answer { status: 200, .. }) if doubt => return Ok(Stored::ByUs),
                Ok(Answer { status: 200, .. }) => return Ok(Stored::ByAnother),
                Ok(answer) if matches!(answer.status, 408 | 429 | 500..) => {
                    format!("{} {}", answer.status, answer.body.trim_end())
                }
                Ok(answer) => {
                    bail!("the gateway refuses {type_name}: {} {}", answer.status, answer.body.trim_end())
                }
                Err(error) => format!("{error:#}"),
            };
            // From now on a duplicate may be our own.
            doubt = true;
            if !told {
                told = true;
                progress(format_args!("the gateway has not taken {type_name}, trying on: {problem}"));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    async fn post_once(&self, id: &str, event: &Value) -> anyhow::Result<Answer> {
        let signed = Signed::internal(&self.key, id, unix_now()?, event.to_string().into_bytes());
        let url = format!("{}{}", self.gateway, signed.path);
        spawn_blocking(move || http::post(&url, &signed.headers, &signed.body, ANSWER_WITHIN)).await?
    }
}
