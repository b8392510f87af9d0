//! `papcast completions`: what clap knows, and the names of groups, which only the gateway knows.
//!
//! Names come from `papcast complete groups`, which small functions in the scripts call. clap_complete has an engine of its own for
//! such words (`CompleteEnv`), but it is behind a feature that may change with any version, and scripts that people have
//! installed would then call a program that no longer understands them. What the scripts call here is ours to keep.

use std::collections::BTreeSet;

use clap::{Arg, Command, CommandFactory as _, ValueHint};
use clap_complete::Shell;

/// Print shell completions.
///
/// bash: put it into ~/.local/share/bash-completion/completions/papcast. zsh: into a file _papcast in a folder of $fpath. fish: into
/// ~/.config/fish/completions/papcast.fish. These three complete the names of groups, too, where a gateway answers within a second.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: Shell,
}

/// The value name of arguments that are groups.
const GROUP: &str = "GROUP";

pub(super) fn run(args: &Args) {
    let mut command = marked(shown());
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "papcast", &mut script);
    let script = String::from_utf8_lossy(&script);
    let places = Places::of(&super::Cli::command());
    let script = match args.shell {
        Shell::Bash => format!("{script}{}", bash(&places)),
        Shell::Zsh => zsh(&script),
        Shell::Fish => format!("{script}{}", fish(&places)),
        _ => script.into_owned(),
    };
    print!("{script}");
}

/// Without hidden commands and options, which clap_complete would offer.
fn shown() -> Command {
    let whole = super::Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).map(visible);
    Command::new("papcast").version(env!("CARGO_PKG_VERSION")).subcommands(commands.collect::<Vec<_>>())
}

/// clap has no way to take an option away, and keeps no name that does not live as long as the program.
fn visible(command: &Command) -> Command {
    let (hidden, shown): (Vec<&Arg>, Vec<&Arg>) = command.get_arguments().partition(|arg| arg.is_hide_set());
    if hidden.is_empty() {
        return command.clone();
    }
    let about = command.get_about().cloned().unwrap_or_default();
    let subcommands = command.get_subcommands().cloned();
    Command::new(&*command.get_name().to_owned().leak()).about(about).args(shown).subcommands(subcommands)
}

fn is_group(arg: &Arg) -> bool {
    arg.get_value_names().is_some_and(|names| names.iter().any(|name| name == GROUP))
        || (arg.is_positional() && arg.get_id() == "group")
}

/// Groups get the hint of user names, which nothing else of ours has: its function stands in the script of zsh then.
fn marked(command: Command) -> Command {
    let mark = |arg: Arg| if is_group(&arg) { arg.value_hint(ValueHint::Username) } else { arg };
    command.mut_args(mark).mut_subcommands(marked)
}

/// Where a group is expected.
#[derive(Debug, Default)]
struct Places {
    /// Commands whose first word is one: `group show`.
    commands: BTreeSet<String>,
    /// Options that take one, with their command.
    options: BTreeSet<(String, String)>,
}

impl Places {
    fn of(command: &Command) -> Self {
        let mut places = Self::default();
        for inner in command.get_subcommands() {
            places.collect(inner, inner.get_name().to_owned());
        }
        places
    }

    fn collect(&mut self, command: &Command, path: String) {
        let options = command.get_opts().filter(|arg| is_group(arg));
        self.options.extend(options.filter_map(|arg| Some((path.clone(), arg.get_long()?.to_owned()))));
        for inner in command.get_subcommands() {
            self.collect(inner, format!("{path} {}", inner.get_name()));
        }
        if command.get_positionals().next().is_some_and(is_group) {
            self.commands.insert(path);
        }
    }
}

/// bash splits words at colons, which names of groups may have: the line itself says what was typed.
fn bash(places: &Places) -> String {
    let commands: Vec<String> = places.commands.iter().map(|path| format!("*\" {path}\"")).collect();
    let options: BTreeSet<String> = places.options.iter().map(|(_, option)| format!("--{option}")).collect();
    let options: Vec<String> = options.into_iter().collect();
    BASH.replace("COMMANDS", &commands.join(" | ")).replace("OPTIONS", &options.join(" | "))
}

const BASH: &str = r#"
# The names of groups, as the gateway says them.
_papcast_groups() {
    local line="${COMP_LINE:0:COMP_POINT}" name typed before
    local -a found=()
    typed="${line##*[[:space:]]}"
    before="${typed%"$2"}"
    while IFS= read -r name; do
        name="$(printf '%q' "$name")"
        if [[ "$name" == "$typed"* ]]; then
            found+=("${name#"$before"}")
        fi
    done < <("$1" complete groups 2>/dev/null)
    if [[ ${#found[@]} -gt 0 ]]; then
        COMPREPLY=("${found[@]}")
    fi
}

_papcast_and_groups() {
    local line="${COMP_LINE:0:COMP_POINT}" word path=""
    local -a words=()
    _papcast "$@"
    if [[ "$2" == -* ]]; then
        return 0
    fi
    read -ra words <<< "${line%"${line##*[[:space:]]}"}"
    for word in "${words[@]:1}"; do
        if [[ "$word" != -* ]]; then
            path+=" $word"
        fi
    done
    case "${word:-}" in
        OPTIONS) _papcast_groups "$@" ;;
    esac
    case "$path" in
        COMMANDS) _papcast_groups "$@" ;;
    esac
    return 0
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _papcast_and_groups -o nosort -o bashdefault -o default papcast
else
    complete -F _papcast_and_groups -o bashdefault -o default papcast
fi
"#;

/// The first line says what the file is; the function has to be there before the rest is run.
fn zsh(script: &str) -> String {
    let (first, rest) = script.split_once('\n').unwrap_or((script, ""));
    format!("{first}\n{ZSH}{}", rest.replace(":_users'", ":_papcast_groups'"))
}

const ZSH: &str = r#"
# The names of groups, as the gateway says them.
_papcast_groups() {
    local -a names
    names=(${(f)"$(command papcast complete groups 2>/dev/null)"})
    compadd -a names
}
"#;

fn fish(places: &Places) -> String {
    let mut script = String::from("\n# The names of groups, as the gateway says them.\n");
    let under = |path: &str| {
        let mut words = path.split(' ');
        let first = format!("__fish_papcast_using_subcommand {}", words.next().unwrap_or_default());
        words.fold(first, |all, word| format!("{all}; and __fish_seen_subcommand_from {word}"))
    };
    const NAMES: &str = "(papcast complete groups 2>/dev/null)";
    for path in &places.commands {
        script.push_str(&format!("complete -c papcast -n \"{}\" -f -a \"{NAMES}\"\n", under(path)));
    }
    for (path, option) in &places.options {
        script.push_str(&format!("complete -c papcast -n \"{}\" -l {option} -x -a \"{NAMES}\"\n", under(path)));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_that_takes_a_group_is_known() {
        let places = Places::of(&super::super::Cli::command());
        for path in ["group show", "group approve", "member list", "member add"] {
            assert!(places.commands.contains(path), "{path}: {places:?}");
        }
        assert!(!places.commands.contains("member show"), "takes a user");
        assert!(places.options.contains(&("terminal".to_owned(), "join".to_owned())), "{places:?}");
    }
}
