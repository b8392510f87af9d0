//! What a request means, fact by fact. The names on the left are those of the specification.

use crate::address_resolution;
use crate::clock;
use crate::ids::Target;
use crate::pap::address::{self, Address, Client, Kind};
use crate::pap::code::{Code, State};
use crate::pap::document::{DeliveryMethod, PushMessage, QualityOfService, ReplaceMethod};
use crate::pap::message::Content;
use crate::pap::time;
use crate::pap::{Document, Request};

type Facts = Vec<(&'static str, String)>;

pub(super) fn facts(request: &Request) -> Facts {
    let mut facts: Facts = vec![("version", format!("PAP {}", request.version))];
    let mut fact = |what, text: String| facts.push((what, text));
    match &request.document {
        Document::PushMessage(message) => {
            fact("operation", "push submission: to be delivered to every address".into());
            facts.extend(push(message));
        }
        Document::CancelMessage(message) => {
            fact("operation", "cancel: who has not got this push shall not".into());
            fact("push-id", message.push_id.clone());
            fact("address", some_or_all(&message.addresses));
        }
        Document::StatusQuery(query) => {
            fact("operation", "status query: what became of this push".into());
            fact("push-id", query.push_id.clone());
            fact("address", some_or_all(&query.addresses));
        }
        Document::CapabilitiesQuery(query) => {
            fact("operation", "client capabilities query: what is known of this terminal".into());
            fact("address", whom(&query.address));
            facts.extend(query.query_id.clone().map(|id| ("query-id", id)));
            facts.extend(query.app_id.clone().map(|id| ("app-id", id)));
        }
        Document::ResultNotification(message) => {
            fact("operation", "result notification: what a gateway tells an initiator".into());
            fact("push-id", message.push_id.clone());
            fact("address", whom(&message.address));
            fact("message-state", outcome(message.state, message.code, message.desc.as_deref()));
            facts.extend(message.event_time.map(|at| ("event-time", time::format(at))));
        }
        Document::StatusQueryResponse(response) => {
            fact("operation", "answer to a status query, which a gateway is not sent".into());
            fact("push-id", response.push_id.clone());
            for result in &response.results {
                let when = result.event_time.map_or_else(String::new, |at| format!(", at {}", time::format(at)));
                let outcome = outcome(result.state, result.code, result.desc.as_deref());
                fact("result", format!("{outcome}{when}\n{}", some_or_all(&result.addresses)));
            }
        }
        answer => {
            let code = answer.code().map_or_else(String::new, |code| format!(" with code {code} ({})", code.meaning()));
            fact("operation", format!("{}{code}: an answer, which a gateway is not sent", answer.name()));
        }
    }
    facts.extend(request.content.as_ref().map(content));
    if let Some(part) = &request.capabilities {
        facts.push((
            "capabilities part",
            format!("{} bytes: what the initiator takes the terminal to be", part.body.len()),
        ));
    }
    facts
}

fn outcome(state: State, code: Code, desc: Option<&str>) -> String {
    let desc = desc.map_or_else(String::new, |desc| format!(": {desc}"));
    format!("{}, code {code} ({}){desc}", state.name(), code.meaning())
}

fn push(message: &PushMessage) -> Facts {
    let mut facts: Facts = vec![("push-id", message.push_id.clone()), ("address", some_or_all(&message.addresses))];
    let mut fact = |what, text: Option<String>| facts.extend(text.map(|text| (what, text)));
    let at = |seconds: Option<i64>| seconds.map(time::format);
    fact("deliver-after", at(message.deliver_after).map(|time| format!("not before {time}")));
    let past = |seconds: i64| seconds.saturating_mul(1_000) <= clock::now();
    let expired = if message.deliver_before.is_some_and(past) { ", which is now (2001)" } else { "" };
    fact(
        "deliver-before",
        at(message.deliver_before).map(|time| format!("not from {time} on; then it has expired{expired}")),
    );
    fact("source-reference", message.source_reference.clone());
    fact(
        "ppg-notify-requested-to",
        message.notify_requested_to.as_ref().map(|url| format!("{url} is told what became of it")),
    );
    fact("progress notes", message.progress_notes_requested.then(|| "asked for".to_owned()));
    let replace = message.replace.as_ref().map(|replace| match replace.method {
        ReplaceMethod::All => format!("{} is taken back, and everybody gets this one", replace.push_id),
        ReplaceMethod::PendingOnly => {
            format!("{} is taken back, and only who has not got it gets this one", replace.push_id)
        }
    });
    fact("replace-push-id", replace);
    fact("quality-of-service", Some(message.quality_of_service.as_ref().map_or_else(default_quality, quality)));
    facts
}

fn default_quality() -> String {
    "not given: the gateway chooses, priority medium".into()
}

fn quality(quality: &QualityOfService) -> String {
    let method = match quality.delivery_method {
        DeliveryMethod::Confirmed => "confirmed: counts when the terminal acknowledges it",
        DeliveryMethod::PreferConfirmed => "preferconfirmed: acknowledged where that is possible",
        DeliveryMethod::Unconfirmed => "unconfirmed: counts when it is sent",
        DeliveryMethod::NotSpecified => "notspecified: the gateway chooses",
    };
    let mut text = format!("{method}; priority {}", format!("{:?}", quality.priority).to_lowercase());
    for (what, name, required) in
        [("network", &quality.network, quality.network_required), ("bearer", &quality.bearer, quality.bearer_required)]
    {
        if name.is_some() || required {
            let name = name.as_deref().unwrap_or("any");
            text.push_str(&format!("\n{what} {name}, {}", if required { "required" } else { "wished for" }));
        }
    }
    text
}

fn content(content: &Content) -> (&'static str, String) {
    let mut text = format!("{}, {} bytes", content.content_type, content.body.len());
    for (name, value) in &content.headers {
        text.push_str(&format!("\n{name}: {value}"));
    }
    ("content", text)
}

fn some_or_all(addresses: &[String]) -> String {
    if addresses.is_empty() {
        return "all".into();
    }
    addresses.iter().map(|address| whom(address)).collect::<Vec<_>>().join("\n")
}

/// An address and whom it names.
fn whom(raw: &str) -> String {
    let named = address_resolution::meanings(raw);
    let name = |target: &Target| match target {
        Target::Group(id) => format!("the group {}", id.as_str()),
        Target::User(id) => format!("the user {}", id.as_str()),
    };
    let meaning = match (address::parse(raw), &named[..]) {
        (Err(error), _) => format!("cannot be read (2002): {error}"),
        (Ok(Address::Client(Client { kind: Kind::Other(kind), .. })), _) => {
            format!("an address of type {kind}, which papcast does not serve (2002)")
        }
        (Ok(_), []) => "names nobody (2002)".into(),
        (Ok(_), targets) => targets.iter().map(name).collect::<Vec<_>>().join(" or, where that is not known, "),
    };
    format!("{raw} = {meaning}")
}
