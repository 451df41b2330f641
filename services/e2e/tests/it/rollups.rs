//! Property: whatever comes, whatever comes twice, whatever is killed and rebuilt meanwhile, the sums of the task log are
//! what its rows add up to, and each event has one row.
//!
//! A run prints its seed; `HOOKSTREAM_TEST_SEED` repeats its loads. What a kill hits is up to the machine.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hookstream_bus::Publisher;
use hookstream_e2e::binary;
use hookstream_event::header::MSG_ID;
use hookstream_store::Connection;
use hookstream_store::generation::{self, State};
use hookstream_test_support::{SampleEvent, TestDatabase, TestNats, eventually, run_test_within};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use time::OffsetDateTime;
use tokio::process::{Child, Command};

use crate::tables::{assert_sums_add_up, count};

mod loads;

use loads::{Round, Step, round};

/// Rounds of one run, each on top of the one before.
const ROUNDS: usize = 4;

/// The task log's process, a broker, a database, and what was stored.
struct World {
    nats: TestNats,
    database: TestDatabase,
    client: Connection,
    publisher: Publisher,
    task_log: Child,
    /// The first sequence of each event id.
    stored: BTreeMap<String, u64>,
    events: Vec<SampleEvent>,
    last: u64,
}

impl World {
    async fn new() -> Result<Self> {
        let (nats, database) = (TestNats::start().await, TestDatabase::create().await);
        let publisher = nats.connect("gateway").await.publisher(Duration::from_secs(10));
        let (client, task_log) = (database.client().await, task_log(&nats, &database)?);
        let (stored, events, last) = (BTreeMap::new(), Vec::new(), 0);
        Ok(Self { nats, database, client, publisher, task_log, stored, events, last })
    }

    /// Stores an event as it is, or without the id that the broker knows it by.
    async fn publish(&mut self, event: &SampleEvent, is_known_to_broker: bool) -> Result<()> {
        let mut headers = event.envelope.to_headers();
        headers.retain(|(name, _)| is_known_to_broker || name != MSG_ID);
        let stored = self.publisher.publish(event.subject.ingest(), headers, event.payload.clone().into());
        let sequence = stored.await?.sequence;
        self.stored.entry(event.envelope.id.to_string()).or_insert(sequence);
        self.last = self.last.max(sequence);
        Ok(())
    }

    async fn take(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Store { fields, hours_ago } => {
                let at = OffsetDateTime::now_utc() - time::Duration::hours(*hours_ago);
                let event = fields.event(&format!("e-{}", self.events.len())).received_at(at);
                self.publish(&event, true).await?;
                self.events.push(event);
            }
            Step::Repeat { which, is_known_to_broker } if !self.events.is_empty() => {
                let event = which.get(&self.events).clone();
                self.publish(&event, *is_known_to_broker).await?;
            }
            Step::Repeat { .. } => {}
            Step::Kill => {
                self.task_log.kill().await?;
                self.task_log = task_log(&self.nats, &self.database)?;
            }
        }
        Ok(())
    }

    /// A run of `hookstream rebuild task_log`.
    fn rebuild(&self, flags: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary("hookstream")?);
        command.args(["rebuild", "task_log"]).args(flags).env_clear().kill_on_drop(true);
        command.env("NATS_URL", self.nats.url("operator")).env("DATABASE_URL", self.database.url());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    async fn run_round(&mut self, round: &Round) -> Result<()> {
        let Some(rebuild) = &round.rebuild else {
            for step in &round.steps {
                self.take(step).await?;
            }
            self.assert_all_applied_once().await;
            return Ok(());
        };
        let begins = rebuild.begins.index(round.steps.len());
        let killed = rebuild.killed_after.map(|steps| (begins + steps).min(round.steps.len() - 1));
        let mut rebuilding = None;
        for (at, step) in round.steps.iter().enumerate() {
            if at == begins {
                rebuilding = Some(self.rebuild(&["--diff"])?.spawn()?);
            }
            self.take(step).await?;
            if let Some(running) = rebuilding.as_mut().filter(|_| killed == Some(at)) {
                running.kill().await?;
            }
        }
        self.finish(rebuilding.context("a rebuild was begun")?).await?;
        self.assert_all_applied_once().await;
        if rebuild.is_rolled_back {
            said_of(&self.rebuild(&["--rollback"])?.output().await?)?;
            self.assert_all_applied_once().await;
        }
        said_of(&self.rebuild(&["--drop"])?.output().await?).map(drop)
    }

    /// Waits for a rebuild. One that was killed, or met a projection that was, is given again, as it says.
    async fn finish(&self, running: Child) -> Result<()> {
        let first = said_of(&running.wait_with_output().await?);
        let kept = generation::list(&*self.client, "task_log").await?;
        let said = match first {
            Ok(said) => said,
            // It was killed when all was done.
            Err(_) if kept.iter().any(|kept| kept.state == State::Previous) => return Ok(()),
            Err(first) => {
                let again = self.rebuild(&["--diff"])?.output().await?;
                said_of(&again).with_context(|| format!("given again, after: {first}"))?
            }
        };
        let differing = said.lines().find(|line| line.contains("rows differ"));
        ensure!(differing.is_none_or(|line| line.contains(": 0 rows differ")), "{said}");
        Ok(())
    }

    /// Waits until all that was stored is applied, and checks rows and sums.
    async fn assert_all_applied_once(&self) {
        let query = "SELECT sequence FROM projection_checkpoints WHERE projection = 'task_log'";
        eventually("all of it is applied", Duration::from_mins(1), async || {
            let row = self.client.query_opt(query, &[]).await.map_err(|error| error.to_string())?;
            let at = row.map_or(0, |row| row.get::<_, i64>(0));
            if u64::try_from(at) == Ok(self.last) { Ok(()) } else { Err(format!("{at} of {}", self.last)) }
        })
        .await;
        let rows = self.client.query("SELECT event_id, id FROM task_logs ORDER BY id", &[]).await.unwrap();
        let found: Vec<(String, i64)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let mut expected: Vec<(String, i64)> =
            self.stored.iter().map(|(id, at)| (id.clone(), i64::try_from(*at).unwrap())).collect();
        expected.sort_by_key(|(_, at)| *at);
        assert_eq!(found, expected, "one row for each event, at its first sequence");
        assert_sums_add_up(&self.client).await;
        assert_eq!(count(&self.client, "SELECT count(*) FROM dead_letters").await, 0);
    }
}

/// What a command said that did what it was told.
fn said_of(done: &Output) -> Result<String> {
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    ensure!(done.status.success(), "{}: {said}", done.status);
    Ok(said)
}

/// The projection as a process. It goes when dropped.
fn task_log(nats: &TestNats, database: &TestDatabase) -> Result<Child> {
    let mut command = Command::new(binary("hookstream-task-log")?);
    command.env_clear().env("NATS_URL", nats.url("task_log")).env("DATABASE_URL", database.url());
    // What it has to say of being killed is of no interest; errors are.
    command.env("HOOKSTREAM_LOG", "error").stdin(Stdio::null()).kill_on_drop(true);
    command.spawn().context("start hookstream-task-log")
}

/// What chooses the loads, and says how to choose the same again.
#[expect(clippy::print_stdout, reason = "what a run is repeated with is of no use if it is not told")]
fn chooser() -> TestRunner {
    let given = std::env::var("HOOKSTREAM_TEST_SEED").ok();
    let seed = given.map_or_else(rand_seed, |text| text.parse().expect("HOOKSTREAM_TEST_SEED is a number"));
    println!("HOOKSTREAM_TEST_SEED={seed}");
    let bytes: Vec<u8> = seed.to_le_bytes().repeat(4);
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

fn rand_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn sums_are_what_the_rows_add_up_to_after_random_loads_kills_repeats_and_rebuilds() {
    run_test_within(Duration::from_mins(5), async || {
        let mut chooser = chooser();
        let mut world = World::new().await?;
        for number in 0..ROUNDS {
            // Every run has rebuilds, whatever is chosen.
            let round = round(number % 2 == 1).new_tree(&mut chooser).map_err(anyhow::Error::msg)?.current();
            let stood = world.run_round(&round).await;
            stood.with_context(|| format!("round {number}: {round:#?}"))?;
        }
        Ok(())
    })
    .await;
}
