//! Where a witness gets checkpoints and proofs: the trail's database, or a backend. Neither is believed without the
//! public key.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hookstream_proofs::{consistency, newest_checkpoint, prove_resumptions};
use hookstream_runtime::Settings;
use hookstream_store::Connection;
use hookstream_trail::{Hash, Proof};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::task::block_in_place;

use crate::audit::{database, hold_still};
use crate::http::{self, Answer};
use crate::settings::Usage;

/// How long an answer of the backend may take: it waits for Postgres at most 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Names the problem document of a backend that has no checkpoint.
const NO_CHECKPOINT: &str = "urn:hookstream:problem:no-checkpoint";

/// Where the trail is asked for.
pub(super) enum Source {
    Database(Box<Connection>),
    /// Its URL, up to the version of the API.
    Backend(String),
}

impl Source {
    /// The backend at `url`, or else the database of the settings.
    pub(super) async fn open(url: Option<&str>, settings: &Settings) -> anyhow::Result<Self> {
        let Some(url) = url else {
            let client = database(settings).await?;
            hold_still(&client).await?;
            return Ok(Self::Database(Box::new(client)));
        };
        if !(url.starts_with("http://") || url.starts_with("https://")) {
            return Err(Usage(format!("--url {url:?} must begin with http:// or https://")).into());
        }
        Ok(Self::Backend(format!("{}/api/v1", url.trim_end_matches('/'))))
    }

    /// The newest checkpoint's note; `None` before the first.
    pub(super) async fn newest(&self) -> anyhow::Result<Option<String>> {
        match self {
            Self::Database(client) => newest_checkpoint(&***client).await.context("read the trail"),
            Self::Backend(api) => {
                let answer = ask(api, "/audit/checkpoint")?;
                if answer.status == 404 && answer.json()["type"] == NO_CHECKPOINT {
                    return Ok(None);
                }
                good(answer).map(|answer| Some(answer.body))
            }
        }
    }

    /// What is said to prove that the trail of `old` entries is the beginning of that of `new`.
    pub(super) async fn consistency(&self, old: u64, new: u64) -> anyhow::Result<Vec<Hash>> {
        match self {
            Self::Database(client) => consistency(&***client, old, new).await.context("fetch the proof"),
            Self::Backend(api) => {
                field(ask(api, &format!("/audit/consistency?from={old}&to={new}"))?, "consistency")
            }
        }
    }

    /// What is said to prove the entries that record gaps.
    pub(super) async fn resumptions(&self) -> anyhow::Result<Vec<Proof>> {
        match self {
            Self::Database(client) => {
                Ok(prove_resumptions(&***client).await.context("fetch what records the gaps")?.covered)
            }
            Self::Backend(api) => field(ask(api, "/audit/resumptions")?, "proofs"),
        }
    }
}

fn ask(api: &str, path: &str) -> anyhow::Result<Answer> {
    let answer = block_in_place(|| http::get(&format!("{api}{path}"), ANSWER_WITHIN));
    answer.context("no answer from the backend (start it, or correct --url)")
}

fn good(answer: Answer) -> anyhow::Result<Answer> {
    if answer.status == 200 {
        return Ok(answer);
    }
    let title = answer.json()["title"].as_str().map_or_else(String::new, |title| format!(": {title}"));
    bail!("the backend answers {}{title}", answer.status)
}

fn field<T: DeserializeOwned>(answer: Answer, name: &str) -> anyhow::Result<T> {
    let mut json = good(answer)?.json();
    let value = json.get_mut(name).map(Value::take).unwrap_or_default();
    serde_json::from_value(value).with_context(|| format!("the backend's answer has no {name}"))
}
