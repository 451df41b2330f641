//! Is Postgres there, new enough, durable and migrated, and do the clocks agree?

use std::time::Duration;

use hookstream_runtime::{Settings, exit};
use hookstream_store::{Connection, PgSettings, SettingsError, StoreError, migrations};
use time::OffsetDateTime;

use super::finding::Finding;

const ANSWER_WITHIN: Duration = Duration::from_secs(8);
const MINIMUM_MAJOR: i32 = 14;
/// Clocks further apart than this fail: signatures carry timestamps that are valid for 300 s.
const OFFSET_MAX: time::Duration = time::Duration::seconds(30);
/// Clocks further apart than this are worth a word.
const OFFSET_NOTABLE: time::Duration = time::Duration::seconds(2);

pub(super) async fn examine(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let problem = match PgSettings::read(&|name| settings.get(name)) {
        // Nobody has said yet where Postgres is: that is for doctor to tell, not a wrong setting.
        Err(error @ SettingsError::NoUser) => error.to_string(),
        Err(error) => return Err(error.into()),
        Ok(postgres) => {
            let asked = tokio::time::timeout(ANSWER_WITHIN, ask(&postgres)).await;
            let at = postgres.describe();
            match asked {
                Ok(Ok(findings)) => return Ok(findings),
                // Says where.
                Ok(Err(error @ StoreError::Connect { .. })) => exit::chain(&error),
                Ok(Err(error)) => format!("{at}: {}", exit::chain(&error)),
                Err(_) => format!("{at}: no answer within {} s", ANSWER_WITHIN.as_secs()),
            }
        }
    };
    let advice = "start Postgres (deploy/up starts one), or correct DATABASE_URL (or PGHOST, PGUSER, …)";
    Ok(vec![
        Finding::fail("postgres", problem, advice),
        Finding::skip("migrations", "Postgres cannot be reached", "see check postgres"),
        Finding::skip("clock", "Postgres cannot be reached", "see check postgres"),
    ])
}

async fn ask(settings: &PgSettings) -> Result<Vec<Finding>, StoreError> {
    let client = Connection::open(settings, "hookstream-doctor").await?;
    let sent = OffsetDateTime::now_utc();
    let row = client.query_one(include_str!("postgres.sql"), &[]).await?;
    let received = OffsetDateTime::now_utc();
    let number: i32 = row.try_get("version")?;
    let version: &str = row.try_get("version_text")?;
    let at = settings.describe();
    let mut findings = Vec::new();
    if number / 10_000 >= MINIMUM_MAJOR {
        findings.push(Finding::ok("postgres", format!("Postgres {version} at {at}")));
    } else {
        let advice = format!("use Postgres {MINIMUM_MAJOR} or newer");
        findings.push(Finding::fail("postgres", format!("Postgres {version} at {at}"), advice));
    }
    findings.push(durability(row.try_get("fsync")?, row.try_get("synchronous_commit")?));
    findings.push(migrated(&client).await);
    // The database read its clock somewhere between the two readings of ours.
    let midpoint = sent + (received - sent) / 2;
    findings.push(clock(row.try_get::<_, OffsetDateTime>("now")? - midpoint));
    Ok(findings)
}

fn durability(fsync: &str, synchronous_commit: &str) -> Finding {
    const CHECK: &str = "postgres sync";
    let found = format!("fsync {fsync}, synchronous_commit {synchronous_commit}");
    if fsync == "off" {
        let advice = "set fsync = on: a power cut now destroys the whole database";
        return Finding::fail(CHECK, found, advice);
    }
    if synchronous_commit == "off" {
        let advice = "set synchronous_commit = on: a crash now loses the latest commits, among them entries of the \
                      audit trail; the projections make up for it from the stream";
        return Finding::warn(CHECK, found, advice);
    }
    Finding::ok(CHECK, found)
}

async fn migrated(client: &Connection) -> Finding {
    const CHECK: &str = "migrations";
    match migrations::pending(&**client, &crate::up::MIGRATIONS).await {
        Ok(pending) if pending.is_empty() => Finding::ok(CHECK, "all are applied"),
        Ok(pending) => {
            let names: Vec<String> = pending.iter().map(ToString::to_string).collect();
            let advice = "each projection applies its own when it starts: start them, or see their logs";
            Finding::fail(CHECK, format!("not applied: {}", names.join(", ")), advice)
        }
        Err(error) => {
            let advice = "use the version of hookstream that this database belongs to";
            Finding::fail(CHECK, exit::chain(&error), advice)
        }
    }
}

fn clock(offset: time::Duration) -> Finding {
    const CHECK: &str = "clock";
    let direction = if offset.is_negative() { "behind" } else { "ahead of" };
    let found = format!("Postgres's is {:.3} s {direction} ours", offset.abs().as_seconds_f64());
    let advice = "synchronise the clocks of all machines (NTP): signatures are valid for 300 s around their timestamp, \
                  and times in the tables come from several machines";
    if offset.abs() > OFFSET_MAX {
        Finding::fail(CHECK, found, advice)
    } else if offset.abs() > OFFSET_NOTABLE {
        Finding::warn(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::State;

    #[test]
    fn clocks_that_differ_are_told_and_far_apart_they_fail() {
        let state = |milliseconds| clock(time::Duration::milliseconds(milliseconds)).state;
        assert_eq!([state(0), state(1_500), state(-1_500)], [State::Ok; 3]);
        assert_eq!([state(5_000), state(-5_000)], [State::Warn; 2]);
        assert_eq!([state(31_000), state(-31_000)], [State::Fail; 2]);
        assert!(clock(time::Duration::seconds(-31)).found.contains("31.000 s behind ours"));
    }

    #[test]
    fn a_database_that_may_be_destroyed_by_a_power_cut_fails() {
        assert_eq!(durability("off", "on").state, State::Fail);
        assert_eq!(durability("on", "off").state, State::Warn);
        assert_eq!(durability("on", "on").state, State::Ok);
    }
}
