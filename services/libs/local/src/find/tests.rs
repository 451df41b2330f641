use super::*;

/// A program that prints `says`. Written by another process: a file that this one has open for writing while another
/// thread forks cannot be executed ("text file busy").
fn fake(path: &Path, says: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let script = "printf '#!/bin/sh\\necho \"%s\"\\n' \"$2\" >\"$1\"; chmod +x \"$1\"";
    let status = Command::new("sh").args(["-c", script, "sh"]).arg(path).arg(says).status().unwrap();
    assert!(status.success());
}

fn fake_postgres(dir: &Path, version: &str) {
    fake(&dir.join("postgres"), &format!("postgres (PostgreSQL) {version} (Debian {version}-1)"));
    fake(&dir.join("initdb"), &format!("initdb (PostgreSQL) {version}"));
}

#[test]
fn an_old_nats_server_on_path_is_passed_over_for_the_installed_tool() {
    let dir = tempfile::tempdir().unwrap();
    let (old, tools) = (dir.path().join("old"), dir.path().join("tools"));
    fake(&old.join("nats-server"), "nats-server: v2.9.10");
    fake(&tools.join("nats-server"), "nats-server: v2.15.1");
    let places = Places { path: vec![old], tools: vec![tools.clone()], ..Places::default() };
    assert_eq!(places.nats_server().unwrap(), tools.join("nats-server"));
}

#[test]
fn the_error_says_what_was_found_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("nats-server"), "nats-server: v2.9.10");
    let places = Places { path: vec![dir.path().to_owned()], ..Places::default() };
    let message = places.nats_server().unwrap_err().to_string();
    assert!(message.starts_with("nats-server 2.14 or newer not found ("), "{message}");
    assert!(message.contains("is 2.9.10"), "{message}");
    assert!(message.contains("HOOKSTREAM_NATS_SERVER"), "{message}");
}

#[test]
fn a_nats_server_that_was_named_is_the_only_one_considered() {
    let dir = tempfile::tempdir().unwrap();
    fake(&dir.path().join("nats-server"), "nats-server: v2.15.1");
    let named = Some(dir.path().join("absent"));
    let places = Places { nats_server: named, path: vec![dir.path().to_owned()], ..Places::default() };
    assert!(places.nats_server().unwrap_err().to_string().contains("absent does not tell its version"));
}

#[test]
fn a_link_on_path_leads_to_the_folder_with_all_programs() {
    let dir = tempfile::tempdir().unwrap();
    let (real, path) = (dir.path().join("real"), dir.path().join("bin"));
    fake_postgres(&real, "15.14");
    std::fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(real.join("postgres"), path.join("postgres")).unwrap();
    let places = Places { path: vec![path], ..Places::default() };
    let found = places.postgres(None).unwrap();
    assert_eq!((found.dir, found.major), (real.canonicalize().unwrap(), 15));
    assert_eq!(found.version, "15.14");
}

#[test]
fn the_newest_debian_postgres_is_taken_and_13_is_too_old() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["9.6", "13", "15", "17"] {
        fake_postgres(&dir.path().join(version).join("bin"), &format!("{version}.1"));
    }
    let debian = |root: &Path| Places { debian_postgres: root.to_owned(), ..Places::default() };
    assert_eq!(debian(dir.path()).postgres(None).unwrap().major, 17);
    std::fs::remove_dir_all(dir.path().join("15")).unwrap();
    std::fs::remove_dir_all(dir.path().join("17")).unwrap();
    let message = debian(dir.path()).postgres(None).unwrap_err().to_string();
    assert!(message.contains("Postgres 14 or newer not found") && message.contains("has 13"), "{message}");
}

#[test]
fn data_of_one_major_version_is_given_to_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for version in ["15", "17"] {
        fake_postgres(&dir.path().join(version).join("bin"), &format!("{version}.1"));
    }
    let places = Places { debian_postgres: dir.path().to_owned(), ..Places::default() };
    assert_eq!(places.postgres(Some(15)).unwrap().major, 15);
    let message = places.postgres(Some(16)).unwrap_err().to_string();
    assert!(message.contains("postgresql-16"), "{message}");
}

#[test]
fn this_machine_has_both_servers() {
    nats_server().unwrap();
    postgres(None).unwrap();
}
