//! `hookstream queue`: the real command, a real backend, and the projection behind it.

use std::time::Duration;

use hookstream_backend::Backend;
use hookstream_phase_queue::PhaseQueue;
use hookstream_projection::{Context, Projection as _, RunnerSettings};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::Limits;
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_test_support::{TestDatabase, TestNats, eventually, http, run_test};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::command::{Done, Hookstream};

const TOKEN: &str = "a token for tests";
const PATIENCE: Duration = Duration::from_secs(30);

/// A backend over a queue that follows.
struct Place {
    // Dropped first, so that nobody uses the database any more when it goes.
    _running: DropGuard,
    nats: TestNats,
    url: String,
    _database: TestDatabase,
}

impl Place {
    async fn start() -> Self {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        let sets = [
            &hookstream_phase_queue::MIGRATIONS,
            &hookstream_task_log::MIGRATIONS,
            &hookstream_audit::MIGRATIONS,
        ];
        database.migrate(&sets).await;
        let info = ProcessInfo { name: "test", about: "", version: "0" };
        let shutdown = CancellationToken::new();
        let context = Context {
            nats: nats.settings(PhaseQueue::NAME),
            postgres: database.settings(),
            runner: RunnerSettings::default(),
            health: Health::new(),
            metrics: Metrics::new(&info),
        };
        tokio::spawn(hookstream_projection::run(PhaseQueue::default(), context, shutdown.clone()));
        let admin = Admin { health: Health::new(), metrics: Metrics::new(&info) };
        let settings = nats.settings(hookstream_backend::ROLE);
        let backend = Backend::connect(&settings, database.settings(), admin).await.unwrap();
        let backend = backend.with_token(Some(&SecretString::from(TOKEN)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(backend.clone().watch(shutdown.clone()));
        tokio::spawn(backend.serve(listener, Limits::default(), shutdown.clone()));
        eventually("the backend is ready", PATIENCE, async || {
            let page = http::get(&format!("{url}/readyz")).await.map_err(|error| error.to_string())?;
            if page.status == 200 { Ok(()) } else { Err(page.text()) }
        })
        .await;
        Self { _running: shutdown.drop_guard(), nats, url, _database: database }
    }

    fn queue(&self, args: &[&str]) -> Hookstream {
        Hookstream::new(&[&["queue"], args].concat())
            .env("BACKEND_URL", &self.url)
            .env("HOOKSTREAM_API_TOKEN", TOKEN)
            .env("NATS_URL", &self.nats.url("operator"))
    }

    async fn done(&self, args: &[&str]) -> Done {
        self.queue(args).run().await.expect_code(0)
    }

    /// Waits until a list has so many lines under its heading.
    async fn lines(&self, args: &[&str], count: usize) -> Vec<String> {
        eventually("the queue", PATIENCE, async || {
            let table = self.done(args).await.stdout;
            let lines: Vec<String> = table.lines().skip(1).map(str::to_owned).collect();
            if lines.len() == count { Ok(lines) } else { Err(table) }
        })
        .await
    }
}

const PLAN: &str = r#"
parent_issue = 41

[[phases]]
queue_id = "41-plan"
phase_number = 1
phase_data = { workflow_type = "adw_plan_iso", adw_id = "41-a" }

[[phases]]
queue_id = "41-build"
phase_number = 2
depends_on_phases = [1]
phase_data = { workflow_type = "adw_build_iso", adw_id = "41-b" }
"#;

#[tokio::test]
async fn a_plan_from_a_file_is_enqueued_listed_and_shown_with_what_it_waits_for() {
    run_test(async || {
        let place = Place::start().await;
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("plan.toml");
        std::fs::write(&file, PLAN)?;
        let path = file.to_str().unwrap();
        let first = place.done(&["enqueue", path, "--id", "plan-41"]).await;
        assert!(first.stdout.contains("accepted  internal:plan-41  WEBHOOKS"), "{first:?}");
        // At once: the command has waited for the queue.
        let shown = place.done(&["show", "41"]).await.stdout;
        assert_eq!(shown.lines().count(), 3, "{shown}");
        let again = place.done(&["enqueue", path, "--id", "plan-41", "--format", "json"]).await;
        assert_eq!(again.json()["status"], "duplicate");
        let lines = place.lines(&["list"], 2).await;
        assert!(lines[0].starts_with("41-plan") && lines[0].contains("ready"), "{lines:?}");
        let shown = place.lines(&["show", "41"], 2).await;
        assert!(shown[1].contains("waits for phase 1 (41-plan), which is ready"), "{shown:?}");
        let queued = place.lines(&["list", "--status", "queued"], 1).await;
        assert!(queued[0].starts_with("41-build"), "{queued:?}");
        let json = place.done(&["list", "--format", "json", "--limit", "1"]).await.json();
        assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn phases_are_removed_executed_and_retried_only_when_they_can_be() {
    run_test(async || {
        let place = Place::start().await;
        let phase = json!({
            "queue_id": "config", "parent_issue": 5, "phase_number": 1, "priority": 20,
            "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "a" },
        });
        place.queue(&["enqueue", "-"]).stdin(&phase.to_string()).run().await.expect_code(0);
        place.done(&["execute", "config", "--reason", "now"]).await;
        let refused = place.queue(&["retry", "config"]).run().await.expect_code(1);
        assert!(refused.stderr.contains("only a failed phase can be retried (409)"), "{refused:?}");
        let phase = phase.to_string().replace("\"config\"", "\"far\"").replace(":5,", ":9007199254740991,");
        place.queue(&["enqueue", "-"]).stdin(&phase).run().await.expect_code(0);
        let far = place.lines(&["show", "9007199254740991"], 1).await;
        assert!(far[0].starts_with("far"), "the largest issue that there is: {far:?}");
        place.done(&["rm", "far"]).await;
        place.done(&["rm", "config"]).await;
        eventually("it is gone", PATIENCE, async || {
            let done = place.queue(&["rm", "config"]).run().await;
            if done.code == 1 && done.stderr.contains("(404)") { Ok(()) } else { Err(done) }
        })
        .await;
        assert_eq!(place.lines(&["list"], 0).await, Vec::<String>::new());
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_queue_is_paused_and_resumed() {
    run_test(async || {
        let place = Place::start().await;
        for command in ["pause", "resume"] {
            let receipt = place.done(&[command, "--reason", "release day", "--format", "json"]).await.json();
            let operator = place.nats.connect("operator").await;
            let sequence = receipt["sequence"].as_u64().unwrap();
            let stored = operator.message_at("WEBHOOKS", sequence).await?.unwrap();
            assert_eq!(stored.subject, format!("webhooks.internal.queue.{command}d"));
            assert_eq!(serde_json::from_slice::<Value>(&stored.payload)?["reason"], "release day");
        }
        place.done(&["configure", "--max-concurrent", "7"]).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_backend_refuses_ends_with_1_and_its_reason() {
    run_test(async || {
        let place = Place::start().await;
        let broken = PLAN.replace("depends_on_phases = [1]", "depends_on = [1]");
        let done = place.queue(&["enqueue", "-"]).stdin(&broken).run().await.expect_code(1);
        assert!(
            done.stderr.contains("'phases[1].depends_on' is not a field of this event (400)"),
            "{done:?}"
        );
        assert_eq!(done.stdout, "");
        // What only the queue itself can tell.
        let lonely = PLAN.replace("phase_number = 1", "phase_number = 3");
        let done = place.queue(&["enqueue", "-"]).stdin(&lonely).run().await.expect_code(1);
        let why =
            "refused: depends_on_phases of phase 2 has 1, which is neither in the plan nor in the queue";
        assert!(done.stderr.starts_with(why) && done.stdout.contains("accepted"), "{done:?}");
        let wrong = place.queue(&["pause"]).env("HOOKSTREAM_API_TOKEN", "wrong").run().await.expect_code(1);
        assert!(wrong.stderr.contains("Commands need the bearer token (401)"), "{wrong:?}");
        let usage = place.queue(&["enqueue", "plan.yaml"]).run().await;
        assert_ne!(usage.code, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_backend_on_this_machine_is_asked_past_any_proxy() {
    run_test(async || {
        let place = Place::start().await;
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"] {
            place.queue(&["list"]).env(name, "http://127.0.0.1:1").run().await.expect_code(0);
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn changes_are_watched_until_ctrl_c() {
    run_test(async || {
        let place = Place::start().await;
        let mut watching = place.queue(&["watch", "--parent-issue", "7"]).spawn();
        let publisher = place.nats.connect("phase_queue").await.publisher(PATIENCE);
        let announce = async |issue: i64, status: &str| {
            let phase = json!({
                "queue_id": format!("q-{issue}"), "parent_issue": issue, "phase_number": 1, "status": status,
                "error_message": null, "updated_at": "2026-11-23T10:00:00Z",
            });
            let subject = format!("phases.{issue}.1.{status}");
            publisher.publish(subject, vec![], phase.to_string().into()).await.unwrap();
        };
        // Who listens to a stream's subject is not told; so it is announced until it is heard.
        let mut lines = watching.lines();
        eventually("it listens", PATIENCE, async || {
            announce(8, "ready").await;
            announce(7, "ready").await;
            lines.try_next()
        })
        .await;
        announce(7, "running").await;
        let mut heard = Vec::new();
        let running = eventually("the next change", PATIENCE, async || {
            heard.extend(lines.try_next());
            heard.last().filter(|line| line.contains("running")).cloned()
        })
        .await;
        assert!(heard.iter().all(|line| line.contains("issue 7")), "{heard:?}");
        assert_eq!(running, "2026-11-23T10:00:00Z         running    issue 7, phase 1  q-7");
        watching.signal("INT");
        watching.end().await.expect_code(0);
        Ok(())
    })
    .await;
}
