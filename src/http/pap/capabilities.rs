//! The client capabilities query (WAP-247 §5.5): what is known of the terminals of a user.

use super::Api;
use crate::caller::Caller;
use crate::gateway::{Capabilities, NoCapabilities};
use crate::pap::capabilities::{self, Terminal};
use crate::pap::code::Code;
use crate::pap::document::{CapabilitiesQuery, CapabilitiesResponse};

/// The response, and the RDF part where something is known.
pub(super) async fn query(
    api: &Api,
    caller: &Caller,
    query: CapabilitiesQuery,
) -> (CapabilitiesResponse, Option<String>) {
    let (code, desc, rdf) = match api.gateway.capabilities(caller, &query.address).await {
        Ok(known) => (Code::OK, None, Some(describe(&query.address, &known))),
        Err(none) => {
            let code = match none {
                NoCapabilities::NotAUser => Code::ADDRESS_ERROR,
                NoCapabilities::NothingKnown => Code::CAPABILITIES_NOT_AVAILABLE,
                NoCapabilities::Unavailable => Code::INTERNAL_ERROR,
            };
            (code, Some(none.to_string()), None)
        }
    };
    (CapabilitiesResponse { query_id: query.query_id, code, desc, address: query.address }, rdf)
}

fn describe(address: &str, known: &Capabilities) -> String {
    let terminals: Vec<Terminal> = known
        .terminals
        .iter()
        .map(|terminal| Terminal {
            id: terminal.known.client.clone(),
            connected: terminal.connected,
            protocol: terminal.known.protocol.clone(),
            receive_maximum: terminal.known.receive_maximum,
            maximum_packet_size: terminal.known.maximum_packet,
            last_seen: terminal.known.seen_at / 1000,
        })
        .collect();
    let groups: Vec<String> = known.groups.iter().map(|group| group.as_str().to_owned()).collect();
    capabilities::rdf(address, &terminals, &groups)
}
