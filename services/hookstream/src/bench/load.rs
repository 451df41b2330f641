//! Sends deliveries and times the answers: as fast as they are answered, or by a schedule.
//!
//! By a schedule, a delivery's time counts from the moment it was due, not from when a connection was free to send it: a
//! server that stalls is charged for every delivery that should have been sent meanwhile ("coordinated omission").

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use hookstream_bus::Publisher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::deliveries::Delivery;

/// Where deliveries go.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// A process that takes webhooks.
    Http(std::net::SocketAddr),
    /// The stream, without anything before it.
    Stream(Publisher),
}

/// When deliveries are sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// Each connection sends the next one once it has its answer.
    Answered,
    /// So many a second, whatever the answers do.
    PerSecond(f64),
}

/// What a round took.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) elapsed: Duration,
    /// One for each delivery, shortest first.
    pub(super) latencies: Vec<Duration>,
}

impl Round {
    pub(super) fn per_second(&self) -> f64 {
        count(self.latencies.len()) / self.elapsed.as_secs_f64()
    }

    /// The latency that this part of the deliveries did not exceed, in milliseconds.
    pub(super) fn percentile(&self, part: f64) -> f64 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        let rank = (count(self.latencies.len()) * part).ceil() as usize;
        let at = rank.clamp(1, self.latencies.len());
        self.latencies[at - 1].as_secs_f64() * 1e3
    }
}

/// A count as a number to calculate with.
#[expect(clippy::cast_precision_loss, reason = "counts here are far below what a double holds exactly")]
pub(super) fn count(number: usize) -> f64 {
    number as f64
}

/// Sends all deliveries over so many connections. Any answer but 202 is an error: it would not be a measurement.
pub(super) async fn send(
    end: &End,
    deliveries: Vec<Delivery>,
    connections: usize,
    pace: Pace,
) -> anyhow::Result<Round> {
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(Sender::open(end).await?);
    }
    let due = Due::new(deliveries, pace);
    let mut tasks = JoinSet::new();
    for sender in senders {
        tasks.spawn(sender.run(Arc::clone(&due)));
    }
    let mut latencies = Vec::with_capacity(due.deliveries.len());
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let elapsed = due.start.elapsed();
    latencies.sort_unstable();
    Ok(Round { elapsed, latencies })
}

/// The deliveries of a round, and when each is due.
struct Due {
    deliveries: Vec<Delivery>,
    taken: AtomicUsize,
    start: Instant,
    /// Between two deliveries; none: each as soon as somebody takes it.
    interval: Option<Duration>,
    /// As many permits as deliveries became due and were not taken yet.
    ready: Semaphore,
}

impl Due {
    fn new(deliveries: Vec<Delivery>, pace: Pace) -> Arc<Self> {
        let interval = match pace {
            Pace::Answered => None,
            Pace::PerSecond(rate) => Some(Duration::from_secs_f64(1.0 / rate)),
        };
        let ready = Semaphore::new(if interval.is_none() { deliveries.len() } else { 0 });
        let due =
            Arc::new(Self { deliveries, taken: AtomicUsize::new(0), start: Instant::now(), interval, ready });
        if let Some(interval) = interval {
            // A thread of its own: the runtime's timers are no finer than a millisecond.
            let clock = Arc::clone(&due);
            std::thread::spawn(move || clock.tick(interval));
        }
        due
    }

    fn tick(&self, interval: Duration) {
        for (_, number) in self.deliveries.iter().zip(0_u32..) {
            let due = self.start + interval * number;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            self.ready.add_permits(1);
        }
    }

    /// The next delivery once it is due, and since when its time counts.
    async fn next(&self) -> Option<(&Delivery, Instant)> {
        let at = self.taken.fetch_add(1, Ordering::Relaxed);
        let delivery = self.deliveries.get(at)?;
        self.ready.acquire().await.ok()?.forget();
        let since = match (self.interval, u32::try_from(at)) {
            (Some(interval), Ok(number)) => self.start + interval * number,
            _ => Instant::now(),
        };
        Some((delivery, since))
    }
}

/// One connection.
enum Sender {
    Http { stream: TcpStream, answer: Vec<u8> },
    Stream(Publisher),
}

impl Sender {
    async fn open(end: &End) -> anyhow::Result<Self> {
        match end {
            End::Stream(publisher) => Ok(Self::Stream(publisher.clone())),
            End::Http(address) => {
                let stream = TcpStream::connect(address).await.context("connect")?;
                stream.set_nodelay(true)?;
                Ok(Self::Http { stream, answer: Vec::with_capacity(1024) })
            }
        }
    }

    async fn run(mut self, due: Arc<Due>) -> anyhow::Result<Vec<Duration>> {
        let mut latencies = Vec::new();
        while let Some((delivery, since)) = due.next().await {
            self.deliver(delivery).await?;
            latencies.push(since.elapsed());
        }
        Ok(latencies)
    }

    async fn deliver(&mut self, delivery: &Delivery) -> anyhow::Result<()> {
        match self {
            Self::Stream(publisher) => {
                let subject = format!("ingest.github.{}.none", delivery.event);
                let headers = vec![("Nats-Msg-Id".into(), format!("github:{}", delivery.id))];
                publisher.publish(subject, headers, delivery.body.clone()).await?;
            }
            Self::Http { stream, answer } => {
                stream.write_all(&delivery.request).await?;
                answer.clear();
                while !is_whole(answer) {
                    ensure!(
                        stream.read_buf(answer).await? > 0,
                        "the connection was closed before the answer"
                    );
                }
                let text = || String::from_utf8_lossy(answer).into_owned();
                ensure!(answer.starts_with(b"HTTP/1.1 202 "), "the answer is not 202: {}", text());
            }
        }
        Ok(())
    }
}

/// Whether an answer has come with all of its body.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let lines = str::from_utf8(&answer[..end]).unwrap_or_default().lines();
    let length = lines.filter_map(|line| line.split_once(": ")).find(|(name, _)| *name == "content-length");
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
    answer.len() >= end + 4 + length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_that_so_many_did_not_exceed() {
        let latencies = (1..=1000).map(Duration::from_millis).collect();
        let round = Round { elapsed: Duration::from_secs(2), latencies };
        let percentiles = [0.5, 0.99, 0.999, 1.0].map(|part| round.percentile(part).to_string());
        assert_eq!(percentiles, ["500", "990", "999", "1000"]);
        assert!((round.per_second() - 500.0).abs() < 1e-9);
    }

    #[test]
    fn an_answer_is_whole_with_the_last_byte_of_its_body() {
        let answer = b"HTTP/1.1 202 Accepted\r\ncontent-length: 3\r\n\r\nabc";
        assert!(is_whole(answer));
        assert!((0..answer.len()).all(|end| !is_whole(&answer[..end])));
    }
}
