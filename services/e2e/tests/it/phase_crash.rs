//! kill -9 of whatever takes part, at random points while many plans run to their end: every phase runs, in an order that
//! its dependencies allow, each announcement comes once, and the tables are the pure fold of the stream.
#![expect(clippy::print_stdout, reason = "the seed repeats a run, and what was killed when explains it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookstream_bus::{Bus, Message, PullLimits, Selection, Start as ReadFrom};
use hookstream_e2e::{Delivery, Pipeline, Sender, Start};
use hookstream_event::internal;
use hookstream_phase_queue::{Moment, Queue, Step};
use hookstream_store::Connection;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::deliveries::Signer;
use crate::phase_tables as tables;

const PLANS: u64 = 200;
/// Each takes one phase at a time.
const WORKERS: usize = 6;
/// As many phases are announced at once as give every worker the next one without a wait.
const MAX_CONCURRENT: usize = 24;
const VICTIMS: [&str; 5] =
    ["hookstream-phase-queue", "postgres", "worker", "nats-server", "hookstream-backend"];
/// How often each is killed.
const KILLS_OF_EACH: usize = 3;
const PATIENCE: Duration = Duration::from_mins(10);

/// What a worker runs: says in one file when it begins and ends, and whether somebody else runs the same phase now.
const PHASE: &str = r#"
    exec 9> "held/$HOOKSTREAM_QUEUE_ID"
    flock -n 9 || echo "beside $HOOKSTREAM_QUEUE_ID $HOOKSTREAM_ANNOUNCEMENT $HOOKSTREAM_ATTEMPT" >> runs
    echo "begin $HOOKSTREAM_QUEUE_ID $HOOKSTREAM_ANNOUNCEMENT $HOOKSTREAM_ATTEMPT" >> runs
    sleep 0.01
    echo "end $HOOKSTREAM_QUEUE_ID $HOOKSTREAM_ANNOUNCEMENT $HOOKSTREAM_ATTEMPT" >> runs
"#;

/// Random enough, and the same every time for one seed (`SplitMix64`, by Steele, Lea and Flood).
struct Random(u64);

impl Random {
    /// By `HOOKSTREAM_CRASH_SEED`, if that is set.
    fn seeded() -> Self {
        let given = std::env::var("HOOKSTREAM_CRASH_SEED").ok();
        let seed = given.map_or(20_261_125, |seed| seed.parse().expect("HOOKSTREAM_CRASH_SEED is a number"));
        println!("HOOKSTREAM_CRASH_SEED={seed}");
        Self(seed)
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
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
    json!({"parent_issue": issue, "phases": phases})
}

/// The victims, and after how many completed phases each is killed, the first one first.
fn kills(phases: usize, random: &mut Random) -> Vec<(usize, &'static str)> {
    let mut kills: Vec<_> = VICTIMS
        .iter()
        .flat_map(|victim| [*victim; KILLS_OF_EACH])
        .map(|victim| (random.below(phases * 9 / 10), victim))
        .collect();
    kills.sort_unstable();
    kills
}

/// Several `hookstream work`, of one name.
struct Workers<'p> {
    pipeline: &'p Pipeline,
    folder: PathBuf,
    running: Vec<Child>,
}

impl<'p> Workers<'p> {
    fn start(pipeline: &'p Pipeline) -> Self {
        let folder = pipeline.data_dir().join("phases");
        fs::create_dir_all(folder.join("held")).unwrap();
        let mut workers = Self { pipeline, folder, running: Vec::new() };
        workers.running = (0..WORKERS).map(|_| workers.start_one()).collect();
        workers
    }

    fn start_one(&self) -> Child {
        let said = fs::File::options().create(true).append(true).open(self.folder.join("workers")).unwrap();
        Command::new(hookstream_e2e::binary("hookstream").unwrap())
            .args(["work", "--run", PHASE])
            .current_dir(&self.folder)
            .env("HOOKSTREAM_DATA_DIR", self.pipeline.data_dir())
            .env("HOOKSTREAM_WORK_LEASE", "2s")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Kills one with SIGKILL, and starts another in its place.
    async fn kill(&mut self, which: usize) {
        let ended = self.running[which].try_wait().unwrap();
        assert_eq!(ended, None, "a worker ended by itself:\n{}", self.file("workers"));
        self.running[which].kill().await.unwrap();
        self.running[which] = self.start_one();
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap()
    }
}

/// A command of the backend, under a key of its own.
fn command(pipeline: &Pipeline, path: &'static str, key: &str, body: &Value) -> Delivery {
    let token = pipeline.value("HOOKSTREAM_API_TOKEN");
    Delivery {
        event_id: format!("internal:{key}"),
        path,
        headers: vec![
            ("authorization", format!("Bearer {token}")),
            ("content-type", "application/json".to_owned()),
            ("idempotency-key", key.to_owned()),
        ],
        body: Bytes::from(body.to_string()),
    }
}

/// Enqueues plans, every other one by the backend: some beforehand, the others while it goes on.
async fn enqueue(pipeline: &Pipeline, plans: &[Value]) {
    let signer = Signer::new(pipeline);
    let mut gateway = Sender::new(pipeline.value("GATEWAY_URL"));
    let mut backend = Sender::new(pipeline.value("BACKEND_URL"));
    for (at, plan) in plans.iter().enumerate() {
        let key = format!("plan-{}", plan["parent_issue"]);
        if at % 2 == 0 {
            backend.deliver(&command(pipeline, "/api/v1/queue/plan", &key, plan)).await.unwrap();
        } else {
            let mut event = plan.clone();
            event["type"] = json!("plan.enqueued");
            gateway.deliver(&signer.internal(&key, &event)).await.unwrap();
        }
    }
}

/// How many phases have completed; none while Postgres is away.
async fn completed(database: &mut Option<Connection>, pipeline: &Pipeline) -> Option<usize> {
    if database.is_none() {
        *database = pipeline.database().await.ok();
    }
    let sql = "SELECT count(*) FROM phase_queue WHERE status = 'completed'";
    let Ok(row) = database.as_ref()?.query_one(sql, &[]).await else {
        *database = None;
        return None;
    };
    usize::try_from(row.get::<_, i64>(0)).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_run_to_their_end_whatever_is_killed() {
    let pipeline = Pipeline::start(Start::default()).await.unwrap();
    let mut random = Random::seeded();
    let plans: Vec<Value> = (1..=PLANS).map(|issue| plan(issue, &mut random)).collect();
    let phases: BTreeMap<String, Value> = plans
        .iter()
        .flat_map(|plan| plan["phases"].as_array().unwrap())
        .map(|phase| (phase["queue_id"].as_str().unwrap().to_owned(), phase.clone()))
        .collect();
    let configured = json!({"max_concurrent": MAX_CONCURRENT});
    let configured = command(&pipeline, "/api/v1/queue/config", "configured", &configured);
    Sender::new(pipeline.value("BACKEND_URL")).deliver(&configured).await.unwrap();

    let mut workers = Workers::start(&pipeline);
    let mut kills = kills(phases.len(), &mut random);
    kills.reverse();
    let start = Instant::now();
    let run = async {
        let (mut database, mut done) = (None, 0);
        while done < phases.len() {
            done = completed(&mut database, &pipeline).await.unwrap_or(done);
            while let Some((_, victim)) = kills.pop_if(|(at, _)| *at <= done) {
                println!("{:>6.1?} {done:>5} completed: kill {victim}", start.elapsed());
                match victim {
                    "worker" => workers.kill(random.below(WORKERS)).await,
                    process => kill(&pipeline, process).await,
                }
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{done} of {} phases after {PATIENCE:?}; the workers said:\n{}",
                phases.len(),
                workers.file("workers")
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(enqueue(&pipeline, &plans), run);
    println!("{:>6.1?} all {} completed", start.elapsed(), phases.len());
    assert_runs(&workers.file("runs"), &phases);

    let operator = pipeline.nats("NATS_URL", "operator").await.unwrap();
    let fold = assert_tables_are_the_fold(&pipeline, &operator).await;
    assert_announcements(&operator, &fold).await;
    drop(workers);
    pipeline.stop().await.unwrap();
}

/// Kills a process of the pipeline, which may be on its way up again from the last time.
async fn kill(pipeline: &Pipeline, process: &str) {
    let start = Instant::now();
    while let Err(error) = pipeline.kill(process) {
        assert!(start.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Every phase ran to its end, after what it depends on had, never beside itself, and again only on another attempt.
fn assert_runs(runs: &str, phases: &BTreeMap<String, Value>) {
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for line in runs.lines() {
        let (what, run) = line.split_once(' ').unwrap();
        let queue_id = run.split(' ').next().unwrap();
        match what {
            "begin" => {
                assert!(begun.insert(run), "run {run} began twice");
                for number in phases[queue_id]["depends_on_phases"].as_array().unwrap() {
                    let dependency = format!("{}-{number}", queue_id.rsplit_once('-').unwrap().0);
                    assert!(ended.contains(dependency.as_str()), "{line}, before {dependency} had ended");
                }
            }
            "end" => {
                ended.insert(queue_id);
            }
            _ => panic!("a phase ran beside itself: {line}"),
        }
    }
    let missing: Vec<_> = phases.keys().filter(|queue_id| !ended.contains(queue_id.as_str())).collect();
    assert!(missing.is_empty(), "these never ran to their end: {missing:?}");
    println!("{} runs of {} phases", begun.len(), phases.len());
}

/// All that a stream holds.
async fn all_of(bus: &Bus, stream: &str) -> Vec<Message> {
    let limits = PullLimits { messages: 500, bytes: 8 << 20, wait: Duration::from_secs(1) };
    let mut reader = bus.reader(stream, ReadFrom::Sequence(1), Selection::default());
    let mut all = Vec::new();
    while !reader.is_at_end() {
        all.extend(reader.read(&limits).await.unwrap());
    }
    reader.end().await;
    all
}

/// Folds the stream with the pure state machine, and compares every column of every table. Nothing was refused.
async fn assert_tables_are_the_fold(pipeline: &Pipeline, operator: &Bus) -> Queue {
    let (mut fold, mut known) = (Queue::default(), BTreeSet::new());
    for message in all_of(operator, "WEBHOOKS").await {
        let event = message.to_event().unwrap();
        if !known.insert(event.envelope.id.to_string()) {
            continue;
        }
        let step =
            internal::decode_stored(&event.payload, event.envelope.event_type.internal_name()).unwrap();
        let step = Step::from_internal(step).expect("it concerns the queue");
        let position = i64::try_from(event.stream_sequence).unwrap();
        let taken = fold.apply(step, Moment { position, at: event.recorded_at });
        assert!(taken.is_ok(), "{} at {position}: {taken:?}", event.envelope.id);
    }
    let database = pipeline.database().await.unwrap();
    assert_outbox_empties(&database).await;
    let (stored, folded) = (tables::stored(&database).await.unwrap(), tables::folded(&fold, &[]));
    tables::assert_same(&stored, &folded, "at the end");
    let refused: i64 = database.query_one("SELECT count(*) FROM dead_letters", &[]).await.unwrap().get(0);
    assert_eq!(refused, 0);
    fold
}

async fn assert_outbox_empties(database: &Connection) {
    let start = Instant::now();
    let sql = "SELECT count(*) FROM phase_outbox";
    while database.query_one(sql, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(start.elapsed() < PATIENCE, "announcements are left in the outbox");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The stream of announcements is what the fold tells: each once, in order, with all that it says.
async fn assert_announcements(operator: &Bus, fold: &Queue) {
    let heard = all_of(operator, "PHASES").await;
    for (message, told) in heard.iter().zip(fold.announcements()) {
        let payload: Value = serde_json::from_slice(&message.payload).unwrap();
        assert_eq!((&message.subject, payload), (&told.subject, tables::payload(fold, told)));
    }
    assert_eq!(heard.len(), fold.announcements().len());
}

#[test]
fn runs_that_are_not_allowed_are_found() {
    let phase = |depends_on: &[u64]| json!({"depends_on_phases": depends_on});
    let phases = BTreeMap::from([("q-1-1".to_owned(), phase(&[])), ("q-1-2".to_owned(), phase(&[1]))]);
    let first = "begin q-1-1 1 1\nend q-1-1 1 1\n";
    let second = "begin q-1-2 1 1\nend q-1-2 1 1\n";
    assert_runs(&format!("{first}{second}"), &phases);
    assert_runs(&format!("begin q-1-1 1 1\nbegin q-1-1 1 2\nend q-1-1 1 2\n{second}"), &phases);
    let beside = format!("begin q-1-1 1 1\nbeside q-1-1 1 2\n{second}");
    for wrong in [first, &format!("{second}{first}"), &format!("{first}{first}{second}"), &beside] {
        let found = std::panic::catch_unwind(|| assert_runs(wrong, &phases));
        assert!(found.is_err(), "{wrong}");
    }
}
