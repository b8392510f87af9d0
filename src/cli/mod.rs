//! The command line: one file per command.

#[macro_use]
mod out;

mod backup;
mod cancel;
mod client;
mod completions;
mod config;
mod credentials;
mod demo;
mod ending;
mod group;
mod member;
mod names;
mod pap_check;
mod pap_explain;
mod push;
mod pushes;
mod serve;
mod signals;
mod status;
mod terminal;
mod tls;
mod usage;
mod who;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::telemetry;

/// One PAP push to a group ID reaches every bound MQTT terminal.
///
/// `papcast demo` shows it on this machine, `papcast serve` runs a gateway. Exit codes: 0 success, 1 failure, 2 wrong usage;
/// `push` has further ones, see `papcast push --help`.
#[derive(Debug, Parser)]
#[command(name = "papcast", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Push(push::Args),
    Status(status::Args),
    Cancel(cancel::Args),
    Pushes(pushes::Args),
    Who(who::Args),
    Terminal(terminal::Args),
    Group(group::Args),
    Member(member::Args),
    Device(credentials::Device),
    Initiator(credentials::Initiator),
    Operator(credentials::Operator),
    Tls(tls::Args),
    PapCheck(pap_check::Args),
    PapExplain(pap_explain::Args),
    Config(config::Args),
    Backup(backup::Args),
    Completions(completions::Args),
}

/// Exit codes: 0 success, 2 wrong usage ([`usage`]), those of [`ending::Ending`], 1 anything else.
#[must_use]
pub fn main() -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(Cli { command: Some(command) }) => command,
        Ok(Cli { command: None }) => {
            print!("{}", Cli::command().render_help());
            return ExitCode::SUCCESS;
        }
        Err(error) => return usage::report(&error),
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, words) = ending::of(&error);
            if let Some(words) = words {
                eprintln!("{}", telemetry::last_words(&format!("papcast: {words}")));
            }
            code.into()
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => block_on(serve::run(args)),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Push(args) => block_on(push::run(args)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Cancel(args) => block_on(cancel::run(args)),
        Command::Pushes(args) => block_on(pushes::run(args)),
        Command::Who(args) => block_on(who::run(args)),
        Command::Terminal(args) => block_on(terminal::run(args)),
        Command::Group(args) => block_on(group::run(args)),
        Command::Member(args) => block_on(member::run(args)),
        Command::Device(args) => block_on(credentials::device(args)),
        Command::Initiator(args) => block_on(credentials::initiator(args)),
        Command::Operator(args) => block_on(credentials::operator(args)),
        Command::Tls(args) => tls::run(&args),
        Command::PapCheck(args) => block_on(pap_check::run(args)),
        Command::PapExplain(args) => pap_explain::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // What still runs after the grace period is not waited for.
    runtime.shutdown_background();
    result
}
