//! kill -9 of whatever takes part, at random points while many plans run to their end: every phase runs, in an order that
//! its dependencies allow, each announcement comes once, and the tables are the pure fold of the stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hookstream_bus::{Bus, StoredMessage};
use hookstream_e2e::{Pipeline, Sender, Start};
use hookstream_event::internal;
use hookstream_phase_queue::{Moment, Queue, Step};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::deliveries::Signer;

const PLANS: u64 = 200;
const WORKERS: usize = 12;
const KILLS: usize = 16;
const VICTIMS: [&str; 5] =
    ["hookstream-phase-queue", "postgres", "worker", "nats-server", "hookstream-backend"];
const PATIENCE: Duration = Duration::from_mins(10);

/// Random enough, and the same every time (`SplitMix64`, by Steele, Lea and Flood).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// A plan of 1 to 20 phases, each of which depends on some of those before it.
fn plan(issue: u64, random: &mut Random) -> Value {
    let phase = |number: u64, random: &mut Random| {
        let depends_on: Vec<u64> = (1..number).filter(|_| random.below(3) == 0).collect();
        json!({
            "queue_id": format!("q-{issue}-{number}"),
            "phase_number": number,
            "depends_on_phases": depends_on,
            "priority": 10 + random.below(81),
            "phase_data": {"workflow_type": "adw_build_iso", "adw_id": format!("adw-{issue}-{number}")},
        })
    };
    let phases: Vec<Value> = (1..=1 + issue % 20).map(|number| phase(number, random)).collect();
    json!({"type": "plan.enqueued", "parent_issue": issue, "phases": phases})
}

/// What the stream holds at `sequence`, however often NATS is away meanwhile; none if it does not hold it yet.
async fn message_at(bus: &Bus, stream: &str, sequence: u64) -> Option<StoredMessage> {
    let start = Instant::now();
    loop {
        match bus.message_at(stream, sequence).await {
            Ok(found) => return found,
            Err(error) => assert!(start.elapsed() < PATIENCE, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Runs what is announced: reports the beginning and the end of each phase. Begins at the first announcement whenever it
/// is started, as a worker does whose consumer was lost; what it reports twice has the same id.
fn start_worker(pipeline: &Pipeline, ended: &Arc<AtomicUsize>, bus: Bus) -> JoinHandle<()> {
    let signer = Arc::new(Signer::new(pipeline));
    let gateway = pipeline.value("GATEWAY_URL").to_owned();
    let ended = Arc::clone(ended);
    tokio::spawn(async move {
        let mut lanes = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..WORKERS {
            let (give, mut take) = mpsc::channel::<Value>(1);
            lanes.push(give);
            let (signer, mut sender, ended) =
                (Arc::clone(&signer), Sender::new(&gateway), Arc::clone(&ended));
            tasks.spawn(async move {
                while let Some(phase) = take.recv().await {
                    let text = |name: &str| phase[name].as_str().unwrap().to_owned();
                    let (queue_id, adw_id) = (text("queue_id"), text("adw_id"));
                    let started = json!({"type": "phase.started", "queue_id": queue_id, "adw_id": adw_id});
                    let done = json!({
                        "type": "workflow.completed", "queue_id": queue_id, "adw_id": adw_id, "status": "completed",
                    });
                    for (what, body) in [("start", started), ("end", done)] {
                        let id = format!("{what}-{queue_id}-{}", phase["announcement"]);
                        sender.deliver(&signer.internal(&id, &body)).await.unwrap();
                    }
                    ended.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        let mut sequence = 1;
        let mut lane = 0;
        loop {
            let Some(message) = message_at(&bus, "PHASES", sequence).await else {
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            };
            sequence += 1;
            if message.subject.rsplit('.').next() == Some("ready") {
                lane = (lane + 1) % lanes.len();
                lanes[lane].send(serde_json::from_slice(&message.payload).unwrap()).await.unwrap();
            }
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_run_to_their_end_whatever_is_killed() {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let (signer, mut sender) = (Signer::new(&pipeline), Sender::new(pipeline.value("GATEWAY_URL")));
    let operator = pipeline.nats("NATS_URL", "operator").await.unwrap();
    let mut random = Random(20_261_125);
    let configured = json!({"type": "queue.configured", "max_concurrent": WORKERS});
    sender.deliver(&signer.internal("configured", &configured)).await.unwrap();
    let mut phases = BTreeMap::new();
    for issue in 1..=PLANS {
        let plan = plan(issue, &mut random);
        for phase in plan["phases"].as_array().unwrap() {
            phases.insert(phase["queue_id"].as_str().unwrap().to_owned(), phase.clone());
        }
        sender.deliver(&signer.internal(&format!("plan-{issue}"), &plan)).await.unwrap();
    }

    let ended = Arc::new(AtomicUsize::new(0));
    let mut worker = start_worker(&pipeline, &ended, operator.clone());
    let start = Instant::now();
    let mut killed = 0;
    let mut completed = 0;
    let mut next_kill = 20;
    while completed < phases.len() {
        let seen = "SELECT count(*) FROM phase_queue WHERE status = 'completed'";
        if let Ok(database) = pipeline.database().await
            && let Ok(row) = database.query_one(seen, &[]).await
        {
            completed = usize::try_from(row.get::<_, i64>(0)).unwrap();
        }
        if completed >= next_kill && killed < KILLS {
            match VICTIMS[killed % VICTIMS.len()] {
                "worker" => {
                    worker.abort();
                    worker = start_worker(&pipeline, &ended, operator.clone());
                }
                process => pipeline.kill(process).unwrap(),
            }
            killed += 1;
            let rest = (phases.len() - next_kill) / KILLS;
            next_kill += 1 + usize::try_from(random.below(u64::try_from(rest).unwrap() * 2)).unwrap();
        }
        assert!(start.elapsed() < PATIENCE, "{completed} of {} phases after {PATIENCE:?}", phases.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    worker.abort();
    assert!(killed >= KILLS / 2, "only {killed} kills: the plans ran too fast to mean anything");
    assert_announcements(&operator, &phases).await;
    assert_tables_are_the_fold(&pipeline, &operator).await;
    pipeline.stop().await.unwrap();
}

/// Each status of each phase was announced once, and no phase ran before what it depends on had completed.
async fn assert_announcements(operator: &Bus, phases: &BTreeMap<String, Value>) {
    let (mut told, mut completed) = (BTreeSet::new(), BTreeSet::new());
    let mut sequence = 1;
    while completed.len() < phases.len() {
        let Some(message) = message_at(operator, "PHASES", sequence).await else {
            // The last ones may still be on their way.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        sequence += 1;
        let phase: Value = serde_json::from_slice(&message.payload).unwrap();
        let (queue_id, status) = (phase["queue_id"].as_str().unwrap(), phase["status"].as_str().unwrap());
        let line = format!("{queue_id} {status} {}", phase["announcement"]);
        assert!(told.insert(line.clone()), "{line} was announced twice");
        match status {
            "ready" | "running" => {
                for number in phases[queue_id]["depends_on_phases"].as_array().unwrap() {
                    let dependency = format!("q-{}-{number}", phase["parent_issue"]);
                    assert!(completed.contains(&dependency), "{line} before {dependency} had completed");
                }
            }
            "completed" => {
                assert!(told.contains(&format!("{queue_id} ready 1")), "{line}, but never ready");
                completed.insert(queue_id.to_owned());
            }
            _ => {}
        }
    }
}

/// Folds the stream with the pure state machine and compares.
async fn assert_tables_are_the_fold(pipeline: &Pipeline, operator: &Bus) {
    let last = operator.stream_state("WEBHOOKS").await.unwrap().last_sequence;
    let (mut fold, mut known) = (Queue::default(), BTreeSet::new());
    for sequence in 1..=last {
        let message = message_at(operator, "WEBHOOKS", sequence).await.expect("nothing is taken out of it");
        let id = message.headers.iter().find(|(name, _)| name == "Nats-Msg-Id").map(|(_, id)| id.clone());
        if !known.insert(id.expect("every event has an id")) {
            continue;
        }
        let event = internal::decode(&message.payload, None).unwrap();
        let step = Step::from_internal(event).expect("it concerns the queue");
        let position = i64::try_from(sequence).unwrap();
        let _ = fold.apply(step, Moment { position, at: message.recorded_at });
    }
    let mut folded: Vec<String> = fold
        .phases()
        .map(|phase| {
            let updated = phase.updated_at.unix_timestamp_nanos() / 1000;
            let (queue_id, status, adw_id) = (&phase.queue_id, phase.state.as_str(), &phase.adw_id);
            format!("{queue_id} {status} {adw_id} {} {} {updated}", phase.announcements, phase.waiting_on)
        })
        .collect();
    folded.sort();
    let sql = "SELECT concat_ws(' ', queue_id, status, adw_id, announcements, waiting_on,
            (extract(epoch FROM updated_at) * 1000000)::bigint) AS line
        FROM phase_queue";
    let database = pipeline.database().await.unwrap();
    let mut rows: Vec<String> =
        database.query(sql, &[]).await.unwrap().iter().map(|row| row.get("line")).collect();
    rows.sort();
    assert_eq!(rows, folded);
    let active: i32 = database.query_one("SELECT active FROM queue_state", &[]).await.unwrap().get(0);
    assert_eq!((active, fold.control().active), (0, 0));
}
