//! The command line: one file per command.

#[macro_use]
mod out;

mod backup;
mod cancel;
mod client;
mod complete;
mod completions;
mod config;
mod credentials;
mod demo;
mod devices;
mod doctor;
mod ending;
mod events;
mod group;
mod group_import;
mod history;
mod man;
mod many;
mod member;
mod names;
mod overview;
mod pap_check;
mod pap_explain;
mod push;
mod pushes;
#[cfg(test)]
mod reference_page;
mod serve;
mod settings;
mod signals;
mod status;
mod stream;
mod terminal;
mod tls;
mod usage;
mod user;
mod wait_bar;
mod who;

use std::process::ExitCode;

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::telemetry;

/// One PAP push to a group ID reaches every bound MQTT terminal.
///
/// `papcast demo` shows it on this machine, `papcast serve` runs a gateway.
#[derive(Debug, Parser)]
#[command(name = "papcast", version, after_help = ending::EXIT_CODES)]
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
    Devices(devices::Args),
    User(user::Args),
    History(history::History),
    Audit(history::Audit),
    Events(events::Args),
    Top(overview::Top),
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
    Doctor(doctor::Args),
    Completions(completions::Args),
    Man(man::Args),
    #[command(hide = true)]
    Complete(complete::Args),
}

/// Exit codes: [`ending::EXIT_CODES`].
#[must_use]
pub fn main() -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage::report(&error),
    };
    let command = match Cli::from_arg_matches(&matches) {
        Ok(Cli { command: Some(command) }) => Some(command),
        Ok(Cli { command: None }) => None,
        Err(error) => return usage::report(&error),
    };
    match command.map_or_else(|| block_on(overview::bare()), run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let (code, words) = ending::of(&error, asks_for_json(&matches));
            if let Some(words) = words {
                eprintln!("{}", telemetry::last_words(&words));
            }
            code.into()
        }
    }
}

/// Whether the command was given `--json`.
fn asks_for_json(matches: &ArgMatches) -> bool {
    let mut at = Some(matches);
    while let Some(matches) = at {
        if matches.try_get_one::<bool>("json").ok().flatten() == Some(&true) {
            return true;
        }
        at = matches.subcommand().map(|(_, inner)| inner);
    }
    false
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
        Command::Devices(args) => block_on(devices::run(args)),
        Command::User(args) => block_on(user::run(args)),
        Command::History(args) => block_on(history::history(args)),
        Command::Audit(args) => block_on(history::audit(args)),
        Command::Events(args) => block_on(events::run(args)),
        Command::Top(args) => block_on(overview::top(args)),
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
        Command::Doctor(args) => block_on(doctor::run(args)),
        Command::Completions(args) => {
            completions::run(&args);
            Ok(())
        }
        Command::Man(args) => man::run(&args),
        Command::Complete(args) => block_on(complete::run(args)),
    }
}

fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(work);
    // What still runs after the grace period is not waited for.
    runtime.shutdown_background();
    result
}
