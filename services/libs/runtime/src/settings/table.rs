use super::Kind::{Address, Count, Duration, OneOf, Path, Secret, Text};
use super::{Kind, Setting};

/// The setting that names the settings file; the only one that the file itself cannot hold.
pub(crate) const CONFIG: &str = "HOOKSTREAM_CONFIG";

/// The key of the settings file that is no setting but a table of sources.
pub(crate) const SOURCES: &str = "sources";

const GENERAL: &str = "General";
const GATEWAY: &str = "Gateway";
const BACKEND: &str = "Backend";
const HTTP: &str = "HTTP";
const NATS: &str = "NATS";
const POSTGRES: &str = "Postgres";
const PROJECTIONS: &str = "Projections";
const SECRETS: &str = "Secrets";
const UP: &str = "hookstream up";
const CLIENT: &str = "hookstream send";

/// Every setting of every process, in the order of `.env.example`, which a test holds against this table.
#[rustfmt::skip] // Two lines a row: what it is, what it is for.
pub const SETTINGS: &[Setting] = &[
    unset(CONFIG, Path, GENERAL,
        "TOML file with settings; its keys are the names of the settings, and `[sources.<name>]` adds a source."),
    set("HOOKSTREAM_LOG", "info", Text, GENERAL,
        "What to log on stderr: a level, or filters such as info,hookstream_bus=debug."),
    set("HOOKSTREAM_LOG_FORMAT", "auto", OneOf(&["auto", "pretty", "json"]), GENERAL,
        "pretty for people, json for machines; auto is pretty on a terminal, else JSON lines."),
    unset("HOOKSTREAM_METRICS_ADDR", Address, GENERAL,
        "Where a process without a port of its own serves health and metrics; unset is off."),
    set("HOOKSTREAM_SHUTDOWN_GRACE", "10s", Duration, GENERAL,
        "How long work in hand may take to end after SIGTERM."),
    set("HOOKSTREAM_GATEWAY_ADDR", "127.0.0.1:8001", Address, GATEWAY,
        "Where the gateway listens."),
    set("HOOKSTREAM_BODY_BYTES_MAX", "26214400", Count, GATEWAY,
        "Largest body, in bytes; GitHub sends up to 25 MiB. NATS's max_payload must be 64 KiB larger."),
    set("HOOKSTREAM_BODY_TIMEOUT", "30s", Duration, GATEWAY,
        "Longest time that a whole body may take."),
    set("HOOKSTREAM_BODY_GRACE", "5s", Duration, GATEWAY,
        "How long a body may take before its rate counts."),
    set("HOOKSTREAM_BODY_RATE_MIN", "16384", Count, GATEWAY,
        "Slowest body, in bytes per second, once its grace is over."),
    set("HOOKSTREAM_BODIES_BYTES_MAX", "268435456", Count, GATEWAY,
        "Bytes of all bodies in hand together; beyond it a webhook is answered with 503."),
    set("HOOKSTREAM_PUBLISH_BUDGET", "4s", Duration, GATEWAY,
        "How long the stream may take to store an event before the answer is 503; GitHub gives up after 10 s."),
    set("HOOKSTREAM_COMMITS_MAX", "2", Count, GATEWAY,
        "Commits in flight at once; events that come meanwhile leave together and share one fsync."),
    set("HOOKSTREAM_COMMIT_MESSAGES_MAX", "256", Count, GATEWAY,
        "Most events of one commit, at most 1000; with 1, each event is stored by itself."),
    set("HOOKSTREAM_COMMIT_BYTES_MAX", "1048576", Count, GATEWAY,
        "Most bytes of one commit; a larger event goes alone."),
    set("HOOKSTREAM_GITHUB_REPLAY", "flag", OneOf(&["flag", "reject"]), GATEWAY,
        "What to do with a GitHub body that comes again under another id: store it flagged, or refuse it (400)."),
    set("HOOKSTREAM_REPLAY_ENTRIES_MAX", "10000", Count, GATEWAY,
        "Stored bodies per source, by digest, that a replay is told by."),
    set("HOOKSTREAM_REPLAY_WINDOW", "1h", Duration, GATEWAY,
        "How long each of them is remembered."),
    set("HOOKSTREAM_CLIENT_RATE_MAX", "5000", Count, GATEWAY,
        "Requests a second of one client address (IPv6: one /64), and twice as many at once; more are answered with 429."),
    set("HOOKSTREAM_SOURCE_RATE_MAX", "5000", Count, GATEWAY,
        "Verified webhooks a second of one source, and twice as many at once; more are answered with 429."),
    set("HOOKSTREAM_BAD_SIGNATURES_MAX", "300", Count, GATEWAY,
        "Bad signatures a minute of one client address that are answered with 401; more are answered with 429."),
    unset("HOOKSTREAM_TRUSTED_PROXIES", Text, GATEWAY,
        "Addresses and networks of the proxies in front, separated by commas: their X-Forwarded-For tells the client."),
    set("HOOKSTREAM_BACKEND_ADDR", "127.0.0.1:8002", Address, BACKEND,
        "Where the backend listens."),
    set("HOOKSTREAM_CONNECTIONS_MAX", "1024", Count, HTTP,
        "Connections that one listener serves at once; more wait in the system's queue."),
    set("HOOKSTREAM_HEADER_TIMEOUT", "5s", Duration, HTTP,
        "How long a client may take to send the headers of a request."),
    set("HOOKSTREAM_IDLE_TIMEOUT", "75s", Duration, HTTP,
        "How long a connection may rest between requests; keep it above that of a proxy in front."),
    set("NATS_URL", "nats://127.0.0.1:4222", Text, NATS,
        "Servers, separated by commas. A user and password in it win over NATS_USER."),
    unset("NATS_USER", Text, NATS,
        "User of this process's role."),
    unset("NATS_PASSWORD", Secret, NATS,
        "Password of NATS_USER."),
    unset("NATS_CREDS", Path, NATS,
        "Credentials file (JWT and seed), in place of a user and password."),
    unset("NATS_NKEY", Path, NATS,
        "File with an NKey seed, in place of a user and password."),
    unset("NATS_CA", Path, NATS,
        "Certificates to trust, in PEM."),
    unset("NATS_CERT", Path, NATS,
        "Client certificate, in PEM."),
    unset("NATS_KEY", Path, NATS,
        "Key of the client certificate, in PEM."),
    unset("NATS_MONITOR_URL", Text, NATS,
        "Monitoring address of the server, such as http://127.0.0.1:8222, where `hookstream doctor` looks at its disk sync."),
    unset("DATABASE_URL", Secret, POSTGRES,
        "postgres://user:password@host:port/database?sslmode=…; wins over the PG settings."),
    unset("PGHOST", Text, POSTGRES,
        "Host, or directory of the socket."),
    unset("PGPORT", Text, POSTGRES,
        "Port."),
    unset("PGUSER", Text, POSTGRES,
        "User."),
    unset("PGPASSWORD", Secret, POSTGRES,
        "Password."),
    unset("PGDATABASE", Text, POSTGRES,
        "Database."),
    unset("PGPASSFILE", Path, POSTGRES,
        "Password file, as libpq reads it."),
    unset("PGSSLMODE", Text, POSTGRES,
        "disable, prefer, require, verify-ca or verify-full."),
    unset("PGSSLROOTCERT", Path, POSTGRES,
        "Certificates to trust, in PEM; else the system's."),
    unset("PGCONNECT_TIMEOUT", Text, POSTGRES,
        "Seconds that connecting may take."),
    set("HOOKSTREAM_BOT_MARKER", "[ADW-AGENTS]", Text, PROJECTIONS,
        "A GitHub issue or comment that holds this text was written by a workflow and starts none."),
    unset("HOOKSTREAM_TASK_LOG_RETENTION", Duration, PROJECTIONS,
        "How long rows of task_logs are kept at least; they go by whole months. Unset keeps them for ever."),
    set("HOOKSTREAM_PHASE_LEASE", "15m", Duration, PROJECTIONS,
        "How long an announced phase may wait for a worker to begin it before it is announced again."),
    set("HOOKSTREAM_BATCH_MESSAGES_MAX", "500", Count, PROJECTIONS,
        "Messages that a projection takes at once."),
    set("HOOKSTREAM_BATCH_BYTES_MAX", "33554432", Count, PROJECTIONS,
        "Bytes that a projection takes at once; must exceed the largest message."),
    set("HOOKSTREAM_BATCH_WAIT", "1s", Duration, PROJECTIONS,
        "How long a projection waits for the first message of a batch."),
    set("HOOKSTREAM_STALL_TIMEOUT", "60s", Duration, PROJECTIONS,
        "After how long without progress a projection that has work reports not ready."),
    unset("GITHUB_WEBHOOK_SECRET", Secret, SECRETS,
        "Secret of GitHub's webhooks; the gateway does not start without it."),
    unset("GITHUB_WEBHOOK_SECRET_PREVIOUS", Secret, SECRETS,
        "Former secret, which still verifies while a rotation lasts."),
    unset("INTERNAL_WEBHOOK_SECRET", Secret, SECRETS,
        "Secret of internal webhooks; the gateway does not start without it."),
    unset("INTERNAL_WEBHOOK_SECRET_PREVIOUS", Secret, SECRETS,
        "Former secret, which still verifies while a rotation lasts."),
    unset("HOOKSTREAM_API_TOKEN", Secret, SECRETS,
        "Bearer token of the backend's commands; unset, every command is refused."),
    set("HOOKSTREAM_DATA_DIR", ".data", Path, UP,
        "What `hookstream up` keeps: streams, database, secrets, logs."),
    set("HOOKSTREAM_NATS_ADDR", "127.0.0.1:4222", Address, UP,
        "Where `hookstream up` puts its own nats-server."),
    set("HOOKSTREAM_NATS_MONITOR_ADDR", "127.0.0.1:0", Address, UP,
        "Where the monitoring pages of that nats-server are; they have no login, so keep them on loopback."),
    set("HOOKSTREAM_POSTGRES_ADDR", "127.0.0.1:0", Address, UP,
        "Where `hookstream up` puts its own Postgres."),
    unset("HOOKSTREAM_NATS_SERVER", Path, UP,
        "The nats-server program; else the first on PATH that is 2.14 or newer, else the one deploy/up installed."),
    set("GATEWAY_URL", "http://127.0.0.1:8001", Text, CLIENT,
        "Where `hookstream send` posts to."),
];

const fn set(
    name: &'static str,
    default: &'static str,
    kind: Kind,
    group: &'static str,
    doc: &'static str,
) -> Setting {
    Setting { name, default: Some(default), kind, group, doc }
}

const fn unset(name: &'static str, kind: Kind, group: &'static str, doc: &'static str) -> Setting {
    Setting { name, default: None, kind, group, doc }
}
