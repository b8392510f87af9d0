//! PAP over HTTP POST. PAP's own problems are reported in the XML; HTTP codes are for HTTP's (WAP-247 §13).

mod cancel;
mod status;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{ANYBODY, Api, submit};
use crate::clock;
use crate::config::PapProfile;
use crate::gateway::{self, Content, NAME, PushRequest, Refused};
use crate::pap::code::Code;
use crate::pap::document::{
    BadMessage, CapabilitiesResponse, DeliveryMethod, Priority, PushMessage, PushResponse, ReplaceMethod,
};
use crate::pap::{self, Dialect, Document, Failure};
use crate::store;

/// Answers one PAP request.
pub(super) async fn handle(State(api): State<Api>, profile: PapProfile, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let sender = sender_address(&parts.headers, &parts.uri);
    let request = Request::from_parts(parts, body);
    let headers = request.headers().clone();
    let body = match Bytes::from_request(request, &()).await {
        Ok(body) => body,
        Err(rejection) => return Problem::from(rejection).into_response(),
    };
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let (document, dialect) = match pap::parse(content_type, &body, api.limits) {
        Ok(request) => {
            let dialect = request.dialect.clone();
            let version = dialect.version.to_string();
            let origin = Origin { digest: digest(content_type, &body), sender, version };
            (answer(&api, profile, request, origin).await, dialect)
        }
        Err(failure) => bad_message(failure),
    };
    respond(profile, &document, &dialect)
}

/// One write with a Content-Length; some initiators cannot read anything else.
fn respond(profile: PapProfile, document: &Document, dialect: &Dialect) -> Response {
    let status = match profile {
        PapProfile::Spec => StatusCode::ACCEPTED,
        PapProfile::Blackberry => StatusCode::OK,
    };
    let body = pap::encode(document, dialect);
    (status, [(header::CONTENT_TYPE, "application/xml")], Body::from(body)).into_response()
}

fn bad_message(failure: Failure) -> (Document, Dialect) {
    let code = if failure.version { Code::VERSION_NOT_SUPPORTED } else { Code::BAD_REQUEST };
    let message = BadMessage { code, desc: Some(failure.desc), fragment: Some(failure.fragment) };
    (Document::BadMessage(message), failure.dialect)
}

/// The address the initiator posted to.
fn sender_address(headers: &HeaderMap, uri: &Uri) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("http://{host}{}", uri.path())
}

/// To know a repeated submission from another one under the same push-id.
fn digest(content_type: Option<&str>, body: &[u8]) -> i64 {
    let mut hasher = DefaultHasher::new();
    content_type.hash(&mut hasher);
    body.hash(&mut hasher);
    hasher.finish().cast_signed()
}

/// What is known of a request beside what it says.
struct Origin {
    digest: i64,
    /// The address it was posted to.
    sender: String,
    /// The PAP version it is written in.
    version: String,
}

async fn answer(api: &Api, profile: PapProfile, request: pap::Request, origin: Origin) -> Document {
    match request.document {
        Document::PushMessage(message) => match request.content {
            Some(content) => push(api, profile, *message, content, origin).await,
            None => unexpected("a push-message without content"),
        },
        Document::CancelMessage(message) => Document::CancelResponse(cancel::cancel(api, message).await),
        Document::StatusQuery(query) => Document::StatusQueryResponse(status::status(api, query).await),
        Document::CapabilitiesQuery(query) => Document::CapabilitiesResponse(CapabilitiesResponse {
            query_id: query.query_id,
            code: Code::NOT_IMPLEMENTED,
            desc: None,
            address: query.address,
        }),
        other @ (Document::PushResponse(_)
        | Document::CancelResponse(_)
        | Document::ResultNotification(_)
        | Document::ResultNotificationResponse(_)
        | Document::StatusQueryResponse(_)
        | Document::CapabilitiesResponse(_)
        | Document::BadMessage(_)) => unexpected(other.name()),
    }
}

fn unexpected(what: &str) -> Document {
    let desc = format!("a gateway is not sent a {what}");
    Document::BadMessage(BadMessage { code: Code::BAD_REQUEST, desc: Some(desc), fragment: None })
}

async fn push(
    api: &Api,
    profile: PapProfile,
    message: PushMessage,
    content: pap::message::Content,
    origin: Origin,
) -> Document {
    let sender = origin.sender.clone();
    let push_id = message.push_id.clone();
    let gateway = Arc::clone(&api.gateway);
    let request = push_request(profile, message, content, origin);
    let (code, desc) = match submit(gateway, request).await {
        Ok(Ok(_)) => (Code::ACCEPTED, None),
        Ok(Err(refused)) => (code_of(&refused), Some(refused.to_string())),
        Err(_) => (Code::INTERNAL_ERROR, None),
    };
    Document::PushResponse(PushResponse {
        push_id,
        sender_address: Some(sender),
        sender_name: Some(NAME.into()),
        reply_time: Some(clock::now() / 1000),
        progress_notes: Vec::new(),
        code,
        desc,
    })
}

fn code_of(refused: &Refused) -> Code {
    match refused {
        Refused::BadRequest(_) => Code::BAD_REQUEST,
        Refused::Expired { .. } | Refused::Notify(_) => Code::FORBIDDEN,
        Refused::Unknown(_) => Code::ADDRESS_ERROR,
        Refused::Duplicate(_) => Code::DUPLICATE_PUSH_ID,
        Refused::UnknownOld(_) => Code::PUSH_ID_NOT_FOUND,
        Refused::NothingPending(_) => Code::CANCELLATION_NOT_POSSIBLE,
        Refused::Unavailable => Code::UNAVAILABLE,
    }
}

fn push_request(
    profile: PapProfile,
    message: PushMessage,
    content: pap::message::Content,
    origin: Origin,
) -> PushRequest {
    let quality = message.quality_of_service.unwrap_or_default();
    PushRequest {
        initiator: ANYBODY.into(),
        push_id: message.push_id,
        addresses: message.addresses,
        content: Content { content_type: content.content_type, headers: content.headers, body: content.body },
        delivery: match quality.delivery_method {
            DeliveryMethod::Confirmed => store::DeliveryMethod::Confirmed,
            DeliveryMethod::PreferConfirmed => store::DeliveryMethod::PreferConfirmed,
            DeliveryMethod::Unconfirmed => store::DeliveryMethod::Unconfirmed,
            DeliveryMethod::NotSpecified => store::DeliveryMethod::NotSpecified,
        },
        priority: match quality.priority {
            Priority::High => store::Priority::High,
            Priority::Medium => store::Priority::Medium,
            Priority::Low => store::Priority::Low,
        },
        deliver_after: message.deliver_after.map(|at| at.saturating_mul(1000)),
        deliver_before: message.deliver_before.map(|at| at.saturating_mul(1000)),
        source: message.source_reference,
        notify: message.notify_requested_to.map(|url| store::Notify {
            url,
            form: origin.version,
            sender: origin.sender,
        }),
        push_all: profile == PapProfile::Blackberry,
        digest: origin.digest,
        replace: message.replace.map(|replace| gateway::Replace {
            push_id: replace.push_id,
            pending_only: replace.method == ReplaceMethod::PendingOnly,
        }),
    }
}
