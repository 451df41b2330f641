//! Honest senders beside everything that is hostile here, all at once, against the gateway's own process.
//!
//! A few seconds in a normal run. The real one takes its time and also looks at memory:
//! `HOOKSTREAM_SOAK_SECONDS=300 cargo test -p hookstream-gateway soak -- --nocapture`

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use hookstream_test_support::{TestNats, eventually, http, run_test_within};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::executable::Process;
use crate::gateway::{PATIENCE, stored_ids};

mod honest;
mod zoo;

/// How many are honest.
const SENDERS: usize = 4;

/// From so long on the memory is looked at: less is mostly the start.
const MEMORY_COUNTS_FROM: Duration = Duration::from_mins(2);

/// Where and how long.
#[derive(Clone)]
struct Site {
    gateway: SocketAddr,
    over: CancellationToken,
}

impl Site {
    /// Whether it still goes on.
    fn is_open(&self) -> bool {
        !self.over.is_cancelled()
    }
}

fn duration() -> Duration {
    let seconds = std::env::var("HOOKSTREAM_SOAK_SECONDS").map_or(4, |seconds| seconds.parse().unwrap());
    Duration::from_secs(seconds)
}

/// Resident memory of a process, in KiB.
fn resident_kib(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim_end_matches("kB").trim().parse().unwrap()
}

fn median(samples: &mut [u64]) -> u64 {
    samples.sort_unstable();
    samples.get(samples.len() / 2).copied().unwrap_or_default()
}

/// Takes samples of the memory: about the settled beginning, and about the end.
async fn watch_memory(id: u32, start: Instant, duration: Duration) -> (u64, u64, u64) {
    let (mut first, mut last, mut peak) = (Vec::new(), Vec::new(), 0);
    let mut next = start + duration / 5;
    while next < start + duration {
        sleep_until(next).await;
        let now = resident_kib(id);
        peak = peak.max(now);
        if start.elapsed() < duration * 2 / 5 {
            first.push(now);
        } else if start.elapsed() > duration * 4 / 5 {
            last.push(now);
        }
        next += duration / 300;
    }
    (median(&mut first), median(&mut last), peak)
}

#[tokio::test(flavor = "multi_thread")]
async fn soak_of_hostile_and_honest_traffic() {
    let duration = duration();
    run_test_within(duration * 2 + Duration::from_mins(2), async || {
        let nats = TestNats::start().await;
        let settings = [
            // A log of all that is refused would be most of the work.
            ("HOOKSTREAM_LOG", "error,hookstream_gateway=info,hookstream_gateway::service=error"),
            // Slow ones come round more often than by default.
            ("HOOKSTREAM_HEADER_TIMEOUT", "2s"),
            ("HOOKSTREAM_BODY_GRACE", "1s"),
        ];
        let (mut process, url) = Process::start_ready(&nats, &settings).await;
        let site =
            Site { gateway: url.trim_start_matches("http://").parse()?, over: CancellationToken::new() };
        let start = Instant::now();
        let (mut senders, mut beasts) = (JoinSet::new(), JoinSet::new());
        for number in 0..SENDERS {
            senders.spawn(honest::send(site.clone(), number));
        }
        zoo::open(&site, &mut beasts);
        let (before, after, peak) = watch_memory(process.id(), start, duration).await;
        site.over.cancel();

        let mut accepted = HashMap::new();
        while let Some(of_one) = senders.join_next().await {
            accepted.extend(of_one??);
        }
        let mut attacks = HashMap::<_, u64>::new();
        while let Some(of_one) = beasts.join_next().await {
            let (name, count) = of_one??;
            *attacks.entry(name).or_default() += count;
        }
        eventually("nothing is in flight", PATIENCE, async || {
            let page = http::get(&format!("{url}/metrics")).await.unwrap().text();
            page.contains("\nhookstream_webhooks_in_flight 0\n")
        })
        .await;
        let mut stored = HashMap::<_, Vec<u64>>::new();
        for (sequence, id) in (1..).zip(stored_ids(&nats).await) {
            stored.entry(id).or_default().push(sequence);
        }
        report(duration, &accepted, &attacks, before, after, peak);
        assert!(accepted.len() >= SENDERS, "{} were accepted", accepted.len());
        for (id, (sequence, _)) in &accepted {
            assert_eq!(stored.get(id), Some(&vec![*sequence]), "{id}");
        }
        assert!(attacks.values().all(|count| *count > 0), "{attacks:?}");
        if duration >= MEMORY_COUNTS_FROM {
            assert!(after <= before + before / 10, "memory grew from {before} KiB to {after} KiB");
        }
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
        assert!(!process.log().contains("panicked"), "{}", process.log());
        spawn_blocking(move || drop(process)).await?;
        Ok(())
    })
    .await;
}

#[allow(clippy::print_stderr, reason = "the figures are what a long run is for")]
fn report(
    duration: Duration,
    accepted: &honest::Accepted,
    attacks: &HashMap<&'static str, u64>,
    before: u64,
    after: u64,
    peak: u64,
) {
    let mut attacks: Vec<_> = attacks.iter().map(|(name, count)| format!("{name} {count}")).collect();
    attacks.sort();
    let again = accepted.values().filter(|(_, status)| *status == 200).count();
    eprintln!(
        "soak of {duration:?}: {} honest deliveries answered as stored ({again} of them with 200); attacks: {}; \
         resident memory settled at {before} KiB, at the end {after} KiB, peak {peak} KiB",
        accepted.len(),
        attacks.join(", ")
    );
}
