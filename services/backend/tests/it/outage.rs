//! Postgres goes away and comes back.

use hookstream_test_support::{CutProxy, TestNats, eventually, run_test};

use crate::rows;
use crate::support::{PATIENCE, Server, database, problem};

async fn answers_again(server: &Server, path: &str) {
    eventually("an answer", PATIENCE, async || {
        let answer = server.get(path).await.map_err(|error| error.to_string())?;
        if answer.status == 200 { Ok(()) } else { Err(answer.text()) }
    })
    .await;
}

#[tokio::test]
async fn while_postgres_is_cut_the_answer_is_503_and_then_it_goes_on() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, database().await);
        let proxy = CutProxy::start(database.addr()).await;
        let server = Server::start(&nats, database.settings_at(proxy.addr())).await;
        let client = database.client().await;
        rows::task_logs(&client, 1, 3).await?;
        answers_again(&server, "/readyz").await;
        answers_again(&server, "/api/v1/task-logs").await;

        proxy.cut();
        for path in [
            "/queue",
            "/queue/1",
            "/queue/config",
            "/task-logs",
            "/analytics/webhooks",
            "/audit",
            "/dead-letters",
        ] {
            let answer = server.get(&format!("/api/v1{path}")).await?;
            let document = problem(&answer, 503, "unavailable");
            assert_eq!(document.get("detail"), None, "{path}");
            assert_eq!(answer.header("retry-after"), Some("2"), "{path}");
            for word in ["127.0.0.1", "onnect", "ostgres", "closed", "reset"] {
                assert!(!answer.text().contains(word), "{word} is in {}", answer.text());
            }
        }
        eventually("readiness to fail", PATIENCE, async || {
            server.get("/readyz").await.is_ok_and(|answer| answer.status == 503)
        })
        .await;
        assert_eq!(server.get("/healthz").await?.status, 200, "alive all the same");

        proxy.restore();
        answers_again(&server, "/api/v1/task-logs").await;
        answers_again(&server, "/readyz").await;
        server.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_lost_is_replaced_at_once() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, database().await);
        let proxy = CutProxy::start(database.addr()).await;
        let server = Server::start(&nats, database.settings_at(proxy.addr())).await;
        answers_again(&server, "/api/v1/queue").await;
        proxy.reset();
        // The pool checks a session before it lends it.
        assert_eq!(server.get("/api/v1/queue").await?.status, 200);
        server.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_postgres_that_falls_silent_is_a_503_and_no_wait_for_ever() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, database().await);
        let proxy = CutProxy::start(database.addr()).await;
        let server = Server::start(&nats, database.settings_at(proxy.addr())).await;
        answers_again(&server, "/api/v1/queue").await;
        proxy.silence();
        problem(&server.get("/api/v1/queue").await?, 503, "unavailable");
        proxy.restore();
        answers_again(&server, "/api/v1/queue").await;
        server.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_backend_that_starts_before_postgres_finds_it_later() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, database().await);
        let proxy = CutProxy::start(database.addr()).await;
        proxy.cut();
        let server = Server::start(&nats, database.settings_at(proxy.addr())).await;
        problem(&server.get("/api/v1/queue").await?, 503, "unavailable");
        assert_eq!(server.get("/readyz").await?.status, 503);
        proxy.restore();
        answers_again(&server, "/api/v1/queue").await;
        answers_again(&server, "/readyz").await;
        server.stop().await
    })
    .await;
}

#[tokio::test]
async fn without_nats_the_lists_are_still_read_and_readiness_tells() {
    run_test(async || {
        let (nats, database) = (TestNats::start().await, database().await);
        let server = Server::start(&nats, database.settings()).await;
        answers_again(&server, "/readyz").await;
        nats.kill().await;
        eventually("readiness to fail", PATIENCE, async || {
            let report = server.get("/readyz").await.ok()?.json();
            (report["checks"]["nats"]["ok"] == false).then_some(())
        })
        .await;
        assert_eq!(server.get("/api/v1/queue").await?.status, 200);
        nats.restart().await;
        answers_again(&server, "/readyz").await;
        server.stop().await
    })
    .await;
}
