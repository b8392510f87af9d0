//! The first page: what is under way, which devices need somebody, which joins wait.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};

use super::answers::{Devices, Joins, Pushes};
use super::ask::Ask;
use super::frame::{self, Command, Page};
use super::parts::{count, device_link, empty, group_link, link, maybe_time, time};
use super::push_list::rows;
use super::visitor::Visitor;
use super::{device_list, group_page};
use crate::http::problem::Problem;

/// Entries of each list.
const MOST: usize = 10;

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor) -> Response {
    let built = build(&ask, &visitor).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor) -> Result<Page, Problem> {
    let pending = format!("/api/v1/pushes?initiator=*&state=pending&limit={MOST}");
    let under_way: Pushes = ask.get(visitor, &pending).await?;
    let newest: Pushes = match under_way.pushes.is_empty() {
        true => ask.get(visitor, "/api/v1/pushes?initiator=*&limit=5").await?,
        false => Pushes { pushes: Vec::new(), next: None },
    };
    let joins: Joins = ask.get(visitor, &format!("/api/v1/group-requests?limit={MOST}")).await?;
    let body = html! {
        h1 { "Home" }
        section id="under-way" data-live {
            h2 { "Pushes under way" }
            @if under_way.pushes.is_empty() {
                (empty("No push is under way.", ""))
                @if newest.pushes.is_empty() {
                    (empty("None was sent so far. Try:", "papcast push group:news 'Hello' --gateway GATEWAY"))
                } @else {
                    h3 { "The newest ones" }
                    (rows(&newest.pushes))
                }
            } @else {
                (rows(&under_way.pushes))
                @if under_way.next.is_some() { p { (link("/console/pushes?state=pending", "All that are under way")) } }
            }
        }
        section {
            h2 { "Devices that need you" }
            div data-load="/console/attention" { p.empty { "Looking at the devices …" } }
        }
        section id="joins" data-live {
            h2 { "Joins that wait" }
            (waiting(visitor, &joins))
        }
    };
    let commands =
        vec![Command::new("papcast", "/api/v1/status"), Command::new("papcast pushes --state pending", pending)];
    Ok(Page { title: "Home".into(), place: "Home", body, follows: true, commands })
}

fn waiting(visitor: &Visitor, joins: &Joins) -> Markup {
    html! {
        @if joins.requests.is_empty() { (empty("Nobody waits to be let into a group.", "")) } @else {
            table {
                thead { tr { th { "User" } th { "Group" } th { "Asked" } th { "Decide" } } }
                tbody {
                    @for join in &joins.requests {
                        @let group = join.group.as_deref().unwrap_or_default();
                        tr {
                            td { (device_link(&join.user)) }
                            td { (group_link(group)) }
                            td { (time(&join.requested_at)) }
                            td { @if visitor.may_change() { (group_page::decide(group, &join.user)) } }
                        }
                    }
                }
            }
            @if joins.next.is_some() { p { "There are more: their groups list them." } }
        }
    }
}

/// Devices that are mute, come and go, or lag behind. It takes a while where there are very many, so the page comes first.
pub(super) async fn attention(State(ask): State<Arc<Ask>>, visitor: Visitor) -> Response {
    frame::show_part(attention_part(&ask, &visitor).await)
}

async fn attention_part(ask: &Ask, visitor: &Visitor) -> Result<Markup, Problem> {
    let mut found = Vec::new();
    for (state, words) in [
        ("mute", "here, and do not acknowledge"),
        ("flapping", "come and go all the time"),
        ("lagging", "owe an answer to a push"),
    ] {
        let devices: Devices = ask.get(visitor, &format!("/api/v1/devices?state={state}&limit={MOST}")).await?;
        found.push((state, words, devices));
    }
    Ok(html! {
        @if found.iter().all(|(_, _, devices)| devices.devices.is_empty()) { (empty("Every device is well.", "")) }
        @for (state, words, devices) in found.iter().filter(|(_, _, devices)| !devices.devices.is_empty()) {
            h3 {
                a href={ "/console/devices?state=" (state) } {
                    (count(devices.devices.len() as u64, "device", "devices"))
                    @if devices.next.is_some() { " or more" }
                }
                ": " (words)
            }
            table {
                thead { tr { th { "Device" } th.number { "Owes" } th { "Last seen" } th { "State" } } }
                tbody {
                    @for device in &devices.devices {
                        tr {
                            td { (device_link(&device.user)) }
                            td.number { (device.owed) }
                            td { (maybe_time(device.last_seen.as_deref())) }
                            td { (device_list::states(device)) }
                        }
                    }
                }
            }
        }
    })
}
