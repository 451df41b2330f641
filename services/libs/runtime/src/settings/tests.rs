use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::*;

const INFO: ProcessInfo = ProcessInfo { name: "hookstream-test", about: "A test", version: "0.0.0" };

fn load(flags: &[(&str, &str)], environment: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let environment: Vec<(OsString, OsString)> =
        environment.iter().map(own).map(|(name, value)| (name.into(), value.into())).collect();
    Settings::from_layers(flags.iter().map(own).collect(), environment)
}

fn scratch(name: &str, content: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("hookstream-settings-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let file = scratch(
        "layers.toml",
        "HOOKSTREAM_LOG = 'from-file'\nHOOKSTREAM_CONNECTIONS_MAX = 7\nHOOKSTREAM_BODY_TIMEOUT = '9s'\n",
    );
    let config = ("HOOKSTREAM_CONFIG", file.to_str().unwrap());
    let environment = [config, ("HOOKSTREAM_LOG", "from-environment"), ("HOOKSTREAM_BODY_TIMEOUT", "8s")];
    let settings = load(&[("HOOKSTREAM_LOG", "from-flag")], &environment).unwrap();
    assert_eq!(settings.get("HOOKSTREAM_LOG").as_deref(), Some("from-flag"));
    assert_eq!(settings.duration("HOOKSTREAM_BODY_TIMEOUT").unwrap(), Duration::from_secs(8));
    assert_eq!(settings.parse::<u64>("HOOKSTREAM_CONNECTIONS_MAX").unwrap(), 7);
    assert_eq!(settings.origin("HOOKSTREAM_CONNECTIONS_MAX"), Some(&Origin::File(file.clone(), 2)));
    assert_eq!(settings.get("HOOKSTREAM_GATEWAY_ADDR").as_deref(), Some("127.0.0.1:8001"));
    assert_eq!(settings.get("NATS_USER"), None);
}

#[test]
fn the_command_line_becomes_flags_and_secrets_come_from_files_only() {
    let command = flags::command(&INFO);
    let line = ["x", "--gateway-addr", "127.0.0.1:0", "--nats-password-file", "/run/secrets/nats"];
    let given = flags::given(&command.clone().try_get_matches_from(line).unwrap());
    let expected: BTreeMap<_, _> =
        [("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:0"), ("NATS_PASSWORD_FILE", "/run/secrets/nats")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    assert_eq!(given, expected);
    assert!(command.clone().try_get_matches_from(["x", "--nats-password", "s3cret"]).is_err());
    command.debug_assert();
}

#[test]
fn a_misspelt_key_in_the_file_is_named_with_its_line() {
    let file =
        scratch("misspelt.toml", "# comment\n\nHOOKSTREAM_LOG = 'info'\nHOOKSTREAM_GATEWAY_ADR = 'x'\n");
    let error = load(&[("HOOKSTREAM_CONFIG", file.to_str().unwrap())], &[]).unwrap_err().to_string();
    let expected =
        r#"line 4: "HOOKSTREAM_GATEWAY_ADR" is no setting (did you mean HOOKSTREAM_GATEWAY_ADDR?)"#;
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn a_broken_file_is_told_by_line_without_its_text() {
    for (content, expected) in [
        ("HOOKSTREAM_LOG = 'info'\nGITHUB_WEBHOOK_SECRET = 'canary", "line 2: "),
        ("GITHUB_WEBHOOK_SECRET = ['canary']", "line 1: GITHUB_WEBHOOK_SECRET must be a string"),
        ("canary canary", "line 1: "),
    ] {
        let file = scratch("broken.toml", content);
        let error = load(&[("HOOKSTREAM_CONFIG", file.to_str().unwrap())], &[]).unwrap_err();
        let text = crate::exit::chain(&error);
        assert!(text.contains(expected) && !text.contains("canary"), "{text}");
    }
    let missing = load(&[("HOOKSTREAM_CONFIG", "/nowhere/at-all.toml")], &[]).unwrap_err();
    assert!(missing.to_string().contains("HOOKSTREAM_CONFIG: cannot read /nowhere/at-all.toml"), "{missing}");
}

#[test]
fn a_secret_may_come_from_a_file_and_one_newline_at_its_end_is_no_part_of_it() {
    let value = |content: &str| {
        let file = scratch("secret", content);
        let settings = load(&[], &[("GITHUB_WEBHOOK_SECRET_FILE", file.to_str().unwrap())])?;
        Ok::<_, SettingsError>(settings.get("GITHUB_WEBHOOK_SECRET").unwrap())
    };
    assert_eq!(value("s3cret\n").unwrap(), "s3cret");
    assert_eq!(value("s3cret\r\n").unwrap(), "s3cret");
    assert_eq!(value(" s3cret\n\n").unwrap(), " s3cret\n");
    for empty in ["", "\n"] {
        let error = crate::exit::chain(&value(empty).unwrap_err());
        assert!(error.contains("GITHUB_WEBHOOK_SECRET_FILE") && error.ends_with("it is empty"), "{error}");
    }
    let both = [("NATS_PASSWORD", "canary"), ("NATS_PASSWORD_FILE", "/run/x")];
    let error = load(&[], &both).unwrap_err().to_string();
    assert_eq!(error, "NATS_PASSWORD and NATS_PASSWORD_FILE are both set (environment): set one of them");
}

#[test]
fn a_value_that_a_setting_cannot_hold_is_refused_at_start() {
    for (name, value, expected) in [
        ("HOOKSTREAM_GATEWAY_ADDR", "8001", "HOOKSTREAM_GATEWAY_ADDR (environment) must be an address"),
        ("HOOKSTREAM_BODY_TIMEOUT", "30", "must be a duration"),
        ("HOOKSTREAM_CONNECTIONS_MAX", "0", "must be a whole number from 1"),
        ("HOOKSTREAM_LOG_FORMAT", "xml", "must be one of auto, pretty, json"),
    ] {
        let error = load(&[], &[(name, value)]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn an_empty_value_counts_as_not_set() {
    let settings = load(&[], &[("GITHUB_WEBHOOK_SECRET", ""), ("HOOKSTREAM_LOG", "")]).unwrap();
    assert!(settings.secret("GITHUB_WEBHOOK_SECRET").is_none());
    assert_eq!(settings.get("HOOKSTREAM_LOG").as_deref(), Some("info"));
    let error = settings.required_secret("GITHUB_WEBHOOK_SECRET").unwrap_err().to_string();
    assert!(
        error.starts_with("GITHUB_WEBHOOK_SECRET is not set (nor is GITHUB_WEBHOOK_SECRET_FILE)"),
        "{error}"
    );
}

#[test]
fn secrets_are_shown_by_nothing() {
    let settings =
        load(&[], &[("GITHUB_WEBHOOK_SECRET", "canary"), ("DATABASE_URL", "postgres://canary")]).unwrap();
    let shown = format!("{settings:?} {:?}", settings.secret("GITHUB_WEBHOOK_SECRET"));
    assert!(shown.contains("DATABASE_URL") && !shown.contains("canary"), "{shown}");
}

#[test]
fn the_table_is_sound() {
    let names: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.name).collect();
    assert_eq!(names.len(), SETTINGS.len(), "a name stands twice");
    let flags: BTreeSet<_> = SETTINGS.iter().map(flags::flag_name).collect();
    assert_eq!(flags.len(), SETTINGS.len(), "two settings share a flag");
    for setting in SETTINGS {
        assert!(
            setting.default.is_none_or(|value| setting.kind.admits(value)),
            "default of {}",
            setting.name
        );
        assert!(setting.default.is_none() || !setting.is_secret(), "{} is a secret", setting.name);
        assert!(!setting.name.ends_with("_FILE"), "{} looks like the file of a secret", setting.name);
        assert!(setting.doc.ends_with('.'), "{} has no sentence", setting.name);
    }
}

/// What `.env.example` must hold.
fn env_example() -> String {
    let mut text = "# Every setting, with its default. Copy to .env and change what differs.\n\
        # Flags win over the environment, that over the TOML file of HOOKSTREAM_CONFIG (the same names as keys),\n\
        # that over the defaults. A secret X may instead come from the file that X_FILE names.\n\
        # Made from the table in services/libs/runtime/src/settings/table.rs:\n\
        # HOOKSTREAM_BLESS=1 cargo test -p hookstream-runtime env_example\n"
        .to_owned();
    let mut group = "";
    for setting in SETTINGS {
        if setting.group != group {
            group = setting.group;
            write!(text, "\n## {group}\n").unwrap();
        }
        let secret = if setting.is_secret() { " (secret)" } else { "" };
        writeln!(text, "\n# {}{secret}", setting.doc).unwrap();
        writeln!(text, "#{}={}", setting.name, setting.default.unwrap_or_default()).unwrap();
    }
    text
}

#[test]
fn the_env_example_lists_exactly_the_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.env.example");
    if std::env::var_os("HOOKSTREAM_BLESS").is_some() {
        std::fs::write(&path, env_example()).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == env_example(),
        ".env.example differs from the table; HOOKSTREAM_BLESS=1 cargo test -p hookstream-runtime env_example rewrites it"
    );
}
