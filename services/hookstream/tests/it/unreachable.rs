//! A server that is away, or that does not let us in: said in a line or two, with its address and what to do.

use std::net::TcpListener;

use hookstream_test_support::{INTERNAL_SECRET, TestDatabase, TestNats, run_test};

use crate::command::{Done, Hookstream};

/// As many lines as are read before one looks for help.
const LINES_MAX: usize = 2;

/// A role that may do none of what the commands here do.
const WRONG_ROLE: &str = "subscriber";

/// An address that nobody listens on.
fn nobody() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[track_caller]
fn expect_help(done: Done, words: &[&str]) {
    let done = done.expect_code(1);
    assert_eq!(done.stdout, "", "{done:?}");
    assert!(done.stderr.lines().count() <= LINES_MAX, "{}", done.stderr);
    let last = done.stderr.lines().last().unwrap_or_default();
    for word in words {
        assert!(last.contains(word), "no {word:?} in {last}");
    }
}

fn work(nats: &str) -> Hookstream {
    Hookstream::new(&["work", "--run", "true"])
        .env("NATS_URL", nats)
        .env("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)
}

#[tokio::test]
async fn a_wrong_password_of_nats_is_said_once_and_at_once() {
    run_test(async || {
        let nats = TestNats::start_empty().await;
        let wrong = nats.url("operator").replacen("operator:", "operator:wrong", 1);
        let address = nats.client_addr().to_string();
        let done = Hookstream::new(&["tail"]).env("NATS_URL", &wrong).run().await;
        assert!(!done.stderr.contains("wrong"), "{done:?}");
        expect_help(done, &[&address, "role operator of nats.conf", "NATS_USER and NATS_PASSWORD"]);
        let done = work(&wrong.replacen("operator", "worker", 1)).run().await;
        expect_help(done, &[&address, "role worker of nats.conf"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_answer_is_named_with_address_and_setting() {
    run_test(async || {
        let at = nobody();
        let http = format!("http://{at}");
        let done = Hookstream::new(&["tail"]).env("NATS_URL", &format!("nats://{at}")).run().await;
        expect_help(done, &[&at, "hookstream up", "NATS_URL"]);
        let done = Hookstream::new(&["queue", "list"]).env("BACKEND_URL", &http).run().await;
        expect_help(done, &[&http, "hookstream up", "BACKEND_URL"]);
        let done = Hookstream::new(&["send", "--sample", "issues.opened"])
            .env("GATEWAY_URL", &http)
            .env("GITHUB_WEBHOOK_SECRET", "x")
            .run()
            .await;
        expect_help(done, &[&http, "hookstream up", "GATEWAY_URL"]);
        let database = format!("postgres://ann:hunter2@{at}/x");
        let done = Hookstream::new(&["audit", "list"]).env("DATABASE_URL", &database).run().await;
        assert!(!done.stderr.contains("hunter2"), "{done:?}");
        expect_help(done, &[&format!("postgres://ann@{at}/x"), "hookstream up", "DATABASE_URL"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_postgres_that_takes_a_connection_and_says_nothing_is_not_waited_for_without_end() {
    run_test(async || {
        let silent = TcpListener::bind("127.0.0.1:0")?;
        let at = silent.local_addr()?.to_string();
        let done = Hookstream::new(&["rebuild", "task_log", "--dry-run"])
            .env("DATABASE_URL", &format!("postgres://ann@{at}/x"))
            .run()
            .await;
        expect_help(done, &[&at, "DATABASE_URL"]);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_role_that_may_not_is_told_which_one_may() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        database.migrate(&[&hookstream_audit::MIGRATIONS]).await;
        let url = nats.url(WRONG_ROLE);
        for args in [&["queue", "watch"][..], &["tail"], &["audit", "verify"]] {
            let done = Hookstream::new(args).env("NATS_URL", &url).env("DATABASE_URL", &database.url()).run();
            let done = done.await.expect_code(1);
            assert!(done.stderr.contains("log in as the role operator of nats.conf"), "{args:?}: {done:?}");
        }
        let done = work(&url).run().await.expect_code(1);
        assert!(done.stderr.contains("log in as the role worker of nats.conf"), "{done:?}");
        Ok(())
    })
    .await;
}
