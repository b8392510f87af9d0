//! The PAP cancel operation (WAP-247 §5.3): one result for the addresses that share an outcome.

use std::sync::Arc;

use super::super::to_the_end;
use super::{ANYBODY, Api};
use crate::pap::code::Code;
use crate::pap::document::{CancelMessage, CancelResponse, CancelResult};

pub(super) async fn cancel(api: &Api, message: CancelMessage) -> CancelResponse {
    let gateway = Arc::clone(&api.gateway);
    let (push_id, addresses) = (message.push_id.clone(), message.addresses);
    let work = async move { gateway.cancel(ANYBODY, &push_id, addresses).await };
    let results = match to_the_end(work).await {
        Ok(Ok(Some(cancelled))) => [
            (Code::OK, cancelled.done),
            (Code::NOT_POSSIBLE, cancelled.too_late),
            (Code::ADDRESS_NOT_FOUND, cancelled.unknown),
        ]
        .into_iter()
        .filter(|(_, addresses)| !addresses.is_empty())
        .map(|(code, addresses)| CancelResult { code, desc: None, addresses })
        .collect(),
        Ok(Ok(None)) => vec![whole(Code::PUSH_ID_NOT_FOUND)],
        Ok(Err(error)) => {
            tracing::error!(%error, "a push could not be cancelled");
            vec![whole(Code::INTERNAL_ERROR)]
        }
        Err(_) => vec![whole(Code::INTERNAL_ERROR)],
    };
    CancelResponse { push_id: message.push_id, results }
}

/// A result that speaks for all addresses.
fn whole(code: Code) -> CancelResult {
    CancelResult { code, desc: None, addresses: Vec::new() }
}
