//! `papcast man`: manual pages, made from the help of the commands.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::CommandFactory as _;

/// Write the manual pages: papcast.1, and a page for each command.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder for the pages, which is made where there is none; without it papcast.1 is printed.
    folder: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut command = super::Cli::command();
    // Gives every command its whole name and the options that it takes from above.
    command.build();
    let Some(folder) = &args.folder else {
        print!("{}", page(&command, "papcast")?);
        return Ok(());
    };
    std::fs::create_dir_all(folder).with_context(|| format!("{}: the folder cannot be made", folder.display()))?;
    let written = write(&command, "papcast", folder)?;
    println!("{}: {}", folder.display(), super::names::count(written, "page", "pages"));
    Ok(())
}

/// Writes the page of a command and those of the commands below it; answers how many.
fn write(command: &clap::Command, name: &str, folder: &Path) -> anyhow::Result<u64> {
    let path = folder.join(format!("{name}.1"));
    std::fs::write(&path, page(command, name)?).with_context(|| format!("{}: cannot be written", path.display()))?;
    let mut written = 1;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help") {
        written += write(inner, &format!("{name}-{}", inner.get_name()), folder)?;
    }
    Ok(written)
}

fn page(command: &clap::Command, name: &str) -> anyhow::Result<String> {
    let mut text = Vec::new();
    // Without a date: what is packaged shall be the same whenever it is made.
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).date("").manual("papcast");
    man.render(&mut text)?;
    Ok(String::from_utf8(text)?)
}
