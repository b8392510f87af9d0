//! What a terminal keeps between two runs: the groups it was let into, and their topics.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// One group, as the gateway's answer named it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joined {
    pub group: String,
    pub topic: String,
}

/// A file with a terminal's groups.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    stored: Stored,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    user: String,
    groups: Vec<Joined>,
}

impl Memory {
    /// Reads the file; one that is missing, or belongs to another user, is an empty memory.
    pub fn open(path: &Path, user: &str) -> io::Result<Self> {
        let stored = match fs::read(path) {
            Ok(text) => {
                serde_json::from_slice(&text).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(error),
        };
        let stored = if stored.user == user { stored } else { Stored { user: user.to_owned(), groups: Vec::new() } };
        Ok(Self { path: path.to_owned(), stored })
    }

    #[must_use]
    pub fn groups(&self) -> &[Joined] {
        &self.stored.groups
    }

    #[must_use]
    pub fn knows(&self, group: &str) -> bool {
        self.stored.groups.iter().any(|joined| joined.group == group)
    }

    /// The group whose pushes arrive on a topic.
    #[must_use]
    pub fn group_of(&self, topic: &str) -> Option<&str> {
        self.stored.groups.iter().find(|joined| joined.topic == topic).map(|joined| joined.group.as_str())
    }

    /// Keeps an answer. The file is replaced as a whole, so that a crash leaves the old one or the new one.
    pub fn remember(&mut self, joined: Joined) -> io::Result<()> {
        if self.stored.groups.contains(&joined) {
            return Ok(());
        }
        self.stored.groups.retain(|known| known.group != joined.group);
        self.stored.groups.push(joined);
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let text = serde_json::to_vec_pretty(&self.stored).map_err(io::Error::other)?;
        let fresh = self.path.with_extension("new");
        fs::write(&fresh, text)?;
        fs::rename(&fresh, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_there_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/alice.json");
        let news = Joined { group: "news".into(), topic: "groups/news".into() };
        let mut memory = Memory::open(&path, "alice").unwrap();
        assert!(memory.groups().is_empty());
        memory.remember(news.clone()).unwrap();
        let memory = Memory::open(&path, "alice").unwrap();
        assert_eq!(memory.groups(), [news]);
        assert_eq!(memory.group_of("groups/news"), Some("news"));
        assert!(Memory::open(&path, "bob").unwrap().groups().is_empty());
        fs::write(&path, "{").unwrap();
        assert!(Memory::open(&path, "alice").is_err());
    }
}
