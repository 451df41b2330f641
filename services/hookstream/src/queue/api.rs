//! Requests to the backend.

use std::time::Duration;

use anyhow::Context as _;
use hookstream_runtime::Settings;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::http::{self, Answer};

/// How long an answer may take: the backend waits for its read models at most 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What to do where no answer comes.
const UNANSWERED: &str =
    "no answer from the backend (start it, as `hookstream up` does, or correct BACKEND_URL)";

/// Most items of a page.
const PAGE: usize = 500;

/// The backend.
pub(super) struct Api {
    url: String,
    token: Option<SecretString>,
}

/// What it said.
pub(super) enum Reply<T> {
    Good(T),
    /// For people: what is wrong.
    Problem(String),
}

impl Api {
    pub(super) fn new(settings: &Settings) -> Self {
        let url = settings.get("BACKEND_URL").unwrap_or_default();
        let url = format!("{}/api/v1", url.trim_end_matches('/'));
        Self { url, token: settings.secret("HOOKSTREAM_API_TOKEN") }
    }

    /// The items of a list, page after page, at most `limit`. `path` ends where a parameter may follow.
    pub(super) fn items(&self, path: &str, limit: usize) -> anyhow::Result<Reply<Vec<Value>>> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let size = PAGE.min(limit - items.len());
            if size == 0 {
                return Ok(Reply::Good(items));
            }
            let url = format!("{}{path}limit={size}{cursor}", self.url);
            let answer = http::without_body("GET", &url, &[], ANSWER_WITHIN).context(UNANSWERED)?;
            let mut page = match reply(&answer) {
                Reply::Good(page) => page,
                Reply::Problem(problem) => return Ok(Reply::Problem(problem)),
            };
            items.append(page["items"].as_array_mut().context("the backend's answer has no items")?);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(Reply::Good(items)),
            }
        }
    }

    /// A command with its fields, under an id of the caller's if there is one.
    pub(super) fn command(
        &self,
        path: &str,
        fields: &Value,
        id: Option<&str>,
    ) -> anyhow::Result<Reply<Value>> {
        let mut headers = self.headers();
        headers.push(("content-type", "application/json".to_owned()));
        headers.extend(id.map(|id| ("idempotency-key", id.to_owned())));
        let url = format!("{}{path}", self.url);
        let answer = http::post(&url, &headers, fields.to_string().as_bytes(), ANSWER_WITHIN);
        Ok(reply(&answer.context(UNANSWERED)?))
    }

    /// DELETE.
    pub(super) fn delete(&self, path: &str) -> anyhow::Result<Reply<Value>> {
        let url = format!("{}{path}", self.url);
        let answer = http::without_body("DELETE", &url, &self.headers(), ANSWER_WITHIN);
        Ok(reply(&answer.context(UNANSWERED)?))
    }

    /// Waits until the queue has applied the event that was stored at `sequence`, and says why it refused it, if it did.
    /// An error says what keeps the queue, after 5 s at the latest while the backend answers at all.
    pub(super) fn outcome(&self, sequence: u64, event_id: &str) -> Result<Option<String>, String> {
        let url = format!(
            "{}/dead-letters?projection=phase_queue&redriven=false&stream_sequence={sequence}&min_sequence={sequence}",
            self.url
        );
        let answer =
            http::without_body("GET", &url, &[], ANSWER_WITHIN).map_err(|error| format!("{error:#}"))?;
        match reply(&answer) {
            Reply::Good(page) => {
                // One of a stream that was recreated meanwhile may have the same sequence.
                let letter = Some(&page["items"][0]).filter(|letter| letter["event_id"] == event_id);
                Ok(letter.map(|letter| letter["error"].as_str().unwrap_or_default().to_owned()))
            }
            Reply::Problem(problem) => Err(problem),
        }
    }

    fn headers(&self) -> Vec<(&'static str, String)> {
        let bearer = |token: &SecretString| ("authorization", format!("Bearer {}", token.expose_secret()));
        self.token.iter().map(bearer).collect()
    }
}

fn reply(answer: &Answer) -> Reply<Value> {
    let body = answer.json();
    if matches!(answer.status, 200 | 202) && body.is_object() {
        return Reply::Good(body);
    }
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    let told = match (text("title"), text("detail")) {
        (Some(title), Some(detail)) => format!("{title}: {detail}"),
        (Some(title), None) => title,
        _ => answer.body.trim_end().chars().take(300).collect(),
    };
    Reply::Problem(format!("{told} ({})", answer.status))
}
