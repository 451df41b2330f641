//! `hookstream secret`: makes secrets, and lists the keys of the sources.

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use hookstream_gateway::{KeyInfo, Sources};
use hookstream_local::random_password;
use hookstream_runtime::Settings;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::output::{self, Format, progress};

/// Make webhook secrets, and see which keys the sources have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, 1 failed, 2 wrong usage or settings.

Examples:
  hookstream secret new stripe > billing.secret
  hookstream secret list --config hookstream.toml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a fresh secret in the form of a scheme
    #[command(after_help = "\
Exit code: 0 done, 1 failed.

Examples:
  (umask 077; hookstream secret new standard-webhooks > partner.secret)")]
    New {
        /// The scheme that it is for
        #[arg(value_enum)]
        scheme: Scheme,
    },
    /// List the keys of all sources, never their secrets
    ///
    /// The key id is what events carry as hs-key-id and what the metric of key uses counts by: a key whose count
    /// stands still is no longer used. An expired or retired key verifies nothing that comes in, only what is stored.
    #[command(after_help = "\
Exit code: 0 done, 2 if a source or a secret cannot be used; what is wrong is named.

Examples:
  hookstream secret list --config hookstream.toml
  hookstream secret list --format json")]
    List {
        /// How to print the keys
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Scheme {
    Github,
    Internal,
    StandardWebhooks,
    Stripe,
    Slack,
    Gitlab,
    Hmac,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::New { scheme } => new(scheme)?,
        Command::List { format } => list(&keys(settings)?, format)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn new(scheme: Scheme) -> anyhow::Result<()> {
    // 160 random bits. The first letter is always the same; the other 32 are also base64, of 24 bytes.
    let random = random_password()?;
    let letters = &random[1..];
    match scheme {
        Scheme::Internal | Scheme::StandardWebhooks => output::line(format_args!("whsec_{letters}"))?,
        Scheme::Stripe => {
            progress("Stripe chooses the secrets of its endpoints itself: this one is for tests");
            output::line(format_args!("whsec_{letters}"))?;
        }
        Scheme::Slack => {
            progress("Slack chooses the signing secrets of its apps itself: this one is for tests");
            output::line(letters)?;
        }
        Scheme::Github | Scheme::Gitlab | Scheme::Hmac => output::line(letters)?,
    }
    Ok(())
}

/// All keys and their states, by source.
fn keys(settings: &Settings) -> anyhow::Result<Vec<(KeyInfo, &'static str)>> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let in_force = Sources::read(settings)?.keys().into_iter().map(|key| match key.not_after {
        Some(not_after) if now >= not_after => (key, "expired"),
        _ => (key, "active"),
    });
    let retired = Sources::retired_keys(settings)?.into_iter().map(|key| (key, "retired"));
    let mut keys: Vec<_> = in_force.chain(retired).collect();
    keys.sort_by_key(|(key, _)| key.source);
    Ok(keys)
}

fn list(keys: &[(KeyInfo, &str)], format: Format) -> anyhow::Result<()> {
    match format {
        Format::Json => {
            let row = |(key, state): &(KeyInfo, &str)| {
                json!({
                    "source": key.source, "scheme": key.scheme, "key_id": key.key_id, "state": state,
                    "not_after": key.not_after.map(rfc3339), "from": key.place,
                })
            };
            output::json(&json!({ "keys": keys.iter().map(row).collect::<Vec<_>>() }))
        }
        Format::Table => {
            let row = |(key, state): &(KeyInfo, &str)| {
                let not_after = key.not_after.map_or_else(|| "-".to_owned(), rfc3339);
                let [source, scheme, state] = [key.source, key.scheme, state].map(str::to_owned);
                [source, scheme, key.key_id.clone(), state, not_after, key.place.clone()]
            };
            let rows: Vec<_> = keys.iter().map(row).collect();
            output::table(["SOURCE", "SCHEME", "KEY ID", "STATE", "NOT AFTER", "FROM"], &rows)
        }
    }
}

fn rfc3339(unix: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(unix).ok().and_then(|time| time.format(&Rfc3339).ok());
    time.unwrap_or_else(|| unix.to_string())
}
