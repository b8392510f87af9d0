//! The answer to a group request, as it goes out over MQTT and HTTP.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = GroupOperation)]
pub enum Op {
    Join,
    Leave,
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = GroupAnswerStatus)]
pub enum Status {
    Accepted,
    Pending,
    Rejected,
}

/// Why a group request was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = GroupAnswerReason)]
pub enum Reason {
    BadRequest,
    NotAuthorized,
    GroupUnknown,
    GroupClosed,
    NoGroupAssigned,
    LimitReached,
    Unavailable,
}

impl Reason {
    /// As answers have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::NotAuthorized => "not-authorized",
            Self::GroupUnknown => "group-unknown",
            Self::GroupClosed => "group-closed",
            Self::NoGroupAssigned => "no-group-assigned",
            Self::LimitReached => "limit-reached",
            Self::Unavailable => "unavailable",
        }
    }
}

/// One group of a `list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = GroupAnswerEntry)]
pub struct GroupEntry {
    pub group: String,
    pub topic: String,
    pub joined_at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = GroupAnswer)]
pub struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<Op>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<GroupEntry>>,
}

impl Answer {
    /// An answer that says yes, or not yet.
    #[must_use]
    pub fn new(op: Op, status: Status) -> Self {
        Self {
            op: Some(op),
            id: None,
            status,
            reason: None,
            desc: None,
            user: None,
            group: None,
            topic: None,
            groups: None,
        }
    }

    /// An answer that says no, and why.
    #[must_use]
    pub fn rejected(op: Option<Op>, reason: Reason, desc: impl Into<String>) -> Self {
        Self {
            op,
            id: None,
            status: Status::Rejected,
            reason: Some(reason),
            desc: Some(desc.into()),
            user: None,
            group: None,
            topic: None,
            groups: None,
        }
    }

    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}
