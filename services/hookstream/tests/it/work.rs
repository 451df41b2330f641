//! `hookstream work`: the real command, a real gateway, and announcements as the phase queue makes them.

use std::path::Path;
use std::time::Duration;

use hookstream_bus::{Bus, StoredMessage};
use hookstream_gateway::{Config, Gateway};
use hookstream_runtime::{Health, Metrics, ProcessInfo, Settings};
use hookstream_test_support::{CutProxy, GITHUB_SECRET, INTERNAL_SECRET, TestNats, eventually, run_test};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::command::{Done, Hookstream};

/// What must come at last.
const PATIENCE: Duration = Duration::from_secs(40);

/// NATS, a gateway, and a folder for what commands write.
struct Place {
    nats: TestNats,
    gateway: String,
    folder: tempfile::TempDir,
    operator: Bus,
}

impl Place {
    async fn start() -> Self {
        let nats = TestNats::start().await;
        let secrets =
            [("GITHUB_WEBHOOK_SECRET", GITHUB_SECRET), ("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)];
        let config = Config::read(&Settings::from_pairs(secrets)).unwrap();
        let bus = nats.connect("gateway").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = format!("http://{}", listener.local_addr().unwrap());
        let info = ProcessInfo { name: "hookstream-gateway", about: "", version: "0" };
        let service = Gateway::new(config, bus, Health::new(), Metrics::new(&info));
        tokio::spawn(service.serve(listener, CancellationToken::new()));
        let operator = nats.connect("operator").await;
        Self { nats, gateway, folder: tempfile::tempdir().unwrap(), operator }
    }

    /// Announces a phase as the phase queue does.
    async fn announce(&self, queue_id: &str, status: &str, announcement: u64) {
        let phase = json!({
            "queue_id": queue_id, "parent_issue": 7, "phase_number": 1, "issue_number": null, "status": status,
            "depends_on_phases": [], "priority": 50, "queue_position": 3, "adw_id": format!("adw-{queue_id}"),
            "error_message": null, "created_at": "2026-11-23T10:00:00Z", "updated_at": "2026-11-23T10:00:00Z",
            "ready_at": null, "started_at": null, "finished_at": null, "announcement": announcement,
            "phase_data": {"workflow_type": "adw_plan_iso", "adw_id": format!("adw-{queue_id}"), "title": "grüße"},
        });
        let publisher = self.nats.connect("phase_queue").await.publisher(PATIENCE);
        let id = format!("{queue_id}-{status}-{announcement}");
        let headers = vec![("Nats-Msg-Id".into(), id)];
        let payload = phase.to_string().into();
        publisher.publish(format!("phases.7.1.{status}"), headers, payload).await.unwrap();
    }

    /// A worker that runs `script` in the folder.
    fn worker(&self, script: &str, more: &[&str]) -> Hookstream {
        self.worker_at(script, more, &self.nats.url("worker"))
    }

    fn worker_at(&self, script: &str, more: &[&str], nats: &str) -> Hookstream {
        let args = [&["work", "--run", script], more].concat();
        Hookstream::new(&args)
            .in_folder(self.folder.path())
            .env("NATS_URL", nats)
            .env("GATEWAY_URL", &self.gateway)
            .env("INTERNAL_WEBHOOK_SECRET", INTERNAL_SECRET)
            .env("HOOKSTREAM_WORK_LEASE", "3s")
            // As connection.env and nats.conf have them.
            .env("NATS_SUBSCRIBER_URL", "nats://subscriber:hunter2@localhost")
            .env("HOOKSTREAM_NATS_WORKER_PASSWORD", "hunter2")
    }

    async fn once(&self, script: &str, more: &[&str]) -> Done {
        self.worker(script, &[&["--once"], more].concat()).run().await
    }

    fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join(name)).ok()
    }

    /// The events that were reported, in order.
    async fn events(&self) -> Vec<StoredMessage> {
        let last = self.operator.stream_state("WEBHOOKS").await.unwrap().last_sequence;
        let mut events = Vec::new();
        for sequence in 1..=last {
            events.push(self.operator.message_at("WEBHOOKS", sequence).await.unwrap().unwrap());
        }
        events
    }

    async fn bodies(&self) -> Vec<Value> {
        self.events().await.iter().map(|event| serde_json::from_slice(&event.payload).unwrap()).collect()
    }

    /// How often a phase was reported to have begun or ended.
    async fn count(&self, event_type: &str) -> usize {
        self.bodies().await.iter().filter(|body| body["type"] == event_type).count()
    }

    /// Announcements that the worker's consumer has handed out and that are not settled.
    async fn unsettled(&self) -> u64 {
        let state = self.operator.consumer("PHASES", "worker").state().await.unwrap();
        state.ack_pending + state.pending
    }
}

#[tokio::test]
async fn a_phase_is_run_with_its_environment_and_reported_with_signed_webhooks() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let script = "cat > input; env > environment; echo to-stdout; echo to-stderr >&2";
        let done = place.once(script, &[]).await.expect_code(0);
        assert!(done.stdout.starts_with("completed  q-1: issue 7, phase 1, adw_plan_iso, "), "{done:?}");
        assert!(done.stderr.contains("to-stdout") && done.stderr.contains("to-stderr"), "{done:?}");
        let input: Value = serde_json::from_str(&place.file("input").unwrap())?;
        assert_eq!((&input["queue_id"], &input["phase_data"]["title"]), (&json!("q-1"), &json!("grüße")));
        let environment = place.file("environment").unwrap();
        for line in [
            "HOOKSTREAM_QUEUE_ID=q-1",
            "HOOKSTREAM_PARENT_ISSUE=7",
            "HOOKSTREAM_PHASE_NUMBER=1",
            "HOOKSTREAM_ISSUE_NUMBER=",
            "HOOKSTREAM_PRIORITY=50",
            "HOOKSTREAM_ADW_ID=adw-q-1",
            "HOOKSTREAM_WORKFLOW_TYPE=adw_plan_iso",
            "HOOKSTREAM_ANNOUNCEMENT=1",
            "HOOKSTREAM_ATTEMPT=1",
        ] {
            assert!(environment.lines().any(|found| found == line), "no {line} in\n{environment}");
        }
        assert!(!environment.contains(INTERNAL_SECRET), "{environment}");
        assert!(!environment.contains("NATS_") && !environment.contains("hunter2"), "{environment}");
        let bodies = place.bodies().await;
        assert_eq!(bodies[0], json!({"type": "phase.started", "queue_id": "q-1", "adw_id": "adw-q-1"}));
        let end = &bodies[1];
        assert_eq!((&end["type"], &end["status"]), (&json!("workflow.completed"), &json!("completed")));
        assert_eq!(
            (&end["queue_id"], &end["parent_issue"], &end["phase_number"]),
            (&json!("q-1"), &json!(7), &json!(1))
        );
        assert!(end["duration_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{end}");
        assert_eq!(end["metadata"], json!({"worker": "worker", "attempt": 1, "exit_code": 0}));
        assert_eq!(place.unsettled().await, 0);
        assert_eq!(std::fs::read_dir(place.folder.path().join(".data/work"))?.count(), 0, "a lock was left");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_failure_is_reported_with_the_end_of_the_error_output() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let script = "i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); echo line $i >&2; done; exit 3";
        let done = place.once(script, &["--format", "json"]).await.expect_code(1);
        assert_eq!(done.json()["status"], "failed");
        let end = &place.bodies().await[1];
        assert_eq!((&end["status"], &end["metadata"]["exit_code"]), (&json!("failed"), &json!(3)));
        let error = end["error_message"].as_str().unwrap();
        assert!(error.starts_with("exit code 3\nline ") && error.ends_with("line 3000"), "{error}");
        assert!(error.len() < 9000, "{}", error.len());
        Ok(())
    })
    .await;
}

/// Whether a process whose number a command wrote to a file still runs.
fn lives(folder: &Path, file: &str) -> bool {
    let Ok(pid) = std::fs::read_to_string(folder.join(file)) else { return false };
    Path::new("/proc").join(pid.trim()).join("exe").exists()
}

/// Leaves a child behind that would outlive it.
const STUBBORN: &str = "sleep 600 & echo $! > child; trap '' TERM; sleep 600 & wait; sleep 600";

#[tokio::test]
async fn a_command_that_takes_too_long_is_ended_with_all_that_it_has_started() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        place.once(STUBBORN, &["--timeout", "1s"]).await.expect_code(1);
        let end = &place.bodies().await[1];
        assert_eq!(end["error_message"], "ended after 1s, its longest time");
        eventually("its child is gone", PATIENCE, async || !lives(place.folder.path(), "child")).await;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_ends_its_command_and_reports() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let worker =
            place.worker("echo $$ > child; sleep 600", &[]).env("HOOKSTREAM_SHUTDOWN_GRACE", "200ms").spawn();
        eventually("the command runs", PATIENCE, async || lives(place.folder.path(), "child")).await;
        place.announce("q-2", "ready", 1).await;
        worker.signal("TERM");
        let done = worker.end().await.expect_code(0);
        assert!(done.stdout.starts_with("failed     q-1: "), "{done:?}");
        let bodies = place.bodies().await;
        assert_eq!(bodies[1]["error_message"], "ended, because the worker was stopped");
        assert_eq!(bodies.len(), 2, "no further phase is taken: {bodies:?}");
        assert!(!lives(place.folder.path(), "child"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_command_may_end_by_itself_when_the_worker_is_told_to_stop() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let script = "echo $$ > child; while ! [ -e go ]; do sleep 0.05; done";
        let worker = place.worker(script, &[]).spawn();
        eventually("the command runs", PATIENCE, async || lives(place.folder.path(), "child")).await;
        worker.signal("INT");
        std::fs::write(place.folder.path().join("go"), "")?;
        let done = worker.end().await.expect_code(0);
        assert!(done.stdout.starts_with("completed  q-1: "), "{done:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_phase_of_a_worker_that_was_killed_runs_again_and_never_beside_what_is_left_of_the_first_run() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        // The inner shell outlives the worker and the command's own shell.
        let script = "echo begin $HOOKSTREAM_ATTEMPT >> log
            if [ $HOOKSTREAM_ATTEMPT = 1 ]; then
                sh -c 'while ! [ -e go ]; do sleep 0.05; done; echo end 1 >> log'; sleep 600
            fi
            echo end $HOOKSTREAM_ATTEMPT >> log";
        let worker = place.worker(script, &[]).spawn();
        eventually("the command runs", PATIENCE, async || place.file("log").is_some()).await;
        place.announce("q-1", "running", 1).await;
        // With SIGKILL. Its output stays open, for what it leaves behind has it, too.
        drop(worker);
        let worker = place.worker(script, &["--once"]).spawn();
        // It is handed the phase again and waits for what is left of the first run.
        let pending = async || {
            let state = place.operator.consumer("PHASES", "worker").state().await.unwrap();
            state.handed_out >= 2
        };
        eventually("the phase is handed out again", PATIENCE, pending).await;
        assert_eq!(place.file("log").unwrap(), "begin 1\n");
        std::fs::write(place.folder.path().join("go"), "")?;
        let done = worker.end().await.expect_code(0);
        assert!(done.stderr.contains("an earlier run of q-1 still lives"), "{done:?}");
        let log = place.file("log").unwrap();
        let attempt = log.lines().last().unwrap().strip_prefix("end ").unwrap().to_owned();
        assert_eq!(log, format!("begin 1\nend 1\nbegin {attempt}\nend {attempt}\n"));
        assert_eq!(place.count("workflow.completed").await, 1);
        assert_eq!(place.unsettled().await, 0);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_phase_that_ended_while_its_lock_was_waited_for_does_not_run_again() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let script = "echo begin >> log; while ! [ -e go ]; do sleep 0.05; done";
        let first = place.worker(script, &["--once"]).env("HOOKSTREAM_WORK_LEASE", "60s").spawn();
        eventually("the command runs", PATIENCE, async || place.file("log").is_some()).await;
        place.announce("q-1", "running", 1).await;
        // It gives their consumer a lease that the first one does not keep.
        let mut second = place.worker(script, &[]).env("HOOKSTREAM_WORK_LEASE", "1s").spawn();
        let mut errors = second.errors();
        let mut hears = async |text: &str| {
            eventually("the second worker", PATIENCE, async || {
                errors.try_next().filter(|line| line.contains(text))
            })
            .await
        };
        hears("an earlier run of q-1 still lives").await;
        place.announce("q-1", "completed", 1).await;
        std::fs::write(place.folder.path().join("go"), "")?;
        first.end().await.expect_code(0);
        hears("passes over phases.7.1.ready: q-1 is completed").await;
        assert_eq!(place.file("log").unwrap(), "begin\n");
        assert_eq!(place.count("workflow.completed").await, 1);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_announcement_that_is_over_is_passed_over() {
    run_test(async || {
        let place = Place::start().await;
        for (queue_id, later) in [("q-1", "completed"), ("q-2", "dequeued"), ("q-3", "running")] {
            place.announce(queue_id, "ready", 1).await;
            place.announce(queue_id, later, 1).await;
        }
        place.announce("q-4", "ready", 1).await;
        place.announce("q-4", "ready", 2).await;
        let done =
            place.once("echo $HOOKSTREAM_QUEUE_ID $HOOKSTREAM_ANNOUNCEMENT >> log", &[]).await.expect_code(0);
        assert_eq!(place.file("log").as_deref(), Some("q-4 2\n"), "{done:?}");
        for why in ["q-1 is completed", "q-2 is dequeued", "q-3 runs elsewhere", "q-4 is announced again"] {
            assert!(done.stderr.contains(why), "{why}: {done:?}");
        }
        assert_eq!((place.count("phase.started").await, place.unsettled().await), (1, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn workers_of_different_names_run_a_phase_once() {
    run_test(async || {
        let place = Place::start().await;
        let names = ["one", "two", "three"];
        let script = "echo run >> log";
        let workers: Vec<_> = names
            .iter()
            .map(|name| place.worker(script, &[]).env("HOOKSTREAM_WORKER", name).spawn())
            .collect();
        for name in names {
            let consumer = place.operator.consumer("PHASES", name);
            eventually("it waits", PATIENCE, async || {
                consumer.state().await.is_ok_and(|state| state.waiting > 0)
            })
            .await;
        }
        place.announce("q-1", "ready", 1).await;
        for name in names {
            let consumer = place.operator.consumer("PHASES", name);
            eventually("it has settled the announcement", PATIENCE, async || {
                consumer.state().await.is_ok_and(|state| state.pending + state.ack_pending == 0)
            })
            .await;
        }
        for worker in workers {
            worker.signal("TERM");
            worker.end().await.expect_code(0);
        }
        assert_eq!(place.file("log").as_deref(), Some("run\n"));
        assert_eq!((place.count("phase.started").await, place.count("workflow.completed").await), (1, 1));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_nats_does_not_hear_ends_its_command_before_another_may_begin() {
    run_test(async || {
        let place = Place::start().await;
        let proxy = CutProxy::start(place.nats.client_addr()).await;
        place.announce("q-1", "ready", 1).await;
        let nats = place.nats.url_at("worker", proxy.addr());
        let script = "echo begin $HOOKSTREAM_ATTEMPT >> log; if [ $HOOKSTREAM_ATTEMPT = 1 ]; then echo $$ > child; sleep 600; fi";
        let worker = place.worker_at(script, &["--once"], &nats).spawn();
        eventually("the command runs", PATIENCE, async || lives(place.folder.path(), "child")).await;
        proxy.cut();
        eventually("the command is ended", PATIENCE, async || !lives(place.folder.path(), "child")).await;
        assert_eq!(place.count("workflow.completed").await, 0, "nothing is reported of it");
        proxy.restore();
        let done = worker.end().await.expect_code(0);
        assert!(done.stderr.contains("its run is ended"), "{done:?}");
        assert_eq!(place.file("log").unwrap().lines().next(), Some("begin 1"));
        assert_eq!((place.count("workflow.completed").await, place.unsettled().await), (1, 0));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_whose_reports_are_refused_ends_and_leaves_the_phase_to_another() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let wrong = place.worker("echo run >> log", &[]).env("INTERNAL_WEBHOOK_SECRET", "wrong");
        let done = wrong.run().await.expect_code(1);
        assert!(done.stderr.contains("the gateway refuses phase.started: 401"), "{done:?}");
        assert_eq!(place.file("log"), None, "nothing runs unannounced");
        place.once("echo run >> log", &[]).await.expect_code(0);
        assert_eq!(place.file("log").as_deref(), Some("run\n"));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_worker_of_one_issue_takes_no_other() {
    run_test(async || {
        let place = Place::start().await;
        place.announce("q-1", "ready", 1).await;
        let worker = place.worker("true", &["--parent-issue", "8"]).spawn();
        let consumer = place.operator.consumer("PHASES", "worker-issue-8");
        eventually("it waits", PATIENCE, async || {
            consumer.state().await.is_ok_and(|state| state.waiting > 0)
        })
        .await;
        worker.signal("TERM");
        worker.end().await.expect_code(0);
        assert_eq!(place.count("phase.started").await, 0);
        place.once("true", &["--parent-issue", "7"]).await.expect_code(0);
        Ok(())
    })
    .await;
}

#[test]
fn wrong_usage_is_told_before_anything_is_taken() {
    let cases: [(&[&str], &str); 3] = [
        (&["work"], "--run"),
        (&["work", "--run", " "], "--run needs a command"),
        (&["work", "--run", "true", "--timeout", "soon"], "--timeout must be a duration"),
    ];
    for (args, expected) in cases {
        let done = Hookstream::new(args).env("INTERNAL_WEBHOOK_SECRET", "x").run_blocking().expect_code(2);
        assert!(done.stderr.contains(expected), "{args:?}: {done:?}");
    }
    let done = Hookstream::new(&["work", "--run", "true"]).run_blocking().expect_code(2);
    assert!(done.stderr.contains("INTERNAL_WEBHOOK_SECRET is not set"), "{done:?}");
}
