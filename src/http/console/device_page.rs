//! One device: what is known of it, what it owes, and what happened to it last.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::answers::{Connection, Owed, RefusedPush, User};
use super::ask::Ask;
use super::device_list::states;
use super::frame::{self, Command, Page, api, shell};
use super::parts::{Act, empty, group_link, maybe_time, number, push_link, size, time, with_query};
use super::visitor::Visitor;
use crate::http::problem::{Path, Problem};

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Path(user): Path<String>) -> Response {
    let built = build(&ask, &visitor, &user).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, id: &str) -> Result<Page, Problem> {
    let path = api(&["users", id]);
    let user: User = ask.get(visitor, &path).await?;
    let body = html! {
        h1 { "Device " (user.user) }
        (actions(visitor, &user))
        section id="device" data-live {
            (facts(&user))
            h2 { "Connections" }
            (connections(&user.connections))
            h2 { "Owes an answer to" }
            (owed(&user.owed))
            @if !user.refused.is_empty() {
                h2 { "Has not got and will not get" }
                (refused(&user.refused))
            }
        }
        section {
            h2 { "What happened to it" }
            div id="events" data-live { (timeline(&user.events)) }
        }
        @if visitor.may_change() { (erase(&user)) }
    };
    let commands = vec![Command::new(format!("papcast user {}", shell(id)), path)];
    Ok(Page { title: format!("Device {id}"), place: "Devices", body, follows: true, commands })
}

fn actions(visitor: &Visitor, user: &User) -> Markup {
    let connections = api(&["users", &user.user, "connections"]);
    let trace = api(&["users", &user.user, "trace"]);
    let question = format!(
        "End {} of {}? It may come back at once.",
        super::parts::count(user.connections.len() as u64, "connection", "connections"),
        user.user
    );
    html! {
        div.actions id="actions" data-live {
            @if visitor.may_push() {
                a.button href=(with_query("/console/send", &[("to", &format!("user:{}", user.user))])) { "Send to this device" }
            }
            @if visitor.may_change() && !user.connections.is_empty() {
                (Act { label: "Disconnect", method: "DELETE", path: &connections, confirm: &question, ..Act::default() }.button())
            }
            @if visitor.may_change() {
                @match &user.traced_until {
                    None => (Act { label: "Trace for 15 minutes", method: "POST", path: &trace, ..Act::default() }.button()),
                    Some(_) => (Act { label: "End the trace", method: "DELETE", path: &trace, ..Act::default() }.button()),
                }
            }
            a.button href=(with_query("/console/live", &[("user", &user.user), ("kind", if user.traced_until.is_some() { "trace" } else { "" })])) {
                "Follow it live"
            }
        }
    }
}

fn facts(user: &User) -> Markup {
    html! {
        dl.facts {
            @if let Some(device) = &user.device {
                div { dt { "State" } dd { (states(device)) } }
                div { dt { "Last seen" } dd { (maybe_time(device.last_seen.as_deref())) } }
                @if let Some(reason) = &device.reason { div { dt { "Why it went" } dd { (reason) } } }
                @if let Some(protocol) = &device.protocol { div { dt { "Protocol" } dd { (protocol) } } }
                div { dt { "Connects in an hour" } dd { (number(device.connects_last_hour)) } }
                div { dt { "Owes" } dd { (number(device.owed)) } }
            }
            @if let Some(until) = &user.traced_until { div { dt { "Traced until" } dd { (time(until)) } } }
            div {
                dt { "Groups" }
                dd {
                    @if user.groups.is_empty() { "none" }
                    @for group in &user.groups {
                        div { (group_link(&group.group)) " since " (time(&group.joined_at)) ", by " (group.source) }
                    }
                }
            }
        }
    }
}

fn connections(connections: &[Connection]) -> Markup {
    if connections.is_empty() {
        return empty("It is not connected.", "");
    }
    html! {
        table {
            thead { tr { th { "Client id" } th { "Protocol" } th { "From" } th { "Since" } th.number { "At a time" } th { "Largest packet" } } }
            tbody {
                @for one in connections {
                    tr {
                        td { (one.client_id) } td { (one.protocol) } td { (one.remote) } td { (time(&one.connected_at)) }
                        td.number { (number(one.receive_maximum)) }
                        td { @if let Some(most) = one.maximum_packet_size { (size(most)) } @else { "it did not say" } }
                    }
                }
            }
        }
    }
}

fn owed(owed: &[Owed]) -> Markup {
    if owed.is_empty() {
        return empty("Nothing.", "");
    }
    html! {
        table {
            thead { tr { th { "Push" } th { "To" } th { "Submitted" } th { "Not after" } } }
            tbody {
                @for push in owed {
                    tr {
                        td { (push_link(&push.push_id, &push.initiator)) } td { (push.address) }
                        td { (time(&push.created_at)) } td { (time(&push.deliver_before)) }
                    }
                }
            }
        }
    }
}

fn refused(refused: &[RefusedPush]) -> Markup {
    html! {
        table {
            thead { tr { th { "Push" } th { "To" } th { "Why" } th { "When" } } }
            tbody {
                @for push in refused {
                    tr {
                        td { (push_link(&push.push_id, &push.initiator)) } td { (push.address) }
                        td { (push.desc) } td { (time(&push.at)) }
                    }
                }
            }
        }
    }
}

/// Fields that stand elsewhere in a line of the time line.
const APART: [&str; 5] = ["event", "id", "at", "user", "request"];

fn timeline(events: &[Map<String, Value>]) -> Markup {
    let text =
        |event: &Map<String, Value>, name: &str| event.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if events.is_empty() {
        return empty("Nothing since the gateway started.", "");
    }
    html! {
        ol.timeline {
            @for event in events {
                li {
                    (time(&text(event, "at"))) " " b { (text(event, "event")) } " "
                    @for (name, value) in event.iter().filter(|(name, _)| !APART.contains(&name.as_str())) {
                        @let shown = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
                        @if !value.is_null() && !shown.is_empty() { span.field { (name) ": " (shown) } " " }
                    }
                }
            }
        }
    }
}

fn erase(user: &User) -> Markup {
    let question = format!(
        "Erase {}? Its {}, sessions, tokens and what was to be sent to it alone are deleted. Type its name to go on.",
        user.user,
        super::parts::count(user.groups.len() as u64, "membership", "memberships")
    );
    let act = Act {
        label: "Erase this user",
        method: "DELETE",
        path: &api(&["users", &user.user]),
        confirm: &question,
        typed: &user.user,
        then: "/console/devices",
        ..Act::default()
    };
    html! { section { h2 { "Erase" } p { (act.button()) } } }
}
