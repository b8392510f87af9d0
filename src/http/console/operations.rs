//! What an operator looks after: alarms, the store, notifications, malformed requests, the configuration, who changed what.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Alarms, Audit, Configuration, Receivers, RepairCount, Repairs, Setting, Status};
use super::ask::Ask;
use super::frame::{self, Command, Page, Standing};
use super::parts::{empty, link, mark, maybe_time, number, size, time, with_query};
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// `all` settings, not only those that are not as they are by default.
    settings: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let standing = Standing::of(&ask, &visitor).await;
    let built = build(&ask, &visitor, &asked, &standing).await;
    frame::show_below(&standing, &visitor, built)
}

async fn build(ask: &Ask, visitor: &Visitor, asked: &Asked, standing: &Standing) -> Result<Page, Problem> {
    let receivers: Receivers = ask.get(visitor, "/api/v1/notifications").await?;
    let repairs: Repairs = ask.get(visitor, "/api/v1/repairs").await?;
    let configuration: Configuration = ask.get(visitor, "/api/v1/configuration").await?;
    let audit: Audit = ask.get(visitor, "/api/v1/audit?limit=20").await?;
    let body = html! {
        h1 { "Operations" }
        section id="alarms" data-live { h2 { "Alarms" } (alarm_list(&standing.alarms)) }
        section id="gateway" data-live { h2 { "Gateway and store" }
            @match &standing.status { Some(status) => (gateway(status)), None => (empty("The store cannot answer now.", "")) } }
        section id="notifications" data-live { h2 { "Result notifications that fail" } (receiver_table(&receivers)) }
        section id="repairs" data-live { h2 { "Malformed requests that were accepted, since the start" } (repair_table(&repairs.repairs)) }
        section { h2 { "Configuration" } (settings(&configuration.settings, asked.settings == "all")) }
        section id="audit" data-live { h2 { "Who changed what" } (acts(&audit)) }
    };
    let commands = vec![
        Command::new("papcast", "/api/v1/status"),
        Command::new("", "/api/v1/alarms"),
        Command::new("", "/api/v1/configuration"),
        Command::new("papcast audit", "/api/v1/audit"),
    ];
    Ok(Page { title: "Operations".into(), place: "Operations", body, follows: true, commands })
}

fn alarm_list(alarms: &Alarms) -> Markup {
    if alarms.alarms.is_empty() {
        return empty("There is none.", "");
    }
    html! {
        ul.alarms {
            @for alarm in &alarms.alarms { li { (mark(&alarm.severity)) " " b { (alarm.name) } ": " (alarm.detail) } }
        }
    }
}

fn gateway(status: &Status) -> Markup {
    html! {
        dl.facts {
            div { dt { "Version" } dd { (status.version) } }
            div { dt { "Started" } dd { (time(&status.started_at)) } }
            div { dt { "Groups" } dd { (number(status.groups)) " with " (number(status.memberships)) " memberships" } }
            div { dt { "Oldest delivery that is owed" } dd { (maybe_time(status.oldest.as_deref())) } }
            div { dt { "Result notifications that wait" } dd { (number(status.notifications_waiting)) } }
            div { dt { "Store" } dd { (size(status.store_bytes)) } }
            div { dt { "Last backup" } dd { (maybe_time(status.last_backup.as_deref())) } }
            div { dt { "Back it up" } dd { code { "papcast backup FILE --config broker.toml" } " on its machine, at any time" } }
        }
    }
}

fn receiver_table(receivers: &Receivers) -> Markup {
    if receivers.receivers.is_empty() {
        return empty("Everybody receives what it is told.", "");
    }
    html! {
        table {
            thead { tr { th { "Receiver" } th.number { "Tried again" } th.number { "Given up" } th { "Last failure" } th { "Next try" } } }
            tbody {
                @for one in &receivers.receivers {
                    tr {
                        td { (one.receiver) } td.number { (number(one.waiting)) } td.number { (number(one.given_up)) }
                        td { (one.failure) } td { (maybe_time(one.next_attempt.as_deref())) }
                    }
                }
            }
        }
    }
}

fn repair_table(repairs: &[RepairCount]) -> Markup {
    if repairs.is_empty() {
        return empty("There was none.", "");
    }
    html! {
        table {
            thead { tr { th { "Initiator" } th { "What is wrong" } th { "Row" } th.number { "Requests" } th { "First" } th { "Last" } } }
            tbody {
                @for one in repairs {
                    tr {
                        td { (link(&with_query("/console/pushes", &[("initiator", &one.initiator)]), &one.initiator)) }
                        td { (one.repair) } td { (one.row) }
                        td.number { (number(one.requests)) } td { (time(&one.first)) } td { (time(&one.last)) }
                    }
                }
            }
        }
    }
}

fn settings(settings: &[Setting], all: bool) -> Markup {
    let shown: Vec<&Setting> = settings.iter().filter(|setting| all || setting.set_by.is_some()).collect();
    html! {
        @if shown.is_empty() { (empty("Everything is as it is by default.", "papcast config default")) } @else {
            table.wide {
                thead { tr { th { "Setting" } th { "Value" } th { "Default" } th { "Set by" } } }
                tbody {
                    @for setting in shown {
                        tr {
                            td { code { (setting.key) } @if setting.needs_restart { " " (mark("needs-restart")) } }
                            td { code { (setting.value) } }
                            td { code { (setting.default.as_deref().unwrap_or_default()) } }
                            td { (setting.set_by.as_deref().unwrap_or_default()) }
                        }
                    }
                }
            }
        }
        @if all { p { a href="/console/operations" { "Only what is set" } } } @else { p { a href="/console/operations?settings=all" { "All settings" } } }
    }
}

fn acts(audit: &Audit) -> Markup {
    html! {
        @if audit.audit.is_empty() { (empty("Nobody has changed anything so far.", "")) } @else {
            ol.timeline {
                @for act in &audit.audit { li { (time(&act.at)) " " b { (act.act) } " " (act.object) " by " (act.by) " " (act.detail) } }
            }
            @if audit.next.is_some() { p { (link("/api/v1/audit?format=csv&limit=1000", "More of it as CSV")) } }
        }
    }
}
