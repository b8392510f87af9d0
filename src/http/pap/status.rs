//! The PAP status query (WAP-247 §5.4): one result for each address. A group is one address, with how many of how many in
//! its description.

use super::{Api, Endpoint};
use crate::gateway::{pap_quality, pap_state};
use crate::pap::code::{Code, State};
use crate::pap::document::{StatusQuery, StatusQueryResponse, StatusQueryResult};
use crate::store::{self, AddressView, Asked, PushView};

pub(super) async fn status(api: &Api, endpoint: Endpoint, initiator: &str, query: StatusQuery) -> StatusQueryResponse {
    let results = match api.gateway.store().push(initiator.to_owned(), query.push_id.clone()).await {
        Ok(Some(push)) => {
            let asked = query.addresses.into_iter().map(|raw| api.gateway.asked(raw, endpoint.strict));
            results(&push, &asked.collect::<Vec<_>>())
        }
        Ok(None) => vec![unknown(Code::PUSH_ID_NOT_FOUND, query.addresses)],
        Err(error) => {
            tracing::error!(%error, "a status query failed");
            vec![unknown(Code::INTERNAL_ERROR, query.addresses)]
        }
    };
    StatusQueryResponse { push_id: query.push_id, results }
}

fn results(push: &PushView, asked: &[Asked]) -> Vec<StatusQueryResult> {
    let places: Vec<_> = push.addresses.iter().map(|view| (view.address.as_str(), view.target.as_ref())).collect();
    let found = store::find(asked, &places);
    let shown = push.addresses.iter().zip(found.names).filter_map(|(view, names)| Some((view, names?)));
    let mut results: Vec<StatusQueryResult> = shown.map(|(view, names)| result(push, view, names)).collect();
    if !found.unknown.is_empty() {
        results.push(unknown(Code::ADDRESS_NOT_FOUND, found.unknown));
    }
    results
}

fn result(push: &PushView, view: &AddressView, names: Vec<String>) -> StatusQueryResult {
    StatusQueryResult {
        event_time: view.event_at.map(|at| at / 1000),
        state: pap_state(view.state),
        code: code_of(view.code),
        desc: Some(view.describe()),
        addresses: names,
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
