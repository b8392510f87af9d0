//! The store: its file, its log, and the disk that it is on.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::finding::Finding;
use crate::store::{self, SCHEMA_VERSION};

/// Bytes beside the store below which it will soon be full, and below which there is reason to look.
const NO_SPACE: u64 = 100 << 20;
const LITTLE_SPACE: u64 = 1 << 30;
/// Bytes of a log that is folded in as it should be.
const LONG_LOG: u64 = 512 << 20;

pub(super) async fn check(path: &Path, in_use: bool) -> anyhow::Result<Vec<Finding>> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = whole.parent().unwrap_or(Path::new("/")).to_owned();
    let Ok(metadata) = std::fs::metadata(&whole) else {
        return Ok(missing(&whole, &folder));
    };
    let mut findings = vec![file(&whole, metadata.uid())];
    if in_use {
        findings.push(Finding::ok("store check", "left out: a gateway uses the store"));
    } else {
        let of = whole.clone();
        findings.push(tokio::task::spawn_blocking(move || content(&of)).await?);
    }
    findings.extend(log(&whole));
    findings.push(disk(&folder));
    Ok(findings)
}

fn missing(path: &Path, folder: &Path) -> Vec<Finding> {
    let name = path.display();
    if !folder.is_dir() {
        let what = format!("{name}: the folder does not exist; make it, or change store.path");
        return vec![Finding::fail("store", what)];
    }
    let what = format!("{name}: does not exist yet; serve makes it there (store.path is relative to its folder)");
    vec![Finding::warn("store", what), disk(folder)]
}

/// Whether the file can be read, and whose it is.
fn file(path: &Path, owner: u32) -> Finding {
    let name = path.display();
    if let Err(error) = std::fs::File::open(path) {
        return Finding::fail("store", format!("{name}: cannot be read: {error}; run this as user {owner}, its owner"));
    }
    let own = rustix::process::geteuid().as_raw();
    if owner != own {
        let what = format!("belongs to user {owner}, and you are user {own}; the gateway has to run as its owner");
        return Finding::warn("store", format!("{name}: {what}"));
    }
    Finding::ok("store", format!("{name}: can be read, and is yours"))
}

/// `PRAGMA quick_check`.
fn content(path: &Path) -> Finding {
    let name = "store check";
    let damaged = match store::examine(path) {
        Ok(found) if !found.faults.is_empty() => found.faults.join("; "),
        Ok(found) if found.schema > SCHEMA_VERSION => {
            let schema = found.schema;
            let what = format!("has schema {schema}, this papcast knows {SCHEMA_VERSION}; use a newer papcast");
            return Finding::fail(name, what);
        }
        Ok(found) if found.schema == 0 => {
            return Finding::warn(name, "nothing is in it yet; serve makes a new store of it");
        }
        Ok(found) if found.schema < SCHEMA_VERSION => {
            let what = format!("sound; schema {} is upgraded when the gateway starts", found.schema);
            return Finding::ok(name, what);
        }
        Ok(_) => return Finding::ok(name, "sound (quick_check)"),
        Err(error) => error.to_string(),
    };
    // A gateway that has started meanwhile has changed it while it was read.
    if store::is_in_use(path) {
        return Finding::ok(name, "left out: a gateway uses the store");
    }
    let advice = "go back to a backup, or try `sqlite3 FILE .recover`";
    Finding::fail(name, format!("damaged ({damaged}); {advice}"))
}

fn log(store: &Path) -> Option<Finding> {
    let mut name = store.as_os_str().to_owned();
    name.push("-wal");
    let path = PathBuf::from(name);
    let size = std::fs::metadata(&path).ok()?.len();
    let said = format!("{}: {}", path.display(), in_words(size));
    Some(if size > LONG_LOG {
        let advice = "something keeps it from being folded in: end programs that read the store, restart the gateway";
        Finding::warn("store log", format!("{said}; {advice}"))
    } else {
        Finding::ok("store log", said)
    })
}

fn disk(folder: &Path) -> Finding {
    let name = folder.display();
    let free = match rustix::fs::statvfs(folder) {
        Ok(disk) => disk.f_bavail.saturating_mul(disk.f_frsize),
        Err(error) => return Finding::warn("disk", format!("{name}: cannot be asked for its free space: {error}")),
    };
    let said = format!("{name}: {} free", in_words(free));
    match free {
        ..NO_SPACE => Finding::fail("disk", format!("{said}; make room, or pushes are refused")),
        NO_SPACE..LITTLE_SPACE => Finding::warn("disk", format!("{said}; make room soon")),
        LITTLE_SPACE.. => Finding::ok("disk", said),
    }
}

fn in_words(bytes: u64) -> String {
    match bytes {
        ..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        1_000_000_000.. => format!("{} GB", bytes / 1_000_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_in_words() {
        assert_eq!([in_words(12), in_words(70_000), in_words(5_000_000)], ["12 bytes", "70 kB", "5 MB"]);
        assert_eq!(in_words(3_999_999_999), "3 GB");
    }
}
