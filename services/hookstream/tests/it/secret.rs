use std::collections::BTreeSet;

use hookstream_signature::Key;

use crate::command::{Done, Hookstream};

#[test]
fn a_new_secret_has_the_form_of_its_scheme_and_is_new() {
    for scheme in ["github", "internal", "standard-webhooks", "stripe", "slack", "gitlab", "hmac"] {
        let new = || Hookstream::new(&["secret", "new", scheme]).run_blocking().expect_code(0).stdout;
        let (one, other) = (new(), new());
        assert_ne!(one, other);
        let secret = one.strip_suffix('\n').unwrap();
        Key::new("k", secret.as_bytes()).unwrap();
        let prefixed = ["internal", "standard-webhooks", "stripe"].contains(&scheme);
        assert_eq!(secret.starts_with("whsec_"), prefixed, "{scheme}");
        assert!(secret.trim_start_matches("whsec_").len() >= 32, "{scheme}");
    }
}

fn list(toml: &str, args: &[&str]) -> Done {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hookstream.toml");
    std::fs::write(&path, toml).unwrap();
    let args = [&["secret", "list", "--config", path.to_str().unwrap()], args].concat();
    Hookstream::new(&args)
        .env("GITHUB_WEBHOOK_SECRET", "canary-github")
        .env("INTERNAL_WEBHOOK_SECRET", "canary-internal")
        .run_blocking()
}

#[test]
fn the_list_tells_each_key_and_where_it_comes_from_but_no_secret() {
    let toml = "[sources.billing]\nscheme = 'stripe'\n\
        secrets = [{ id = 'old', secret = 'canary-old', not_after = 2020-01-01T00:00:00Z }, { secret = 'canary-new' }]\n";
    let done = list(toml, &["--format", "json"]).expect_code(0);
    let listed = done.json();
    let row = |at: usize| listed["keys"][at].clone();
    let told =
        |at: usize| ["source", "scheme", "key_id", "state", "not_after"].map(|name| row(at)[name].clone());
    assert_eq!(
        told(0).map(|v| v.as_str().unwrap().to_owned()),
        ["billing", "stripe", "old", "expired", "2020-01-01T00:00:00Z"]
    );
    assert_eq!(row(1)["key_id"], Key::fingerprint(b"canary-new").as_str());
    assert_eq!(row(1)["state"], "active");
    assert!(row(1)["from"].as_str().unwrap().contains("hookstream.toml, line 3"), "{listed}");
    assert_eq!(row(2)["from"], "GITHUB_WEBHOOK_SECRET (environment)");
    let ids: BTreeSet<_> = (0..4).map(|at| row(at)["key_id"].to_string()).collect();
    assert_eq!(ids.len(), 4, "{listed}");
    let table = list(toml, &[]).expect_code(0);
    assert!(table.stdout.starts_with("SOURCE") && table.stdout.contains("expired"), "{table:?}");
    for text in [&done.stdout, &done.stderr, &table.stdout, &table.stderr] {
        assert!(!text.contains("canary"), "{text}");
    }
}

#[test]
fn a_retired_key_is_listed_as_such_also_of_a_source_that_is_gone() {
    let toml = "[sources.billing]\nscheme = 'stripe'\nsecret = 'canary-new'\nretired = [{ secret = 'canary-old' }]\n\
        [sources.gone]\nscheme = 'slack'\nretired = [{ id = 'last', secret = 'canary-gone' }]\n";
    let listed = list(toml, &["--format", "json"]).expect_code(0).json();
    let told = |at: usize| ["source", "key_id", "state"].map(|name| listed["keys"][at][name].clone());
    let key = |source: &str, id: &str, state: &str| [source, id, state].map(serde_json::Value::from);
    assert_eq!(told(0), key("billing", &Key::fingerprint(b"canary-new"), "active"));
    assert_eq!(told(1), key("billing", &Key::fingerprint(b"canary-old"), "retired"));
    assert_eq!(told(3), key("gone", "last", "retired"));
    assert!(listed["keys"][1]["from"].as_str().unwrap().contains("line 4"), "{listed}");
    let table = list(toml, &[]).expect_code(0);
    assert!(table.stdout.contains("retired") && !table.stdout.contains("canary"), "{table:?}");
}

#[test]
fn what_is_found_beside_a_running_up_is_told_to_come_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("connection.env");
    let secrets = "GITHUB_WEBHOOK_SECRET=canary-github\nINTERNAL_WEBHOOK_SECRET=canary-internal\n";
    std::fs::write(&file, secrets).unwrap();
    let args = ["secret", "list", "--format", "json", "--data-dir", folder.path().to_str().unwrap()];
    let listed = Hookstream::new(&args).run_blocking().expect_code(0).json();
    assert_eq!(listed["keys"][0]["from"], format!("GITHUB_WEBHOOK_SECRET ({})", file.display()));
    let wrong = Hookstream::new(&args).env("GITHUB_WEBHOOK_SECRET", "").env("INTERNAL_WEBHOOK_SECRET", "a");
    let listed = wrong.run_blocking().expect_code(0).json();
    assert_eq!(listed["keys"][1]["from"], "INTERNAL_WEBHOOK_SECRET (environment)");
}

#[test]
fn a_source_that_cannot_be_used_ends_with_2_and_is_named() {
    let done = list("[sources.billing]\nscheme = 'strip'\nsecret = 'canary'\n", &[]).expect_code(2);
    assert!(done.stderr.contains("sources.billing.scheme") && done.stderr.contains("line 2"), "{done:?}");
    assert!(!done.stderr.contains("canary"), "{done:?}");
}

#[test]
fn help_tells_how_both_are_used() {
    for args in [&["secret", "--help"][..], &["secret", "new", "--help"], &["secret", "list", "--help"]] {
        let help = Hookstream::new(args).run_blocking().expect_code(0).stdout;
        for part in ["Usage: hookstream secret", "Exit code: 0", "Examples:"] {
            assert!(help.contains(part), "{args:?} does not tell {part:?}:\n{help}");
        }
    }
}
