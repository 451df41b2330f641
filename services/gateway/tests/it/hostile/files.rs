//! H9: the last file that the process may open.

use std::process::Command;
use std::time::Instant;

use hookstream_test_support::http::RawConnection;
use hookstream_test_support::{TestNats, eventually, github_delivery, run_test};
use tokio::task::spawn_blocking;

use crate::executable::{Process, usual};
use crate::gateway::{ISSUE, PATIENCE, accepted};

/// H9: a process that may open few files serves fewer connections, and keeps files for itself.
#[tokio::test]
async fn a_gateway_with_few_files_serves_fewer_connections_and_stays_well() {
    run_test(async || {
        let nats = TestNats::start().await;
        let nats_url = nats.url("gateway");
        let process = Process::start_with_files(64, &usual(&nats_url));
        let url = process.ready().await;
        let addr = url.trim_start_matches("http://").parse()?;
        let mut resting = Vec::new();
        for _ in 0..200 {
            resting.push(RawConnection::open_from([127, 0, 0, 2].into(), addr).await?);
        }
        for _ in 0..20 {
            accepted(&github_delivery("issues", ISSUE).send(&url).await?);
        }
        let log = process.log();
        assert!(log.contains("only 32 of 1024 connections"), "{log}");
        assert!(!log.contains("cannot accept"), "{log}");
        spawn_blocking(move || drop(process)).await?;
        Ok(())
    })
    .await;
}

/// H9: no file left at all. Accepting fails, is tried again without haste, and goes on once there is one.
#[tokio::test]
async fn an_accept_that_fails_neither_spins_nor_ends_the_process() {
    run_test(async || {
        let nats = TestNats::start().await;
        let (mut process, url) = Process::start_ready(&nats, &[]).await;
        let addr = url.trim_start_matches("http://").parse()?;
        let limit = |files: &str| {
            let pid = process.id().to_string();
            Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={files}:")]).status().unwrap()
        };
        assert!(limit("3").success());
        let start = Instant::now();
        let mut waiting = RawConnection::open(addr).await?;
        let failures = |process: &Process| process.log().matches("cannot accept connections").count();
        eventually("accepting has failed and was tried again", PATIENCE, async || failures(&process) >= 2)
            .await;
        // One a second, so that there are never more than seconds.
        let (count, seconds) = (failures(&process), start.elapsed().as_secs());
        assert!(count as u64 <= seconds + 2, "{count} in {seconds} s");
        assert!(limit("1024").success());
        waiting.send(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").await?;
        assert!(waiting.read_some().await?.starts_with("HTTP/1.1 200 "));
        accepted(&github_delivery("issues", ISSUE).send(&url).await?);
        process.signal("TERM");
        assert_eq!(process.ended().await.code(), Some(0), "{}", process.log());
        spawn_blocking(move || drop(process)).await?;
        Ok(())
    })
    .await;
}
