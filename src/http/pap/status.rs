//! The PAP status query (WAP-247 §5.4): one result for each address. A group is one address, with how many of how many in
//! its description.

use std::collections::HashSet;

use super::{ANYBODY, Api};
use crate::gateway::{pap_quality, pap_state};
use crate::pap::code::{Code, State};
use crate::pap::document::{StatusQuery, StatusQueryResponse, StatusQueryResult};
use crate::store::{AddressView, PushView};

pub(super) async fn status(api: &Api, query: StatusQuery) -> StatusQueryResponse {
    let results = match api.gateway.store().push(ANYBODY.into(), query.push_id.clone()).await {
        Ok(Some(push)) => results(&push, &query.addresses),
        Ok(None) => vec![unknown(Code::PUSH_ID_NOT_FOUND, query.addresses)],
        Err(error) => {
            tracing::error!(%error, "a status query failed");
            vec![unknown(Code::INTERNAL_ERROR, query.addresses)]
        }
    };
    StatusQueryResponse { push_id: query.push_id, results }
}

fn results(push: &PushView, asked: &[String]) -> Vec<StatusQueryResult> {
    let wanted: HashSet<&str> = asked.iter().map(String::as_str).collect();
    let known: HashSet<&str> = push.addresses.iter().map(|view| view.address.as_str()).collect();
    let shown = push.addresses.iter().filter(|view| wanted.is_empty() || wanted.contains(view.address.as_str()));
    let mut results: Vec<StatusQueryResult> = shown.map(|view| result(push, view)).collect();
    let strange: Vec<String> = asked.iter().filter(|address| !known.contains(address.as_str())).cloned().collect();
    if !strange.is_empty() {
        results.push(unknown(Code::ADDRESS_NOT_FOUND, strange));
    }
    results
}

fn result(push: &PushView, view: &AddressView) -> StatusQueryResult {
    StatusQueryResult {
        event_time: view.event_at.map(|at| at / 1000),
        state: pap_state(view.state),
        code: code_of(view.code),
        desc: Some(view.describe()),
        addresses: vec![view.address.clone()],
        quality_of_service: Some(pap_quality(push.confirmed, push.priority)),
    }
}

/// 2008 is no code of a status result (WAP-247 §8.13): what could not be replaced is simply refused.
fn code_of(code: u16) -> Code {
    Some(Code(code)).filter(|code| *code != Code::CANCELLATION_NOT_POSSIBLE).unwrap_or(Code::FORBIDDEN)
}

fn unknown(code: Code, addresses: Vec<String>) -> StatusQueryResult {
    StatusQueryResult { event_time: None, state: State::Unknown, code, desc: None, addresses, quality_of_service: None }
}
