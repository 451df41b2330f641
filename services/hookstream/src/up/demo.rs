//! The demo: signed sample webhooks through the gateway, and the rows that each became; then a plan, run to its end.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use hookstream_event::samples::{self, Sample};
use hookstream_runtime::unique_id;
use hookstream_signature::Key;
use hookstream_store::{Connection, PgSettings};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::addresses::{Addresses, url};
use super::data_dir::DataDir;
use super::secrets::Secrets;
use super::servers::Servers;
use crate::http;
use crate::output::{self, progress};
use crate::send::signed::{Signed, unix_now};

mod plan;
mod rows;

/// How long the gateway may take for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long the projections may take to apply everything.
const APPLIED_WITHIN: Duration = Duration::from_secs(45);
/// Tables that every event gets a row of.
const EVERY_EVENT: [&str; 3] = ["webhook_events", "task_logs", "audit_trail"];

/// A sample that was sent.
#[derive(Debug)]
struct Sent {
    sample: &'static Sample,
    /// The body as it was sent.
    body: Value,
    receipt: Value,
    sequence: i64,
}

impl Sent {
    /// Whether the phase queue takes it, and whether rows come of it.
    fn concerns_queue(&self) -> bool {
        match self.sample.source {
            "github" => matches!(self.sample.event, "issues" | "issue_comment"),
            _ => self.sample.event != "task.logged",
        }
    }

    fn makes_phases(&self) -> bool {
        matches!(self.sample.name, "issues.opened" | "plan.enqueued" | "workflow.completed")
    }
}

/// Sends all samples, waits until each projection has applied them, prints everything; then runs a plan of three phases
/// through a worker. Says whether all of it arrived, and the plan completed.
pub(super) async fn run(
    data_dir: &DataDir,
    addresses: &Addresses,
    secrets: &Secrets,
    servers: &Servers,
) -> anyhow::Result<bool> {
    let gateway = url(addresses.gateway);
    let run = Run::new(secrets)?;
    let (issue, suffix, key) = (run.issue + 2, run.suffix.clone(), run.internal.clone());
    let all = move || samples::ALL.iter().map(|sample| run.send(sample, &gateway)).collect();
    let sent: Vec<Sent> = spawn_blocking::<_, anyhow::Result<_>>(all).await??;
    progress(format_args!("{} webhooks sent; waiting for the projections", sent.len()));
    let database = PgSettings::from_url(&servers.database_url)?;
    let database = Connection::open(&database, "hookstream-demo").await?;
    wait_until_applied(&database, &sent).await?;
    let mut arrived = true;
    for sent in &sent {
        arrived &= print(&database, sent).await?;
    }
    let plan = plan::Demo {
        gateway: url(addresses.gateway),
        backend: url(addresses.backend),
        token: secrets.api_token.expose_secret().to_owned(),
        key,
        worker_url: &servers.worker_url,
        locks: &data_dir.path().join("work"),
        database: &database,
        issue,
        suffix,
    };
    arrived &= plan.run().await?;
    let outcome = if arrived {
        "all of it arrived, and the plan completed"
    } else {
        "not all of it arrived and completed, see above"
    };
    output::line(format_args!("\ndemo: {} webhooks sent; {outcome}", sent.len()))?;
    Ok(arrived)
}

/// What makes this demo's webhooks different from those of the last one over the same data.
struct Run {
    github: Key,
    internal: Key,
    /// Stands in for the samples' issue numbers.
    issue: i64,
    /// Ends the samples' queue ids and run ids.
    suffix: String,
}

impl Run {
    fn new(secrets: &Secrets) -> anyhow::Result<Self> {
        let key = |secret: &SecretString| Key::new("demo", secret.expose_secret().as_bytes());
        let issue = unix_now()?;
        let suffix = unique_id()[..8].to_owned();
        Ok(Self { github: key(&secrets.github)?, internal: key(&secrets.internal)?, issue, suffix })
    }

    /// A body that no demo before had: an issue asks for a workflow only once, and a body that comes again under another
    /// id is a suspected replay.
    fn body(&self, sample: &Sample) -> anyhow::Result<Value> {
        let mut body: Value = serde_json::from_str(sample.body).with_context(|| sample.name)?;
        if sample.source == "github" {
            body["demo"] = self.suffix.as_str().into();
            for field in ["/issue/id", "/issue/number"] {
                if let Some(number) = body.pointer_mut(field) {
                    *number = (self.issue + 1).into();
                }
            }
        } else {
            self.renew(&mut body);
        }
        Ok(body)
    }

    fn send(&self, sample: &'static Sample, gateway: &str) -> anyhow::Result<Sent> {
        let body = self.body(sample)?;
        let id = format!("demo-{}-{}", self.suffix, sample.name.replace('.', "-"));
        let signed = if sample.source == "github" {
            Signed::github(&self.github, sample.event, &id, serde_json::to_vec(&body)?, false)
        } else {
            Signed::internal(&self.internal, &id, unix_now()?, serde_json::to_vec(&body)?)
        };
        let url = format!("{gateway}{}", signed.path);
        let answer = http::post(&url, &signed.headers, &signed.body, ANSWER_WITHIN)?;
        ensure!(answer.status == 202, "{}: answered with {} {}", sample.name, answer.status, answer.body);
        let receipt = answer.json();
        let sequence =
            receipt["sequence"].as_i64().with_context(|| format!("{}: no sequence", sample.name))?;
        Ok(Sent { sample, body, receipt, sequence })
    }

    /// Gives the story of the internal samples an issue and phases of its own: ids of phases are used once.
    fn renew(&self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    match (name.as_str(), &mut *field) {
                        ("queue_id" | "adw_id", Value::String(id)) => *id = format!("{id}-{}", self.suffix),
                        ("parent_issue" | "issue_number", Value::Number(_)) => *field = self.issue.into(),
                        _ => self.renew(field),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.renew(item)),
            _ => {}
        }
    }
}

async fn wait_until_applied(database: &Connection, sent: &[Sent]) -> anyhow::Result<()> {
    let last = sent.iter().map(|sent| sent.sequence).max().unwrap_or_default();
    let last_of_queue = sent.iter().filter(|sent| sent.concerns_queue()).map(|sent| sent.sequence).max();
    let wanted = [("task_log", last), ("audit", last), ("phase_queue", last_of_queue.unwrap_or_default())];
    let deadline = Instant::now() + APPLIED_WITHIN;
    loop {
        let rows = database.query(include_str!("demo/checkpoints.sql"), &[]).await?;
        let reached: Vec<(String, i64)> = rows
            .iter()
            .map(|row| Ok((row.try_get("projection")?, row.try_get("sequence")?)))
            .collect::<anyhow::Result<_>>()?;
        let at = |name| reached.iter().find(|(known, _)| known == name).map_or(0, |(_, sequence)| *sequence);
        let behind: Vec<_> = wanted.iter().filter(|(name, wanted)| at(name) < *wanted).collect();
        if behind.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let late: Vec<String> = behind
                .iter()
                .map(|(name, wanted)| format!("{name} is at {} of {wanted}", at(name)))
                .collect();
            bail!("not applied within {} s: {}", APPLIED_WITHIN.as_secs(), late.join(", "));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Prints a receipt and its rows; says whether each table has what it should.
async fn print(database: &Connection, sent: &Sent) -> anyhow::Result<bool> {
    let text = |name: &str| sent.receipt[name].as_str().unwrap_or_default();
    output::line(format_args!(
        "\n{} {}: {} as {}, {} {}",
        sent.sample.source,
        sent.sample.name,
        text("status"),
        text("event_id"),
        text("stream"),
        sent.sequence
    ))?;
    let rows = rows::of(database, sent).await?;
    for (table, row) in &rows {
        output::line(format_args!("  {table:<15} {row}"))?;
    }
    let mut expected = EVERY_EVENT.to_vec();
    if sent.makes_phases() {
        expected.push("phase_queue");
    }
    let mut complete = true;
    for table in expected {
        if !rows.iter().any(|(found, _)| *found == table) {
            complete = false;
            output::line(format_args!("  {table:<15} MISSING: there is no row of this event"))?;
        }
    }
    Ok(complete && !rows.iter().any(|(table, _)| *table == "dead_letters"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_demo_sends_no_body_of_the_first() {
        let run = |issue, suffix: &str| {
            let key = || Key::new("demo", b"secret").unwrap();
            Run { github: key(), internal: key(), issue, suffix: suffix.to_owned() }
        };
        for sample in &samples::ALL {
            let [one, other] = [run(1, "one"), run(4, "other")].map(|run| run.body(sample).unwrap());
            assert_ne!(one, other, "{}", sample.name);
        }
    }
}
