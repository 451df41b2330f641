//! The operator's command: up, send, queue, work, provision, tail, replay, rebuild, audit, doctor, secret, bench.
//!
//! One module per subcommand, with its flags. Data goes to standard output, progress and errors to standard error;
//! the exit code is 0 for done, 1 for failed, 2 for wrong usage or settings.

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use hookstream_runtime::settings::flags;
use hookstream_runtime::{log, process};

mod audit;
mod bench;
mod doctor;
mod env_file;
mod http;
mod operations;
mod operator;
mod output;
mod pace;
mod provision;
mod queue;
mod rebuild;
mod replay;
mod secret;
mod send;
mod settings;
mod stop;
mod tail;
mod up;
mod work;

use settings::Loaded;

/// The operator's command of hookstream, an event-sourced webhook pipeline over NATS JetStream.
///
/// A gateway verifies webhooks and appends each one to a stream; projections turn the stream into Postgres tables.
/// `hookstream up` runs all of it on this machine.
#[derive(Debug, Parser)]
#[command(name = "hookstream", version, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Data goes to standard output, progress and errors to standard error.
Exit code: 0 done, 1 failed, 2 wrong usage or settings.

Settings come from flags, else the environment, else the TOML file named by --config, else their defaults. While
`hookstream up` runs, the other commands find its addresses and secrets in <data dir>/connection.env, as long as no
address is given in another way.";

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::Args),
    Send(send::Args),
    Queue(queue::Args),
    Work(work::Args),
    Provision(provision::Args),
    Tail(tail::Args),
    Replay(replay::Args),
    Audit(audit::Args),
    Rebuild(rebuild::Args),
    Doctor(doctor::Args),
    Secret(secret::Args),
    Bench(bench::Args),
    #[command(hide = true)]
    BenchStandIn(bench::stand_in::Args),
}

/// The command line, with the flags of the settings that each subcommand needs.
fn command() -> clap::Command {
    Cli::command()
        .mut_subcommand("up", |up| up.args(flags::arguments(settings::concern_up)))
        .mut_subcommand("send", |send| send.args(flags::arguments(settings::concern_send)))
        .mut_subcommand("queue", |queue| {
            queue.mut_subcommands(|command| match command.get_name() {
                "watch" => command.args(flags::arguments(settings::concern_watch)),
                _ => command.args(flags::arguments(settings::concern_queue)),
            })
        })
        .mut_subcommand("work", |work| work.args(flags::arguments(settings::concern_work)))
        .mut_subcommand("provision", |provision| {
            provision.args(flags::arguments(settings::concern_provision))
        })
        .mut_subcommand("tail", |tail| tail.args(flags::arguments(settings::concern_provision)))
        .mut_subcommand("replay", |replay| replay.args(flags::arguments(settings::concern_rebuild)))
        .mut_subcommand("rebuild", |rebuild| rebuild.args(flags::arguments(settings::concern_rebuild)))
        .mut_subcommand("doctor", |doctor| doctor.args(flags::arguments(settings::concern_doctor)))
        .mut_subcommand("audit", |audit| {
            audit.mut_subcommands(|command| command.args(flags::arguments(settings::concern_audit)))
        })
        .mut_subcommand("bench", |bench| bench.args(flags::arguments(settings::concern_bench)))
        .mut_subcommand("secret", |secret| {
            secret.mut_subcommand("list", |list| list.args(flags::arguments(settings::concern_secret)))
        })
}

/// Runs the command that this process was started with. As clap does, it ends the process at `--help` and at wrong
/// usage.
pub fn run() -> ExitCode {
    let matches = command().get_matches();
    let given = flags::given(innermost(&matches));
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let beside_up = !matches!(cli.command, Command::Up(_));
    let Loaded { settings, for_log } = match settings::load(given, beside_up) {
        Ok(loaded) => loaded,
        Err(error) => return failed("settings", &error.into()),
    };
    if let Err(error) = log::init(&for_log) {
        return failed("settings", &error.into());
    }
    let runtime = match process::runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed("start the runtime", &error.into()),
    };
    let (what, done) = match cli.command {
        Command::Up(args) => ("up", runtime.block_on(up::run(args, &settings))),
        Command::Send(args) => ("send", send::run(&args, &settings)),
        Command::Queue(args) => ("queue", runtime.block_on(queue::run(args, &settings))),
        Command::Work(args) => ("work", runtime.block_on(work::run(args, &settings))),
        Command::Provision(args) => ("provision", runtime.block_on(provision::run(args, &settings))),
        Command::Tail(args) => ("tail", runtime.block_on(tail::run(args, &settings))),
        Command::Replay(args) => ("replay", runtime.block_on(replay::run(args, &settings))),
        Command::Rebuild(args) => ("rebuild", runtime.block_on(rebuild::run(args, &settings))),
        Command::Secret(args) => ("secret", secret::run(&args, &settings)),
        Command::Audit(args) => ("audit", runtime.block_on(audit::run(args, &settings))),
        Command::Bench(args) => ("bench", bench::run(&args, &settings)),
        Command::BenchStandIn(args) => {
            ("bench-stand-in", runtime.block_on(bench::stand_in::run(args, &settings)))
        }
        Command::Doctor(args) => ("doctor", runtime.block_on(doctor::run(args, &settings))),
    };
    // What still runs is a blocking call, such as a name look-up; it holds nothing that matters.
    runtime.shutdown_background();
    match done {
        Ok(code) => code,
        Err(error) if error.is::<output::Closed>() => ExitCode::SUCCESS,
        Err(error) => failed(what, &error),
    }
}

/// What was given to the subcommand, or to the subcommand of that.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

/// Says what failed and why; the exit code tells wrong usage from the rest.
fn failed(what: &str, error: &anyhow::Error) -> ExitCode {
    output::progress(format_args!("error: {what}: {error:#}"));
    ExitCode::from(if settings::is_about_settings(error) { 2 } else { 1 })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}
