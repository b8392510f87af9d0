//! How a command ends that did not succeed.

use super::out::NOBODY_READS;
use super::usage::WRONG_USAGE;

/// Ends with an exit code of their own; every other failure has 1.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    /// `push --wait`: it is over, and not everybody has it.
    #[error("{0}")]
    NotAll(String),
    #[error("{0}")]
    TooLate(String),
    #[error("{0}")]
    NoGateway(String),
    /// What was asked for makes no sense, and clap could not see that.
    #[error("{0}")]
    Usage(String),
    #[error("nobody reads the output")]
    NobodyReads,
}

impl Ending {
    pub(super) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => WRONG_USAGE,
            Self::NotAll(_) => 3,
            Self::TooLate(_) => 4,
            Self::NoGateway(_) => 5,
            Self::NobodyReads => NOBODY_READS,
        }
    }
}

/// The exit code of a failure, and what is said on stderr.
pub(super) fn of(error: &anyhow::Error) -> (u8, Option<String>) {
    match error.chain().find_map(|cause| cause.downcast_ref::<Ending>()) {
        Some(ending @ Ending::NobodyReads) => (ending.code(), None),
        Some(ending) => (ending.code(), Some(sentence(error))),
        None => (1, Some(sentence(error))),
    }
}

/// An error and its causes as one plain sentence.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if !parts.iter().any(|known| known.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
