//! What gateways say: responses and result notifications.

use super::{Decoder, SchemaError};
use crate::pap::document::{
    BadMessage, CancelResponse, CancelResult, CapabilitiesResponse, ProgressNote, PushResponse, ResultNotification,
    ResultNotificationResponse, StatusQueryResponse, StatusQueryResult,
};
use crate::pap::xml::Element;

impl Decoder<'_> {
    pub(super) fn push_response(&mut self, element: Element<'_>) -> Result<PushResponse, SchemaError> {
        let mut fields = self.open("push-response", element);
        let mut progress_notes = Vec::new();
        for child in Self::children(&mut fields, "progress-note") {
            let mut note = self.open("progress-note", child);
            progress_notes.push(ProgressNote {
                stage: note.required("stage")?,
                note: note.optional("note"),
                time: self.timestamp(&mut note, "time")?,
            });
            self.close(&note, &[]);
        }
        let mut results = Self::children(&mut fields, "response-result");
        let (Some(child), true) = (results.pop(), results.is_empty()) else {
            return Err(SchemaError::Children { element: "push-response", what: "exactly one response-result" });
        };
        let mut result = self.open("response-result", child);
        let (code, desc) = (Self::code(&mut result)?, result.optional("desc"));
        self.close(&result, &[]);
        let response = PushResponse {
            push_id: fields.required("push-id")?,
            sender_address: fields.optional("sender-address"),
            sender_name: fields.optional("sender-name"),
            reply_time: self.timestamp(&mut fields, "reply-time")?,
            progress_notes,
            code,
            desc,
        };
        self.close(&fields, &[]);
        Ok(response)
    }

    pub(super) fn cancel_response(&mut self, element: Element<'_>) -> Result<CancelResponse, SchemaError> {
        let mut fields = self.open("cancel-response", element);
        let mut results = Vec::new();
        for child in Self::children(&mut fields, "cancel-result") {
            let mut result = self.open("cancel-result", child);
            results.push(CancelResult {
                code: Self::code(&mut result)?,
                desc: result.optional("desc"),
                addresses: self.addresses(&mut result)?,
            });
            self.close(&result, &[]);
        }
        if results.is_empty() {
            return Err(SchemaError::Children { element: "cancel-response", what: "a cancel-result" });
        }
        let response = CancelResponse { push_id: fields.required("push-id")?, results };
        self.close(&fields, &[]);
        Ok(response)
    }

    pub(super) fn result_notification(&mut self, element: Element<'_>) -> Result<ResultNotification, SchemaError> {
        let mut fields = self.open("resultnotification-message", element);
        let message = ResultNotification {
            push_id: fields.required("push-id")?,
            sender_address: fields.optional("sender-address"),
            sender_name: fields.optional("sender-name"),
            received_time: self.timestamp(&mut fields, "received-time")?,
            event_time: self.timestamp(&mut fields, "event-time")?,
            state: Self::state(&mut fields)?,
            code: Self::code(&mut fields)?,
            desc: fields.optional("desc"),
            address: self.one_address(&mut fields)?,
            quality_of_service: self.quality(&mut fields)?,
        };
        self.close(&fields, &[]);
        Ok(message)
    }

    pub(super) fn result_response(&mut self, element: Element<'_>) -> Result<ResultNotificationResponse, SchemaError> {
        let mut fields = self.open("resultnotification-response", element);
        let response = ResultNotificationResponse {
            push_id: fields.required("push-id")?,
            code: Self::code(&mut fields)?,
            desc: fields.optional("desc"),
            address: self.one_address(&mut fields)?,
        };
        self.close(&fields, &[]);
        Ok(response)
    }

    pub(super) fn status_response(&mut self, element: Element<'_>) -> Result<StatusQueryResponse, SchemaError> {
        let mut fields = self.open("statusquery-response", element);
        let mut results = Vec::new();
        for child in Self::children(&mut fields, "statusquery-result") {
            let mut result = self.open("statusquery-result", child);
            results.push(StatusQueryResult {
                event_time: self.timestamp(&mut result, "event-time")?,
                state: Self::state(&mut result)?,
                code: Self::code(&mut result)?,
                desc: result.optional("desc"),
                addresses: self.addresses(&mut result)?,
                quality_of_service: self.quality(&mut result)?,
            });
            self.close(&result, &[]);
        }
        if results.is_empty() {
            return Err(SchemaError::Children { element: "statusquery-response", what: "a statusquery-result" });
        }
        let response = StatusQueryResponse { push_id: fields.required("push-id")?, results };
        self.close(&fields, &[]);
        Ok(response)
    }

    pub(super) fn ccq_response(&mut self, element: Element<'_>) -> Result<CapabilitiesResponse, SchemaError> {
        let mut fields = self.open("ccq-response", element);
        let response = CapabilitiesResponse {
            query_id: fields.optional("query-id"),
            code: Self::code(&mut fields)?,
            desc: fields.optional("desc"),
            address: self.one_address(&mut fields)?,
        };
        self.close(&fields, &[]);
        Ok(response)
    }

    pub(super) fn bad_message(&mut self, element: Element<'_>) -> Result<BadMessage, SchemaError> {
        let mut fields = self.open("badmessage-response", element);
        let message = BadMessage {
            code: Self::code(&mut fields)?,
            desc: fields.optional("desc"),
            fragment: fields.optional("bad-message-fragment"),
        };
        self.close(&fields, &[]);
        Ok(message)
    }
}
