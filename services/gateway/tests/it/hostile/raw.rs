//! Requests and answers as bytes.

use std::fmt::Write as _;
use std::net::SocketAddr;

use hookstream_test_support::Delivery;
use hookstream_test_support::http::RawConnection;
use serde_json::Value;

/// The head of a delivery, with further headers.
pub(crate) fn head(delivery: &Delivery, further: &str) -> String {
    let mut head = format!("POST {} HTTP/1.1\r\nhost: test\r\n{further}", delivery.path);
    for (name, value) in &delivery.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    head + "\r\n"
}

/// The whole of a delivery, with further headers beside its length.
pub(crate) fn whole(delivery: &Delivery, further: &str) -> Vec<u8> {
    let length = format!("content-length: {}\r\n{further}", delivery.body.len());
    [head(delivery, &length).as_bytes(), &delivery.body].concat()
}

/// A body in chunks of so many bytes.
pub(crate) fn chunked(body: &[u8], bytes: usize) -> Vec<u8> {
    let mut chunks = Vec::new();
    for chunk in body.chunks(bytes) {
        chunks.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunks.extend_from_slice(chunk);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    chunks
}

/// A body of exactly `bytes` bytes.
pub(crate) fn issue_of(bytes: usize) -> String {
    let (start, end) = (r#"{"issue":{"number":1,"body":""#, r#""}}"#);
    format!("{start}{}{end}", "x".repeat(bytes - start.len() - end.len()))
}

/// Sends bytes as they are and reads until the gateway closes the connection, which it must.
pub(crate) async fn exchange(addr: SocketAddr, bytes: &[u8]) -> anyhow::Result<String> {
    let mut connection = RawConnection::open(addr).await?;
    // The gateway may answer and close before it has read everything.
    let _ = connection.send(bytes).await;
    connection.read_to_close().await
}

/// One answer, of a connection that is kept.
pub(crate) async fn read_answer(connection: &mut RawConnection) -> anyhow::Result<String> {
    let mut answer = String::new();
    loop {
        answer += &connection.read_some().await?;
        let Some((head, body)) = answer.split_once("\r\n\r\n") else { continue };
        let (_, length) = head.split_once("\r\ncontent-length: ").unwrap();
        if body.len() >= length.lines().next().unwrap().parse()? {
            return Ok(answer);
        }
    }
}

/// The statuses of all answers in what came, in their order.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    // A body of ours holds no such text.
    text.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].parse().unwrap()).collect()
}

/// Checks that what came is one answer and no more, an error of the documented shape after which the connection is
/// closed.
#[track_caller]
pub(crate) fn refused(text: &str, status: u16, code: &str) -> Value {
    assert_eq!(statuses(text), [status], "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let head = head.to_lowercase();
    assert!(head.contains("\r\nconnection: close"), "{text}");
    assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{text}");
    assert!(head.contains("\r\ncontent-type: application/json"), "{text}");
    let body: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(body["error"], code, "{text}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{text}");
    let id = body["request_id"].as_str().unwrap();
    assert!(head.contains(&format!("\r\nx-request-id: {id}")), "{text}");
    assert_eq!(body.as_object().unwrap().len(), 3, "{text}");
    body
}
