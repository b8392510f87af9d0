//! Files that are read again when they change: when each of them changed last.

use std::path::PathBuf;
use std::time::SystemTime;

/// When some files changed last; a file that cannot be looked at has no time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps(Vec<Option<SystemTime>>);

impl Stamps {
    #[must_use]
    pub fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let changed = |file: &PathBuf| std::fs::metadata(file).and_then(|about| about.modified()).ok();
        Self(files.into_iter().map(changed).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_that_comes_changes_or_goes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("key.pem");
        let nothing = Stamps::of([&file]);
        std::fs::write(&file, "a").unwrap();
        let first = Stamps::of([&file]);
        assert_ne!(nothing, first);
        assert_eq!(first, Stamps::of([&file]));
        let later = SystemTime::now() + Duration::from_secs(60);
        std::fs::File::options().write(true).open(&file).unwrap().set_modified(later).unwrap();
        assert_ne!(first, Stamps::of([&file]));
        std::fs::remove_file(&file).unwrap();
        assert_eq!(nothing, Stamps::of([&file]));
    }
}
