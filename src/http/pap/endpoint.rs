//! One PAP endpoint: how it reads, and how its answers look. The configuration says so for each path.

use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::config::{PapEndpoint, PapProfile, UnknownAddresses};
use crate::pap::code::Code;
use crate::pap::document::{BadMessage, PushResponse, QualityOfService};
use crate::pap::{self, Dialect, Document};

/// Settings of one path, with the defaults of its profile put in.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Endpoint {
    status: StatusCode,
    pub(super) strict: bool,
    pub(super) push_all: bool,
    pub(super) skip_unknown: bool,
    errors_as_badmessage: bool,
    /// Answers and notifications have a DOCTYPE.
    pub(super) doctype: bool,
}

impl From<&PapEndpoint> for Endpoint {
    fn from(config: &PapEndpoint) -> Self {
        let blackberry = config.profile == PapProfile::Blackberry;
        Self {
            status: if blackberry { StatusCode::OK } else { StatusCode::ACCEPTED },
            strict: config.strict,
            push_all: blackberry,
            skip_unknown: match config.unknown_addresses {
                Some(unknown) => unknown == UnknownAddresses::Skip,
                None => blackberry,
            },
            errors_as_badmessage: config.errors_as_badmessage.unwrap_or(blackberry),
            doctype: config.doctype,
        }
    }
}

impl Endpoint {
    /// One write with a Content-Length; some initiators cannot read anything else.
    pub(super) fn respond(self, document: &Document, dialect: &Dialect) -> Response {
        let body = pap::encode(document, dialect);
        (self.status, [(header::CONTENT_TYPE, "application/xml")], Body::from(body)).into_response()
    }

    /// The answer to a capabilities query: with a second part where something is known.
    pub(super) fn tell(self, document: &Document, dialect: &Dialect, rdf: Option<String>) -> Response {
        let Some(rdf) = rdf else { return self.respond(document, dialect) };
        let (content_type, body) = pap::capabilities::encode_with(&pap::encode(document, dialect), &rdf);
        (self.status, [(header::CONTENT_TYPE, content_type)], Body::from(body)).into_response()
    }

    /// The answer to a submission. Some initiators take every push-response for success, so that a refusal has to be a bad
    /// message to be noticed.
    pub(super) fn answer(self, response: PushResponse) -> Document {
        if self.errors_as_badmessage && !response.code.is_success() {
            return Document::BadMessage(BadMessage { code: response.code, desc: response.desc, fragment: None });
        }
        Document::PushResponse(response)
    }

    /// What a strict endpoint cannot honour: MQTT is the only bearer there is (WAP-247 §8.2.2).
    pub(super) fn refuses(self, quality: &QualityOfService) -> Option<(Code, String)> {
        if self.strict && quality.network_required {
            return Some((Code::NETWORK_NOT_AVAILABLE, "a network is required, and there is none to choose".into()));
        }
        let bearer = self.strict && quality.bearer_required;
        bearer.then(|| (Code::BEARER_NOT_AVAILABLE, "a bearer is required, and the only one is MQTT".into()))
    }
}
