//! `papcast completions`

use clap::CommandFactory as _;

/// Print shell completions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    shell: clap_complete::Shell,
}

pub(super) fn run(args: &Args) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "papcast", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
}
