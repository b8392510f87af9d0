//! Elements to documents: the schema of WAP-247 §8, checked in code.

mod responses;

use std::borrow::Cow;

use super::address;
use super::choices::{Choices, DELIVERY_METHODS, FLAGS, PRIORITIES, REPLACE_METHODS};
use super::code::{Code, State};
use super::document::{
    CancelMessage, CapabilitiesQuery, Document, PushMessage, QualityOfService, Replace, StatusQuery,
};
use super::repair::{Repair, Repairs};
pub use super::schema_error::SchemaError;
use super::time::{self, Seconds};
use super::version::Version;
use super::xml::Element;

/// Longest address value, in bytes.
const ADDRESS: usize = 4_096;

/// Attributes that initiators are known to misspell (compatibility table, X4), and what they mean.
const MISSPELLED: [(&str, &str); 5] = [
    ("ppg-notifiy-requested-to", "ppg-notify-requested-to"),
    ("results-notification-to", "ppg-notify-requested-to"),
    ("request-progress-notes", "progress-notes-requested"),
    ("push-replace-id", "replace-push-id"),
    ("deliver-before-timestmap", "deliver-before-timestamp"),
];

/// The children that a `pap` element may have (WAP-247 §8.1).
const DOCUMENTS: [&str; 11] = [
    "push-message",
    "push-response",
    "cancel-message",
    "cancel-response",
    "resultnotification-message",
    "resultnotification-response",
    "statusquery-message",
    "statusquery-response",
    "ccq-message",
    "ccq-response",
    "badmessage-response",
];

/// What the reading depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Of the document. What is unknown in a newer minor version than ours is ignored, and not bent (§9).
    pub version: Version,
}

impl Reading {
    fn is_newer(self) -> bool {
        self.version > Version::V2_1
    }
}

/// The document inside a `pap` element.
pub fn document(mut root: Element<'_>, reading: Reading, repairs: &mut Repairs) -> Result<Document, SchemaError> {
    if root.name != "pap" {
        return Err(SchemaError::Root(short(root.name)));
    }
    let mut decoder = Decoder { reading, repairs };
    let count = root.children.len();
    if count > 1 {
        // What is no document may stand beside it like anything else that is unknown.
        for child in root.children.extract_if(.., |child| !DOCUMENTS.contains(&child.name)) {
            decoder.note_unknown(child.name);
        }
    }
    let mut documents = std::mem::take(&mut root.children);
    let (Some(element), true) = (documents.pop(), documents.is_empty()) else {
        return Err(SchemaError::Documents(count));
    };
    decoder.close(&Fields { name: "pap", element: root }, &["product-name"]);
    match element.name {
        "push-message" => decoder.push_message(element).map(|message| Document::PushMessage(Box::new(message))),
        "push-response" => decoder.push_response(element).map(Document::PushResponse),
        "cancel-message" => decoder.cancel_message(element).map(Document::CancelMessage),
        "cancel-response" => decoder.cancel_response(element).map(Document::CancelResponse),
        "resultnotification-message" => {
            decoder.result_notification(element).map(|message| Document::ResultNotification(Box::new(message)))
        }
        "resultnotification-response" => decoder.result_response(element).map(Document::ResultNotificationResponse),
        "statusquery-message" => decoder.status_query(element).map(Document::StatusQuery),
        "statusquery-response" => decoder.status_response(element).map(Document::StatusQueryResponse),
        "ccq-message" => decoder.ccq_message(element).map(Document::CapabilitiesQuery),
        "ccq-response" => decoder.ccq_response(element).map(Document::CapabilitiesResponse),
        "badmessage-response" => decoder.bad_message(element).map(Document::BadMessage),
        other => Err(SchemaError::UnknownDocument(short(other))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

/// One element while it is read: what is taken out is known, what is left is not.
struct Fields<'a> {
    name: &'static str,
    element: Element<'a>,
}

impl Fields<'_> {
    fn optional(&mut self, attribute: &'static str) -> Option<String> {
        self.element.take(attribute).map(Cow::into_owned)
    }

    fn required(&mut self, attribute: &'static str) -> Result<String, SchemaError> {
        self.optional(attribute).ok_or(SchemaError::Missing { element: self.name, attribute })
    }

    fn has_any(&self, attributes: &[&str]) -> bool {
        attributes.iter().any(|attribute| self.element.get(attribute).is_some())
    }

    fn value(&self, attribute: &'static str, value: &str) -> SchemaError {
        SchemaError::Value { element: self.name, attribute, value: short(value) }
    }
}

struct Decoder<'r> {
    reading: Reading,
    repairs: &'r mut Repairs,
}

impl<'r> Decoder<'r> {
    /// Begins an element: known misspellings get their right names.
    fn open<'a>(&mut self, name: &'static str, mut element: Element<'a>) -> Fields<'a> {
        for (wrong, right) in MISSPELLED {
            let right_is_there = element.get(right).is_some();
            if let Some(known) = element.attributes.iter_mut().find(|(known, _)| *known == wrong && !right_is_there) {
                known.0 = right;
                self.repairs.note(Repair::Misspelled);
            }
        }
        Fields { name, element }
    }

    /// Ends an element: what is left in it is unknown.
    fn close(&mut self, fields: &Fields<'_>, known: &[&str]) {
        let attributes = fields.element.attributes.iter().map(|(name, _)| *name).filter(|name| !known.contains(name));
        for name in attributes.chain(fields.element.children.iter().map(|child| child.name)) {
            self.note_unknown(name);
        }
    }

    fn note_unknown(&mut self, name: &str) {
        if !self.reading.is_newer() {
            self.repairs.note_unknown(name);
        }
    }

    fn timestamp(&mut self, fields: &mut Fields<'_>, attribute: &'static str) -> Result<Option<Seconds>, SchemaError> {
        let is_there = fields.has_any(&[attribute]);
        let Some(text) = fields.optional(attribute).filter(|text| !text.trim().is_empty()) else {
            if is_there {
                self.repairs.note(Repair::BentTimestamp);
            }
            return Ok(None);
        };
        match time::parse(&text) {
            Some((at, false)) => Ok(Some(at)),
            Some((at, true)) => {
                self.repairs.note(Repair::BentTimestamp);
                Ok(Some(at))
            }
            _ => Err(fields.value(attribute, &text)),
        }
    }

    /// An enumeration; initiators also write it in other cases, and some have words of their own.
    fn choice<T: Copy>(
        &mut self,
        fields: &mut Fields<'_>,
        attribute: &'static str,
        all: &Choices<T>,
    ) -> Result<Option<T>, SchemaError> {
        let is_there = fields.has_any(&[attribute]);
        let Some(text) = fields.optional(attribute) else {
            if is_there {
                self.repairs.note(Repair::OtherCase);
            }
            return Ok(None);
        };
        let (value, repair) = all.read(&text).ok_or_else(|| SchemaError::Choice {
            element: fields.name,
            attribute,
            value: short(&text),
            allowed: all.names(),
        })?;
        if let Some(repair) = repair {
            self.repairs.note(repair);
        }
        Ok(Some(value))
    }

    fn flag(&mut self, fields: &mut Fields<'_>, attribute: &'static str) -> Result<bool, SchemaError> {
        Ok(self.choice(fields, attribute, &FLAGS)?.unwrap_or(false))
    }

    fn code(fields: &mut Fields<'_>) -> Result<Code, SchemaError> {
        let text = fields.required("code")?;
        let digits = text.trim();
        let four = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
        let code = digits.parse().ok().filter(|_| four).map(Code);
        code.ok_or_else(|| fields.value("code", &text))
    }

    fn state(fields: &mut Fields<'_>) -> Result<State, SchemaError> {
        let text = fields.required("message-state")?;
        State::parse(&text).ok_or_else(|| fields.value("message-state", &text))
    }

    /// The children of one name, taken out.
    fn children<'a>(fields: &mut Fields<'a>, name: &str) -> Vec<Element<'a>> {
        let all = std::mem::take(&mut fields.element.children);
        let (wanted, rest) = all.into_iter().partition(|child| child.name == name);
        fields.element.children = rest;
        wanted
    }

    fn addresses(&mut self, fields: &mut Fields<'_>) -> Result<Vec<String>, SchemaError> {
        let element = fields.name;
        Self::children(fields, "address").into_iter().map(|child| self.address_value(element, child)).collect()
    }

    fn address_value(&mut self, element: &'static str, child: Element<'_>) -> Result<String, SchemaError> {
        let mut address = Fields { name: "address", element: child };
        let value = address.required("address-value")?;
        if value.len() > ADDRESS {
            return Err(SchemaError::AddressTooLong { element, limit: ADDRESS });
        }
        if let Some(repair) = address::bent(&value) {
            self.repairs.note(repair);
        }
        self.close(&address, &[]);
        Ok(value)
    }

    fn one_address(&mut self, fields: &mut Fields<'_>) -> Result<String, SchemaError> {
        let element = fields.name;
        let mut addresses = self.addresses(fields)?;
        match (addresses.pop(), addresses.is_empty()) {
            (Some(address), true) => Ok(address),
            _ => Err(SchemaError::Children { element, what: "exactly one address" }),
        }
    }

    fn quality(&mut self, fields: &mut Fields<'_>) -> Result<Option<QualityOfService>, SchemaError> {
        let element = fields.name;
        let mut found = Self::children(fields, "quality-of-service");
        if found.len() > 1 {
            return Err(SchemaError::Children { element, what: "one quality-of-service at most" });
        }
        let Some(child) = found.pop() else { return Ok(None) };
        let mut fields = self.open("quality-of-service", child);
        let quality = QualityOfService {
            priority: self.choice(&mut fields, "priority", &PRIORITIES)?.unwrap_or_default(),
            delivery_method: self.choice(&mut fields, "delivery-method", &DELIVERY_METHODS)?.unwrap_or_default(),
            network: fields.optional("network"),
            network_required: self.flag(&mut fields, "network-required")?,
            bearer: fields.optional("bearer"),
            bearer_required: self.flag(&mut fields, "bearer-required")?,
        };
        self.close(&fields, &["network", "bearer"]);
        Ok(Some(quality))
    }

    /// The schema has addresses before the quality of service.
    fn order(&mut self, element: &Element<'_>) {
        let quality = element.children.iter().position(|child| child.name == "quality-of-service");
        let address = element.children.iter().rposition(|child| child.name == "address");
        if quality.zip(address).is_some_and(|(quality, address)| quality < address) {
            self.repairs.note(Repair::OtherOrder);
        }
    }

    fn push_message(&mut self, element: Element<'_>) -> Result<PushMessage, SchemaError> {
        self.order(&element);
        let mut fields = self.open("push-message", element);
        let push_id = fields.required("push-id")?;
        let deliver_before = self.timestamp(&mut fields, "deliver-before-timestamp")?;
        let deliver_after = self.timestamp(&mut fields, "deliver-after-timestamp")?;
        let source_reference = fields.optional("source-reference");
        let notify_requested_to = fields.optional("ppg-notify-requested-to");
        let progress_notes_requested = self.flag(&mut fields, "progress-notes-requested")?;
        // The one thing that came with 2.0. Without a DOCTYPE a document is taken for 1.0, and may mean it all the same.
        if self.reading.version < Version::V2_0 && fields.has_any(&["replace-push-id", "replace-method"]) {
            self.repairs.note(Repair::NewerAttribute);
        }
        let method = self.choice(&mut fields, "replace-method", &REPLACE_METHODS)?.unwrap_or_default();
        // A method without an id is ignored (§8.2).
        let replace = fields.optional("replace-push-id").map(|push_id| Replace { push_id, method });
        let addresses = self.addresses(&mut fields)?;
        if addresses.is_empty() {
            return Err(SchemaError::Children { element: "push-message", what: "an address" });
        }
        let quality_of_service = self.quality(&mut fields)?;
        self.close(&fields, &[]);
        Ok(PushMessage {
            push_id,
            deliver_before,
            deliver_after,
            source_reference,
            notify_requested_to,
            progress_notes_requested,
            replace,
            addresses,
            quality_of_service,
        })
    }

    fn cancel_message(&mut self, element: Element<'_>) -> Result<CancelMessage, SchemaError> {
        let mut fields = self.open("cancel-message", element);
        let message = CancelMessage { push_id: fields.required("push-id")?, addresses: self.addresses(&mut fields)? };
        self.close(&fields, &[]);
        Ok(message)
    }

    fn status_query(&mut self, element: Element<'_>) -> Result<StatusQuery, SchemaError> {
        let mut fields = self.open("statusquery-message", element);
        let query = StatusQuery { push_id: fields.required("push-id")?, addresses: self.addresses(&mut fields)? };
        self.close(&fields, &[]);
        Ok(query)
    }

    fn ccq_message(&mut self, element: Element<'_>) -> Result<CapabilitiesQuery, SchemaError> {
        let mut fields = self.open("ccq-message", element);
        let query = CapabilitiesQuery {
            query_id: fields.optional("query-id"),
            app_id: fields.optional("app-id"),
            address: self.one_address(&mut fields)?,
        };
        self.close(&fields, &[]);
        Ok(query)
    }
}
