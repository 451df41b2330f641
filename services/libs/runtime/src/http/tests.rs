use std::convert::Infallible;

use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

/// Longest that anything here may take; far above what it does take.
const DEADLINE: Duration = Duration::from_secs(20);

struct Server {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<Result<(), GraceExpired>>,
    /// Told when a request to `/wait` has arrived.
    arrived: Arc<Notify>,
    /// Lets requests to `/wait` go on.
    go_on: Arc<Notify>,
}

/// `/panic` panics, `/wait` waits for `go_on`, everything else is answered with its path.
async fn server(limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (shutdown, arrived, go_on) =
        (CancellationToken::new(), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (told, gate) = (arrived.clone(), go_on.clone());
    let service = service_fn(move |request: Request<Incoming>| {
        let (told, gate) = (told.clone(), gate.clone());
        async move {
            match request.uri().path() {
                "/panic" => panic!("asked to"),
                "/wait" => {
                    told.notify_one();
                    gate.notified().await;
                }
                _ => {}
            }
            let body = Bytes::from(request.uri().path().to_owned());
            // What is left unread ends a connection.
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(Response::new(Full::new(body)))
        }
    });
    let ended = tokio::spawn(serve(listener, limits, service, shutdown.clone()));
    Server { address, shutdown, ended, arrived, go_on }
}

impl Server {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` on a connection of its own and reads until the server closes.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        until_closed(&mut stream).await
    }
}

async fn until_closed(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset after the answer is a close as well.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("the server closes");
    String::from_utf8(answer).unwrap()
}

/// Reads until `end` has come.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.contains(end) {
        let read = timeout(DEADLINE, stream.read(&mut buffer)).await.expect("an answer").unwrap();
        assert!(read > 0, "closed after {answer:?}");
        answer.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
    answer
}

fn short() -> Limits {
    Limits { header_timeout: Duration::from_millis(200), grace: Duration::from_secs(5), ..Limits::default() }
}

#[tokio::test]
async fn every_answer_names_its_request() {
    let server = server(Limits::default()).await;
    let request = "GET /a HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine\r\nConnection: close\r\n\r\n";
    let id = |answer: &str| {
        let (_, rest) = answer.split_once("x-request-id: ").expect("an id");
        rest.split("\r\n").next().unwrap().to_owned()
    };
    let (one, other) = (server.exchange(request).await, server.exchange(request).await);
    assert!(one.starts_with("HTTP/1.1 200 OK\r\n") && one.ends_with("\r\n\r\n/a"), "{one}");
    assert_eq!(id(&one).len(), 16);
    assert_ne!(id(&one), id(&other));
}

// J6
#[tokio::test]
async fn a_panic_is_a_500_and_harms_nobody_else() {
    let server = server(Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /panic HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let answer = until(&mut stream, "}").await;
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    assert!(answer.contains(r#""error":"internal""#) && !answer.contains("asked to"), "{answer}");
    stream.write_all(b"GET /after HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut stream, "/after").await;
}

#[tokio::test]
async fn a_connection_that_sends_nothing_is_closed() {
    let server = server(short()).await;
    assert_eq!(until_closed(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn slow_headers_are_closed_even_while_bytes_come() {
    let server = server(short()).await;
    let stream = server.connect().await;
    let (mut read, mut write) = stream.into_split();
    let drip = tokio::spawn(async move {
        write.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        while write.write_all(b"a").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut answer = Vec::new();
    let _ = timeout(DEADLINE, read.read_to_end(&mut answer)).await.expect("the server closes");
    assert!(answer.is_empty());
    drop(read);
    timeout(DEADLINE, drip).await.expect("writing fails").unwrap();
}

#[tokio::test]
async fn a_resting_connection_lives_longer_than_slow_headers() {
    let server = server(short()).await;
    let mut resting = server.connect().await;
    resting.write_all(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut resting, "/one").await;
    // A connection made later and timed out shows that the header timeout has passed for the resting one, too.
    assert_eq!(until_closed(&mut server.connect().await).await, "");
    resting.write_all(b"GET /two HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut resting, "/two").await;
    // From its first byte on, the next request has the short timeout again.
    resting.write_all(b"GET /three HT").await.unwrap();
    assert_eq!(until_closed(&mut resting).await, "");
}

#[tokio::test]
async fn a_connection_that_rests_too_long_is_closed() {
    let server = server(Limits { idle_timeout: Duration::from_millis(300), ..Limits::default() }).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /one HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut stream, "/one").await;
    assert_eq!(until_closed(&mut stream).await, "");
}

#[tokio::test]
async fn too_many_or_too_large_headers_are_431_and_a_long_line_is_414() {
    let server = server(Limits::default()).await;
    let many = "X: y\r\n".repeat(65);
    let large = format!("X: {}\r\n", "y".repeat(70_000));
    for headers in [many, large] {
        let answer = server.exchange(&format!("GET / HTTP/1.1\r\n{headers}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        assert!(answer.contains(r#""error":"headers_too_large""#), "{answer}");
    }
    let allowed = "X: y\r\n".repeat(62);
    let answer =
        server.exchange(&format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{allowed}\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = server.exchange(&format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(65_535))).await;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert!(answer.contains(r#""request_id":""#), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_understood_is_answered_with_an_error_in_the_listeners_shape() {
    for (errors, expected) in [
        (ErrorShape::Plain, r#""error":"malformed_request""#),
        (ErrorShape::Problem, r#""type":"urn:hookstream:problem:malformed-request""#),
    ] {
        let server = server(Limits { errors, ..Limits::default() }).await;
        // More than the server reads of it: the client sees the answer all the same.
        let answer = server.exchange(&format!("GET / HTTP/9.9\r\n\r\n{}", "x".repeat(200_000))).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains(expected), "{answer}");
        let whole = "GET /whole HTTP/1.1\r\nHost: x\r\n\r\n";
        let answer = server.exchange(&format!("{whole}nonsense\r\n\r\n")).await;
        let (first, second) = answer.split_once("/whole").expect("the first is answered");
        assert!(first.starts_with("HTTP/1.1 200 ") && second.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(second.contains(expected), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_is_refused_and_nothing_after_it_is_served() {
    let server = server(Limits::default()).await;
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer = server.exchange(&format!("POST /a HTTP/1.1\r\nHost: x\r\n{both}{hidden}")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains(r#""error":"ambiguous_request""#) && !answer.contains("hidden"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[tokio::test]
async fn the_last_request_of_a_connection_is_told_so() {
    let server = server(Limits { connection_requests_max: 3, ..Limits::default() }).await;
    let answer = server.exchange(&"GET /a HTTP/1.1\r\nHost: x\r\n\r\n".repeat(5)).await;
    assert_eq!(answer.matches("HTTP/1.1 200 ").count(), 3, "{answer}");
    let last = answer.rfind("HTTP/1.1").expect("an answer");
    assert_eq!(answer.find("connection: close").map(|at| at > last), Some(true), "{answer}");
}

#[tokio::test]
async fn an_answer_that_nobody_takes_ends_the_connection() {
    let server = server(Limits { answer_timeout: Duration::from_millis(200), ..Limits::default() }).await;
    let mut stream = server.connect().await;
    let long = "y".repeat(60_000);
    let request = format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n");
    // The answers fill all buffers between us, as we take none; then the server gives up.
    let sending = async { while stream.write_all(request.as_bytes()).await.is_ok() {} };
    timeout(DEADLINE, sending).await.expect("the server closes");
}

#[tokio::test]
async fn connections_of_one_client_are_bounded() {
    let server = server(Limits { client_connections_max: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    timeout(DEADLINE, server.arrived.notified()).await.expect("the first is served");
    let answer = until_closed(&mut server.connect().await).await;
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains(r#""error":"too_many_connections""#), "{answer}");
    server.go_on.notify_one();
    assert!(until_closed(&mut first).await.ends_with("/wait"));
    let again = async {
        while !server
            .exchange("GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .ends_with("/b")
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, again).await.expect("its place is free again");
}

#[tokio::test]
async fn a_resting_connection_makes_room_when_all_places_are_taken() {
    let server = server(Limits { connections_max: 2, ..Limits::default() }).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    timeout(DEADLINE, server.arrived.notified()).await.expect("it is served");
    let mut silent = server.connect().await;
    let answer = server.exchange("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    assert!(answer.ends_with("/a"), "{answer}");
    assert_eq!(until_closed(&mut silent).await, "");
    server.go_on.notify_one();
    assert!(until_closed(&mut busy).await.ends_with("/wait"));
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_until_one_ends() {
    let server = server(Limits { connections_max: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(DEADLINE, server.arrived.notified()).await.expect("the first is served");
    let mut second = server.connect().await;
    second.write_all(b"GET /second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    server.go_on.notify_one();
    let answer = until_closed(&mut first).await;
    assert!(answer.contains("connection: close\r\n"), "nobody keeps the last slot: {answer}");
    assert!(until_closed(&mut second).await.ends_with("/second"));
}

#[tokio::test]
async fn shutdown_answers_what_is_in_flight_and_refuses_what_is_new() {
    let server = server(Limits::default()).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(DEADLINE, server.arrived.notified()).await.expect("it is in flight");
    server.shutdown.cancel();
    let refused = async {
        while TcpStream::connect(server.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, refused).await.expect("new connections are refused");
    server.go_on.notify_one();
    let answer = until_closed(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/wait"), "{answer}");
    timeout(DEADLINE, server.ended).await.expect("it drains").unwrap().unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_cut_and_told() {
    let server = server(Limits { grace: Duration::from_millis(50), ..Limits::default() }).await;
    let mut busy = server.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    timeout(DEADLINE, server.arrived.notified()).await.expect("it is in flight");
    server.shutdown.cancel();
    let error = timeout(DEADLINE, server.ended).await.expect("it ends").unwrap().unwrap_err();
    assert_eq!(error.connections, 1);
    assert_eq!(until_closed(&mut busy).await, "");
}

/// Requests of every legal framing, however they are cut, are served one by one: hyper and the second opinion agree.
#[tokio::test]
async fn legal_requests_in_any_pieces_are_all_served() {
    let server = server(Limits::default()).await;
    let kinds = [
        "GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
        "\r\nPOST /a HTTP/1.1\r\nhost:x\r\nContent-Length: 0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 24\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: x\r\ntransfer-encoding:CHUNKED\r\n\r\n3;x=y\r\na\r\n\r\n0A \r\n0\r\n\r\n56789\r\n0\r\nX: y\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    ];
    // A small generator of its own: the same cases each time.
    let mut seed = 42_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below
    };
    for _ in 0..50 {
        let count = 1 + random(20);
        let mut requests: String = (0..count).map(|_| kinds[random(kinds.len())]).collect();
        requests.push_str("GET /end HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let (mut read, mut write) = server.connect().await.into_split();
        let mut left = requests.as_bytes();
        let sending = async {
            while !left.is_empty() {
                let (piece, rest) = left.split_at(1 + random(left.len().min(40)));
                write.write_all(piece).await.unwrap();
                left = rest;
                tokio::task::yield_now().await;
            }
        };
        let mut answers = String::new();
        let ((), read) = tokio::join!(sending, read.read_to_string(&mut answers));
        read.unwrap();
        assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), count + 1, "{requests:?} gave {answers}");
        assert!(answers.ends_with("/end") && !answers.contains("/hidden"), "{answers}");
    }
}
