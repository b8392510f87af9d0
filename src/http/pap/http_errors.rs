//! HTTP's own errors on the paths of PAP. Initiators read whatever body comes as XML, so they get a badmessage-response, in
//! PAP 1.0 where nobody has read which version theirs is: that one everybody knows (WAP-247 §9.3).

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use super::observe::{Observer, Sender};
use super::{Endpoint, NOBODY, error_code};
use crate::http::problem::Told;
use crate::http::remote::Remote;
use crate::pap::code::Code;
use crate::pap::document::BadMessage;
use crate::pap::{self, Dialect, Document, Version};

/// The endpoints by their paths.
#[derive(Debug)]
pub(in crate::http) struct Endpoints {
    by_path: HashMap<String, Endpoint>,
    observer: Observer,
}

impl Endpoints {
    pub(in crate::http) fn new(by_path: HashMap<String, Endpoint>, observer: Observer) -> Self {
        Self { by_path, observer }
    }
}

pub(in crate::http) async fn in_pap(State(endpoints): State<Arc<Endpoints>>, request: Request, next: Next) -> Response {
    let Some(endpoint) = endpoints.by_path.get(request.uri().path()).copied() else { return next.run(request).await };
    let uri = request.uri().clone();
    let remote = Remote::of(request.extensions());
    let mut response = next.run(request).await;
    let Some(Told { detail, code }) = response.extensions_mut().remove() else { return response };
    let code = code.map_or_else(|| error_code::of_status(response.status()), Code);
    let sender = Sender { initiator: NOBODY, endpoint: uri.path(), remote, request: None };
    endpoints.observer.request("pap", "unreadable", code.0);
    endpoints.observer.refused(
        &sender,
        "unreadable",
        code.0,
        &format!("HTTP {}: {detail}", response.status().as_u16()),
    );
    let mut dialect = response.extensions_mut().remove().unwrap_or_else(|| Dialect::of(Version::V1_0));
    dialect.doctype = endpoint.doctype;
    let document = Document::BadMessage(BadMessage { code, desc: Some(detail), fragment: None });
    // The other headers stay: which methods there are, that the connection is closed.
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(pap::encode(&document, &dialect));
    response
}
