use hookstream_local::NatsOptions;
use hookstream_test_support::{TestDatabase, TestNats};
use serde_json::Value;

use crate::command::Hookstream;

/// The first finding of a check.
fn finding<'f>(findings: &'f Value, check: &str) -> &'f Value {
    let all = findings["checks"].as_array().unwrap();
    all.iter()
        .find(|found| found["check"] == check)
        .unwrap_or_else(|| panic!("no check {check}: {findings:#}"))
}

fn doctor(nats: &TestNats, database: &TestDatabase) -> Hookstream {
    Hookstream::new(&["doctor", "--format", "json"])
        .env("NATS_URL", &nats.url("operator"))
        .env("NATS_MONITOR_URL", nats.monitor_url())
        .env("DATABASE_URL", &database.url())
        .env("GITHUB_WEBHOOK_SECRET", "a")
        .env("INTERNAL_WEBHOOK_SECRET", "b")
        .env("HOOKSTREAM_API_TOKEN", "c")
}

#[tokio::test]
async fn a_sound_installation_passes() {
    let (nats, database) = tokio::join!(TestNats::start(), TestDatabase::create());
    let sets = [
        &hookstream_phase_queue::MIGRATIONS,
        &hookstream_task_log::MIGRATIONS,
        &hookstream_audit::MIGRATIONS,
    ];
    database.migrate(&sets).await;
    let findings = doctor(&nats, &database).run().await.expect_code(1).json();
    // The servers of tests do not sync; everything else is as it should be.
    let mut failing = findings["checks"].as_array().unwrap().iter().filter(|found| found["state"] != "ok");
    assert_eq!(failing.next().map(|found| &found["check"]), Some(&"postgres sync".into()), "{findings:#}");
    assert_eq!(failing.next(), None);
    assert!(
        finding(&findings, "nats")["found"].as_str().unwrap().starts_with("nats-server 2."),
        "{findings:#}"
    );
}

#[tokio::test]
async fn a_server_that_acks_before_it_syncs_is_found() {
    let without_sync = |options: NatsOptions| {
        let config = options.config.replace("sync_interval: always", "sync_interval: \"2m\"");
        assert_ne!(config, options.config);
        NatsOptions { config, ..options }
    };
    let (nats, database) = tokio::join!(TestNats::start_with(without_sync), TestDatabase::create());
    let findings = doctor(&nats, &database).run().await.expect_code(1).json();
    let sync = finding(&findings, "nats sync");
    assert_eq!(sync["state"], "fail");
    assert!(sync["advice"].as_str().unwrap().contains("`sync_interval: always`"), "{sync:#}");
    let streams = finding(&findings, "streams");
    assert_eq!(
        (&streams["state"], &streams["advice"]),
        (&"fail".into(), &"run `hookstream provision --apply`".into())
    );
    assert_eq!(finding(&findings, "migrations")["state"], "fail");
}

#[tokio::test]
async fn what_is_away_or_not_set_is_told_with_advice_and_without_secrets() {
    let (nats, database) = tokio::join!(TestNats::start_empty(), TestDatabase::create_private());
    let (password, url) = (nats.password("operator"), nats.url("operator"));
    tokio::join!(nats.stop(), database.stop_server());
    let done = Hookstream::new(&["doctor"])
        .env("NATS_URL", &url)
        .env("DATABASE_URL", &database.url())
        .env("INTERNAL_WEBHOOK_SECRET", "whsec_!")
        .run()
        .await
        .expect_code(1);
    for line in [
        "fail   nats ",
        "skip   streams ",
        "fail   postgres ",
        "fail   GITHUB_WEBHOOK_SECRET ",
        "fail   INTERNAL_WEBHOOK_SECRET ",
        "warn   HOOKSTREAM_API_TOKEN ",
        "nats sync: set NATS_MONITOR_URL",
    ] {
        assert!(done.stdout.contains(line), "no {line:?} in\n{}", done.stdout);
    }
    for secret in [password, database.url()] {
        assert!(!done.stdout.contains(&secret) && !done.stderr.contains(&secret), "{done:?}");
    }
}

/// What doctor says of the secrets, with this settings file and these settings.
fn secrets(toml: &str, settings: &[(&str, &str)]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookstream.toml");
    std::fs::write(&path, toml).unwrap();
    let mut doctor = Hookstream::new(&["doctor", "--format", "json", "--config", path.to_str().unwrap()])
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("DATABASE_URL", "postgres://a@127.0.0.1:1/a");
    for (name, value) in settings {
        doctor = doctor.env(name, value);
    }
    let done = doctor.run_blocking().expect_code(1);
    assert!(!done.stdout.contains("canary"), "{done:?}");
    done.json()
}

#[test]
fn a_secret_is_judged_as_the_process_that_needs_it_does() {
    let given = [
        ("GITHUB_WEBHOOK_SECRET", "whsec_canary!"),
        ("INTERNAL_WEBHOOK_SECRET", "whsec_canary!"),
        ("HOOKSTREAM_AUDIT_KEY", "canary"),
    ];
    let findings = secrets("", &given);
    // GitHub signs with the text of its secret, whatever that begins with.
    assert_eq!(finding(&findings, "GITHUB_WEBHOOK_SECRET")["state"], "ok");
    assert_eq!(finding(&findings, "INTERNAL_WEBHOOK_SECRET")["state"], "fail");
    let key = finding(&findings, "HOOKSTREAM_AUDIT_KEY");
    assert_eq!(key["state"], "fail");
    assert!(key["advice"].as_str().unwrap().contains("`hookstream audit key`"), "{key:#}");
    let public = secrets("", &[("HOOKSTREAM_AUDIT_PUBLIC_KEYS", "nonsense")]);
    let found = finding(&public, "HOOKSTREAM_AUDIT_KEY")["found"].as_str().unwrap();
    assert!(found.starts_with("HOOKSTREAM_AUDIT_PUBLIC_KEYS (environment)"), "{public:#}");
    let made = Hookstream::new(&["audit", "key", "example.org/trail"]).run_blocking().expect_code(0);
    let findings = secrets("", &[("HOOKSTREAM_AUDIT_KEY", made.stdout.trim())]);
    let key = finding(&findings, "HOOKSTREAM_AUDIT_KEY");
    assert_eq!(key["state"], "ok");
    assert!(key["found"].as_str().unwrap().ends_with(made.stderr.trim()), "{key:#}");
}

#[test]
fn sources_of_the_settings_file_are_examined() {
    let own = "[sources.github]\nsecrets = [{ secret = 'canary-a' }]\n";
    let findings = secrets(own, &[("INTERNAL_WEBHOOK_SECRET", "b")]);
    assert_eq!(finding(&findings, "GITHUB_WEBHOOK_SECRET")["state"], "ok");
    assert_eq!(finding(&findings, "sources")["found"], "2 keys can be used, 0 retired");
    let broken = format!("{own}[sources.billing]\nscheme = 'stripe'\nsecret_file = '/nowhere'\n");
    let findings = secrets(&broken, &[("INTERNAL_WEBHOOK_SECRET", "b")]);
    let sources = finding(&findings, "sources");
    assert_eq!(sources["state"], "fail");
    let found = sources["found"].as_str().unwrap();
    assert!(found.contains("sources.billing.secret_file") && found.contains("/nowhere"), "{sources:#}");
}

#[test]
fn a_machine_where_nothing_is_set_up_gets_the_whole_report() {
    let done = Hookstream::new(&["doctor"])
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("USER", "")
        .run_blocking()
        .expect_code(1);
    for line in ["fail   nats ", "fail   postgres ", "PGUSER", "fail   GITHUB_WEBHOOK_SECRET "] {
        assert!(done.stdout.contains(line), "no {line:?} in\n{}", done.stdout);
    }
}
