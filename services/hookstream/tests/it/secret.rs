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
