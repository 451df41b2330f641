//! What an operator can do to a server with a plain NATS client: the protocol is a few lines of text.

use anyhow::{Context as _, bail};
use hookstream_test_support::TestNats;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Sends `request` to `$JS.API.<subject>` as the operator, and returns the answer, which must be no error.
pub(crate) async fn ask(nats: &TestNats, subject: &str, request: &Value) -> anyhow::Result<Value> {
    const INBOX: &str = "_INBOX_operator.test";
    let mut stream = BufReader::new(TcpStream::connect(nats.client_addr()).await?);
    let login = json!({
        "user": "operator",
        "pass": nats.password("operator"),
        "verbose": false,
        "pedantic": false,
        "headers": false,
        "no_responders": false,
    });
    let body = if request.is_null() { String::new() } else { request.to_string() };
    let sent = format!(
        "CONNECT {login}\r\nSUB {INBOX} 1\r\nPUB $JS.API.{subject} {INBOX} {}\r\n{body}\r\n",
        body.len()
    );
    stream.write_all(sent.as_bytes()).await?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        if line.starts_with("PING") {
            stream.write_all(b"PONG\r\n").await?;
        } else if line.starts_with("MSG ") {
            let bytes = line.trim().rsplit(' ').next().context("the length")?.parse()?;
            let mut answer = vec![0; bytes];
            stream.read_exact(&mut answer).await?;
            let answer: Value = serde_json::from_slice(&answer)?;
            return if answer["error"].is_null() { Ok(answer) } else { bail!("{subject}: {answer}") };
        } else if line.is_empty() || line.starts_with("-ERR") {
            bail!("{subject}: {line}");
        }
    }
}

/// Changes fields of the stream's configuration.
pub(crate) async fn update_stream(nats: &TestNats, changes: &Value) -> anyhow::Result<()> {
    let info = ask(nats, "STREAM.INFO.WEBHOOKS", &Value::Null).await?;
    let mut config = info["config"].clone();
    for (name, value) in changes.as_object().context("an object of changes")? {
        config[name] = value.clone();
    }
    ask(nats, "STREAM.UPDATE.WEBHOOKS", &config).await.map(drop)
}
