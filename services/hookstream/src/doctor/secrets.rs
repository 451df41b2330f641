//! Are the secrets there, and can they be used?

use hookstream_audit::CheckpointSettings;
use hookstream_gateway::Sources;
use hookstream_runtime::{Settings, SettingsError, exit};
use hookstream_signature::Key;
use secrecy::ExposeSecret as _;

use super::finding::Finding;

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (source, name, former) in [
        ("github", "GITHUB_WEBHOOK_SECRET", "GITHUB_WEBHOOK_SECRET_PREVIOUS"),
        ("internal", "INTERNAL_WEBHOOK_SECRET", "INTERNAL_WEBHOOK_SECRET_PREVIOUS"),
    ] {
        findings.push(webhook(settings, source, name).unwrap_or_else(|| missing(settings, source, name)));
        findings.extend(webhook(settings, source, former));
    }
    findings.extend(sources(settings));
    findings.push(token(settings));
    findings.extend(audit_keys(settings));
    findings
}

/// A secret that the source has in a setting, if it is set.
fn webhook(settings: &Settings, source: &str, name: &'static str) -> Option<Finding> {
    let secret = settings.secret(name)?;
    let bytes = secret.expose_secret().as_bytes();
    // As the gateway reads them: GitHub takes a secret as it is, whatever it begins with.
    let key = if source == "github" { Key::plain("doctor", bytes) } else { Key::new("doctor", bytes) };
    Some(match key {
        Ok(_) => Finding::ok(name, "set"),
        Err(error) => Finding::fail(name, error.to_string(), format!("correct {name}")),
    })
}

fn missing(settings: &Settings, source: &str, name: &'static str) -> Finding {
    let table = settings.sources().iter().find(|table| table.name() == source);
    if table.is_some_and(|table| !table.secrets().is_empty()) {
        return Finding::ok(name, format!("not set: the settings file has secrets for sources.{source}"));
    }
    let advice =
        format!("set {name} or {name}_FILE, on the gateway's machine: the gateway does not start without");
    Finding::fail(name, "not set", advice)
}

/// The sources of the settings file, if it has any.
fn sources(settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "sources";
    if settings.sources().is_empty() {
        return None;
    }
    let read = || Ok((Sources::read(settings)?.keys().len(), Sources::retired_keys(settings)?.len()));
    match read() {
        Ok((keys, retired)) => {
            Some(Finding::ok(CHECK, format!("{keys} keys can be used, {retired} retired")))
        }
        // That has a row of its own.
        Err(SettingsError::Unset { .. }) => None,
        Err(error) => {
            let advice =
                "correct the settings file, on the gateway's machine: the gateway does not start with it";
            Some(Finding::fail(CHECK, exit::chain(&error), advice))
        }
    }
}

/// What the audit process reads of its keys, if any is set.
fn audit_keys(settings: &Settings) -> Option<Finding> {
    const CHECK: &str = "HOOKSTREAM_AUDIT_KEY";
    match CheckpointSettings::read(settings) {
        Ok(read) => {
            let signer = read?.signer?;
            Some(Finding::ok(CHECK, format!("set, its public key is {}", signer.public())))
        }
        Err(error) => {
            let advice = "correct it, or make a key with `hookstream audit key`: the audit process does not start with it";
            Some(Finding::fail(CHECK, exit::chain(&error), advice))
        }
    }
}

fn token(settings: &Settings) -> Finding {
    const NAME: &str = "HOOKSTREAM_API_TOKEN";
    if settings.secret(NAME).is_some() {
        return Finding::ok(NAME, "set");
    }
    let advice =
        format!("set {NAME} or {NAME}_FILE if commands shall be possible: the backend refuses them all");
    Finding::warn(NAME, "not set", advice)
}
