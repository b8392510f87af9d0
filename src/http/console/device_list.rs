//! All devices, and which of them are away, mute, behind, or come and go.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Device, Devices};
use super::ask::Ask;
use super::frame::{self, Command, Page, shell};
use super::parts::{connected, device_link, empty, link, mark, maybe_time, number, pager, with_query};
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};

const HERE: &str = "/console/devices";
const MOST: &str = "100";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    search: String,
    sort: String,
    after: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let built = build(&ask, &visitor, &asked).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, asked: &Asked) -> Result<Page, Problem> {
    let Asked { state, search, sort, after } = asked;
    let filter = [("state", state.as_str()), ("search", search), ("sort", sort)];
    let api = with_query("/api/v1/devices", &[&filter[..], &[("limit", MOST), ("after", after)]].concat());
    let found: Devices = ask.get(visitor, &api).await?;
    let states = [("", "All"), ("away", "Away"), ("mute", "Mute"), ("lagging", "Lagging"), ("flapping", "Flapping")];
    let sorts = [("", "by name"), ("lag", "most behind first"), ("last_seen", "longest away first")];
    let body = html! {
        h1 { "Devices" }
        nav.filters aria-label="Which devices" {
            @for (name, text) in states {
                a href=(with_query(HERE, &[("state", name), ("search", search), ("sort", sort)]))
                    aria-current=[(name == state).then_some("true")] { (text) }
            }
        }
        form.search action=(HERE) method="get" role="search" {
            input type="hidden" name="state" value=(state);
            label { "User has " input type="search" name="search" value=(search) data-search; }
            label { "Order " select name="sort" {
                @for (name, text) in sorts { option value=(name) selected[name == sort] { (text) } }
            } }
            button { "Search" }
        }
        @if found.devices.is_empty() {
            @if state.is_empty() && search.is_empty() {
                (empty("There is no device so far. One comes with:", "papcast terminal --user me --join news"))
            } @else { (empty("There is no such device.", "")) }
        } @else { (table(&found.devices)) }
        @if !sort.is_empty() { p.small { "The first " (MOST) " are shown." } }
        (pager(HERE, &filter, after, found.next.as_deref()))
        p { (link(&with_query("/api/v1/devices", &[&filter[..], &[("format", "csv")]].concat()), "As CSV")) }
    };
    // The command has no search.
    let mut cli = if search.is_empty() { "papcast devices".to_owned() } else { String::new() };
    let options = [("--state", state), ("--sort", sort)];
    for (option, value) in options.into_iter().filter(|(_, value)| search.is_empty() && !value.is_empty()) {
        cli.push_str(&format!(" {option} {}", shell(value)));
    }
    Ok(Page { title: "Devices".into(), place: "Devices", body, follows: false, commands: vec![Command::new(cli, api)] })
}

fn table(devices: &[Device]) -> Markup {
    html! {
        table.wide {
            thead { tr {
                th { "Device" } th { "State" } th { "Last seen" } th { "Why it went" } th { "Protocol" } th.number { "Groups" }
                th.number { "Owes" } th.number { "Connects in an hour, 32 at most" }
            } }
            tbody {
                @for device in devices {
                    tr {
                        td { (device_link(&device.user)) }
                        td { (states(device)) }
                        td { (maybe_time(device.last_seen.as_deref())) }
                        td { (device.reason.as_deref().unwrap_or_default()) }
                        td { (device.protocol.as_deref().unwrap_or_default()) }
                        td.number { (number(device.groups)) }
                        td.number { (number(device.owed)) }
                        td.number { (number(device.connects_last_hour)) }
                    }
                }
            }
        }
    }
}

/// Whether it is here, and what is wrong with it.
pub(super) fn states(device: &Device) -> Markup {
    html! {
        (connected(device.connected))
        @for state in device.states.iter().filter(|state| *state != "away") { " " (mark(state)) }
        @if let Some(since) = &device.unanswered_since { div.small { "unanswered since " (maybe_time(Some(since))) } }
    }
}
