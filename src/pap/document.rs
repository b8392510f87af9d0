//! The documents of PAP as values; the sections are those of WAP-247. Attributes that PAP leaves optional are `Option`s; empty ones count
//! as missing.

use super::code::{Code, State};
use super::time::Seconds;

/// The one child of a `pap` element (§8.1).
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

/// How a push is to be delivered; in an answer, how it was (§8.2.2). A method that is not named is the gateway's choice.
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

/// The wish to replace an earlier push (§8.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    pub push_id: String,
    pub method: ReplaceMethod,
}

/// A submission (§8.2).
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

/// What has happened to a submission by the time of its answer (§8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgressNote {
    pub stage: String,
    pub note: Option<String>,
    pub time: Option<Seconds>,
}

/// The answer to a submission (§8.3): nothing follows its one result.
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

/// The wish to take a push back (§5.3, §8.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelMessage {
    pub push_id: String,
    /// Empty: all.
    pub addresses: Vec<String>,
}

/// What became of that (§8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelResponse {
    pub push_id: String,
    pub results: Vec<CancelResult>,
}

/// The outcome for some addresses, or for all of them (§8.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelResult {
    pub code: Code,
    pub desc: Option<String>,
    /// Empty: all.
    pub addresses: Vec<String>,
}

/// What became of one address (§5.2, §8.6).
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

/// The initiator has got that, or has not (§8.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultNotificationResponse {
    pub push_id: String,
    pub code: Code,
    pub desc: Option<String>,
    pub address: String,
}

/// The question what has become of a push (§5.4, §8.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQuery {
    pub push_id: String,
    /// Empty: all.
    pub addresses: Vec<String>,
}

/// The answer to that (§8.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQueryResponse {
    pub push_id: String,
    pub results: Vec<StatusQueryResult>,
}

/// The state of addresses that share one (§8.9). The delivery method is the one that was used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQueryResult {
    pub event_time: Option<Seconds>,
    pub state: State,
    pub code: Code,
    pub desc: Option<String>,
    pub addresses: Vec<String>,
    pub quality_of_service: Option<QualityOfService>,
}

/// The question what the terminals behind an address can do (§5.5, §8.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilitiesQuery {
    pub query_id: Option<String>,
    pub app_id: Option<String>,
    pub address: String,
}

/// The answer to that; what is known stands in another part (§7.3, §8.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CapabilitiesResponse {
    pub query_id: Option<String>,
    pub code: Code,
    pub desc: Option<String>,
    pub address: String,
}

/// The answer to what cannot be understood (§8.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadMessage {
    pub code: Code,
    pub desc: Option<String>,
    pub fragment: Option<String>,
}
