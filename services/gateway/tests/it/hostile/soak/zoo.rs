//! Clients that do not behave, each kind from an address of its own.

use std::hash::{BuildHasher as _, RandomState};
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookstream_test_support::github_delivery;
use hookstream_test_support::http::RawConnection;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::raw::{chunked, head, issue_of, statuses, whole};
use super::Site;
use crate::gateway::ISSUE;

/// What there is: its name, how many of it, and what it does. The number counts its attacks.
const BEASTS: [(Beast, &str, u8); 9] = [
    (Beast::Forger, "forgeries", 1),
    (Beast::Smuggler, "smuggled", 1),
    (Beast::Babbler, "garbage", 1),
    (Beast::Fool, "nonsense", 1),
    (Beast::Glutton, "oversized", 4),
    (Beast::Sloth, "slow", 20),
    (Beast::Coward, "aborts", 2),
    (Beast::Swarm, "crowds", 4),
    (Beast::Stray, "strays", 1),
];

#[derive(Debug, Clone, Copy)]
enum Beast {
    /// Signs badly.
    Forger,
    /// Sends framing that can be read in two ways.
    Smuggler,
    /// Sends no HTTP.
    Babbler,
    /// Signs what is no event.
    Fool,
    /// Sends too much.
    Glutton,
    /// Sends slowly, or not at all.
    Sloth,
    /// Leaves in the middle, or before its answer.
    Coward,
    /// Connects, and connects.
    Swarm,
    /// Looks for what is not there.
    Stray,
}

/// Lets all of them loose. Each ends with its name and how often it has attacked.
pub(super) fn open(site: &Site, beasts: &mut JoinSet<anyhow::Result<(&'static str, u64)>>) {
    for (at, (beast, name, count)) in (1..).zip(BEASTS) {
        for number in 0..count {
            // Those of a swarm come from everywhere.
            let host = if matches!(beast, Beast::Swarm) { number + 1 } else { 1 };
            let local = Ipv4Addr::new(127, 0, at, host);
            let cage = Cage { site: site.clone(), local };
            beasts.spawn(async move {
                let mut attacks = 0;
                while cage.site.is_open() {
                    cage.attack(beast, attacks + usize::from(number)).await.context(name)?;
                    attacks += 1;
                    sleep(Duration::from_millis(1)).await;
                }
                Ok((name, attacks as u64))
            });
        }
    }
}

/// Where a beast attacks from.
struct Cage {
    site: Site,
    local: Ipv4Addr,
}

impl Cage {
    async fn attack(&self, beast: Beast, n: usize) -> anyhow::Result<()> {
        let delivery = github_delivery("issues", ISSUE);
        match beast {
            Beast::Forger => {
                let forged = delivery.with_body(ISSUE.replace("42", &format!("1{n:05}")));
                self.exchange(&whole(&forged, "connection: close\r\n"), &[401, 429]).await
            }
            Beast::Smuggler => self.exchange(&smuggled(n), &[400]).await,
            Beast::Babbler => self.exchange(&garbage(n % 5000), &[400, 431]).await,
            Beast::Fool => {
                let nested = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
                let body = ["", "[]", "{\"issue\":", "{\"issue\":1}{}", "\u{feff}{}", &nested][n % 6];
                let delivery = github_delivery("issues", body.to_owned());
                self.exchange(&whole(&delivery, "connection: close\r\n"), &[400]).await
            }
            Beast::Glutton => {
                let flood = format!("x: {}\r\n", "y".repeat(100_000));
                match n % 4 {
                    0 => {
                        self.exchange(head(&delivery, "content-length: 5000000000\r\n").as_bytes(), &[413])
                            .await
                    }
                    1 | 2 => self.exchange(&whole(&delivery, &flood), &[431]).await,
                    // Nearly the largest body, signed for another: read to its end.
                    _ => {
                        let large = whole(&delivery.with_body(issue_of(20_000_000)), "connection: close\r\n");
                        self.exchange(&large, &[401, 429]).await
                    }
                }
            }
            Beast::Sloth => self.drip(n).await,
            Beast::Coward => self.leave(n).await,
            Beast::Swarm => self.crowd().await,
            Beast::Stray => {
                let path = ["/webhooks/github", "/webhooks/nobody", "/../../etc/passwd", "/%2e", "/\u{e9}"]
                    [n / 5 % 5];
                let request = whole(&delivery.to_path(path), "connection: close\r\n");
                let method = ["GET", "PUT", "CONNECT", "TRACE", "BREW"][n % 5];
                let request = String::from_utf8(request)?.replacen("POST", method, 1);
                self.exchange(request.as_bytes(), &[400, 404, 405]).await
            }
        }
    }

    async fn connect(&self) -> anyhow::Result<RawConnection> {
        RawConnection::open_from(self.local, self.site.gateway).await
    }

    /// Sends bytes. Whatever is answered, it is one of these, or that there are too many of us.
    async fn exchange(&self, bytes: &[u8], expected: &[u16]) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        // It may be closed before all is sent.
        let _ = connection.send(bytes).await;
        let answer = connection.read_to_close().await?;
        let statuses = statuses(&answer);
        let known = |status| expected.contains(status) || [429, 503].contains(status);
        ensure!(
            statuses.iter().all(known),
            "{:?} got {answer}",
            String::from_utf8_lossy(&bytes[..bytes.len().min(300)])
        );
        Ok(())
    }

    /// A byte at a time, of headers or of a body, until the gateway has had enough; or none at all.
    async fn drip(&self, n: usize) -> anyhow::Result<()> {
        let mut connection = self.connect().await?;
        let head = head(&github_delivery("issues", ISSUE), "content-length: 100000\r\n");
        let start = [0, 50, head.len()][n % 3];
        // Closed is what it waits for.
        let _ = connection.send(&head.as_bytes()[..start]).await;
        while self.site.is_open() && (start == 0 || connection.send(b"x").await.is_ok()) {
            if timeout(Duration::from_millis(50), connection.read_some()).await.is_ok() {
                break;
            }
        }
        Ok(())
    }

    /// Leaves with a body half sent, or all of it.
    async fn leave(&self, n: usize) -> anyhow::Result<()> {
        let delivery = github_delivery("issues", issue_of(200_000));
        let request = whole(&delivery, "");
        let sent = [request.len() / 2, request.len(), 100][n % 3];
        let mut connection = self.connect().await?;
        let _ = connection.send(&request[..sent]).await;
        Ok(())
    }

    /// Takes as many connections as there are to be had, and does little with them.
    async fn crowd(&self) -> anyhow::Result<()> {
        let mut connections = Vec::new();
        for n in 0..300 {
            // The queue may be full.
            let Ok(connection) = timeout(Duration::from_millis(200), self.connect()).await else { break };
            let mut connection = connection?;
            if n % 2 == 0 {
                let _ = connection.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await;
            }
            connections.push(connection);
        }
        sleep(Duration::from_millis(300)).await;
        Ok(())
    }
}

/// Framing that can be read in two ways, with a request in it that must not be served.
fn smuggled(n: usize) -> Vec<u8> {
    let delivery = github_delivery("issues", ISSUE);
    let length = format!("content-length: {}\r\n", ISSUE.len());
    let te = "transfer-encoding: chunked\r\n";
    let chunks = String::from_utf8(chunked(ISSUE.as_bytes(), 7)).unwrap();
    let (headers, body) = match n % 8 {
        0 => (format!("{length}{te}"), chunks),
        1 => (format!("{te}{length}"), chunks),
        2 => (format!("{te}{te}"), chunks),
        3 => (format!("{length}{length}"), ISSUE.to_owned()),
        4 => (format!("x: y\n{length}"), ISSUE.to_owned()),
        5 => (format!("x : y\r\n{length}"), ISSUE.to_owned()),
        6 => (te.to_owned(), format!("10000000000000000\r\n{ISSUE}")),
        _ => ("content-length: +5\r\n".to_owned(), ISSUE.to_owned()),
    };
    (head(&delivery, &headers) + &body + "GET /healthz HTTP/1.1\r\nhost: hidden\r\n\r\n").into_bytes()
}

/// Bytes of no meaning, other ones each time, which end as headers do: else the gateway would wait for more.
fn garbage(bytes: usize) -> Vec<u8> {
    let random = RandomState::new();
    let words = (0..=bytes / 8).flat_map(|n| random.hash_one(n).to_le_bytes());
    words.chain(*b"\r\n\r\n").collect()
}
