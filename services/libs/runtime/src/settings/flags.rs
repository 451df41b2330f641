//! Flags, made from the table: `HOOKSTREAM_GATEWAY_ADDR` is `--gateway-addr`, `NATS_URL` is `--nats-url`.
//!
//! A secret has no flag, for command lines are seen by every user of a machine; `--nats-password-file` names its file.

use std::collections::BTreeMap;

use clap::{Arg, ArgMatches, Command};

use super::{ProcessInfo, SETTINGS, Setting};

/// The flag of a setting, without the dashes.
pub fn flag_name(setting: &Setting) -> String {
    let name = setting.name.strip_prefix("HOOKSTREAM_").unwrap_or(setting.name);
    let suffix = if setting.is_secret() { "-file" } else { "" };
    format!("{}{suffix}", name.to_ascii_lowercase().replace('_', "-"))
}

/// The name that the flag of a setting sets: `X`, or `X_FILE` for a secret.
fn target(setting: &Setting) -> String {
    setting.file_name().unwrap_or_else(|| setting.name.to_owned())
}

/// The flags of the settings that `wanted` chooses.
pub fn arguments(wanted: impl Fn(&Setting) -> bool) -> Vec<Arg> {
    let argument = |setting: &Setting| {
        let default = setting.default.map(|text| format!(" [default: {text}]")).unwrap_or_default();
        let what = if setting.is_secret() { "File that holds: " } else { "" };
        Arg::new(target(setting))
            .long(flag_name(setting))
            .value_name(if setting.is_secret() { "PATH" } else { setting.kind.placeholder() })
            .help(format!("{what}{}{default} [env: {}]", setting.doc, target(setting)))
            .help_heading(setting.group)
    };
    SETTINGS.iter().filter(|setting| wanted(setting)).map(argument).collect()
}

/// What was given on the command line, to stand above everything else.
pub fn given(matches: &ArgMatches) -> BTreeMap<String, String> {
    let value = |name: String| {
        let value = matches.try_get_one::<String>(&name).ok().flatten()?.clone();
        Some((name, value))
    };
    SETTINGS.iter().map(target).filter_map(value).collect()
}

/// The command line of a process that has settings and nothing else.
pub(super) fn command(process: &ProcessInfo) -> Command {
    Command::new(process.name)
        .about(process.about)
        .version(process.version)
        .after_help(
            "Flags win over the environment, that over the file named by --config, that over the defaults.",
        )
        .args(arguments(|_| true))
}
