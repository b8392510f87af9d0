//! The PAP cancel operation (WAP-247 §5.3): one result for the addresses that share an outcome.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::to_the_end;
use super::observe::Sender;
use super::{Api, Endpoint};
use crate::pap::code::Code;
use crate::pap::document::{CancelMessage, CancelResponse, CancelResult};
use crate::store::Cancelled;

pub(super) async fn cancel(
    api: &Api,
    endpoint: Endpoint,
    sent_by: &Sender<'_>,
    message: CancelMessage,
) -> CancelResponse {
    let gateway = Arc::clone(&api.gateway);
    let (initiator, push_id) = (sent_by.initiator.to_owned(), message.push_id.clone());
    let asked = message.addresses.into_iter().map(|raw| gateway.asked(raw, endpoint.strict)).collect();
    let work = async move { gateway.cancel(&initiator, &push_id, asked).await };
    let results = match to_the_end(work).await {
        Ok(Ok(Some(cancelled))) => results(cancelled),
        Ok(Ok(None)) => vec![whole(Code::PUSH_ID_NOT_FOUND)],
        Ok(Err(error)) => {
            tracing::error!(%error, "a push could not be cancelled");
            vec![whole(Code::INTERNAL_ERROR)]
        }
        Err(_) => vec![whole(Code::INTERNAL_ERROR)],
    };
    for result in results.iter().filter(|result| !result.code.is_success()) {
        let why = result.desc.as_deref().unwrap_or_else(|| result.code.meaning());
        let first = result.addresses.first().map_or_else(String::new, |address| format!(" ({address})"));
        let reason = format!("push {:?}: {why}{first}", message.push_id);
        api.observer.refused(sent_by, "cancel-message", result.code.0, &reason);
    }
    CancelResponse { push_id: message.push_id, results }
}

fn results(cancelled: Cancelled) -> Vec<CancelResult> {
    let mut results = Vec::new();
    let mut add = |code: Code, desc: Option<String>, addresses: Vec<String>| {
        if !addresses.is_empty() {
            results.push(CancelResult { code, desc, addresses });
        }
    };
    add(Code::OK, None, cancelled.done);
    let mut over: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (address, state) in cancelled.too_late {
        over.entry(state.name()).or_default().push(address);
    }
    for (state, addresses) in over {
        add(Code::NOT_POSSIBLE, Some(format!("over already: {state}")), addresses);
    }
    add(Code::ADDRESS_NOT_FOUND, None, cancelled.unknown);
    results
}

/// A result that speaks for all addresses.
fn whole(code: Code) -> CancelResult {
    CancelResult { code, desc: None, addresses: Vec::new() }
}
