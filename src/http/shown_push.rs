//! A push as the JSON API shows it.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock;
use crate::ids::Target;
use crate::store::{AddressView, DeliveryTimes, NotificationView, PushView};

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Push)]
pub(super) struct ShownPush {
    push_id: String,
    initiator: String,
    created_at: String,
    content_type: String,
    /// Bytes of the content.
    size: u64,
    addresses: Vec<ShownAddress>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PushAddress)]
struct ShownAddress {
    address: String,
    /// The group that it named, where a single push is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    /// The user that it named, where a single push is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// `pending`, `delivered`, `undeliverable`, `expired`, `aborted`, `cancelled` or `rejected`.
    state: &'static str,
    /// The PAP code.
    code: u16,
    /// In words, such as "3 of 5".
    desc: String,
    recipients: u64,
    /// How many of them have it.
    delivered: u64,
    /// When it was over.
    #[schema(required)]
    event_time: Option<String>,
    /// When its members had it, from the first one on.
    #[serde(skip_serializing_if = "Option::is_none")]
    times: Option<ShownTimes>,
    /// New members of the group who got it as its last push; they are not among the recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    welcomed: Option<u64>,
    /// The result notification, from the end of the push until it is received.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<ShownNotification>,
}

/// When members had a push: null where it has not come so far.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DeliveryTimes)]
struct ShownTimes {
    /// When the first member had it.
    #[schema(required)]
    first: Option<String>,
    /// When half of them had it.
    #[schema(required)]
    half: Option<String>,
    /// When 95 of 100 had it.
    #[schema(required)]
    most: Option<String>,
    /// When the last one so far had it.
    #[schema(required)]
    last: Option<String>,
}

impl From<DeliveryTimes> for ShownTimes {
    fn from(times: DeliveryTimes) -> Self {
        let DeliveryTimes { first, half, most, last } = times;
        let [first, half, most, last] = [first, half, most, last].map(|at| at.map(clock::format_utc));
        Self { first, half, most, last }
    }
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Notification)]
struct ShownNotification {
    /// `waiting`, or `given-up` (`notify.give_up`).
    state: &'static str,
    attempts: u32,
    #[schema(required)]
    failure: Option<String>,
    #[schema(required)]
    next_attempt: Option<String>,
}

impl From<NotificationView> for ShownNotification {
    fn from(view: NotificationView) -> Self {
        Self {
            state: if view.given_up { "given-up" } else { "waiting" },
            attempts: view.attempts,
            failure: view.failure,
            next_attempt: (!view.given_up).then(|| clock::format_utc(view.next_at)),
        }
    }
}

impl From<PushView> for ShownPush {
    fn from(view: PushView) -> Self {
        Self {
            push_id: view.push_id,
            initiator: view.initiator,
            created_at: clock::format_utc(view.created_at),
            content_type: view.content_type,
            size: view.size,
            addresses: view.addresses.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<AddressView> for ShownAddress {
    fn from(view: AddressView) -> Self {
        let (group, user) = match &view.target {
            Some(Target::Group(group)) => (Some(group.to_string()), None),
            Some(Target::User(user)) => (None, Some(user.to_string())),
            None => (None, None),
        };
        Self {
            group,
            user,
            desc: view.describe(),
            address: view.address,
            state: view.state.name(),
            code: view.code,
            recipients: view.recipients,
            delivered: view.delivered,
            event_time: view.event_at.map(clock::format_utc),
            times: view.times.first.is_some().then(|| view.times.into()),
            welcomed: Some(view.welcomed).filter(|count| *count > 0),
            notification: view.notification.map(Into::into),
        }
    }
}
