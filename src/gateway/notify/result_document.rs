//! What a notification says: a PAP resultnotification-message in the version of the submission (WAP-247 §9.5), or the
//! same in JSON.

use crate::clock;
use crate::pap::code::{Code, State as PapState};
use crate::pap::document::{DeliveryMethod, Priority, QualityOfService, ResultNotification};
use crate::pap::{self, Dialect, Document};
use crate::store::{self, Notification, State};

/// Content-Type and body.
pub(super) fn of(notification: &Notification) -> (&'static str, String) {
    match Dialect::parse(&notification.notify.form) {
        Some(dialect) => ("application/xml", xml(notification, &dialect)),
        None => ("application/json", json(notification)),
    }
}

/// What an initiator says against a notification that it took: a PAP resultnotification-response (WAP-247 §8.7) with a
/// code of failure, or a badmessage-response. Anything else in an answer says nothing.
pub(super) fn complaint(content_type: Option<&str>, body: &[u8]) -> Option<String> {
    let request = pap::parse(content_type, body, pap::Limits::default()).ok()?;
    match request.document {
        Document::ResultNotificationResponse(response) if response.code.0 >= Code::BAD_REQUEST.0 => {
            Some(format!("{} {}", response.code.0, response.desc.unwrap_or_default()))
        }
        Document::BadMessage(message) => {
            Some(format!("bad message {} {}", message.code.0, message.desc.unwrap_or_default()))
        }
        _ => None,
    }
}

fn xml(notification: &Notification, dialect: &Dialect) -> String {
    let view = &notification.address;
    let message = ResultNotification {
        push_id: notification.push_id.clone(),
        sender_address: Some(notification.notify.sender.clone()).filter(|sender| !sender.is_empty()),
        sender_name: Some(crate::gateway::NAME.into()),
        received_time: Some(notification.created_at / 1000),
        event_time: view.event_at.map(|at| at / 1000),
        state: pap_state(view.state),
        code: Code(view.code),
        desc: Some(view.describe()),
        address: view.address.clone(),
        quality_of_service: Some(pap_quality(notification.confirmed, notification.priority)),
    };
    pap::encode(&Document::ResultNotification(Box::new(message)), dialect)
}

/// What a push was really delivered with (WAP-247 §8.9).
#[must_use]
pub fn pap_quality(confirmed: bool, priority: store::Priority) -> QualityOfService {
    QualityOfService {
        delivery_method: if confirmed { DeliveryMethod::Confirmed } else { DeliveryMethod::Unconfirmed },
        priority: match priority {
            store::Priority::High => Priority::High,
            store::Priority::Medium => Priority::Medium,
            store::Priority::Low => Priority::Low,
        },
        ..QualityOfService::default()
    }
}

fn json(notification: &Notification) -> String {
    let view = &notification.address;
    serde_json::json!({
        "push_id": notification.push_id,
        "address": view.address,
        "state": view.state.name(),
        "code": view.code,
        "desc": view.describe(),
        "recipients": view.recipients,
        "delivered": view.delivered,
        "received_time": clock::format_utc(notification.created_at),
        "event_time": view.event_at.map(clock::format_utc),
    })
    .to_string()
}

/// The PAP state of a dispatch.
#[must_use]
pub fn pap_state(state: State) -> PapState {
    PapState::parse(state.name()).unwrap_or(PapState::Unknown)
}
