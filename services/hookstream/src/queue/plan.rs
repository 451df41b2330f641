//! A plan, or a phase, from a file.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::settings::Usage;

/// Reads the file as what its name says it is; standard input as JSON, or else as TOML.
pub(super) fn read(file: &Path) -> anyhow::Result<Value> {
    let stdin = file == Path::new("-");
    let text = if stdin {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("read standard input")?;
        text
    } else {
        fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?
    };
    let extension = file.extension().and_then(|extension| extension.to_str());
    let fields = match extension {
        Some("json") => json(&text),
        Some("toml") => toml(&text),
        _ if stdin && text.trim_start().starts_with('{') => json(&text),
        _ if stdin => toml(&text),
        _ => bail!(Usage(format!("{} is neither *.toml nor *.json", file.display()))),
    };
    let fields = fields.with_context(|| format!("read {}", file.display()))?;
    if !fields.is_object() {
        bail!("{} holds no plan and no phase", file.display());
    }
    Ok(fields)
}

fn json(text: &str) -> anyhow::Result<Value> {
    Ok(serde_json::from_str(text)?)
}

fn toml(text: &str) -> anyhow::Result<Value> {
    Ok(as_json(toml::from_str(text)?))
}

/// JSON has no times: they become texts, as they are written.
fn as_json(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(values) => values.into_iter().map(as_json).collect(),
        toml::Value::Table(fields) => {
            fields.into_iter().map(|(name, value)| (name, as_json(value))).collect()
        }
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(boolean) => boolean.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn toml_and_json_of_a_plan_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let text = "parent_issue = 41\n[[phases]]\nqueue_id = \"a\"\nphase_number = 1\n\
            phase_data = { workflow_type = \"adw_plan_iso\", adw_id = \"x\", weight = 0.5, due = 2026-01-02, \
            from = [2026-01-02T03:04:05Z] }\n";
        let plan = json!({ "parent_issue": 41, "phases": [{
            "queue_id": "a", "phase_number": 1,
            "phase_data": { "workflow_type": "adw_plan_iso", "adw_id": "x", "weight": 0.5,
                "due": "2026-01-02", "from": ["2026-01-02T03:04:05Z"] },
        }] });
        assert_eq!(read(&written("plan.toml", text)).unwrap(), plan);
        assert_eq!(read(&written("plan.json", &plan.to_string())).unwrap(), plan);
        let error = read(&written("plan.yaml", "")).unwrap_err();
        assert!(error.is::<Usage>(), "{error:?}");
        assert!(read(&written("broken.toml", "a = ")).is_err());
        assert!(read(&written("list.json", "[]")).is_err());
    }
}
