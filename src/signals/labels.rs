//! Labels of what is counted. Each says why its values are few.

use prometheus_client::encoding::EncodeLabelSet;

/// A request of an initiator by what it asked for and how it was answered. Bounded: interfaces, operations and codes are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Submission {
    /// `pap` or `json`.
    pub interface: &'static str,
    /// The element of a PAP request, or `unreadable`; of the JSON API the PAP operation that it stands for.
    pub operation: &'static str,
    /// The first PAP code of the answer.
    pub code: u16,
}

/// A repair by the row of the table in docs/pap.md. Initiators are as many as have credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PapRepair {
    pub initiator: String,
    pub row: &'static str,
}

/// Something that was refused because a limit is reached, by the key of the limit. Bounded: keys are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OverLimit {
    pub(super) limit: &'static str,
}

/// Connections by what they speak.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Spoken {
    pub(super) protocol: &'static str,
    pub(super) transport: &'static str,
}

/// Words of a fixed list.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Reason {
    pub(super) reason: &'static str,
}

/// States of a push that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct EndState {
    pub(super) state: &'static str,
}

/// The program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Build {
    pub(super) version: &'static str,
}
