//! Errors are problem documents, and tell a caller nothing that is not his business.

use hookstream_test_support::http::raw;
use hookstream_test_support::{TestNats, run_test};
use serde_json::Value;

use crate::support::{App, Server, database, problem};

#[tokio::test]
async fn unknown_paths_are_404() {
    run_test(async || {
        let app = App::start().await;
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/api/v1/",
            "/api/v1/nothing",
            "/api/v1/queue/",
            "/api/v1/queue/1/2",
            "//",
        ] {
            let document = problem(&app.server().get(path).await?, 404, "not-found");
            assert_eq!(document.get("detail"), None, "{path}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn other_methods_are_405_and_the_answer_names_those_there_are() {
    run_test(async || {
        let app = App::start().await;
        for (method, path, allowed) in [
            ("POST", "/api/v1/queue", "GET,HEAD"),
            ("GET", "/api/v1/queue/enqueue", "POST"),
            ("PUT", "/api/v1/queue/q-1", "GET,HEAD,DELETE"),
            ("PUT", "/api/v1/audit", "GET,HEAD"),
            ("PATCH", "/api/v1/task-logs", "GET,HEAD"),
            ("POST", "/readyz", "GET,HEAD"),
        ] {
            let answer = app.server().request(method, path).await?;
            problem(&answer, 405, "method-not-allowed");
            assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_fault_of_ours_is_a_500_without_a_word_about_it() {
    run_test(async || {
        let app = App::start().await;
        // A view of the same name whose columns have other types: the query runs, its rows cannot be read.
        app.client
            .batch_execute(
                "ALTER TABLE audit_trail RENAME TO secret_table;
                 CREATE VIEW audit_trail AS SELECT 1 / (length(kind) - length(kind)) AS audit_sequence, * FROM (
                     SELECT 'stored'::text AS kind, 'e'::text AS event_id, 1::bigint AS stream_sequence, 's'::text AS source,
                         't'::text AS event_type, ''::bytea AS body_sha256, ''::text AS signature, ''::text AS key_id,
                         'WEBHOOKS'::text AS stream, ''::text AS actor, 1::bigint AS count, '{}'::text AS details,
                         now() AS received_at, now() AS recorded_at, 1::smallint AS version, ''::bytea AS previous_hash,
                         ''::bytea AS entry_hash
                 ) AS row",
            )
            .await?;
        let answer = app.get("/audit").await?;
        let document = problem(&answer, 500, "internal");
        let members: Vec<_> = document.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(members, ["request_id", "status", "title", "type"]);
        for word in ["division", "zero", "22012", "SELECT", "audit_trail", "Postgres", "db error"] {
            assert!(!answer.text().contains(word), "{word} is in {}", answer.text());
        }
        assert_eq!(app.get("/queue").await?.status, 200, "the others go on");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn tables_that_are_not_there_yet_are_a_503_and_named_by_readiness() {
    run_test(async || {
        let nats = TestNats::start().await;
        let database = hookstream_test_support::TestDatabase::create().await;
        let server = Server::start(&nats, database.settings()).await;
        let answer = server.get("/api/v1/task-logs").await?;
        let document = problem(&answer, 503, "unavailable");
        assert_eq!(document.get("detail"), None::<&Value>);
        assert!(!answer.text().contains("task_logs"), "{}", answer.text());
        assert_eq!(answer.header("retry-after"), Some("2"));
        let reason = hookstream_test_support::eventually("the check", crate::support::PATIENCE, async || {
            let checks = server.get("/readyz").await.ok()?.json()["checks"].clone();
            let reason = checks["postgres"]["reason"].as_str()?.to_owned();
            (reason != "starting").then_some(reason)
        })
        .await;
        assert!(reason.starts_with("no audit_trail, dead_letters, phase_queue"), "{reason}");
        crate::support::migrate(&database).await;
        assert_eq!(server.get("/api/v1/task-logs").await?.status, 200);
        server.stop().await
    })
    .await;
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_a_503() {
    run_test(async || {
        let app = App::start().await;
        // A lock that keeps readers out, for longer than anybody waits.
        let other = app.database.client().await;
        other.batch_execute("BEGIN; LOCK TABLE audit_trail IN ACCESS EXCLUSIVE MODE").await?;
        let answer = app.get("/audit").await?;
        problem(&answer, 503, "unavailable");
        assert_eq!(app.get("/queue").await?.status, 200, "the others go on");
        other.batch_execute("ROLLBACK").await?;
        assert_eq!(app.get("/audit").await?.status, 200);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_no_request_is_a_problem_too() {
    run_test(async || {
        let app = App::start().await;
        let addr = app.server().url.trim_start_matches("http://").parse()?;
        for (bytes, code) in [
            ("nonsense\r\n\r\n", "malformed-request"),
            ("GET /api/v1/queue HTTP/1.1\r\n\r\n", "ambiguous-request"),
        ] {
            let answer = raw(addr, bytes.as_bytes()).await?;
            let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
            assert!(
                head.starts_with("HTTP/1.1 400 ") && head.contains("application/problem+json"),
                "{answer}"
            );
            let document: Value = serde_json::from_str(body)?;
            assert_eq!(document["type"], format!("urn:hookstream:problem:{code}"));
            assert_eq!(document["status"], 400);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn requests_in_flight_are_answered_at_shutdown() {
    run_test(async || {
        let nats = TestNats::start().await;
        let database = database().await;
        let server = Server::start(&nats, database.settings()).await;
        let other = database.client().await;
        other.batch_execute("BEGIN; LOCK TABLE audit_trail IN ACCESS EXCLUSIVE MODE").await?;
        let url_answer = server.get("/api/v1/audit");
        let (answer, released) = tokio::join!(url_answer, async {
            // The request is on its way once Postgres has somebody waiting for the lock.
            hookstream_test_support::eventually("the request to wait", crate::support::PATIENCE, async || {
                let sql = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'audit_trail'::regclass";
                other.query_one(sql, &[]).await.is_ok_and(|row| row.get::<_, i64>(0) == 1)
            })
            .await;
            server.begin_shutdown();
            other.batch_execute("ROLLBACK").await
        });
        released?;
        assert_eq!(answer?.status, 200);
        server.stop().await
    })
    .await;
}
