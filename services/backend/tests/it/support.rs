use std::time::Duration;

use hookstream_backend::{Backend, ROLE};
use hookstream_runtime::admin::Admin;
use hookstream_runtime::http::{GraceExpired, Limits};
use hookstream_runtime::{Health, Metrics, ProcessInfo};
use hookstream_store::{Connection, PgSettings};
use hookstream_test_support::http::{self, RawConnection, Response};
use hookstream_test_support::{TestDatabase, TestNats, eventually};
use secrecy::SecretString;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The answer, or the state, that must come at last.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The bearer token of the tests' backends.
pub(crate) const TOKEN: &str = "a token for tests";

/// A backend with all tables and nothing in them.
pub(crate) struct App {
    // Dropped first, so that nobody uses the database any more when it goes.
    server: Server,
    /// A session for the test's own statements.
    pub(crate) client: Connection,
    pub(crate) nats: TestNats,
    pub(crate) database: TestDatabase,
}

/// A backend that listens.
pub(crate) struct Server {
    pub(crate) url: String,
    shutdown: CancellationToken,
    /// Told to stop when the test is over, at the latest.
    _stop: DropGuard,
    serving: JoinHandle<Result<(), GraceExpired>>,
}

impl App {
    pub(crate) async fn start() -> Self {
        let (nats, database) = (TestNats::start().await, database().await);
        let server = Server::start(&nats, database.settings()).await;
        let client = database.client().await;
        eventually("the backend is ready", PATIENCE, async || {
            let page = server.get("/readyz").await.map_err(|error| error.to_string())?;
            if page.status == 200 { Ok(()) } else { Err(page.text()) }
        })
        .await;
        Self { server, client, nats, database }
    }

    /// GET of a path below `/api/v1`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Response> {
        self.server.get(&format!("/api/v1{path}")).await
    }

    /// The items of a list.
    pub(crate) async fn items(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let answer = self.get(path).await?;
        anyhow::ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.text());
        Ok(answer.json()["items"].as_array().expect("items").clone())
    }

    /// All pages of a list, one after the other. `path` has a query.
    pub(crate) async fn pages(&self, path: &str) -> anyhow::Result<Vec<Vec<Value>>> {
        let mut pages = Vec::new();
        let mut next = path.to_owned();
        loop {
            let answer = self.get(&next).await?;
            anyhow::ensure!(answer.status == 200, "{next}: {} {}", answer.status, answer.text());
            let page = answer.json();
            pages.push(page["items"].as_array().expect("items").clone());
            match page["next_cursor"].as_str() {
                Some(cursor) => next = format!("{path}&cursor={cursor}"),
                None => return Ok(pages),
            }
        }
    }

    /// Any path of the listener.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }
}

impl Server {
    pub(crate) async fn start(nats: &TestNats, postgres: PgSettings) -> Self {
        Self::start_with_token(nats, postgres, Some(TOKEN)).await
    }

    pub(crate) async fn start_with_token(nats: &TestNats, postgres: PgSettings, token: Option<&str>) -> Self {
        let process = ProcessInfo { name: "hookstream-backend", about: "", version: "0" };
        let admin = Admin { health: Health::new(), metrics: Metrics::new(&process) };
        let backend = Backend::connect(&nats.settings(ROLE), postgres, admin).await.expect("a backend");
        let backend = backend.with_token(token.map(SecretString::from).as_ref());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shutdown = CancellationToken::new();
        tokio::spawn(backend.clone().watch(shutdown.clone()));
        let serving = tokio::spawn(backend.serve(listener, Limits::default(), shutdown.clone()));
        let stop = shutdown.clone().drop_guard();
        Self { url, shutdown, _stop: stop, serving }
    }

    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Response> {
        http::get(&format!("{}{path}", self.url)).await
    }

    /// Where it listens.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The answer to a request, as far as its status goes: an endless one is not waited for.
    pub(crate) async fn request_head(&self, method: &str, path: &str) -> anyhow::Result<Head> {
        let mut connection = RawConnection::open(self.url.trim_start_matches("http://").parse()?).await?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: test\r\ncontent-length: 0\r\n\r\n");
        connection.send(request.as_bytes()).await?;
        let answer = connection.read_some().await?;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok(Head { status: status.ok_or_else(|| anyhow::anyhow!("no status: {answer}"))? })
    }

    /// A command with the token: a body in JSON, or none.
    pub(crate) async fn command(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response> {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = body.map(Value::to_string).unwrap_or_default();
        http::request(method.parse()?, &format!("{}/api/v1{path}", self.url), &headers, body).await
    }

    /// A request without a body.
    pub(crate) async fn request(&self, method: &str, path: &str) -> anyhow::Result<Response> {
        let method = method.parse()?;
        http::request(method, &format!("{}{path}", self.url), &[], "").await
    }

    /// Tells it to stop; what is in flight is still answered.
    pub(crate) fn begin_shutdown(&self) {
        self.shutdown.cancel();
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.serving.await??)
    }
}

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
}

/// A database with all tables.
pub(crate) async fn database() -> TestDatabase {
    let database = TestDatabase::create().await;
    migrate(&database).await;
    database
}

pub(crate) async fn migrate(database: &TestDatabase) {
    database
        .migrate(&[
            &hookstream_phase_queue::MIGRATIONS,
            &hookstream_task_log::MIGRATIONS,
            &hookstream_audit::MIGRATIONS,
        ])
        .await;
}

/// Fails unless the answer is a problem document with this status and code; returns it.
pub(crate) fn problem(answer: &Response, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{}", answer.text());
    let document = answer.json();
    assert_eq!(document["type"], format!("urn:hookstream:problem:{code}"), "{document}");
    assert_eq!(document["status"], status, "{document}");
    assert!(document["title"].as_str().is_some_and(|title| !title.is_empty()), "{document}");
    assert_eq!(document["request_id"].as_str(), answer.header("x-request-id"), "{document}");
    document
}
