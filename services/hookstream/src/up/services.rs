//! The five services as child processes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use hookstream_local::process::{Death, Process, Program};
use hookstream_runtime::settings::{Origin, SETTINGS, Setting};
use hookstream_runtime::{Settings, SettingsError};

use super::addresses::Addresses;
use super::data_dir::DataDir;
use super::keeper::Keep;
use super::logs;
use super::secrets::{Secrets, text};
use super::servers::Servers;
use crate::settings::{is_beside_up, is_default};

/// How much longer than its grace period a service may take to end.
const GRACE_MARGIN: Duration = Duration::from_secs(3);

pub(super) const CHECKPOINT_FILE: &str = "HOOKSTREAM_AUDIT_CHECKPOINT_PATH";

/// What is needed to start a service, once and again.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    name: &'static str,
    program: PathBuf,
    environment: Vec<(OsString, OsString)>,
    log: PathBuf,
    grace: Duration,
}

/// A running service.
#[derive(Debug)]
pub(super) struct Service {
    planned: Planned,
    process: Process,
}

impl Service {
    pub(super) fn start(planned: Planned) -> anyhow::Result<Self> {
        let process = planned.spawn()?;
        Ok(Self { planned, process })
    }
}

impl Keep for Service {
    fn name(&self) -> &'static str {
        self.planned.name
    }

    fn process(&self) -> Process {
        self.process.clone()
    }

    fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = self.planned.spawn()?;
        Ok(())
    }

    fn stop(&mut self) {
        self.process.stop(Death::Term, self.planned.grace + GRACE_MARGIN, Death::Kill);
    }
}

impl Planned {
    fn spawn(&self) -> anyhow::Result<Process> {
        let mut program = Program::new(&self.program).clear_env().stderr(Stdio::piped());
        for (name, value) in &self.environment {
            program = program.env(name, value);
        }
        let process = program.spawn().with_context(|| format!("start {}", self.program.display()))?;
        if let Some(errors) = process.take_stderr() {
            logs::follow(self.name, self.log.clone(), errors)
                .with_context(|| format!("write {}", self.log.display()))?;
        }
        Ok(process)
    }
}

/// All services: those that take webhooks off the stream first, so that nothing waits for them, the gateway last.
pub(super) fn all(
    data_dir: &DataDir,
    secrets: &Secrets,
    addresses: &Addresses,
    servers: &Servers,
    settings: &Settings,
) -> anyhow::Result<Vec<Planned>> {
    let folder = std::env::current_exe().context("find this program")?;
    let folder = folder.parent().context("find this program's folder")?.to_owned();
    let grace = settings.duration("HOOKSTREAM_SHUTDOWN_GRACE")?;
    let plan = |name: &'static str, role: &str, own: Vec<(&str, String)>| -> anyhow::Result<Planned> {
        let program = folder.join(format!("hookstream-{name}"));
        ensure!(
            program.is_file(),
            "{} is not there; build all programs: deploy/up does, or `cargo build --workspace --bins`",
            program.display()
        );
        let mut environment = inherited(settings);
        let nats = [
            ("NATS_URL", format!("nats://{}", servers.nats_addr)),
            ("NATS_USER", role.to_owned()),
            ("NATS_PASSWORD", secrets.nats.of(role).unwrap_or_default().to_owned()),
        ];
        environment.extend(nats.into_iter().chain(own).map(|(name, value)| (name.into(), value.into())));
        Ok(Planned { name, program, environment, log: data_dir.log(name), grace })
    };
    let projection = |addr: std::net::SocketAddr| {
        let database = ("DATABASE_URL", servers.database_url.clone());
        vec![database, ("HOOKSTREAM_METRICS_ADDR", addr.to_string())]
    };
    let mut audit = projection(addresses.audit);
    audit.extend([
        ("HOOKSTREAM_AUDIT_KEY", text(&secrets.audit_key)),
        (CHECKPOINT_FILE, checkpoint_file(data_dir, settings)),
    ]);
    let backend = vec![
        ("DATABASE_URL", servers.database_url.clone()),
        ("HOOKSTREAM_BACKEND_ADDR", addresses.backend.to_string()),
        ("HOOKSTREAM_API_TOKEN", text(&secrets.api_token)),
    ];
    let mut gateway = vec![("HOOKSTREAM_GATEWAY_ADDR", addresses.gateway.to_string())];
    gateway.extend(webhook_secrets(secrets, settings));
    gateway.extend(file_of_sources(settings)?.map(|path| ("HOOKSTREAM_CONFIG", path)));
    Ok(vec![
        plan("phase-queue", "phase_queue", projection(addresses.phase_queue))?,
        plan("task-log", "task_log", projection(addresses.task_log))?,
        plan("audit", "audit", audit)?,
        plan("backend", "backend", backend)?,
        plan("gateway", "gateway", gateway)?,
    ])
}

/// The settings file, for the tables of sources, which the gateway reads again when it changes. What such a file says of
/// another NATS would reach the gateway, too, and nothing can unset it there.
fn file_of_sources(settings: &Settings) -> Result<Option<String>, SettingsError> {
    let in_file = |name: &&str| matches!(settings.origin(name), Some(Origin::File(..)));
    let other_nats = ["NATS_CREDS", "NATS_NKEY", "NATS_CA", "NATS_CERT", "NATS_KEY"];
    match other_nats.into_iter().find(in_file) {
        None => Ok(settings.get("HOOKSTREAM_CONFIG")),
        Some(_) if settings.sources().is_empty() => Ok(None),
        Some(name) => {
            Err(settings.invalid(name, "is for a NATS of your own, and `up` starts one: leave it out"))
        }
    }
}

/// What webhooks are verified with. Of a secret that is in a file the gateway gets the file: it reads it again when it
/// changes.
fn webhook_secrets(secrets: &Secrets, settings: &Settings) -> Vec<(&'static str, String)> {
    let all = [
        ("GITHUB_WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET_FILE", Some(&secrets.github)),
        ("GITHUB_WEBHOOK_SECRET_PREVIOUS", "GITHUB_WEBHOOK_SECRET_PREVIOUS_FILE", None),
        ("INTERNAL_WEBHOOK_SECRET", "INTERNAL_WEBHOOK_SECRET_FILE", Some(&secrets.internal)),
        ("INTERNAL_WEBHOOK_SECRET_PREVIOUS", "INTERNAL_WEBHOOK_SECRET_PREVIOUS_FILE", None),
    ];
    all.into_iter()
        .filter_map(|(name, name_of_file, made)| {
            let given = settings.secret_settings(name);
            if let Some(file) = given.as_ref().and_then(|given| given.file()) {
                return Some((name_of_file, file.display().to_string()));
            }
            let secret = made.cloned().or_else(|| settings.secret(name))?;
            Some((name, text(&secret)))
        })
        .collect()
}

/// Where checkpoints of the audit trail are appended to: in the data directory, unless set.
pub(super) fn checkpoint_file(data_dir: &DataDir, settings: &Settings) -> String {
    let usual = || data_dir.path().join("audit-checkpoints.jsonl").display().to_string();
    settings.get(CHECKPOINT_FILE).unwrap_or_else(usual)
}

/// What a service gets of ours: the environment without any setting, then the settings that are set, wherever that is,
/// except where to find each other and who one is. Logs are JSON lines unless told otherwise.
fn inherited(settings: &Settings) -> Vec<(OsString, OsString)> {
    let is_setting = |name: &str| {
        Setting::named(name).is_some()
            || name.strip_suffix("_FILE").is_some_and(|name| Setting::named(name).is_some())
    };
    let mut environment: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, _)| !name.to_str().is_some_and(is_setting)).collect();
    let passed_on = SETTINGS.iter().filter(|setting| {
        !matches!(setting.group, "NATS" | "Postgres" | "Secrets" | "hookstream up")
            && !is_beside_up(setting)
            && !matches!(setting.name, "HOOKSTREAM_CONFIG" | "HOOKSTREAM_METRICS_ADDR")
            && !is_default(settings, setting.name)
    });
    for setting in passed_on {
        environment.extend(settings.get(setting.name).map(|value| (setting.name.into(), value.into())));
    }
    if is_default(settings, "HOOKSTREAM_LOG_FORMAT") {
        environment.push(("HOOKSTREAM_LOG_FORMAT".into(), "json".into()));
    }
    environment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateway_gets_the_settings_file_unless_that_is_for_another_nats() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hookstream.toml");
        let path = path.to_str().unwrap();
        let of_sources = |text: &str| {
            std::fs::write(path, text).unwrap();
            file_of_sources(&Settings::from_pairs([("HOOKSTREAM_CONFIG", path)]))
        };
        let sources = "[sources.shop]\nscheme = \"gitlab\"\nsecret = \"a token\"\n";
        let creds = "NATS_CREDS = \"gateway.creds\"\n";
        assert_eq!(of_sources(sources).unwrap().as_deref(), Some(path));
        assert_eq!(of_sources("").unwrap().as_deref(), Some(path), "sources may be added later");
        assert_eq!(of_sources(creds).unwrap(), None);
        let error = of_sources(&format!("{creds}{sources}")).unwrap_err().to_string();
        assert!(error.contains("NATS_CREDS") && error.contains("hookstream.toml, line 1"), "{error}");
    }
}
