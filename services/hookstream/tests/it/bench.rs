use crate::command::Hookstream;

/// Deliveries over so many connections at once, to what needs nothing but the HTTP loop.
fn bench(connections: &str, count: &str) {
    let numbers = ["--connections", connections, "--count", count, "--rounds", "1", "--format", "json"];
    let done = Hookstream::new(&[&["bench", "--only", "answer only"][..], &numbers].concat()).run_blocking();
    let report = done.expect_code(0).json();
    assert!(report["rows"][0]["per_second"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn the_limits_of_a_client_do_not_bound_what_can_be_measured() {
    bench("600", "1000");
    // More than one connection may carry.
    bench("2", "21000");
}
