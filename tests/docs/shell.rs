//! What a reader has in front of him: windows with a shell, in a folder of their own and a network of their own.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{DEADLINE, PAPCAST, repository, wait_for};
use crate::page::{Does, Step};

/// Folders with programs. Debian has mosquitto and ip where only root looks.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

pub(crate) fn has(programs: &[&str]) -> bool {
    programs.iter().all(|name| folders().iter().any(|folder| folder.join(name).is_file()))
}

struct Window {
    child: Child,
    output: PathBuf,
}

pub(crate) struct Shell {
    folder: tempfile::TempDir,
    /// Where the commands of the page run: `cd` moves it.
    at: PathBuf,
    /// Keeps the network, and what stands before a command that is to run in it.
    network: Option<Child>,
    enter: Vec<String>,
    windows: HashMap<String, Window>,
}

impl Shell {
    /// With a network of its own where that is allowed, else where the ports are free.
    pub(crate) fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        let mut shell = Self { folder, at, network: None, enter: Vec::new(), windows: HashMap::new() };
        for own in [&["--net"][..], &["--net", "--map-root-user"]] {
            let mut child = Command::new("unshare")
                .args(own)
                .args(["sh", "-c", "PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && echo up && exec sleep 600"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .ok()?;
            let mut word = [0; 3];
            if std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut word).is_ok() {
                let user = if own.len() > 1 { &["--user", "--preserve-credentials"][..] } else { &[] };
                let enter = ["nsenter", "--target", &child.id().to_string(), "--net"];
                shell.enter = enter.iter().chain(user).map(|word| (*word).to_owned()).collect();
                shell.network = Some(child);
                return Some(shell);
            }
            let _ = child.wait();
        }
        let free = |port| std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
        [8080, 1883, 8443, 8883, 9000].into_iter().all(free).then_some(shell)
    }

    fn command(&self, words: &[&str]) -> Command {
        let words: Vec<&str> = self.enter.iter().map(String::as_str).chain(words.iter().copied()).collect();
        let mut command = Command::new(words[0]);
        let own = Path::new(PAPCAST).parent().unwrap().to_owned();
        let path = std::env::join_paths([own].into_iter().chain(folders()));
        // Settings of whoever runs the tests are none of the reader's.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PAPCAST_")) {
            command.env_remove(name);
        }
        command
            .args(&words[1..])
            .current_dir(&self.at)
            .env("PATH", path.unwrap())
            .env("HOME", self.folder.path())
            .env("TERM", "dumb")
            .env("REPOSITORY", repository())
            .env("PAPCAST_CLI_CONFIG", "")
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// What has to be there before the first command of the page.
    pub(crate) fn prepare(&mut self, before: &str) {
        for line in before.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(text) = line.strip_suffix('&') {
                let name = format!("before-{}", self.windows.len());
                self.start(&name, text);
                let expected = text.contains("papcast serve").then_some("{\"ready\":true,…}");
                self.look(&name, expected.unwrap_or_default(), line);
            } else {
                let (code, said) = self.finish(line);
                assert_eq!(code, Some(0), "{line}\n{said}");
            }
        }
    }

    pub(crate) fn run(&mut self, page: &str, step: &Step) {
        let place = format!("{page}:{}", step.line);
        let expected = step.expected.as_deref().unwrap_or_default();
        match &step.does {
            Does::Start { text, name } => {
                self.start(name, text);
                self.look(name, expected, &place);
            }
            Does::Look { name } => self.look(name, expected, &place),
            Does::Command { text, again } => {
                let begin = Instant::now();
                loop {
                    let (code, said) = self.finish(text);
                    let fits = step.expected.is_none() || matches(expected, &said);
                    if code == Some(0) && fits {
                        return;
                    }
                    let over = !again || begin.elapsed() > DEADLINE;
                    assert!(
                        !over,
                        "{place}\n{text}--- ended with {code:?} and printed\n{said}--- instead of\n{expected}{}",
                        self.windows()
                    );
                    std::thread::sleep(Duration::from_millis(100));
                }
            }
        }
    }

    /// Runs it as if somebody sat before it; answers the exit code and what it printed.
    pub(crate) fn finish(&mut self, text: &str) -> (Option<i32>, String) {
        let (script, output, place) = ["script.sh", "output", "place"].map(|name| self.folder.path().join(name)).into();
        // The folder and the variables of the page live on from one block to the next, as they do in a window.
        let kept = self.folder.path().join("variables");
        let kept = kept.display();
        let wrapped = format!(
            "set -eu\ntest ! -f {kept} || . {kept}\n{text}\nset +u\npwd > {}\nset | grep -E '^[A-Z]+=' | grep -Ev '^(BASH|EUID|PPID|UID|IFS|PATH|HOME|PWD|SHELLOPTS)' > {kept} || true\n",
            place.display()
        );
        std::fs::write(&script, wrapped).unwrap();
        let typed = format!("bash {}", script.display());
        let mut command = self.command(&["script", "-qefc", &typed, "/dev/null"]);
        let mut child = command.stdout(File::create(&output).unwrap()).stderr(Stdio::null()).spawn().unwrap();
        let read = || std::fs::read_to_string(&output).unwrap().replace('\r', "");
        let begin = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if begin.elapsed() > DEADLINE {
                end(&mut child);
                panic!("it does not end:\n{text}\n{}{}", read(), self.windows());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        if let Ok(place) = std::fs::read_to_string(&place) {
            self.at = place.trim_end().into();
        }
        (status.code(), read())
    }

    fn start(&mut self, name: &str, text: &str) {
        let output = self.folder.path().join(format!("{name}.window"));
        let kept = self.folder.path().join("variables");
        let text = format!("test ! -f {0} || . {0}\n{text}", kept.display());
        let file = File::create(&output).unwrap();
        let mut command = self.command(&["bash", "-c", &text]);
        let child = command.stderr(file.try_clone().unwrap()).stdout(file).spawn().unwrap();
        self.windows.insert(name.to_owned(), Window { child, output });
    }

    /// Waits until a window shows these lines, in this order; others may stand between them.
    fn look(&mut self, name: &str, expected: &str, place: &str) {
        let window = self.windows.get(name).unwrap_or_else(|| panic!("{place}: no window {name}"));
        let shown = || std::fs::read_to_string(&window.output).unwrap();
        let begin = Instant::now();
        wait_for("a window", || {
            let text = shown();
            let mut lines = text.lines();
            let all = expected.lines().all(|wanted| lines.any(|line| matches(wanted, line)));
            assert!(all || begin.elapsed() < DEADLINE / 2, "{place}: {name} shows\n{text}--- instead of\n{expected}");
            all.then_some(())
        });
    }

    fn windows(&self) -> String {
        let texts = self.windows.iter().map(|(name, window)| {
            format!("--- {name}\n{}", std::fs::read_to_string(&window.output).unwrap_or_default())
        });
        texts.collect()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for window in self.windows.values_mut() {
            end(&mut window.child);
        }
        if let Some(network) = &mut self.network {
            let _ = network.kill();
            let _ = network.wait();
        }
    }
}

/// It, and what it has started.
fn end(child: &mut Child) {
    let _ = Command::new("kill").args(["-KILL", "--", &format!("-{}", child.id())]).status();
    let _ = child.wait();
}

/// Whether this was said; `…` is anything, and a time is like any other.
pub(crate) fn matches(expected: &str, said: &str) -> bool {
    let (expected, said) = (without_times(expected.trim_end()), without_times(said.trim_end()));
    let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
    let (expected, said) = (trimmed(&expected), trimmed(&said));
    let mut parts = expected.split('…');
    let first = parts.next().unwrap();
    let Some(mut rest) = said.strip_prefix(first) else { return false };
    let mut last = None;
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
        last = Some(part);
    }
    match last {
        None => rest.is_empty(),
        Some(part) => part.is_empty() || said.ends_with(part),
    }
}

/// `2026-11-27T09:00:02Z`, with or without milliseconds, becomes `TIME`.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('T') {
        let is_time = at >= 10
            && rest.is_char_boundary(at - 10)
            && shape(&rest[at - 10..at]) == "0000-00-00"
            && rest.get(at + 1..at + 9).is_some_and(|time| shape(time) == "00:00:00");
        let end = rest[at..].find('Z').map(|end| at + end + 1);
        match (is_time, end) {
            (true, Some(end)) => {
                out += &rest[..at - 10];
                out += "TIME";
                rest = &rest[end..];
            }
            _ => {
                out += &rest[..=at];
                rest = &rest[at + 1..];
            }
        }
    }
    out + rest
}

fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}

#[test]
fn what_is_printed_is_compared_but_for_what_differs_each_time() {
    assert!(matches("a …c\n", "a bbb c\n") && matches("…", "") && matches("x", "x  \n"));
    assert!(!matches("a …c", "a b") && !matches("a", "a b") && !matches("a…b…c", "a c b"));
    assert!(matches("at 2026-11-27T09:00:02Z", "at 2027-01-01T00:00:00.123Z") && !matches("at T", "at 9"));
}
