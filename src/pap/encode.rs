//! Documents to bytes. What initiators need of a reply (docs/pap.md): nothing after the DOCTYPE but one line, no blanks
//! between elements, `code="NNNN"` with nothing that looks like it before, and always a `desc`.

use std::fmt::Write as _;

use super::choices::{Choices, DELIVERY_METHODS, PRIORITIES, REPLACE_METHODS};
use super::code::Code;
use super::document::{
    BadMessage, CancelMessage, CancelResponse, CapabilitiesQuery, CapabilitiesResponse, Document, PushMessage,
    PushResponse, QualityOfService, ResultNotification, ResultNotificationResponse, StatusQuery, StatusQueryResponse,
};
use super::fragment::FRAGMENT;
use super::time::{self, Seconds};
use super::version::{Dialect, Version};

/// Writes a document in the version of `dialect`, and as that says it.
#[must_use]
pub fn encode(document: &Document, dialect: &Dialect) -> String {
    let mut out = String::with_capacity(512);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    if dialect.doctype {
        doctype(&mut out, dialect);
    }
    body(out, document, dialect)
}

fn body(out: String, document: &Document, dialect: &Dialect) -> String {
    let mut xml = Xml { out };
    xml.out.push_str("<pap>");
    match document {
        Document::PushMessage(message) => xml.push_message(message, dialect.version),
        Document::PushResponse(response) => xml.push_response(response),
        Document::CancelMessage(CancelMessage { push_id, addresses }) => {
            xml.addressed("cancel-message", push_id, addresses)
        }
        Document::CancelResponse(response) => xml.cancel_response(response),
        Document::ResultNotification(message) => xml.result_notification(message),
        Document::ResultNotificationResponse(response) => xml.result_response(response),
        Document::StatusQuery(StatusQuery { push_id, addresses }) => {
            xml.addressed("statusquery-message", push_id, addresses)
        }
        Document::StatusQueryResponse(response) => xml.status_response(response),
        Document::CapabilitiesQuery(query) => xml.ccq_message(query),
        Document::CapabilitiesResponse(response) => xml.ccq_response(response),
        Document::BadMessage(message) => xml.bad_message(message),
    }
    xml.out.push_str("</pap>");
    xml.out
}

fn doctype(out: &mut String, dialect: &Dialect) {
    let version = dialect.version;
    let system = match version {
        version if version >= Version::V2_1 => format!("http://www.openmobilealliance.org/tech/DTD/pap_{version}.dtd"),
        version => format!("http://www.wapforum.org/DTD/pap_{version}.dtd"),
    };
    let owner = if dialect.oma { "OMA" } else { "WAPFORUM" };
    let _ = write!(out, "<!DOCTYPE pap PUBLIC \"-//{owner}//DTD PAP {version}//EN\" \"{system}\"");
    if dialect.announces() {
        let supported: Vec<String> = Version::SUPPORTED.iter().map(ToString::to_string).collect();
        let _ = write!(out, " [<?wap-pap-ver supported-versions=\"{}\"?>]", supported.join(","));
    }
    out.push_str(">\n");
}

fn name_of<T: PartialEq>(choices: &Choices<T>, value: &T) -> &'static str {
    choices.all.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

struct Xml {
    out: String,
}

impl Xml {
    fn open(&mut self, element: &str) {
        self.out.push('<');
        self.out.push_str(element);
    }

    /// Ends a start tag.
    fn inside(&mut self) {
        self.out.push('>');
    }

    /// Ends an element without children.
    fn empty(&mut self) {
        self.out.push_str("/>");
    }

    fn close(&mut self, element: &str) {
        self.out.push_str("</");
        self.out.push_str(element);
        self.out.push('>');
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape(&mut self.out, value);
        self.out.push('"');
    }

    /// Nothing for an empty value: there are readers that take it for a fault.
    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.attribute(name, value);
        }
    }

    fn time(&mut self, name: &str, at: Option<Seconds>) {
        if let Some(at) = at {
            self.attribute(name, &time::format(at));
        }
    }

    fn flag(&mut self, name: &str, set: bool) {
        if set {
            self.attribute(name, "true");
        }
    }

    fn code(&mut self, code: Code, desc: Option<&str>) {
        self.attribute("code", &code.to_string());
        self.attribute("desc", desc.filter(|desc| !desc.is_empty()).unwrap_or_else(|| code.meaning()));
    }

    fn addresses<'a>(&mut self, addresses: impl IntoIterator<Item = &'a String>) {
        for address in addresses {
            self.open("address");
            self.attribute("address-value", address);
            self.empty();
        }
    }

    fn quality(&mut self, quality: Option<&QualityOfService>) {
        let Some(quality) = quality else { return };
        self.open("quality-of-service");
        self.attribute("priority", name_of(&PRIORITIES, &quality.priority));
        self.attribute("delivery-method", name_of(&DELIVERY_METHODS, &quality.delivery_method));
        self.optional("network", quality.network.as_deref());
        self.flag("network-required", quality.network_required);
        self.optional("bearer", quality.bearer.as_deref());
        self.flag("bearer-required", quality.bearer_required);
        self.empty();
    }

    /// cancel-message and statusquery-message have the same form.
    fn addressed(&mut self, element: &str, push_id: &str, addresses: &[String]) {
        self.open(element);
        self.attribute("push-id", push_id);
        self.inside();
        self.addresses(addresses);
        self.close(element);
    }

    fn push_message(&mut self, message: &PushMessage, version: Version) {
        self.open("push-message");
        self.attribute("push-id", &message.push_id);
        self.time("deliver-before-timestamp", message.deliver_before);
        self.time("deliver-after-timestamp", message.deliver_after);
        self.optional("source-reference", message.source_reference.as_deref());
        self.optional("ppg-notify-requested-to", message.notify_requested_to.as_deref());
        self.flag("progress-notes-requested", message.progress_notes_requested);
        if let Some(replace) = message.replace.as_ref().filter(|_| version > Version::V1_0) {
            self.attribute("replace-push-id", &replace.push_id);
            self.attribute("replace-method", name_of(&REPLACE_METHODS, &replace.method));
        }
        self.inside();
        self.addresses(&message.addresses);
        self.quality(message.quality_of_service.as_ref());
        self.close("push-message");
    }

    fn push_response(&mut self, response: &PushResponse) {
        self.open("push-response");
        self.attribute("push-id", &response.push_id);
        self.optional("sender-address", response.sender_address.as_deref());
        self.optional("sender-name", response.sender_name.as_deref());
        self.time("reply-time", response.reply_time);
        self.inside();
        for note in &response.progress_notes {
            self.open("progress-note");
            self.attribute("stage", &note.stage);
            self.optional("note", note.note.as_deref());
            self.time("time", note.time);
            self.empty();
        }
        self.open("response-result");
        self.code(response.code, response.desc.as_deref());
        self.empty();
        self.close("push-response");
    }

    fn cancel_response(&mut self, response: &CancelResponse) {
        self.open("cancel-response");
        self.attribute("push-id", &response.push_id);
        self.inside();
        for result in &response.results {
            self.open("cancel-result");
            self.code(result.code, result.desc.as_deref());
            self.inside();
            self.addresses(&result.addresses);
            self.close("cancel-result");
        }
        self.close("cancel-response");
    }

    fn result_notification(&mut self, message: &ResultNotification) {
        self.open("resultnotification-message");
        self.attribute("push-id", &message.push_id);
        self.optional("sender-address", message.sender_address.as_deref());
        self.optional("sender-name", message.sender_name.as_deref());
        self.time("received-time", message.received_time);
        self.time("event-time", message.event_time);
        self.attribute("message-state", message.state.name());
        self.code(message.code, message.desc.as_deref());
        self.inside();
        self.addresses([&message.address]);
        self.quality(message.quality_of_service.as_ref());
        self.close("resultnotification-message");
    }

    fn result_response(&mut self, response: &ResultNotificationResponse) {
        self.open("resultnotification-response");
        self.attribute("push-id", &response.push_id);
        self.code(response.code, response.desc.as_deref());
        self.inside();
        self.addresses([&response.address]);
        self.close("resultnotification-response");
    }

    fn status_response(&mut self, response: &StatusQueryResponse) {
        self.open("statusquery-response");
        self.attribute("push-id", &response.push_id);
        self.inside();
        for result in &response.results {
            self.open("statusquery-result");
            self.time("event-time", result.event_time);
            self.attribute("message-state", result.state.name());
            self.code(result.code, result.desc.as_deref());
            self.inside();
            self.addresses(&result.addresses);
            self.quality(result.quality_of_service.as_ref());
            self.close("statusquery-result");
        }
        self.close("statusquery-response");
    }

    fn ccq_message(&mut self, query: &CapabilitiesQuery) {
        self.open("ccq-message");
        self.optional("query-id", query.query_id.as_deref());
        self.optional("app-id", query.app_id.as_deref());
        self.inside();
        self.addresses([&query.address]);
        self.close("ccq-message");
    }

    fn ccq_response(&mut self, response: &CapabilitiesResponse) {
        self.open("ccq-response");
        self.optional("query-id", response.query_id.as_deref());
        self.code(response.code, response.desc.as_deref());
        self.inside();
        self.addresses([&response.address]);
        self.close("ccq-response");
    }

    fn bad_message(&mut self, message: &BadMessage) {
        self.open("badmessage-response");
        self.code(message.code, message.desc.as_deref());
        let cut = message.fragment.as_ref().map(|fragment| fragment.chars().take(FRAGMENT).collect::<String>());
        self.optional("bad-message-fragment", cut.as_deref());
        self.empty();
    }
}

/// An attribute value. Blanks other than the space are written as references, or a reader would turn them into spaces;
/// characters that XML 1.0 cannot carry become U+FFFD, and the control characters that it can are written as references.
pub(super) fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' => out.push_str("&#9;"),
            '\n' => out.push_str("&#10;"),
            '\r' => out.push_str("&#13;"),
            c if c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            '\u{7f}'..='\u{9f}' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
}
