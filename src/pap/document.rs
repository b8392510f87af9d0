//! The documents of PAP as values (WAP-247 §8 to §11). Attributes that PAP leaves optional are `Option`s; empty ones count
//! as missing.

use super::code::{Code, State};
use super::time::Seconds;

/// The one child of a `pap` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    PushMessage(Box<PushMessage>),
    PushResponse(PushResponse),
    CancelMessage(CancelMessage),
    CancelResponse(CancelResponse),
    ResultNotification(Box<ResultNotification>),
    ResultNotificationResponse(ResultNotificationResponse),
    StatusQuery(StatusQuery),
    StatusQueryResponse(StatusQueryResponse),
    CapabilitiesQuery(CapabilitiesQuery),
    CapabilitiesResponse(CapabilitiesResponse),
    BadMessage(BadMessage),
}

impl Document {
    /// The name of its element.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::PushMessage(_) => "push-message",
            Self::PushResponse(_) => "push-response",
            Self::CancelMessage(_) => "cancel-message",
            Self::CancelResponse(_) => "cancel-response",
            Self::ResultNotification(_) => "resultnotification-message",
            Self::ResultNotificationResponse(_) => "resultnotification-response",
            Self::StatusQuery(_) => "statusquery-message",
            Self::StatusQueryResponse(_) => "statusquery-response",
            Self::CapabilitiesQuery(_) => "ccq-message",
            Self::CapabilitiesResponse(_) => "ccq-response",
            Self::BadMessage(_) => "badmessage-response",
        }
    }

    /// The first status code of an answer; a request has none.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::PushResponse(response) => Some(response.code),
            Self::CancelResponse(response) => response.results.first().map(|result| result.code),
            Self::ResultNotification(message) => Some(message.code),
            Self::ResultNotificationResponse(response) => Some(response.code),
            Self::StatusQueryResponse(response) => response.results.first().map(|result| result.code),
            Self::CapabilitiesResponse(response) => Some(response.code),
            Self::BadMessage(message) => Some(message.code),
            Self::PushMessage(_) | Self::CancelMessage(_) | Self::StatusQuery(_) | Self::CapabilitiesQuery(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Priority {
    High,
    #[default]
    Medium,
    Low,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeliveryMethod {
    Confirmed,
    PreferConfirmed,
    Unconfirmed,
    #[default]
    NotSpecified,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QualityOfService {
    pub priority: Priority,
    pub delivery_method: DeliveryMethod,
    pub network: Option<String>,
    pub network_required: bool,
    pub bearer: Option<String>,
    pub bearer_required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplaceMethod {
    #[default]
    All,
    PendingOnly,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    pub push_id: String,
    pub method: ReplaceMethod,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PushMessage {
    pub push_id: String,
    pub deliver_before: Option<Seconds>,
    pub deliver_after: Option<Seconds>,
    pub source_reference: Option<String>,
    pub notify_requested_to: Option<String>,
    pub progress_notes_requested: bool,
    /// From 2.0 on.
    pub replace: Option<Replace>,
    /// As they were written; at least one.
    pub addresses: Vec<String>,
    pub quality_of_service: Option<QualityOfService>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressNote {
    pub stage: String,
    pub note: Option<String>,
    pub time: Option<Seconds>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushResponse {
    pub push_id: String,
    pub sender_address: Option<String>,
    pub sender_name: Option<String>,
    pub reply_time: Option<Seconds>,
    pub progress_notes: Vec<ProgressNote>,
    pub code: Code,
    pub desc: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelMessage {
    pub push_id: String,
    /// Empty: all.
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelResponse {
    pub push_id: String,
    pub results: Vec<CancelResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelResult {
    pub code: Code,
    pub desc: Option<String>,
    /// Empty: all.
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultNotification {
    pub push_id: String,
    pub sender_address: Option<String>,
    pub sender_name: Option<String>,
    pub received_time: Option<Seconds>,
    pub event_time: Option<Seconds>,
    pub state: State,
    pub code: Code,
    pub desc: Option<String>,
    pub address: String,
    pub quality_of_service: Option<QualityOfService>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultNotificationResponse {
    pub push_id: String,
    pub code: Code,
    pub desc: Option<String>,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQuery {
    pub push_id: String,
    /// Empty: all.
    pub addresses: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQueryResponse {
    pub push_id: String,
    pub results: Vec<StatusQueryResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQueryResult {
    pub event_time: Option<Seconds>,
    pub state: State,
    pub code: Code,
    pub desc: Option<String>,
    pub addresses: Vec<String>,
    pub quality_of_service: Option<QualityOfService>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilitiesQuery {
    pub query_id: Option<String>,
    pub app_id: Option<String>,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilitiesResponse {
    pub query_id: Option<String>,
    pub code: Code,
    pub desc: Option<String>,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage {
    pub code: Code,
    pub desc: Option<String>,
    pub fragment: Option<String>,
}
