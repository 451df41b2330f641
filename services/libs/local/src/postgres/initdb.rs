//! Makes data directories, and keeps a prepared one for tests.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{NAME, OWNER, PostgresOptions};
use crate::account::Account;
use crate::error::{Doing, tail};
use crate::find::PostgresBinaries;
use crate::process::Program;
use crate::{LocalError, files, find, random_password, scratch};

/// What initdb makes: only the owner's password opens it, on every way in.
const ARGUMENTS: [&str; 5] = [
    "--username=hookstream",
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    // Sorts by bytes: no index breaks when the system's collations change.
    "--locale=C",
    "--no-instructions",
];

/// Makes the data directory if it is not there, and says which Postgres can serve it.
pub(super) fn ensure(
    options: &PostgresOptions,
    account: Account,
    notes: &mut Vec<String>,
) -> Result<PostgresBinaries, LocalError> {
    let data_dir = &options.data_dir;
    if let Some(version) = files::read_if_present(&data_dir.join("PG_VERSION"))? {
        return find::postgres(version.trim().parse().ok());
    }
    let binaries = find::postgres(None)?;
    // Made under another name and renamed when complete, so that a crash leaves no half of one.
    let new = sibling(data_dir, "new");
    files::remove_tree(&new)?;
    make(&binaries, account, &new, &options.password, &[], &options.log_file)?;
    std::fs::rename(&new, data_dir).doing(|| format!("create {}", data_dir.display()))?;
    notes.push(format!("made a database cluster of Postgres {} in {}", binaries.version, data_dir.display()));
    Ok(binaries)
}

/// Fills `data_dir` with a copy of the kept data directory, which is made if need be; returns the owner's password.
pub(super) fn copy_template(data_dir: &Path, account: Account) -> Result<String, LocalError> {
    let binaries = find::postgres(None)?;
    let base = scratch::base()?;
    let name: String = binaries.version.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '.').collect();
    // The number counts changes to what is in the template.
    let template = base.join(format!("postgres-{name}-2"));
    let _making = scratch::lock(&base.join("template.lock"))?;
    if !template.is_dir() {
        make_template(&binaries, account, &base, &template)?;
    }
    let from = template.join("data");
    let status = Program::new("cp")
        .arg("-a")
        .args([&from, data_dir])
        .stderr(Stdio::inherit())
        .spawn()
        .doing(|| "run cp".to_owned())?
        .wait();
    if !status.success() {
        return Err(std::io::Error::other(format!("cp ended with {status}")))
            .doing(|| format!("copy {} to {}", from.display(), data_dir.display()));
    }
    let password = template.join("password");
    std::fs::read_to_string(&password).doing(|| format!("read {}", password.display()))
}

fn make_template(
    binaries: &PostgresBinaries,
    account: Account,
    base: &Path,
    template: &Path,
) -> Result<(), LocalError> {
    let new = sibling(template, "new");
    files::remove_tree(&new)?;
    files::create_dir(&new, 0o711)?;
    let password = random_password()?;
    files::write_private(&new.join("password"), &password)?;
    // Small log segments make the copy small; and it is never synced, so nor is this.
    let quick = ["--no-sync", "--wal-segsize=1"];
    make(binaries, account, &new.join("data"), &password, &quick, &base.join("template.log"))?;
    std::fs::rename(&new, template).doing(|| format!("create {}", template.display()))
}

/// Runs initdb, and creates the owner's database.
fn make(
    binaries: &PostgresBinaries,
    account: Account,
    data_dir: &Path,
    password: &str,
    extra: &[&str],
    log: &Path,
) -> Result<(), LocalError> {
    // initdb insists on making the directory itself or finding it empty, and must be able to write it.
    files::create_dir(data_dir, 0o700)?;
    account.own(data_dir)?;
    let password_file = sibling(data_dir, "password");
    files::write_private(&password_file, password)?;
    account.own(&password_file)?;
    let initdb = Program::new(binaries.program("initdb"))
        .args(ARGUMENTS)
        .args(extra)
        .arg(format!("--pwfile={}", password_file.display()))
        .arg("--pgdata")
        .arg(data_dir);
    let made = run(initdb, "initdb", account, log);
    std::fs::remove_file(&password_file).doing(|| format!("remove {}", password_file.display()))?;
    made?;
    admit_from_everywhere(data_dir)?;
    // A server of a single user needs no client and no port; it reads statements from its standard input.
    let statement = sibling(data_dir, "sql");
    std::fs::write(&statement, format!("CREATE DATABASE {OWNER}\n"))
        .doing(|| format!("write {}", statement.display()))?;
    let input = std::fs::File::open(&statement).doing(|| format!("open {}", statement.display()))?;
    let single = Program::new(binaries.program("postgres"))
        .args(["--single", "-c", "exit_on_error=on", "-D"])
        .arg(data_dir)
        .args(if extra.is_empty() { &[][..] } else { &["-c", "fsync=off"][..] })
        .arg("postgres")
        .stdin(input);
    let created = run(single, NAME, account, log);
    std::fs::remove_file(&statement).doing(|| format!("remove {}", statement.display()))?;
    created
}

/// initdb lets in who comes from this machine's loopback. Who can come from elsewhere is up to where the server listens.
fn admit_from_everywhere(data_dir: &Path) -> Result<(), LocalError> {
    let path = data_dir.join("pg_hba.conf");
    let append = || -> std::io::Result<()> {
        let mut file = std::fs::File::options().append(true).open(&path)?;
        file.write_all(b"host all all all scram-sha-256\n")
    };
    append().doing(|| format!("add to {}", path.display()))
}

fn run(program: Program, name: &'static str, account: Account, log: &Path) -> Result<(), LocalError> {
    let output = files::open_log(log)?;
    let copy = output.try_clone().doing(|| format!("open {}", log.display()))?;
    let program = program.user(account.user()).stdout(copy).stderr(output);
    let status = program.spawn().doing(|| format!("start {name}"))?.wait();
    if status.success() {
        return Ok(());
    }
    Err(LocalError::Ended { program: name, status, log: log.to_owned(), tail: tail(log) })
}

/// The path with `.suffix` behind its last name.
fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(suffix);
    path.with_file_name(name)
}
