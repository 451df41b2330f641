use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hookstream_test_support::{CutProxy, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server that sends back what it gets.
async fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    addr
}

async fn echoes(stream: &mut TcpStream) -> std::io::Result<()> {
    stream.write_all(b"ping").await?;
    let mut back = [0; 4];
    stream.read_exact(&mut back).await?;
    assert_eq!(&back, b"ping");
    Ok(())
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let proxy = CutProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    echoes(&mut stream).await.unwrap();
    assert_eq!(proxy.open_connections(), 1);
    drop(stream);
    eventually("the end of the connection", Duration::from_secs(5), async || proxy.open_connections() == 0)
        .await;
}

#[tokio::test]
async fn a_cut_ends_connections_and_refuses_new_ones_until_restored() {
    let proxy = CutProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    echoes(&mut stream).await.unwrap();
    proxy.cut();
    assert!(echoes(&mut stream).await.is_err());
    let mut refused = TcpStream::connect(proxy.addr()).await.unwrap();
    assert!(echoes(&mut refused).await.is_err());
    proxy.restore();
    echoes(&mut TcpStream::connect(proxy.addr()).await.unwrap()).await.unwrap();
}

#[tokio::test]
async fn refusing_leaves_standing_connections_alone() {
    let proxy = CutProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    echoes(&mut stream).await.unwrap();
    proxy.refuse();
    echoes(&mut stream).await.unwrap();
    assert!(echoes(&mut TcpStream::connect(proxy.addr()).await.unwrap()).await.is_err());
}

#[tokio::test]
async fn silence_holds_bytes_back_and_restore_lets_them_go() {
    let proxy = CutProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    echoes(&mut stream).await.unwrap();
    proxy.silence();
    let held = tokio::time::timeout(Duration::from_millis(100), echoes(&mut stream)).await;
    assert!(held.is_err(), "an answer came through the silence");
    proxy.restore();
    let mut back = [0; 4];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(&back, b"ping");
}

#[tokio::test]
async fn a_delay_counts_in_each_direction() {
    let proxy = CutProxy::start(echo().await).await;
    let mut stream = TcpStream::connect(proxy.addr()).await.unwrap();
    proxy.delay(Duration::from_millis(50));
    let start = Instant::now();
    echoes(&mut stream).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
}
