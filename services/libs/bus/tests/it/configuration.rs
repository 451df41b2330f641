//! nats.conf as the server reads it.

use std::process::{Command, Output};

use hookstream_bus::monitor;
use hookstream_local::{NATS_CONF, ROLES, find};
use hookstream_test_support::TestNats;

/// `nats-server -t` on nats.conf, with every variable set but `without`.
fn checked(without: Option<&str>) -> Output {
    let folder = std::env::temp_dir().join(format!("hookstream-bus-conf-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let config = folder.join(format!("{}.conf", without.unwrap_or("all")));
    std::fs::write(&config, NATS_CONF).unwrap();
    let mut server = Command::new(find::nats_server().unwrap());
    server.arg("-t").arg("-c").arg(&config).env_clear();
    let mut variables: Vec<String> =
        ROLES.iter().map(|role| format!("HOOKSTREAM_NATS_{}_PASSWORD", role.to_uppercase())).collect();
    variables.push("HOOKSTREAM_NATS_STORE_DIR".to_owned());
    for variable in variables.iter().filter(|variable| Some(variable.as_str()) != without) {
        server.env(variable, r#""text of 12345""#);
    }
    for variable in ["HOOKSTREAM_NATS_LISTEN", "HOOKSTREAM_NATS_MONITOR"] {
        server.env(variable, r#""127.0.0.1:-1""#);
    }
    let output = server.output().unwrap();
    std::fs::remove_file(&config).unwrap();
    output
}

#[test]
fn the_server_accepts_the_configuration() {
    let output = checked(None);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_missing_password_stops_the_start() {
    let output = checked(Some("HOOKSTREAM_NATS_AUDIT_PASSWORD"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("HOOKSTREAM_NATS_AUDIT_PASSWORD"), "{told}");
}

#[test]
fn no_password_is_in_the_configuration() {
    let passwords: Vec<_> = NATS_CONF.lines().filter(|line| line.trim().starts_with("password")).collect();
    assert_eq!(passwords.len(), ROLES.len());
    for line in passwords {
        assert!(line.contains("$HOOKSTREAM_NATS_"), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_syncs_before_every_ack() {
    let nats = TestNats::start_empty().await;
    let durability = monitor::durability(nats.monitor_url()).await.unwrap();
    assert!(durability.sync_always);
    assert!(durability.store_bytes_max > 0);
}

#[tokio::test]
async fn a_monitoring_port_that_is_none_is_told() {
    assert!(matches!(monitor::durability("nowhere").await, Err(monitor::MonitorError::Address)));
}
