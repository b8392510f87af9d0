//! Debian's Kannel, a gateway that is not ours.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Output, PAPCAST, repository};

/// Nothing of a run takes longer.
const LIMIT: Duration = Duration::from_secs(300);

/// Whether Kannel is there. Where it is not, a developer's run says so and goes on; CI fails.
pub fn available() -> bool {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
    let found = ["bearerbox", "wapbox"]
        .iter()
        .all(|name| path.split(':').any(|folder| std::path::Path::new(folder).join(name).is_file()));
    assert!(found || std::env::var_os("CI").is_none(), "CI needs Debian's package kannel");
    if !found {
        eprintln!("SKIPPED: install Debian's package kannel to run this test");
    }
    found
}

/// Runs the kit against it, in a network of its own where that is allowed. Nothing of it is left behind.
pub fn check(args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let mut child = Command::new(repository().join("tests/kannel/check.sh"))
        .arg(PAPCAST)
        .args(args)
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .stdout(file("out"))
        .stderr(file("err"))
        .process_group(0)
        .spawn()
        .unwrap();
    let group = format!("-{}", child.id());
    let begin = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        if begin.elapsed() > LIMIT {
            let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
            child.wait().unwrap();
            panic!("the run against Kannel does not end:\n{}", text("err"));
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    Output { code, out: text("out"), err: text("err") }
}
