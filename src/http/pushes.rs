//! `/api/v1/pushes`: the same pushes as PAP's, in JSON.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::listing::{Page, Whose};
use super::pap::Sender;
use super::problem::{Body, Path, Problem, Query, Told};
use super::remote::Remote;
use super::request_id::RequestId;
use super::{Api, repeat_digest, to_the_end};
use crate::caller::Caller;
use crate::clock::{self, Millis};
use crate::gateway::{Content, PushRequest, Replace};
use crate::policy::Action;
use crate::store::{
    AddressView, DeliveryMethod, DeliveryTimes, Digest, NotificationView, Notify, Priority, PushStage, PushView,
};

/// A push as it is posted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPush {
    to: Vec<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    body_base64: Option<String>,
    #[serde(default)]
    push_id: Option<String>,
    #[serde(default)]
    delivery: Delivery,
    #[serde(default)]
    priority: Urgency,
    #[serde(default)]
    deliver_after: Option<String>,
    #[serde(default)]
    deliver_before: Option<String>,
    #[serde(default)]
    notify_url: Option<String>,
    #[serde(default)]
    replace_push_id: Option<String>,
    #[serde(default)]
    replace_method: ReplaceMethod,
    /// Nothing is sent; the answer says whom it would reach.
    #[serde(default)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, Default, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Delivery {
    Confirmed,
    PreferConfirmed,
    Unconfirmed,
    #[default]
    NotSpecified,
}

impl Delivery {
    fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::PreferConfirmed => "preferconfirmed",
            Self::Unconfirmed => "unconfirmed",
            Self::NotSpecified => "notspecified",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Urgency {
    High,
    #[default]
    Medium,
    Low,
}

impl Urgency {
    fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ReplaceMethod {
    #[default]
    All,
    PendingOnly,
}

impl ReplaceMethod {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::PendingOnly => "pending-only",
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Taken {
    push_id: String,
    code: u16,
}

pub(super) async fn submit(
    State(api): State<Arc<Api>>,
    caller: Caller,
    extensions: Extensions,
    body: Result<Body<NewPush>, Problem>,
) -> Result<Response, Problem> {
    let taken = match body {
        Ok(Body(push)) => take(&api, caller.clone(), RequestId::of(&extensions), push).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &taken {
        let sent_by = Sender {
            initiator: &caller.initiator(),
            endpoint: PATH,
            remote: Remote::of(&extensions),
            request: RequestId::of(&extensions),
        };
        let Told { detail, code } = problem.told();
        api.observer.request("json", "push-message", code.unwrap_or_default());
        api.observer.refused(&sent_by, "push", code.unwrap_or_default(), &detail);
    }
    taken
}

const PATH: &str = "/api/v1/pushes";

async fn take(api: &Api, caller: Caller, name: Option<&str>, push: NewPush) -> Result<Response, Problem> {
    let digest = digest(&push);
    let dry_run = push.dry_run;
    let mut request = request(caller, push, digest)?;
    request.request_id = name.map(ToOwned::to_owned);
    if dry_run {
        return Ok(Json(api.gateway.dry_run(request).await?).into_response());
    }
    let gateway = Arc::clone(&api.gateway);
    let accepted = super::submit(gateway, request).await??;
    api.observer.request("json", "push-message", 1001);
    Ok((StatusCode::ACCEPTED, Json(Taken { push_id: accepted.push_id, code: 1001 })).into_response())
}

fn bad(detail: impl Into<String>) -> Problem {
    Problem::bad_request(detail).with_code(2000)
}

/// Of what the push says, however it is written down. A field that is added is hashed where it is there, so that the digest
/// of what could be said before stays the same.
fn digest(push: &NewPush) -> Digest {
    let mut hasher = repeat_digest::Stable::new("json");
    for address in &push.to {
        hasher.field("to", address);
    }
    let texts = [
        ("content_type", &push.content_type),
        ("body", &push.body),
        ("body_base64", &push.body_base64),
        ("push_id", &push.push_id),
        ("deliver_after", &push.deliver_after),
        ("deliver_before", &push.deliver_before),
        ("notify_url", &push.notify_url),
        ("replace_push_id", &push.replace_push_id),
    ];
    for (name, text) in texts {
        text.iter().for_each(|text| hasher.field(name, text));
    }
    hasher.field("delivery", push.delivery.name());
    hasher.field("priority", push.priority.name());
    hasher.field("replace_method", push.replace_method.name());
    Digest { stable: hasher.finish(), former: former_digest(push) }
}

/// The fields that papcast 0.1.0 knew, in its order.
fn former_digest(push: &NewPush) -> i64 {
    let mut hasher = DefaultHasher::new();
    (&push.to, &push.content_type, &push.body, &push.body_base64, &push.push_id).hash(&mut hasher);
    (push.delivery, push.priority, &push.deliver_after, &push.deliver_before).hash(&mut hasher);
    (&push.notify_url, &push.replace_push_id, push.replace_method).hash(&mut hasher);
    hasher.finish().cast_signed()
}

fn request(caller: Caller, push: NewPush, digest: Digest) -> Result<PushRequest, Problem> {
    let body = match (push.body, push.body_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(text)) => STANDARD.decode(text).map_err(|_| bad("body_base64 is not base64"))?,
        _ => return Err(bad("a push has either a body or a body_base64")),
    };
    Ok(PushRequest {
        caller,
        // In order of time, so that the index on push-ids grows at its end and not everywhere.
        push_id: push.push_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        addresses: push.to,
        content: Content {
            content_type: push.content_type.unwrap_or_else(|| "text/plain".into()),
            headers: Vec::new(),
            body: body.into(),
        },
        delivery: match push.delivery {
            Delivery::Confirmed => DeliveryMethod::Confirmed,
            Delivery::PreferConfirmed => DeliveryMethod::PreferConfirmed,
            Delivery::Unconfirmed => DeliveryMethod::Unconfirmed,
            Delivery::NotSpecified => DeliveryMethod::NotSpecified,
        },
        priority: match push.priority {
            Urgency::High => Priority::High,
            Urgency::Medium => Priority::Medium,
            Urgency::Low => Priority::Low,
        },
        deliver_after: time("deliver_after", push.deliver_after)?,
        deliver_before: time("deliver_before", push.deliver_before)?,
        source: None,
        request_id: None,
        notify: push.notify_url.map(|url| Notify {
            url,
            receiver: String::new(),
            form: "json".into(),
            sender: String::new(),
        }),
        push_all: false,
        literal: false,
        skip_unknown: false,
        digest,
        replace: push
            .replace_push_id
            .map(|push_id| Replace { push_id, pending_only: push.replace_method == ReplaceMethod::PendingOnly }),
    })
}

fn time(name: &str, text: Option<String>) -> Result<Option<Millis>, Problem> {
    let Some(text) = text else { return Ok(None) };
    let at = clock::parse_rfc3339(&text);
    at.map(Some).ok_or_else(|| bad(format!("{name}: {text:?} is not an RFC 3339 timestamp")))
}

#[derive(Debug, Serialize)]
pub(super) struct ShownPush {
    push_id: String,
    initiator: String,
    created_at: String,
    content_type: String,
    size: u64,
    addresses: Vec<ShownAddress>,
}

#[derive(Debug, Serialize)]
struct ShownAddress {
    address: String,
    state: &'static str,
    code: u16,
    desc: String,
    recipients: u64,
    delivered: u64,
    event_time: Option<String>,
    /// When its members had it.
    times: ShownTimes,
    /// New members who got it as the group's last push; they are not among the recipients.
    welcomed: u64,
    /// The result notification, from the end of the push until it is received.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification: Option<ShownNotification>,
}

/// When members had a push: the first one, half of them, 95 of 100, and the last one so far.
#[derive(Debug, Serialize)]
struct ShownTimes {
    first: Option<String>,
    half: Option<String>,
    most: Option<String>,
    last: Option<String>,
}

impl From<DeliveryTimes> for ShownTimes {
    fn from(times: DeliveryTimes) -> Self {
        let DeliveryTimes { first, half, most, last } = times;
        let [first, half, most, last] = [first, half, most, last].map(|at| at.map(clock::format_utc));
        Self { first, half, most, last }
    }
}

#[derive(Debug, Serialize)]
struct ShownNotification {
    /// `waiting`, or `given-up` (`notify.give_up`).
    state: &'static str,
    attempts: u32,
    failure: Option<String>,
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
        Self {
            desc: view.describe(),
            address: view.address,
            state: view.state.name(),
            code: view.code,
            recipients: view.recipients,
            delivered: view.delivered,
            event_time: view.event_at.map(clock::format_utc),
            times: view.times.into(),
            welcomed: view.welcomed,
            notification: view.notification.map(Into::into),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct Pushes {
    pushes: Vec<ShownPush>,
    next: Option<String>,
}

/// Which pushes are listed.
#[derive(Debug, Deserialize)]
pub(super) struct Filter {
    /// `scheduled` (an address is not due yet), `pending` (one is being delivered) or `finished`.
    #[serde(default)]
    state: Option<String>,
}

impl Filter {
    fn stage(&self) -> Result<Option<PushStage>, Problem> {
        let Some(name) = self.state.as_deref() else { return Ok(None) };
        let known = PushStage::ALL.map(PushStage::name).join(", ");
        let short: String = name.chars().take(64).collect();
        let unknown = || Problem::bad_request(format!("state: {short:?} is none; known: {known}"));
        PushStage::parse(name).map(Some).ok_or_else(unknown)
    }
}

pub(super) async fn list(
    State(api): State<Arc<Api>>,
    Query(page): Query<Page>,
    Query(filter): Query<Filter>,
    Query(whose): Query<Whose>,
    caller: Caller,
) -> Result<Json<Pushes>, Problem> {
    let before = match page.after.as_deref().map(str::parse) {
        None => None,
        Some(Ok(row)) => Some(row),
        Some(Err(_)) => return Err(Problem::bad_request("after= takes what an earlier answer named as next")),
    };
    let whose = if whose.is_everybody(&caller) { None } else { Some(whose.of(&caller, Action::SeeAllPushes)) };
    let stage = filter.stage()?;
    let (views, more) = api.gateway.store().pushes(whose, stage, before, page.limit()).await?;
    let next = views.last().filter(|_| more).map(|view| view.key.to_string());
    Ok(Json(Pushes { pushes: views.into_iter().map(Into::into).collect(), next }))
}

pub(super) async fn show(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(whose): Query<Whose>,
    caller: Caller,
) -> Result<Json<ShownPush>, Problem> {
    let view = api.gateway.store().push(whose.of(&caller, Action::SeeAllPushes), push_id.clone()).await?;
    let view = view.ok_or_else(|| Problem::not_found(format!("there is no push {push_id:?}")))?;
    Ok(Json(view.into()))
}

/// Cancels what is not over yet, and shows the push as it is then.
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(whose): Query<Whose>,
    caller: Caller,
    extensions: Extensions,
) -> Result<Json<ShownPush>, Problem> {
    let initiator = whose.of(&caller, Action::CancelAllPushes);
    let cancelled = take_back(&api, &initiator, &push_id).await;
    if let Err(problem) = &cancelled {
        let sent_by = Sender {
            initiator: &caller.initiator(),
            endpoint: PATH,
            remote: Remote::of(&extensions),
            request: RequestId::of(&extensions),
        };
        let Told { detail, code } = problem.told();
        api.observer.refused(&sent_by, "cancel", code.unwrap_or_default(), &detail);
    }
    cancelled
}

async fn take_back(api: &Api, initiator: &str, push_id: &str) -> Result<Json<ShownPush>, Problem> {
    let unknown = || Problem::not_found(format!("there is no push {push_id:?}")).with_code(2004);
    let (gateway, name, id) = (Arc::clone(&api.gateway), initiator.to_owned(), push_id.to_owned());
    let work = async move { gateway.cancel(&name, &id, Vec::new()).await };
    let cancelled = to_the_end(work).await??.ok_or_else(unknown)?;
    if cancelled.done.is_empty() {
        let mut states: Vec<&str> = cancelled.too_late.iter().map(|(_, state)| state.name()).collect();
        states.sort_unstable();
        states.dedup();
        let text = format!("the push {push_id:?} is over for all its addresses: {}", states.join(", "));
        return Err(Problem::new(StatusCode::CONFLICT, text).with_code(3003));
    }
    let view = api.gateway.store().push(initiator.to_owned(), push_id.to_owned()).await?;
    Ok(Json(view.ok_or_else(unknown)?.into()))
}
