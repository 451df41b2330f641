use std::path::PathBuf;

use secrecy::ExposeSecret as _;

use super::*;
use crate::Settings;
use crate::exit::chain;

fn scratch(name: &str, content: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hookstream-sources-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    fs::write(&path, content).unwrap();
    path
}

fn load(path: &Path) -> Result<Settings, SettingsError> {
    let config = [("HOOKSTREAM_CONFIG".to_owned(), path.to_str().unwrap().to_owned())];
    Settings::from_layers(config.into(), [])
}

#[test]
fn a_source_has_texts_and_secrets_that_know_their_place() {
    let file = scratch("billing.secret", "from a file\n");
    let config = scratch(
        "whole.toml",
        &format!(
            "HOOKSTREAM_LOG = 'info'\n[sources.billing]\nscheme = 'stripe'\n\n\
             [[sources.billing.secrets]]\nsecret_file = '{}'\n\
             [[sources.billing.secrets]]\nid = 'old'\nsecret = 'inline'\nnot_after = 2026-12-01T01:00:00+01:00\n\
             [sources.chat]\nscheme = 'slack'\nsecret = 'one'\n",
            file.display()
        ),
    );
    let settings = load(&config).unwrap();
    let [billing, chat] = settings.sources() else { panic!("{settings:?}") };
    assert_eq!(
        (billing.name(), billing.text("scheme"), billing.text("id_path")),
        ("billing", Some("stripe"), None)
    );
    let [new, old] = billing.secrets() else { panic!("{billing:?}") };
    assert_eq!(new.read().unwrap().expose_secret(), "from a file");
    assert_eq!((new.id(), new.not_after(), new.place()), (None, None, file.display().to_string()));
    assert_eq!(old.read().unwrap().expose_secret(), "inline");
    assert_eq!(old.id(), Some("old"));
    assert_eq!(old.not_after().unwrap().unix_timestamp(), 1_796_083_200);
    assert!(old.place().ends_with("whole.toml, line 7)"), "{}", old.place());
    assert_eq!(chat.secrets().len(), 1);
    assert_eq!(settings.files(), [config, file]);
    let shown = format!("{:?} {settings:?}", settings.sources());
    assert!(!shown.contains("inline") && !shown.contains("from a file"), "{shown}");
}

#[test]
fn what_is_wrong_in_a_source_is_named_with_its_line_and_without_its_text() {
    for (content, expected) in [
        (
            "[sources.a]\nscheem = 'canary'",
            "line 2: \"sources.a.scheem\" is no setting (did you mean scheme?)",
        ),
        (
            "[sources.a]\nsecret = 'canary'\n\nid_haeder = 'x'",
            "line 4: \"sources.a.id_haeder\" is no setting",
        ),
        (
            "[sources.a]\nsecrets = [{ secret = 'canary', not_aftre = 'x' }]",
            "line 2: \"sources.a.secrets[0].not_aftre\" is no setting (did you mean not_after?)",
        ),
        (
            "[sources.a]\nsecret = 'canary'\nsecret_file = '/x'",
            "sources.a (… line 1) must have either secret or",
        ),
        ("[sources.a]\nsecrets = [{ id = 'canary' }]", "sources.a.secrets[0] (… line 2) must have either"),
        ("[sources.a]\nsecret = ['canary']", "line 2: sources.a.secret must be a text"),
        ("[sources.a]\nsecret = ''", "line 2: sources.a.secret must be a text"),
        ("[sources.a]\nsecrets = 'canary'", "line 2: sources.a.secrets must be a list"),
        ("[sources.a]\nsecrets = ['canary']", "line 2: sources.a.secrets[0] must be a table"),
        ("sources = 'canary'", "line 1: sources must be a table"),
        ("[sources]\na = 'canary'", "line 2: sources.a must be a table"),
        (
            "[sources.a]\nsecrets = [{ secret = 'canary', not_after = 2026-12-01T00:00:00 }]",
            "line 2: sources.a.secrets[0].not_after must be a time with its offset",
        ),
        ("[source.a]\nscheme = 'canary'", "line 1: \"source\" is no setting"),
    ] {
        let path = scratch("wrong.toml", content);
        let error = chain(&load(&path).unwrap_err());
        let shown = error.replace(&format!("{},", path.display()), "…");
        assert!(shown.contains(expected) && !shown.contains("canary"), "{content}\n{shown}");
    }
}

#[test]
fn settings_read_again_hold_what_the_files_hold_now() {
    let secret = scratch("again.secret", "first");
    let config = scratch("again.toml", "[sources.a]\nscheme = 'slack'\nsecret = 'x'\n");
    let layer = [
        ("HOOKSTREAM_CONFIG".to_owned(), config.to_str().unwrap().to_owned()),
        ("GITHUB_WEBHOOK_SECRET_FILE".to_owned(), secret.to_str().unwrap().to_owned()),
    ];
    let settings = Settings::from_layers(layer.into(), []).unwrap();
    assert_eq!(settings.files(), [config.clone(), secret.clone()]);
    fs::write(&secret, "second").unwrap();
    fs::write(&config, "[sources.b]\nscheme = 'slack'\nsecret = 'x'\n").unwrap();
    let again = settings.read_again().unwrap();
    let github = again.secret_settings("GITHUB_WEBHOOK_SECRET").unwrap();
    assert_eq!(github.read().unwrap().expose_secret(), "second");
    assert_eq!(again.sources()[0].name(), "b");
    assert_eq!(settings.sources()[0].name(), "a", "the old settings are what they were");
    fs::remove_file(&secret).unwrap();
    let error = settings.read_again().unwrap_err().to_string();
    assert!(error.starts_with("GITHUB_WEBHOOK_SECRET_FILE: cannot read"), "{error}");
}
