use std::fs::File;
use std::io::Read as _;
use std::process::ExitCode;

use anyhow::Context as _;
use hookstream_trail::note::{PublicKey, Signer};

use crate::output::{self, progress as tell};
use crate::settings::Usage;

/// Make a key that signs checkpoints of the trail.
///
/// The private key goes to standard output, for `HOOKSTREAM_AUDIT_KEY_FILE`; the public key, which everybody may know and
/// auditors need, to standard error. `hookstream up` makes a key by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 done, 1 failed, 2 if the name cannot be one.

Examples:
  (umask 077; hookstream audit key example.org/trail > trail.key) 2> trail.vkey")]
pub(crate) struct Args {
    /// Whose key it is: a name that no other log has, without spaces and plus signs
    #[arg(value_name = "NAME")]
    name: String,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let (private, public) = make(&args.name)?;
    output::line(private)?;
    tell(public);
    Ok(ExitCode::SUCCESS)
}

/// A fresh private key, and its public one.
pub(crate) fn make(name: &str) -> anyhow::Result<(String, PublicKey)> {
    let mut seed = [0; 32];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut seed))
        .context("read /dev/urandom")?;
    let wrong = |error| Usage(format!("a key named {name:?} {error}"));
    let private = Signer::private_key(name, &seed).map_err(wrong)?;
    let public = Signer::parse(&private).map_err(wrong)?.public().clone();
    Ok((private, public))
}
