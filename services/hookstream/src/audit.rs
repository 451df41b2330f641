//! `hookstream audit`: the trail, for those who check it.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Subcommand;
use hookstream_audit::public_keys;
use hookstream_runtime::Settings;
use hookstream_store::{Connection, PgSettings};
use hookstream_trail::note::{PublicKey, Signer};
use secrecy::ExposeSecret as _;

use crate::operator;
use crate::settings::Usage;

pub(crate) use key::make as make_key;

mod check;
mod export;
mod key;
mod list;
mod notes;
mod prove;
mod resume;
mod reverify;
mod verify;
mod witness;

/// Read and verify the audit trail, and prove what is in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, 1 failed (something is wrong with the trail, or it cannot be read), 2 wrong usage or settings.

Examples:
  hookstream audit list --kind conflict --since -24h
  hookstream audit verify
  hookstream audit reverify
  hookstream audit prove --event github:72d3162e-cc78-11e3-81ab-4c9367dc0958 --out proof.json
  hookstream audit check proof.json --key 'example.org/trail+c74f20a3+ARpc…'
  hookstream audit witness --state witness.note")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Verify(verify::Args),
    Reverify(reverify::Args),
    Prove(prove::Args),
    Check(check::Args),
    Export(export::Args),
    Witness(witness::Args),
    Resume(resume::Args),
    Key(key::Args),
}

/// Runs the command.
pub(crate) async fn run(args: Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    match args.command {
        Command::List(args) => list::run(args, settings).await,
        Command::Reverify(args) => reverify::run(args, settings).await,
        Command::Verify(args) => verify::run(args, settings).await,
        Command::Prove(args) => prove::run(args, settings).await,
        Command::Check(args) => check::run(&args, settings),
        Command::Export(args) => export::run(args, settings).await,
        Command::Witness(args) => witness::run(args, settings).await,
        Command::Resume(args) => resume::run(args, settings).await,
        Command::Key(args) => key::run(&args),
    }
}

/// Keys that are trusted: those given, else those of the settings.
#[derive(Debug, clap::Args)]
struct Keys {
    /// Public key of the checkpoints, <name>+<id>+<base64>; may be repeated [default: `HOOKSTREAM_AUDIT_PUBLIC_KEYS`]
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<String>,
}

impl Keys {
    fn read(&self, settings: &Settings) -> anyhow::Result<Vec<PublicKey>> {
        if self.keys.is_empty() {
            let mut keys = public_keys(settings)?;
            // Whoever has the private key has the public one.
            let private = "HOOKSTREAM_AUDIT_KEY";
            if let Some(text) = settings.secret(private) {
                let signer = Signer::parse(text.expose_secret());
                let signer = signer.map_err(|error| settings.invalid(private, error.to_string()))?;
                keys.push(signer.public().clone());
            }
            return Ok(keys);
        }
        let key = |text: &String| {
            PublicKey::parse(text).map_err(|error| Usage(format!("--key {text:?} {error}")).into())
        };
        self.keys.iter().map(key).collect()
    }

    /// The same, where nothing can be done without one.
    fn required(&self, settings: &Settings) -> anyhow::Result<Vec<PublicKey>> {
        let keys = self.read(settings)?;
        if keys.is_empty() {
            return Err(Usage("give the public key of the checkpoints with --key".to_owned()).into());
        }
        Ok(keys)
    }

    /// The same, to compare with what is in these files: what is signed by nobody known cannot be compared with.
    fn to_compare(&self, files: &[PathBuf], settings: &Settings) -> anyhow::Result<Vec<PublicKey>> {
        if files.is_empty() { self.read(settings) } else { self.required(settings) }
    }
}

/// A session on the trail's database.
async fn database(settings: &Settings) -> anyhow::Result<Connection> {
    let postgres = PgSettings::read(&|name| settings.get(name))?;
    operator::session(&postgres, "hookstream-audit-command").await
}

/// From now on the session sees the trail as it is now, whatever is appended.
async fn hold_still(client: &Connection) -> anyhow::Result<()> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await.context("begin to read")
}
