use std::net::SocketAddr;

use hookstream_test_support::http;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Answers each request of one connection with what it got, head and body, as a body.
async fn mirror() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut got = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = stream.read(&mut got).await {
                    let head =
                        format!("HTTP/1.1 202 Accepted\r\nX-Seen: yes\r\nContent-Length: {read}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    stream.write_all(&got[..read]).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    addr
}

#[tokio::test]
async fn a_post_carries_headers_and_body() {
    let addr = mirror().await;
    let answer = http::post(&format!("http://{addr}/a?b=c"), &[("x-one", "1")], "{}").await.unwrap();
    assert_eq!((answer.status, answer.header("x-seen")), (202, Some("yes")));
    let sent = answer.text();
    assert!(sent.starts_with("POST /a?b=c HTTP/1.1\r\n"), "{sent}");
    assert!(sent.contains("x-one: 1\r\n") && sent.ends_with("\r\n\r\n{}"), "{sent}");
}

#[tokio::test]
async fn a_connection_takes_several_requests() {
    let mut connection = http::Connection::open(mirror().await).await.unwrap();
    for path in ["/one", "/two"] {
        let answer = connection.request(hyper::Method::GET, path, &[], "").await.unwrap();
        assert!(answer.text().contains(path));
    }
}

#[tokio::test]
async fn raw_bytes_are_sent_as_they_are() {
    let answer = http::raw(mirror().await, b"not http at all").await.unwrap();
    assert!(answer.ends_with("not http at all"), "{answer}");
}
