use std::net::TcpListener;

use crate::command::Hookstream;

#[test]
fn a_taken_port_ends_up_at_once_naming_port_and_setting() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = holder.local_addr().unwrap();
    let mut up = Hookstream::new(&["up", "--exit"]);
    for name in ["GATEWAY", "BACKEND", "NATS", "METRICS"] {
        up = up.env(&format!("HOOKSTREAM_{name}_ADDR"), "127.0.0.1:0");
    }
    let done = up.env("HOOKSTREAM_NATS_ADDR", &addr.to_string()).run_blocking().expect_code(1);
    let expected = format!("port {} of 127.0.0.1 is taken", addr.port());
    assert!(done.stderr.contains(&expected) && done.stderr.contains("HOOKSTREAM_NATS_ADDR"), "{done:?}");
    assert_eq!(done.stdout, "");
}

#[test]
fn a_nats_server_that_is_not_there_is_named_before_anything_starts() {
    let mut up = Hookstream::new(&["up", "--exit"]).env("HOOKSTREAM_NATS_SERVER", "/no/such/nats-server");
    for name in ["GATEWAY", "BACKEND", "NATS", "METRICS"] {
        up = up.env(&format!("HOOKSTREAM_{name}_ADDR"), "127.0.0.1:0");
    }
    let done = up.run_blocking().expect_code(1);
    assert!(done.stderr.contains("/no/such/nats-server"), "{done:?}");
}
