use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn read(pairs: &[(&str, &str)]) -> Result<PgSettings, SettingsError> {
    PgSettings::read(&|name| {
        pairs.iter().find(|(setting, _)| *setting == name).map(|(_, value)| (*value).to_owned())
    })
}

fn password(settings: &PgSettings) -> Option<&str> {
    settings.config.get_password().map(|password| std::str::from_utf8(password).unwrap())
}

#[test]
fn a_url_says_it_all() {
    let settings = read(&[("DATABASE_URL", "postgres://ann:p%40ss@db.example:6543/hooks?sslmode=disable")]);
    let settings = settings.unwrap();
    assert_eq!(settings.describe(), "postgres://ann@db.example:6543/hooks");
    assert_eq!(password(&settings), Some("p@ss"));
    assert_eq!(settings.config.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn the_variables_of_libpq_fill_what_the_url_leaves_open() {
    let variables = [
        ("PGHOST", "db.example"),
        ("PGPORT", "6543"),
        ("PGUSER", "ann"),
        ("PGPASSWORD", "secret"),
        ("PGDATABASE", "hooks"),
        ("PGSSLMODE", "require"),
        ("PGCONNECT_TIMEOUT", "7"),
    ];
    let settings = read(&variables).unwrap();
    assert_eq!(settings.describe(), "postgres://ann@db.example:6543/hooks");
    assert_eq!(password(&settings), Some("secret"));
    assert_eq!(settings.config.get_ssl_mode(), SslMode::Require);
    assert_eq!(settings.config.get_connect_timeout(), Some(&Duration::from_secs(7)));

    let url = [&variables[..], &[("DATABASE_URL", "postgres://bob@other.example/there?sslmode=prefer")]];
    let settings = read(&url.concat()).unwrap();
    assert_eq!(settings.describe(), "postgres://bob@other.example:5432/there");
    assert_eq!(password(&settings), Some("secret"));
    assert_eq!(settings.config.get_ssl_mode(), SslMode::Prefer);
}

#[test]
fn without_anything_it_is_the_local_server_and_the_users_own_database() {
    let settings = read(&[("USER", "ann"), ("PGPASSWORD", "")]).unwrap();
    let text = settings.describe();
    assert!(text.starts_with("postgres://ann@") && text.ends_with(":5432/ann"), "{text}");
    assert_eq!(password(&settings), None);
    assert_eq!(read(&[]).unwrap_err(), SettingsError::NoUser);
}

#[test]
fn a_socket_is_a_host_that_begins_with_a_slash_and_is_never_encrypted() {
    let settings = read(&[("PGUSER", "ann"), ("PGHOST", "/run/pg"), ("PGSSLMODE", "verify-full")]).unwrap();
    assert_eq!(settings.describe(), "postgres://ann@/run/pg:5432/ann");
    assert_eq!(settings.config.get_ssl_mode(), SslMode::Disable);
}

#[test]
fn key_value_text_is_read_too_quotes_and_all() {
    let text = r"host=db.example user=ann password='a b\'c' sslmode=require dbname=hooks";
    let settings = read(&[("DATABASE_URL", text)]).unwrap();
    assert_eq!(settings.describe(), "postgres://ann@db.example:5432/hooks");
    assert_eq!(password(&settings), Some("a b'c"));
    assert_eq!(settings.config.get_ssl_mode(), SslMode::Require);
}

#[test]
fn every_sslmode_of_libpq_is_known_and_no_other() {
    let roots = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls/ca.crt");
    for (mode, expected) in [
        ("disable", SslMode::Disable),
        ("allow", SslMode::Prefer),
        ("prefer", SslMode::Prefer),
        ("require", SslMode::Require),
        ("verify-ca", SslMode::Require),
        ("verify-full", SslMode::Require),
    ] {
        let url = format!("postgres://ann@db.example/hooks?sslmode={mode}&sslrootcert={roots}");
        let settings = read(&[("DATABASE_URL", &url)]).unwrap_or_else(|error| panic!("{mode}: {error}"));
        assert_eq!(settings.config.get_ssl_mode(), expected, "{mode}");
    }
    let wrong = read(&[("DATABASE_URL", "postgres://ann@db.example/hooks?sslmode=verify")]).unwrap_err();
    assert!(wrong.to_string().contains("verify-full"), "{wrong}");
}

#[test]
fn missing_roots_are_an_error_that_names_the_file() {
    let url = "postgres://ann@db.example/hooks?sslmode=verify-full&sslrootcert=%2Fno%2Fsuch.crt";
    let error = read(&[("DATABASE_URL", url)]).unwrap_err().to_string();
    assert!(error.contains("/no/such.crt"), "{error}");
}

#[test]
fn wrong_settings_are_named_and_no_password_is_shown() {
    for (pairs, named) in [
        (&[("DATABASE_URL", "postgres://ann:s3cret@db.example:port/x")][..], "DATABASE_URL"),
        (&[("DATABASE_URL", "postgres://ann:s3cret@db.example/x?sslkey=/k")], "sslkey"),
        (&[("PGUSER", "ann"), ("PGPORT", "five"), ("PGPASSWORD", "s3cret")], "PGPORT"),
        (&[("PGUSER", "ann"), ("PGCONNECT_TIMEOUT", "soon")], "PGCONNECT_TIMEOUT"),
    ] {
        let error = read(pairs).unwrap_err().to_string();
        assert!(error.contains(named) && !error.contains("s3cret"), "{error}");
    }
    let settings = read(&[("DATABASE_URL", "postgres://ann:s3cret@db.example/x")]).unwrap();
    assert!(!format!("{settings:?} {}", settings.describe()).contains("s3cret"));
}

#[test]
fn the_password_file_is_read_if_nobody_else_can_read_it() {
    let path = std::env::temp_dir().join(format!("hookstream-pgpass-{}", std::process::id()));
    fs::write(&path, "# comment\nother:*:*:*:no\ndb.example:5432:hooks:ann:pa\\:ss:word\n*:*:*:*:any\n")
        .unwrap();
    let pairs = |user: &'static str| {
        [
            ("PGHOST", "db.example"),
            ("PGUSER", user),
            ("PGDATABASE", "hooks"),
            ("PGPASSFILE", path.to_str().unwrap()),
        ]
    };
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(password(&read(&pairs("ann")).unwrap()), Some("pa:ss:word"));
    assert_eq!(password(&read(&pairs("bob")).unwrap()), Some("any"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(password(&read(&pairs("ann")).unwrap()), None);
    fs::remove_file(&path).unwrap();
}

#[test]
fn the_first_fitting_line_of_the_password_file_counts() {
    let text = "db:5432:hooks:ann:one\ndb:5432:hooks:ann:two\nshort:line\n\\*:1:a:b:star\n";
    assert_eq!(passfile::find(text, ["db", "5432", "hooks", "ann"]), Some("one".to_owned()));
    assert_eq!(passfile::find(text, ["x", "1", "a", "b"]), None);
    assert_eq!(passfile::find(text, ["db", "5433", "hooks", "ann"]), None);
}
