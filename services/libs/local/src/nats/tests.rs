use super::*;
use crate::Scratch;

fn options(scratch: &Scratch) -> NatsOptions {
    NatsOptions::in_dir(scratch.path().join("data dir"), Passwords::generate().unwrap())
}

/// Logs in over the wire and tells what the server says to that.
fn log_in(addr: SocketAddr, user: &str, password: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let connect =
        format!("CONNECT {{\"user\":\"{user}\",\"pass\":\"{password}\",\"verbose\":false}}\r\nPING\r\n");
    stream.write_all(connect.as_bytes()).unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4096];
    while !said.contains("PONG") && !said.contains("-ERR") {
        let read = stream.read(&mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..read]));
    }
    said
}

#[test]
fn a_server_starts_on_free_ports_and_knows_each_role_by_its_password() {
    let scratch = Scratch::new("nats").unwrap();
    let server = NatsServer::start(options(&scratch)).unwrap();
    for (role, password) in server.passwords().clone().iter() {
        assert!(log_in(server.client_addr(), role, password).contains("PONG"), "{role}");
    }
    assert!(log_in(server.client_addr(), "operator", "wrong").contains("Authorization Violation"));
    assert!(server.url("audit").starts_with("nats://audit:p"));
}

#[test]
fn a_killed_server_comes_back_on_the_same_ports() {
    let scratch = Scratch::new("nats").unwrap();
    let mut server = NatsServer::start(options(&scratch)).unwrap();
    let addresses = (server.client_addr(), server.monitor_addr());
    server.kill();
    assert!(TcpStream::connect(addresses.0).is_err());
    server.restart().unwrap();
    assert_eq!((server.client_addr(), server.monitor_addr()), addresses);
    assert!(is_healthy(addresses.1));
}

#[test]
fn drop_stops_the_server() {
    let scratch = Scratch::new("nats").unwrap();
    let server = NatsServer::start(options(&scratch)).unwrap();
    let (addr, process) = (server.client_addr(), server.process().clone());
    drop(server);
    assert!(process.ended().is_some());
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_taken_port_names_the_setting() {
    let scratch = Scratch::new("nats").unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = Listen::new(holder.local_addr().unwrap(), "HOOKSTREAM_NATS_ADDR");
    let error = NatsServer::start(NatsOptions { listen, ..options(&scratch) }).unwrap_err();
    assert!(error.to_string().contains("set HOOKSTREAM_NATS_ADDR"), "{error}");
}

#[test]
fn a_server_that_refuses_its_configuration_is_an_error_with_its_last_words() {
    let scratch = Scratch::new("nats").unwrap();
    let config = "jetstream { store_dir: $NO_SUCH_VARIABLE }".to_owned();
    let error = NatsServer::start(NatsOptions { config, ..options(&scratch) }).unwrap_err();
    assert!(matches!(error, LocalError::Ended { .. }), "{error:?}");
    assert!(error.to_string().contains("NO_SUCH_VARIABLE"), "{error}");
}

#[test]
fn a_value_is_quoted_for_the_configuration_language() {
    assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
}
