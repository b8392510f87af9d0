//! Pages of the documentation, as their Markdown has them.

use crate::common::repository;

/// A code block.
#[derive(Debug, Clone)]
pub(crate) struct Fence {
    pub(crate) line: usize,
    /// What stands behind the backticks.
    pub(crate) words: Vec<String>,
    pub(crate) text: String,
}

impl Fence {
    fn word(&self, name: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a reader does, or looks at.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) does: Does,
    /// What the page says is printed.
    pub(crate) expected: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) enum Does {
    /// Runs it to its end; `again` where the page says that it may take a moment.
    Command { text: String, again: bool },
    /// Starts it in a window of its own, which has this name.
    Start { text: String, name: String },
    /// Looks at that window.
    Look { name: String },
}

/// Paths of all pages, from the top of the repository.
pub(crate) fn all() -> Vec<String> {
    let mut found: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/pap/README.md", "fuzz/README.md"]
            .map(str::to_owned)
            .into();
    let mut folders = vec![repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path.strip_prefix(repository()).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    assert!(found.len() > 20, "the pages were found");
    found
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(repository().join(name)).unwrap()
}

pub(crate) fn fences(name: &str) -> Vec<Fence> {
    let mut found: Vec<Fence> = Vec::new();
    let mut open = false;
    for (at, line) in read(name).lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(info), false) => {
                let words = info.split_whitespace().map(str::to_owned).collect();
                found.push(Fence { line: at + 1, words, text: String::new() });
                open = true;
            }
            (Some(_), true) => open = false,
            (None, true) => found.last_mut().unwrap().text += &format!("{line}\n"),
            (None, false) => {}
        }
    }
    assert!(!open, "{name}: a code block is not closed");
    found
}

/// The commands of a page, each with what it is said to print: the `text` block that follows.
pub(crate) fn steps(name: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for fence in fences(name) {
        let line = fence.line;
        match fence.words.first().map(String::as_str) {
            Some("sh") if fence.word("no-run").is_none() => {
                let does = match fence.word("background") {
                    Some(window) => Does::Start { text: fence.text.clone(), name: window.to_owned() },
                    None => Does::Command { again: fence.words.iter().any(|w| w == "retry"), text: fence.text.clone() },
                };
                steps.push(Step { line, does, expected: None });
            }
            Some("text") => match (fence.word("from"), steps.last_mut()) {
                (Some(window), _) => {
                    let does = Does::Look { name: window.to_owned() };
                    steps.push(Step { line, does, expected: Some(fence.text) });
                }
                (None, Some(step)) if step.expected.is_none() => step.expected = Some(fence.text),
                _ => {}
            },
            _ => {}
        }
    }
    assert!(!steps.is_empty(), "{name} has no command");
    steps
}
