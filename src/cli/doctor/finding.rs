//! What a check has found.

use serde::Serialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum State {
    Ok,
    Warn,
    Fail,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// One line of the report. A detail of what is not well ends with what to do.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Finding {
    pub(super) name: String,
    pub(super) state: State,
    pub(super) detail: String,
}

impl Finding {
    fn new(state: State, name: &str, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state, detail: detail.into() }
    }

    pub(super) fn ok(name: &str, detail: impl Into<String>) -> Self {
        Self::new(State::Ok, name, detail)
    }

    pub(super) fn warn(name: &str, detail: impl Into<String>) -> Self {
        Self::new(State::Warn, name, detail)
    }

    pub(super) fn fail(name: &str, detail: impl Into<String>) -> Self {
        Self::new(State::Fail, name, detail)
    }
}
