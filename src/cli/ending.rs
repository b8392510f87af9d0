//! How a command ends that did not succeed.

use std::io;

use serde_json::{Map, Value, json};

use super::client::{Failure, Problem};
use super::out::NOBODY_READS;

/// Shown by `papcast --help` and `papcast push --help`, and held to the table in `docs/cli.md` by a test.
pub(super) const EXIT_CODES: &str = "\
Exit codes:
  0  success; push --wait: everybody has it
  1  failure: refused, not found, not valid
  2  wrong usage
  3  push --wait: it is over, and not everybody has it
  4  too late: no answer, or with push --wait no outcome, in time
  5  no gateway answers";

/// Exit code of wrong usage.
pub(super) const WRONG_USAGE: u8 = 2;
const FAILURE: u8 = 1;
const TOO_LATE: u8 = 4;
const NO_GATEWAY: u8 = 5;

/// Ends with an exit code of their own; every other failure has 1, but for those of [`Failure`] that have one.
#[derive(Debug, thiserror::Error)]
pub(super) enum Ending {
    /// `push --wait`: it is over, and not everybody has it.
    #[error("{0}")]
    NotAll(String),
    #[error("{0}")]
    TooLate(String),
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
            Self::TooLate(_) => TOO_LATE,
            Self::NobodyReads => NOBODY_READS,
        }
    }
}

/// Stdout could not be written, by a command that has something to clean up before it ends.
pub(super) fn unprinted(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ending::NobodyReads.into(),
        _ => anyhow::Error::new(error).context("stdout cannot be written"),
    }
}

/// The exit code of a failure, and what is said on stderr.
pub(super) fn of(error: &anyhow::Error, json: bool) -> (u8, Option<String>) {
    let ending = error.chain().find_map(|cause| cause.downcast_ref::<Ending>());
    let code = match (ending, failure(error)) {
        (Some(Ending::NobodyReads), _) => return (NOBODY_READS, None),
        (Some(ending), _) => ending.code(),
        (None, Some(Failure::NoGateway { .. })) => NO_GATEWAY,
        (None, Some(Failure::Late { .. })) => TOO_LATE,
        (None, _) => FAILURE,
    };
    let said = sentence(error);
    (code, Some(if json { object(&said, code, problem(error)).to_string() } else { format!("papcast: {said}") }))
}

fn failure(error: &anyhow::Error) -> Option<&Failure> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>())
}

fn problem(error: &anyhow::Error) -> Option<&Problem> {
    match failure(error) {
        Some(Failure::Refused(problem)) => Some(problem),
        _ => error.chain().find_map(|cause| cause.downcast_ref::<Problem>()),
    }
}

/// An error for programs. What the gateway's problem document says is kept.
pub(super) fn object(said: &str, code: u8, problem: Option<&Problem>) -> Value {
    let mut fields = Map::new();
    if let Some(problem) = problem {
        let known = ["title", "status", "detail"].into_iter();
        let told = known.filter_map(|name| Some((name.to_owned(), problem.document.get(name)?.clone())));
        fields.insert("status".to_owned(), json!(problem.status.as_u16()));
        fields.extend(told);
    }
    fields.insert("error".to_owned(), json!(said));
    fields.insert("code".to_owned(), json!(code));
    Value::Object(fields)
}

/// An error and its causes as one plain sentence.
pub(super) fn sentence(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        // It may have come from the network.
        let text = text.replace(char::is_control, " ");
        if !parts.iter().any(|known| known.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
