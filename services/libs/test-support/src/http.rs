//! A small HTTP/1.1 client: whole requests on hyper, and raw bytes for what hyper would not send.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Longest wait for an answer. Only a hanging server takes so long.
const TIMEOUT: Duration = Duration::from_secs(40);

/// A whole answer.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// A header's value; `None` when it is absent or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text()))
    }
}

/// A header's name and value.
pub type Header<'h> = (&'h str, &'h str);

/// GET.
pub async fn get(url: &str) -> anyhow::Result<Response> {
    request(Method::GET, url, &[], Bytes::new()).await
}

/// POST.
pub async fn post(url: &str, headers: &[Header<'_>], body: impl Into<Bytes>) -> anyhow::Result<Response> {
    request(Method::POST, url, headers, body).await
}

/// One request over a connection of its own. `url` is `http://<ip>:<port>/<path and query>`.
pub async fn request(
    method: Method,
    url: &str,
    headers: &[Header<'_>],
    body: impl Into<Bytes>,
) -> anyhow::Result<Response> {
    let (addr, path) = split(url)?;
    Connection::open(addr).await?.request(method, path, headers, body).await
}

/// A connection that is kept for several requests.
#[derive(Debug)]
pub struct Connection {
    addr: SocketAddr,
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects.
    pub async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        Self::over(addr, TcpStream::connect(addr).await?).await
    }

    /// Connects from an address of this machine, such as `127.0.0.2`.
    pub async fn open_from(local: Ipv4Addr, addr: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((local, 0).into())?;
        Self::over(addr, socket.connect(addr).await?).await
    }

    async fn over(addr: SocketAddr, stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the connection; its errors come out of the requests too.
        tokio::spawn(connection);
        Ok(Self { addr, sender })
    }

    /// One request; the connection can be used again afterwards unless the server closes it.
    pub async fn request(
        &mut self,
        method: Method,
        path: &str,
        headers: &[Header<'_>],
        body: impl Into<Bytes>,
    ) -> anyhow::Result<Response> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.addr.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into()))?;
        let answered = async {
            self.sender.ready().await?;
            let (head, body) = self.sender.send_request(request).await?.into_parts();
            let body = body.collect().await?.to_bytes();
            anyhow::Ok(Response { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(TIMEOUT, answered).await?
    }
}

/// Sends bytes as they are and returns all that comes back until the server closes the connection, or until nothing
/// has come for two seconds after something did.
pub async fn raw(addr: SocketAddr, bytes: &[u8]) -> anyhow::Result<String> {
    let mut connection = RawConnection::open(addr).await?;
    // The server may answer and close before it has read everything.
    let _ = connection.send(bytes).await;
    connection.read_all().await
}

/// A connection for bytes as they are: half requests, slow ones, malformed ones.
#[derive(Debug)]
pub struct RawConnection(TcpStream);

impl RawConnection {
    /// Connects.
    pub async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Connects from an address of this machine: all of 127.0.0.0/8 are.
    pub async fn open_from(local: Ipv4Addr, addr: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((local, 0).into())?;
        let stream = socket.connect(addr).await?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        tokio::time::timeout(TIMEOUT, self.0.write_all(bytes)).await??;
        Ok(())
    }

    /// Says that no more will be sent.
    pub async fn finish(&mut self) -> anyhow::Result<()> {
        Ok(self.0.shutdown().await?)
    }

    /// The first that comes, which is at least a byte.
    pub async fn read_some(&mut self) -> anyhow::Result<String> {
        let mut answer = Vec::with_capacity(16 * 1024);
        let read = tokio::time::timeout(TIMEOUT, self.0.read_buf(&mut answer)).await??;
        anyhow::ensure!(read > 0, "the connection was closed");
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// All that comes until the server closes or resets the connection, which it must.
    pub async fn read_to_close(&mut self) -> anyhow::Result<String> {
        let mut answer = Vec::new();
        let closed = async { while self.0.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {} };
        let closed = tokio::time::timeout(TIMEOUT, closed).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        anyhow::ensure!(closed.is_ok(), "the connection was not closed after {answer:?}");
        Ok(answer)
    }

    /// All that comes until the server closes or resets the connection, or pauses for two seconds.
    pub async fn read_all(&mut self) -> anyhow::Result<String> {
        let mut answer = Vec::new();
        loop {
            let patience = if answer.is_empty() { TIMEOUT } else { Duration::from_secs(2) };
            match tokio::time::timeout(patience, self.0.read_buf(&mut answer)).await {
                Ok(Ok(1..)) => {}
                Ok(Ok(0)) => break,
                Ok(Err(_)) | Err(_) if !answer.is_empty() => break,
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => anyhow::bail!("no answer within {TIMEOUT:?}"),
            }
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Address and path of a URL.
fn split(url: &str) -> anyhow::Result<(SocketAddr, &str)> {
    let rest = url.strip_prefix("http://").ok_or_else(|| anyhow::anyhow!("not an http:// URL: {url}"))?;
    let end = rest.find('/').unwrap_or(rest.len());
    let path = if end == rest.len() { "/" } else { &rest[end..] };
    Ok((rest[..end].parse()?, path))
}
