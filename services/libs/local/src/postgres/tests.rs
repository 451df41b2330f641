use super::*;
use crate::Scratch;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};

fn options(scratch: &Scratch) -> PostgresOptions {
    PostgresOptions {
        data_dir: scratch.path().join("postgres"),
        listen: Listen::any(),
        password: "pw".to_owned(),
        log_file: scratch.path().join("postgres.log"),
        durable: false,
    }
}

/// Runs one statement with psql, which lies beside the server.
fn psql(url: &str, statement: &str) -> Result<String, String> {
    let psql = crate::find::postgres(None).unwrap().program("psql");
    let output = Command::new(psql)
        .args(["--no-psqlrc", "--tuples-only", "--no-align", "--dbname", url, "--command", statement])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_first_start_makes_a_durable_cluster_and_the_second_one_finds_its_rows() {
    let scratch = Scratch::new("postgres").unwrap();
    let server = PostgresServer::start(PostgresOptions { durable: true, ..options(&scratch) }).unwrap();
    assert!(server.notes()[0].contains("made a database cluster"), "{:?}", server.notes());
    let url = server.url("hookstream");
    assert_eq!(psql(&url, "SHOW fsync").unwrap(), "on");
    assert_eq!(psql(&url, "SHOW server_encoding").unwrap(), "UTF8");
    assert_eq!(psql(&url, "SELECT datcollate FROM pg_database WHERE datname = 'hookstream'").unwrap(), "C");
    psql(&url, "CREATE TABLE kept (n int)").unwrap();
    server.stop();
    let server = PostgresServer::start(options(&scratch)).unwrap();
    assert_eq!(server.notes(), [] as [&str; 0]);
    assert_eq!(psql(&server.url("hookstream"), "SELECT count(*) FROM kept").unwrap(), "0");
}

#[test]
fn a_wrong_password_is_refused() {
    let scratch = Scratch::new("postgres").unwrap();
    let server = PostgresServer::start_from_template(scratch.path().join("postgres"), false).unwrap();
    assert_eq!(psql(&server.url("hookstream"), "SELECT 1").unwrap(), "1");
    let wrong = format!("postgres://hookstream:wrong@{}/hookstream", server.addr());
    assert!(psql(&wrong, "SELECT 1").unwrap_err().contains("password authentication failed"));
}

#[test]
fn what_listens_everywhere_lets_the_owner_in_from_everywhere() {
    let scratch = Scratch::new("postgres").unwrap();
    let everywhere = Listen::new("0.0.0.0:0".parse().unwrap(), "HOOKSTREAM_POSTGRES_ADDR");
    let server = PostgresServer::start(PostgresOptions { listen: everywhere, ..options(&scratch) }).unwrap();
    assert!(server.addr().ip().is_loopback(), "{}", server.addr());
    assert_eq!(psql(&server.url("hookstream"), "SELECT 1").unwrap(), "1");
    let Some(ip) = address_of_this_machine() else { return };
    let url = server.url_at("hookstream", SocketAddr::new(ip, server.addr().port()));
    assert_eq!(psql(&url, "SELECT 1").unwrap(), "1");
    assert!(psql(&url.replace(":pw@", ":wrong@"), "SELECT 1").unwrap_err().contains("authentication failed"));
}

/// The one that others would reach it under; nothing is sent to find out.
fn address_of_this_machine() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().unwrap().ip()).filter(|ip| !ip.is_loopback())
}

#[test]
fn committed_rows_survive_a_crash_and_the_port_stays() {
    let scratch = Scratch::new("postgres").unwrap();
    let mut server = PostgresServer::start_from_template(scratch.path().join("postgres"), false).unwrap();
    let url = server.url("hookstream");
    psql(&url, "CREATE TABLE kept AS SELECT 7 AS n").unwrap();
    server.kill();
    assert!(TcpStream::connect(server.addr()).is_err());
    server.restart().unwrap();
    assert_eq!(psql(&url, "SELECT n FROM kept").unwrap(), "7");
}

#[test]
fn a_pid_file_that_names_a_stranger_does_not_stop_the_start() {
    let scratch = Scratch::new("postgres").unwrap();
    let data_dir = scratch.path().join("postgres");
    let server = PostgresServer::start_from_template(&data_dir, false).unwrap();
    let password = server.options.password.clone();
    drop(server);
    // What a killed postmaster leaves, with a number that now belongs to this very test.
    std::fs::write(data_dir.join("postmaster.pid"), format!("{}\n", std::process::id())).unwrap();
    let server = PostgresServer::start(PostgresOptions { password, ..options(&scratch) }).unwrap();
    assert_eq!(psql(&server.url("hookstream"), "SELECT 1").unwrap(), "1");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let scratch = Scratch::new("postgres").unwrap();
    let data_dir = scratch.path().join("postgres");
    let server = PostgresServer::start_from_template(&data_dir, false).unwrap();
    let error = PostgresServer::start(server.options.clone()).unwrap_err();
    assert!(matches!(error, LocalError::InUse { pid, .. } if pid == server.process().id()), "{error:?}");
}

#[test]
fn the_port_of_a_server_that_was_told_to_end_is_free_once_it_was_waited_for() {
    let scratch = Scratch::new("postgres").unwrap();
    let data_dir = scratch.path().join("postgres");
    PostgresServer::wait_for_predecessor(&data_dir).unwrap();
    let server = PostgresServer::start_from_template(&data_dir, false).unwrap();
    server.process().signal(Death::Quit);
    PostgresServer::wait_for_predecessor(&data_dir).unwrap();
    Listen::new(server.addr(), "HOOKSTREAM_POSTGRES_ADDR").check_free().unwrap();
}

#[test]
fn a_taken_port_names_the_setting() {
    let scratch = Scratch::new("postgres").unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = Listen::new(holder.local_addr().unwrap(), "HOOKSTREAM_POSTGRES_ADDR");
    let data_dir = scratch.path().join("postgres");
    let server = PostgresServer::start_from_template(&data_dir, false).unwrap();
    let mut options = server.options.clone();
    drop(server);
    options.listen = listen;
    let error = PostgresServer::start(options).unwrap_err();
    assert!(error.to_string().contains("set HOOKSTREAM_POSTGRES_ADDR"), "{error}");
}

#[test]
fn data_in_a_folder_closed_to_user_postgres_goes_elsewhere_and_is_found_again() {
    if !rustix::process::geteuid().is_root() {
        return; // only root runs Postgres as somebody else
    }
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    let closed = tempfile::Builder::new().permissions(mode).tempdir().unwrap();
    let wanted = closed.path().join("postgres");
    let account = Account::for_postgres().unwrap();
    let mut notes = Vec::new();
    let first = placement::place(&wanted, account, &mut notes).unwrap();
    assert!(first.starts_with("/var/lib/hookstream"), "{}", first.display());
    assert!(account.can_enter(first.parent().unwrap()));
    assert!(notes[0].contains("cannot enter"), "{notes:?}");
    assert_eq!(placement::place(&wanted, account, &mut notes).unwrap(), first);
    // A data directory that was deleted and is asked for again starts afresh.
    std::fs::remove_file(&wanted).unwrap();
    let second = placement::place(&wanted, account, &mut notes).unwrap();
    assert_ne!(first, second);
    for folder in [first, second] {
        std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    }
}

#[test]
fn data_that_was_moved_behind_a_relative_link_is_found() {
    let scratch = Scratch::new("postgres").unwrap();
    let wanted = scratch.path().join("postgres");
    std::os::unix::fs::symlink("moved/postgres", &wanted).unwrap();
    let account = Account::for_postgres().unwrap();
    let found = placement::place(&wanted, account, &mut Vec::new()).unwrap();
    assert_eq!(found, scratch.path().canonicalize().unwrap().join("moved/postgres"));
}
