//! Wrong usage: what clap found, as one sentence like every other error of a command.

use std::process::ExitCode;

use clap::error::ErrorKind;

use super::ending::{self, WRONG_USAGE};

/// Prints what clap has to say instead of a command: the help that was asked for, or what is wrong.
pub(super) fn report(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // Nobody reads it: then nothing is lost.
        let _ = error.print();
        return if error.use_stderr() { WRONG_USAGE.into() } else { ExitCode::SUCCESS };
    }
    let said = sentence(&error.render().to_string());
    if asks_for_json() {
        eprintln!("{}", ending::object(&said, WRONG_USAGE, None));
    } else {
        eprintln!("papcast: {said}");
    }
    WRONG_USAGE.into()
}

/// Whether `--json` stands on a command line that clap could not read.
fn asks_for_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

/// What clap writes over several lines, and which help says more.
fn sentence(rendered: &str) -> String {
    let mut said = String::new();
    let mut command = "papcast".to_owned();
    for line in rendered.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            let words = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-']));
            command = words.collect::<Vec<_>>().join(" ");
            break;
        }
        if line.starts_with("For more information") {
            break;
        }
        let line = line.strip_prefix("error: ").unwrap_or(line);
        said.push_str(match said.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) => "; ",
        });
        said.push_str(line.strip_prefix("tip: ").unwrap_or(line));
    }
    format!("{said}; see {command} --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_usage_was_told_in_five_lines() {
        let missing = "error: the following required arguments were not provided:\n  <PUSH-ID>\n\nUsage: papcast status <PUSH-ID>\n\nFor more information, try '--help'.\n";
        assert_eq!(
            sentence(missing),
            "the following required arguments were not provided: <PUSH-ID>; see papcast status --help"
        );
        let unknown = "error: unexpected argument '--txt' found\n\n  tip: a similar argument exists: '--text'\n\nUsage: papcast push --text <TEXT> [ADDRESS]...\n";
        assert_eq!(
            sentence(unknown),
            "unexpected argument '--txt' found; a similar argument exists: '--text'; see papcast push --help"
        );
        assert_eq!(
            sentence("error: invalid value 'x' for '--n <N>': no number\n\nFor more information, try '--help'.\n"),
            "invalid value 'x' for '--n <N>': no number; see papcast --help"
        );
    }
}
