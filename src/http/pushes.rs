//! `/api/v1/pushes`: the same pushes as PAP's, in JSON.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Extensions, StatusCode};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::openapi::Object;
use utoipa::{IntoParams, ToSchema};

use super::listing::{Page, Whose, one_of};
use super::pap::Sender;
use super::problem::{Body, Path, Problem, Query, Told};
use super::remote::Remote;
use super::request_id::RequestId;
use super::shown_push::ShownPush;
use super::{Api, repeat_digest, to_the_end};
use crate::caller::Caller;
use crate::clock::{self, Millis};
use crate::gateway::{Content, PushRequest, Reach, Replace};
use crate::policy::Action;
use crate::store::{DeliveryMethod, Digest, Notify, Priority, PushStage};

/// A push as it is posted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"to": ["group:news", "user:sip:alice@example.com"], "body": "Hello"}))]
pub(super) struct NewPush {
    /// Addresses: `group:<id>`, `user:<id>`, SIP and tel URIs, WAPPUSH forms, aliases.
    #[serde(deserialize_with = "addresses")]
    to: Vec<String>,
    /// `text/plain` if it is missing.
    #[serde(default)]
    content_type: Option<String>,
    /// The content as text. A push has either this or `body_base64`.
    #[serde(default)]
    body: Option<String>,
    /// The content as bytes.
    #[serde(default)]
    #[schema(format = Byte)]
    body_base64: Option<String>,
    /// 1 to 255 bytes, unique for the initiator; made up if it is missing.
    #[serde(default)]
    push_id: Option<String>,
    #[serde(default)]
    delivery: Delivery,
    #[serde(default)]
    priority: Urgency,
    /// RFC 3339.
    #[serde(default)]
    #[schema(format = DateTime)]
    deliver_after: Option<String>,
    /// RFC 3339; at most `push.max_ttl` away.
    #[serde(default)]
    #[schema(format = DateTime)]
    deliver_before: Option<String>,
    /// Gets one JSON object for each address when it is over.
    #[serde(default)]
    notify_url: Option<String>,
    /// An earlier push that this one replaces.
    #[serde(default)]
    replace_push_id: Option<String>,
    #[serde(default)]
    replace_method: ReplaceMethod,
    /// Nothing is sent; the answer says whom it would reach.
    #[serde(default)]
    dry_run: bool,
}

/// A single address is not taken for a list of its letters, nor as an address: a list may be meant.
fn addresses<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let said = serde_json::Value::deserialize(deserializer)?;
    let text = |one: &serde_json::Value| one.as_str().map(ToOwned::to_owned);
    let all = said.as_array().and_then(|all| all.iter().map(text).collect::<Option<Vec<String>>>());
    all.ok_or_else(|| D::Error::custom("to: expected a list of addresses, such as [\"group:news\"]"))
}

/// `unconfirmed` goes out with QoS 0 and counts when it is written, all else with QoS 1 and counts when it is acknowledged.
#[derive(Debug, Clone, Copy, Default, Hash, Deserialize, ToSchema)]
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

/// The order among scheduled pushes that come due together.
#[derive(Debug, Clone, Copy, Default, Hash, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Priority)]
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

/// `all`: everybody gets the new one; `pending-only`: who has not got the old one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize, ToSchema)]
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

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Taken {
    push_id: String,
    /// The PAP code: 1001.
    code: u16,
}

/// Submits a push.
///
/// The same submission again, with the same `push_id`, is answered again.
#[utoipa::path(
    post,
    path = "/api/v1/pushes",
    request_body = NewPush,
    responses(
        (status = 202, description = "It is on disk.", body = Taken),
        (status = 200, description = "With `dry_run`: whom it would reach.", body = Reach),
        (status = 404, description = "An address names nobody known, or there is no push to be replaced."),
        (status = 409, description = "The push-id belongs to another push, or there is nothing left to be replaced."),
    )
)]
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

#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Pushes {
    pushes: Vec<ShownPush>,
    #[schema(required)]
    next: Option<String>,
}

/// Which pushes are listed.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Filter {
    #[serde(default)]
    #[param(schema_with = stages)]
    state: Option<String>,
}

fn stages() -> Object {
    one_of(
        "Only those of which an address is not due yet, or is being delivered, or of which all are over.",
        PushStage::ALL.map(PushStage::name),
    )
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

/// Lists pushes, newest first.
///
/// Whoever may see the pushes of others gets those of all with `initiator=*`.
#[utoipa::path(get, path = "/api/v1/pushes", params(Page, Filter, Whose), responses((status = 200, body = Pushes)))]
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

/// Shows a push, and what became of it at each address.
#[utoipa::path(
    get,
    path = "/api/v1/pushes/{push_id}",
    params(Whose),
    responses((status = 200, body = ShownPush), (status = 404, description = "There is no such push."))
)]
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
#[utoipa::path(
    delete,
    path = "/api/v1/pushes/{push_id}",
    params(Whose),
    responses(
        (status = 200, body = ShownPush),
        (status = 404, description = "There is no such push."),
        (status = 409, description = "It is over for all its addresses."),
    )
)]
pub(super) async fn cancel(
    State(api): State<Arc<Api>>,
    Path(push_id): Path<String>,
    Query(whose): Query<Whose>,
    caller: Caller,
    extensions: Extensions,
) -> Result<Json<ShownPush>, Problem> {
    let initiator = whose.of(&caller, Action::CancelAllPushes);
    let cancelled = take_back(&api, &initiator, &push_id).await;
    let code = cancelled.as_ref().err().map_or(1000, |problem| problem.told().code.unwrap_or_default());
    api.observer.request("json", "cancel-message", code);
    if cancelled.is_ok() && (initiator != caller.initiator() || matches!(caller, Caller::Operator { .. })) {
        api.gateway.changed(&caller, "cancel", format!("push {push_id}"), format!("of {initiator}")).await;
    }
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
