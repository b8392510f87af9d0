//! The command line: one file per command.

mod backup;
mod cancel;
mod client;
mod completions;
mod config;
mod demo;
mod group;
mod member;
mod pap_check;
mod pap_explain;
mod push;
mod serve;
mod status;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One PAP push to a group ID reaches every bound MQTT terminal.
#[derive(Debug, Parser)]
#[command(name = "papcast", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Demo(demo::Args),
    Push(push::Args),
    Status(status::Args),
    Cancel(cancel::Args),
    Terminal(terminal::Args),
    Group(group::Args),
    Member(member::Args),
    PapCheck(pap_check::Args),
    PapExplain(pap_explain::Args),
    Config(config::Args),
    Backup(backup::Args),
    Completions(completions::Args),
}

/// Exit codes: 0 success, 2 wrong usage (clap says which), 1 anything else.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("papcast: {}", sentence(&error));
            ExitCode::FAILURE
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
        Command::Terminal(args) => block_on(terminal::run(args)),
        Command::Group(args) => block_on(group::run(args)),
        Command::Member(args) => block_on(member::run(args)),
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

/// An error and its causes as one plain sentence.
fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.iter().any(|known| known.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
