//! docs/commands.md, made from the help of the commands: every command with its arguments and options.

use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory as _};

/// Written anew with PAPCAST_WRITE_DOCS=1.
#[test]
fn docs_commands_md_is_what_the_help_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/commands.md");
    let known = std::fs::read_to_string(path).unwrap_or_default();
    let head = known.split_once("<!-- commands -->\n").map_or("", |(head, _)| head);
    let made = format!("{head}<!-- commands -->\n{}", page());
    if std::env::var_os("PAPCAST_WRITE_DOCS").is_some() {
        return std::fs::write(path, &made).unwrap();
    }
    assert!(known == made, "docs/commands.md is not what the help says: run the test with PAPCAST_WRITE_DOCS=1");
}

fn page() -> String {
    let mut command = super::Cli::command().disable_help_flag(true).disable_help_subcommand(true);
    command.build();
    let mut out = String::new();
    for inner in shown(&command) {
        entry(&mut out, inner, 2);
    }
    out
}

fn shown(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn entry(out: &mut String, command: &Command, level: usize) {
    let name = command.get_bin_name().unwrap_or_default();
    let _ = writeln!(out, "\n{} {name}\n", "#".repeat(level));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = writeln!(out, "{}\n", text(&about.to_string()));
    }
    let usage = command.clone().render_usage().to_string();
    let usage: Vec<&str> = usage.trim_start_matches("Usage: ").trim().lines().map(str::trim).collect();
    let _ = writeln!(out, "```text\n{}\n```", usage.join("\n"));
    let asks_a_gateway = command.get_arguments().any(|arg| arg.get_id() == "gateway");
    if asks_a_gateway {
        out.push_str("\nAnd the [settings of commands that talk to a gateway](cli.md#settings).\n");
    }
    let settings = ["gateway", "timeout", "token_file", "token", "ca"];
    let told = |arg: &&Arg| {
        let id = arg.get_id().as_str();
        let is_setting = asks_a_gateway && settings.contains(&id);
        !(arg.is_hide_set() || is_setting || matches!(id, "help" | "version"))
    };
    let rows: Vec<String> = command.get_arguments().filter(told).map(row).collect();
    if !rows.is_empty() {
        let _ = writeln!(out, "\n| argument | meaning |\n| --- | --- |\n{}", rows.join("\n"));
    }
    for inner in shown(command) {
        entry(out, inner, level + 1);
    }
}

/// An argument in one row.
fn row(arg: &Arg) -> String {
    let mut notes = text(&arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default());
    if !notes.is_empty() && !notes.ends_with(['.', ']', ')']) {
        notes.push('.');
    }
    let words: Vec<String> = arg.get_possible_values().iter().map(|word| format!("`{}`", word.get_name())).collect();
    let takes = arg.get_action().takes_values();
    if takes && !words.is_empty() {
        let _ = write!(notes, " One of {}.", words.join(", "));
    }
    let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if takes && !defaults.is_empty() {
        let _ = write!(notes, " Default: `{}`.", defaults.join(" "));
    }
    if let Some(variable) = arg.get_env() {
        let _ = write!(notes, " Environment: `{}`.", variable.to_string_lossy());
    }
    format!("| `{}` | {} |", spelled(arg).replace('|', "\\|"), notes.replace('|', "\\|").trim())
}

/// `-f, --follow` or `--to <ADDRESS>` or `[TEXT]`.
fn spelled(arg: &Arg) -> String {
    if arg.is_positional() {
        return arg.to_string();
    }
    let short = arg.get_short().map(|letter| format!("-{letter}, ")).unwrap_or_default();
    format!("{short}{arg}")
}

/// In one line, and nothing of it taken for HTML.
fn text(help: &str) -> String {
    let line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    // Every second piece between backticks is code, where nothing is HTML.
    let pieces = line.split('`').enumerate();
    let told = pieces.map(|(at, piece)| if at % 2 == 0 { piece.replace('<', "&lt;") } else { piece.to_owned() });
    told.collect::<Vec<_>>().join("`")
}
