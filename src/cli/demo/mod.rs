//! `papcast demo`: the whole thing on one machine, with nothing prepared, told as a story.

mod cast;
mod fleet;
mod gateway_process;
mod message;
mod page;
mod story;
mod tally;

use std::path::PathBuf;

use anyhow::Context as _;

use super::ending::{self, Ending};
use super::signals::Interrupt;
use cast::Cast;
use page::Page;

/// A story of ten seconds: a gateway, a group of devices, one PAP request, kill -9, and who has it.
///
/// Of 100 devices five are switched off, and one is too small for the push. The gateway is killed and started again, and those that were
/// away get the push when they are back. Everything is on this machine, on free ports, and is gone at the end.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How many devices. Each takes some 50 KB of memory and an open file here and one in the gateway; 200 more are open besides.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    terminals: u32,
    /// Leave gateway and devices running, print the address of the console, and end with Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Print the result as JSON, and nothing else on stdout.
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    enough_files(args.terminals)?;
    // Before the folder is made: whoever interrupts the demo finds it removed.
    let mut interrupt = Interrupt::watch().context("signals cannot be watched")?;
    // Removed when this function ends, after the gateway that writes into it.
    let folder = Folder::new()?;
    let page = Page::new(args.json);
    let told = tokio::select! {
        told = story::tell(&page, &folder.0, Cast::of(args.terminals), args.keep) => told,
        () = interrupt.came() => Err(anyhow::anyhow!("the demo was interrupted")),
    };
    let mut running = told.map_err(failed)?;
    if args.keep {
        tokio::select! {
            () = running.go_on() => {}
            () = interrupt.came() => {}
        }
        drop(running);
        drop(folder);
        eprintln!("the demo is over; nothing of it is left");
    }
    Ok(())
}

/// That its own gateway does not answer is a failure of the demo, and not what exit code 5 is for.
fn failed(error: anyhow::Error) -> anyhow::Error {
    if error.is::<Ending>() { error } else { anyhow::anyhow!(ending::sentence(&error)) }
}

/// Files that a gateway, or this program, has open besides one end of each connection.
const OTHER_FILES: u64 = 200;

/// Too few open files would show as devices that never join. The gateway is a process of its own with the same limit.
fn enough_files(terminals: u32) -> anyhow::Result<()> {
    let needed = u64::from(terminals) + OTHER_FILES;
    let allowed = rlimit::increase_nofile_limit(needed).unwrap_or(needed);
    let fit = allowed.saturating_sub(OTHER_FILES);
    let fewer = if fit > 0 { format!("ask for fewer (--terminals {fit}), or ") } else { String::new() };
    anyhow::ensure!(
        allowed >= needed,
        "{terminals} terminals need {needed} open files, and the system allows this program {allowed}: \
         {fewer}raise the limit (ulimit -n {needed})"
    );
    Ok(())
}

/// A temporary folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("papcast-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&path)
            .with_context(|| format!("{}: the folder for the demo cannot be made (TMPDIR)", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
