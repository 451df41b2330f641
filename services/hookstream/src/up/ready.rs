//! Waits until every service says that it can do its work.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::addresses::{Addresses, url};
use super::data_dir::DataDir;
use super::keeper::Stack;
use crate::http;

/// How long all of them together may take.
const WITHIN: Duration = Duration::from_secs(90);
/// How long one answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Exit code of a service whose settings are wrong: it will not get better.
const BAD_SETTINGS: i32 = 2;
/// How often one may end by itself before that counts as a failure.
const ENDINGS_MAX: u32 = 3;

/// Waits until each `/readyz` says 200. An error names those that do not, and why.
pub(super) async fn wait(stack: &mut Stack, addresses: &Addresses, data_dir: &DataDir) -> anyhow::Result<()> {
    let services = [
        ("gateway", addresses.gateway),
        ("backend", addresses.backend),
        ("phase-queue", addresses.phase_queue),
        ("task-log", addresses.task_log),
        ("audit", addresses.audit),
    ];
    let mut waiting: BTreeMap<&'static str, String> =
        services.iter().map(|(name, addr)| (*name, format!("{}/readyz", url(*addr)))).collect();
    let mut reasons: BTreeMap<&'static str, String> = BTreeMap::new();
    let mut endings: BTreeMap<&'static str, u32> = BTreeMap::new();
    let deadline = Instant::now() + WITHIN;
    while !waiting.is_empty() {
        for (name, url) in waiting.clone() {
            match spawn_blocking(move || ask(&url)).await? {
                Ok(()) => {
                    waiting.remove(name);
                }
                Err(reason) => {
                    reasons.insert(name, reason);
                }
            }
        }
        while let Ok(ended) = stack.endings.try_recv() {
            let count = endings.entry(ended.name).or_default();
            *count += 1;
            if ended.status.code() == Some(BAD_SETTINGS) || *count >= ENDINGS_MAX {
                bail!(
                    "{} does not run ({}); see {}",
                    ended.name,
                    ended.status,
                    data_dir.log(ended.name).display()
                );
            }
        }
        if Instant::now() > deadline {
            let late: Vec<String> = waiting
                .keys()
                .map(|name| format!("{name}: {}", reasons.get(name).map_or("", String::as_str)))
                .collect();
            bail!("not ready after {} s: {}", WITHIN.as_secs(), late.join("; "));
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Ok(())
}

/// Asks once; the error is the reason, in the service's own words if it has any.
fn ask(url: &str) -> Result<(), String> {
    let answer = http::get(url, ANSWER_WITHIN).map_err(|error| format!("{error:#}"))?;
    if answer.status == 200 {
        return Ok(());
    }
    let body = answer.json();
    let failing = body["checks"].as_object().into_iter().flatten().filter(|(_, check)| check["ok"] == false);
    let failing: Vec<String> = failing.map(|(name, check)| format!("{name} ({})", check["reason"])).collect();
    Err(if failing.is_empty() { format!("{} {}", answer.status, answer.body) } else { failing.join(", ") })
}
