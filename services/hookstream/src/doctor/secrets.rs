//! Are the secrets there, and can they be used?

use hookstream_runtime::Settings;
use hookstream_signature::Key;
use secrecy::ExposeSecret as _;

use super::finding::Finding;

pub(super) fn examine(settings: &Settings) -> Vec<Finding> {
    let mut findings =
        vec![webhook(settings, "GITHUB_WEBHOOK_SECRET"), webhook(settings, "INTERNAL_WEBHOOK_SECRET")];
    for name in ["GITHUB_WEBHOOK_SECRET_PREVIOUS", "INTERNAL_WEBHOOK_SECRET_PREVIOUS"] {
        if settings.secret(name).is_some() {
            findings.push(webhook(settings, name));
        }
    }
    findings.push(token(settings));
    findings
}

fn webhook(settings: &Settings, name: &'static str) -> Finding {
    let Some(secret) = settings.secret(name) else {
        let advice = format!(
            "set {name} or {name}_FILE, on the gateway's machine: the gateway does not start without"
        );
        return Finding::fail(name, "not set", advice);
    };
    match Key::new("doctor", secret.expose_secret().as_bytes()) {
        Ok(_) => Finding::ok(name, "set"),
        Err(error) => Finding::fail(name, error.to_string(), format!("correct {name}")),
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
