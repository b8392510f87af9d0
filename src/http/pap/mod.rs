//! PAP over HTTP POST. PAP's own problems are reported in the XML; HTTP codes are for HTTP's (WAP-247 §13).

mod cancel;
mod capabilities;
mod endpoint;
mod error_code;
mod http_errors;
mod kept_documents;
mod observe;
mod repair_log;
mod status;

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::header::HeaderName;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};

pub(super) use endpoint::Endpoint;
pub(super) use error_code::of_submission as code_of;
pub(super) use http_errors::{Endpoints, in_pap};
pub(super) use observe::{Observer, Sender};

use kept_documents::KeptDocument;

use super::problem::Problem;
use super::remote::Remote;
use super::request_id::RequestId;
use super::{Api, NOBODY, repeat_digest, submit};
use crate::caller::Caller;
use crate::clock;
use crate::gateway::{self, Content, NAME, PushRequest};
use crate::pap::code::Code;
use crate::pap::document::{
    BadMessage, DeliveryMethod, Priority, ProgressNote, PushMessage, PushResponse, ReplaceMethod,
};
use crate::pap::{self, Dialect, Document, Failure, Limits};
use crate::store;

/// Answers one PAP request.
pub(super) async fn handle(State(api): State<Arc<Api>>, endpoint: Endpoint, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // It is whole, and no larger than allowed: `super::body` has read it.
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            return Problem::bad_request(format!("the request body could not be read: {error}")).into_response();
        }
    };
    let text = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let content_type = text(header::CONTENT_TYPE);
    let caller = parts.extensions.get().cloned().unwrap_or(Caller::Stranger);
    let initiator = caller.initiator();
    let sent_by = Sender {
        initiator: &initiator,
        endpoint: parts.uri.path(),
        remote: Remote::of(&parts.extensions),
        request: RequestId::of(&parts.extensions),
    };
    let limits = Limits { strict: endpoint.strict, ..api.limits };
    let mut request = match pap::parse(content_type, &body, limits) {
        Ok(request) => request,
        Err(failure) => {
            if !endpoint.strict {
                api.observer.repairs(&sent_by, &failure.repairs);
            }
            let (document, mut dialect) = bad_message(failure);
            if let Document::BadMessage(BadMessage { code, desc: Some(desc), .. }) = &document {
                api.observer.refused(&sent_by, "unreadable", code.0, desc);
            }
            dialect.doctype = endpoint.doctype;
            return told(&api, endpoint, "unreadable", &document, &dialect);
        }
    };
    request.dialect.doctype = endpoint.doctype;
    if !endpoint.strict {
        adopt_application(&mut request, text(APPLICATION));
    }
    api.observer.repairs(&sent_by, &request.repairs);
    let (operation, dialect) = (request.document.name(), request.dialect.clone());
    let repairs = request.repairs.clone();
    let push_id = if let Document::PushMessage(push) = &request.document { Some(push.push_id.clone()) } else { None };
    if let Document::CapabilitiesQuery(query) = request.document {
        let (response, rdf) = capabilities::query(&api, &caller, query).await;
        api.observer.request("pap", operation, response.code.0);
        return endpoint.tell(&Document::CapabilitiesResponse(response), &dialect, rdf);
    }
    let is_secure = Remote::of(&parts.extensions).is_some_and(|remote| remote.is_secure);
    let sender = sender_address(is_secure, &parts.headers, &parts.uri);
    let digest = repeat_digest::pap(content_type, &body);
    let request_id = sent_by.request.map(ToOwned::to_owned);
    let origin = Origin { caller, digest, sender, dialect: dialect.to_string(), request_id };
    let document = answer(&api, endpoint, &sent_by, request, origin).await;
    if let Some(push_id) = push_id.filter(|_| document.code().is_some_and(Code::is_success)) {
        let kept = || KeptDocument::new(sent_by.endpoint, content_type, &body, &repairs);
        api.observer.documents.keep(&initiator, &push_id, kept);
    }
    told(&api, endpoint, operation, &document, &dialect)
}

/// Counts the request and answers it.
fn told(api: &Api, endpoint: Endpoint, operation: &'static str, document: &Document, dialect: &Dialect) -> Response {
    api.observer.request("pap", operation, document.code().map_or(0, |code| code.0));
    endpoint.respond(document, dialect)
}

/// Some initiators name the application in the head of the request instead of the content part, whose word counts more
/// (docs/pap.md, H3).
const APPLICATION: HeaderName = HeaderName::from_static("x-wap-application-id");

fn adopt_application(request: &mut pap::Request, named: Option<&str>) {
    let Some(content) = &mut request.content else { return };
    // An empty one names none.
    content.headers.retain(|(name, value)| name != APPLICATION.as_str() || !value.is_empty());
    let Some(named) = named.filter(|named| !named.is_empty()) else { return };
    if !content.headers.iter().any(|(name, _)| name == APPLICATION.as_str()) {
        content.headers.push((APPLICATION.as_str().to_owned(), named.to_owned()));
    }
}

fn bad_message(failure: Failure) -> (Document, Dialect) {
    let code = if failure.version { Code::VERSION_NOT_SUPPORTED } else { Code::BAD_REQUEST };
    let message = BadMessage { code, desc: Some(failure.desc), fragment: Some(failure.fragment) };
    (Document::BadMessage(message), failure.dialect)
}

/// The address the initiator posted to.
fn sender_address(is_secure: bool, headers: &HeaderMap, uri: &Uri) -> String {
    let scheme = if is_secure { "https" } else { "http" };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    format!("{scheme}://{host}{}", uri.path())
}

/// What is known of a request beside what it says.
struct Origin {
    caller: Caller,
    digest: store::Digest,
    /// The address it was posted to.
    sender: String,
    /// How it is written, for notifications.
    dialect: String,
    request_id: Option<String>,
}

async fn answer(
    api: &Api,
    endpoint: Endpoint,
    sent_by: &Sender<'_>,
    request: pap::Request,
    origin: Origin,
) -> Document {
    match request.document {
        Document::PushMessage(message) => match request.content {
            Some(content) => push(api, endpoint, sent_by, *message, content, origin).await,
            None => unexpected("a push-message without content"),
        },
        Document::CancelMessage(message) => {
            Document::CancelResponse(cancel::cancel(api, endpoint, sent_by, message).await)
        }
        Document::StatusQuery(query) => {
            Document::StatusQueryResponse(status::status(api, endpoint, sent_by.initiator, query).await)
        }
        other @ (Document::PushResponse(_)
        | Document::CancelResponse(_)
        | Document::ResultNotification(_)
        | Document::ResultNotificationResponse(_)
        | Document::StatusQueryResponse(_)
        | Document::CapabilitiesQuery(_)
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
    endpoint: Endpoint,
    sent_by: &Sender<'_>,
    message: PushMessage,
    content: pap::message::Content,
    origin: Origin,
) -> Document {
    let received = clock::now();
    let (sender, push_id) = (origin.sender.clone(), message.push_id.clone());
    let asked = message.progress_notes_requested;
    let refused = message.quality_of_service.as_ref().and_then(|quality| endpoint.refuses(quality));
    let (code, desc) = match refused {
        Some((code, desc)) => (code, Some(desc)),
        None => {
            let submitted = submit(Arc::clone(&api.gateway), push_request(endpoint, message, content, origin)).await;
            let desc = match &submitted {
                Ok(Ok(accepted)) => accepted.skipped.clone(),
                Ok(Err(refused)) => Some(refused.to_string()),
                Err(_) => None,
            };
            (code_of(&submitted), desc)
        }
    };
    if let Some(desc) = &desc {
        let reason = format!("push {push_id:?}: {desc}");
        if code.is_success() {
            api.observer.left_out(sent_by, "push-message", Code::ADDRESS_ERROR.0, &reason);
        } else {
            api.observer.refused(sent_by, "push-message", code.0, &reason);
        }
    }
    let desc = desc.map(|desc| if code.is_success() { format!("{}; {desc}", code.meaning()) } else { desc });
    let progress_notes = if asked && code.is_success() { progress(received) } else { Vec::new() };
    endpoint.answer(PushResponse {
        push_id,
        sender_address: Some(sender),
        sender_name: Some(NAME.into()),
        reply_time: Some(clock::now() / 1000),
        progress_notes,
        code,
        desc,
    })
}

/// What has happened by the time of the answer (WAP-247 §8.3): nothing more can be said in a reply that is one document.
fn progress(received: clock::Millis) -> Vec<ProgressNote> {
    let note = |stage: &str, note: &str, at: clock::Millis| ProgressNote {
        stage: stage.into(),
        note: Some(note.into()),
        time: Some(at / 1000),
    };
    vec![note("received", "the request was read", received), note("stored", "the push is on disk", clock::now())]
}

fn push_request(
    endpoint: Endpoint,
    message: PushMessage,
    content: pap::message::Content,
    origin: Origin,
) -> PushRequest {
    let quality = message.quality_of_service.unwrap_or_default();
    PushRequest {
        caller: origin.caller,
        request_id: origin.request_id,
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
            receiver: String::new(),
            form: origin.dialect,
            sender: origin.sender,
        }),
        push_all: endpoint.push_all,
        literal: endpoint.strict,
        skip_unknown: endpoint.skip_unknown,
        digest: origin.digest,
        replace: message.replace.map(|replace| gateway::Replace {
            push_id: replace.push_id,
            pending_only: replace.method == ReplaceMethod::PendingOnly,
        }),
    }
}
