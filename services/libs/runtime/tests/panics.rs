//! A panic while a request is answered, in a process of its own: what the client gets, what the log says, and that the
//! process lives.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;

use bytes::Bytes;
use hookstream_runtime::{Settings, http, log};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

/// Panics as code does that trips over what it was given; each message quotes it.
fn trip(how: &str) {
    let secret = "canary-secret é";
    match how {
        "/formatted" => panic!("cannot read {secret}"),
        "/slice" => drop(secret[..secret.len() - 1].to_owned()),
        "/result" => assert_eq!(secret.parse::<u8>().map_err(|_| secret).unwrap(), 0),
        "/owned" => std::panic::panic_any(secret.to_owned()),
        _ => {}
    }
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// Not a test of its own: the process of the test below. What it prints is looked through for what it must not hold.
#[tokio::test]
#[ignore = "run by a_panic_is_a_500_and_tells_nobody_what_was_being_worked_on"]
async fn a_process_whose_requests_panic() {
    let format = std::env::var("PANICS_FORMAT").unwrap();
    let pairs = [("HOOKSTREAM_LOG", "trace"), ("HOOKSTREAM_LOG_FORMAT", format.as_str())];
    log::init(&Settings::from_pairs(pairs)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = service_fn(async |request: Request<Incoming>| {
        trip(request.uri().path());
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("fine"))))
    });
    tokio::spawn(http::serve(listener, http::Limits::default(), service, CancellationToken::new()));
    for path in ["/formatted", "/slice", "/result", "/owned"] {
        let answer = ask(address, path).await;
        println!("{answer}");
        assert!(answer.starts_with("HTTP/1.1 500 ") && answer.contains(r#""error":"internal""#));
    }
    assert!(ask(address, "/").await.ends_with("fine"), "the process lives");
}

// J6, L1
#[test]
fn a_panic_is_a_500_and_tells_nobody_what_was_being_worked_on() {
    for format in ["json", "pretty"] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["a_process_whose_requests_panic", "--exact", "--ignored", "--nocapture"])
            .env("PANICS_FORMAT", format)
            .output()
            .unwrap();
        let shown =
            format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
        assert!(child.status.success(), "{shown}");
        assert_eq!(shown.matches("panicked; answered 500").count(), 4, "{shown}");
        assert_eq!(shown.matches("(message withheld)").count() / 4, 1, "{shown}");
        assert!(shown.contains("panics.rs:"), "the place is told: {shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
