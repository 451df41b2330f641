//! Which settings each subcommand has flags for, and how they are read.

use std::collections::BTreeMap;

use hookstream_runtime::settings::{Origin, Setting};
use hookstream_runtime::{Settings, SettingsError};

use crate::{bench, env_file};

/// Settings that say where something is. One of them given in any way means: not the `up` beside us.
const ADDRESSES: [&str; 6] =
    ["NATS_URL", "NATS_WORKER_URL", "DATABASE_URL", "PGHOST", "GATEWAY_URL", "BACKEND_URL"];

/// Groups of settings of commands beside `up`.
const BESIDE_UP: [&str; 3] = ["hookstream send", "hookstream queue", "hookstream work"];

/// A setting of `up` is one for the processes it starts, except where those find each other.
pub(crate) fn concern_up(setting: &Setting) -> bool {
    !matches!(setting.group, "NATS" | "Postgres") && !is_beside_up(setting)
}

/// Whether it is of no use to `up` and the processes it starts.
pub(crate) fn is_beside_up(setting: &Setting) -> bool {
    BESIDE_UP.contains(&setting.group)
}

pub(crate) fn concern_send(setting: &Setting) -> bool {
    is_common(setting)
        || matches!(setting.name, "GATEWAY_URL" | "GITHUB_WEBHOOK_SECRET" | "INTERNAL_WEBHOOK_SECRET")
}

pub(crate) fn concern_provision(setting: &Setting) -> bool {
    is_common(setting) || (setting.group == "NATS" && setting.name != "NATS_MONITOR_URL")
}

pub(crate) fn concern_rebuild(setting: &Setting) -> bool {
    let connects = matches!(setting.group, "NATS" | "Postgres") && setting.name != "NATS_MONITOR_URL";
    is_common(setting) || connects || setting.group == "Projections"
}

pub(crate) fn concern_doctor(setting: &Setting) -> bool {
    is_common(setting) || matches!(setting.group, "NATS" | "Postgres" | "Secrets")
}

pub(crate) fn concern_audit(setting: &Setting) -> bool {
    is_common(setting)
        || (matches!(setting.group, "NATS" | "Postgres") && setting.name != "NATS_MONITOR_URL")
        || (setting.group == "Audit trail" && !setting.name.contains("_CHECKPOINT_E"))
        || setting.name == "HOOKSTREAM_AUDIT_KEY"
        // To verify signatures again.
        || setting.name.contains("_WEBHOOK_SECRET")
}

pub(crate) fn concern_secret(setting: &Setting) -> bool {
    is_common(setting) || setting.name.contains("_WEBHOOK_SECRET")
}

/// The bounds of group commit, and where nats-server is.
pub(crate) fn concern_bench(setting: &Setting) -> bool {
    is_common(setting) || bench::concern(setting)
}

pub(crate) fn concern_queue(setting: &Setting) -> bool {
    is_common(setting) || matches!(setting.name, "BACKEND_URL" | "HOOKSTREAM_API_TOKEN")
}

pub(crate) fn concern_watch(setting: &Setting) -> bool {
    concern_provision(setting)
}

pub(crate) fn concern_work(setting: &Setting) -> bool {
    concern_provision(setting)
        || setting.group == "hookstream work"
        || matches!(setting.name, "GATEWAY_URL" | "INTERNAL_WEBHOOK_SECRET" | "HOOKSTREAM_SHUTDOWN_GRACE")
}

fn is_common(setting: &Setting) -> bool {
    matches!(
        setting.name,
        "HOOKSTREAM_CONFIG" | "HOOKSTREAM_LOG" | "HOOKSTREAM_LOG_FORMAT" | "HOOKSTREAM_DATA_DIR"
    )
}

/// What was read, and how the command itself logs.
pub(crate) struct Loaded {
    pub(crate) settings: Settings,
    /// The same, where nothing else is said with less to say than a service: level warn, for people.
    pub(crate) for_log: Settings,
}

/// Reads the settings under what was `given` as flags. `beside_up`: addresses and secrets that are set nowhere come
/// from the connection.env of a running `up`, if there is one.
pub(crate) fn load(given: BTreeMap<String, String>, beside_up: bool) -> Result<Loaded, SettingsError> {
    let mut settings = Settings::with_overrides(given)?;
    if beside_up && ADDRESSES.iter().all(|name| is_default(&settings, name)) {
        // A file that cannot be read belongs to somebody else's `up`.
        let path = data_dir(&settings).join(env_file::CONNECTION);
        let found = env_file::read(&path).unwrap_or_default();
        let is_wanted = |name: &str| Setting::named(name).is_some() && is_default(&settings, name);
        let wanted: Vec<_> = found.into_iter().filter(|(name, _)| is_wanted(name)).collect();
        settings = settings.with_more(wanted, Origin::Beside(path))?;
    }
    let quiet = [("HOOKSTREAM_LOG", "warn"), ("HOOKSTREAM_LOG_FORMAT", "pretty")];
    let quiet = quiet.into_iter().filter(|(name, _)| is_default(&settings, name));
    let quiet = quiet.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let for_log = settings.with_more(quiet, Origin::Default)?;
    Ok(Loaded { settings, for_log })
}

/// Whether nobody has set it.
pub(crate) fn is_default(settings: &Settings, name: &str) -> bool {
    settings.origin(name).is_none_or(|origin| *origin == Origin::Default)
}

/// What `up` keeps, and where its connection.env is.
pub(crate) fn data_dir(settings: &Settings) -> std::path::PathBuf {
    settings.get("HOOKSTREAM_DATA_DIR").unwrap_or_default().into()
}

/// Whether the error is about how the command was used rather than about what it did.
pub(crate) fn is_about_settings(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<SettingsError>()
            || cause.is::<hookstream_bus::SettingsError>()
            || cause.is::<hookstream_store::SettingsError>()
            || cause.is::<hookstream_signature::KeyError>()
    })
}

/// The command was used wrongly, in a way that clap cannot see.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);
