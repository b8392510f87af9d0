//! One push: who has it, who has not, and why.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Address, Document, Progress, Push, Recipients};
use super::ask::Ask;
use super::charts::{self, curve, two_parts, words_of};
use super::frame::{self, Command, Page, api, shell};
use super::parts::{
    Act, connected, count, device_link, empty, group_path, link, mark, maybe_time, number, pager, path, size, time,
    with_query,
};
use super::visitor::Visitor;
use crate::http::problem::{Path, Problem, Query};

/// Members of one page.
const MOST: &str = "100";
/// Members whose reasons are counted before the page is shown; of more, the page comes first.
const COUNTED: u64 = 5_000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    initiator: String,
    /// Which members are listed: `missing`, `delivered`, or a reason.
    show: String,
    after: String,
}

pub(super) async fn page(
    State(ask): State<Arc<Ask>>,
    visitor: Visitor,
    Path(push_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let built = build(&ask, &visitor, &push_id, &asked).await;
    frame::show(&ask, &visitor, built).await
}

/// A push, as the pages and the JSON API name it.
struct Named<'a> {
    push_id: &'a str,
    initiator: &'a str,
}

impl Named<'_> {
    fn api(&self, rest: &[&str], pairs: &[(&str, &str)]) -> String {
        let path = api(&[&["pushes", self.push_id], rest].concat());
        with_query(&path, &[&[("initiator", self.initiator)], pairs].concat())
    }

    fn page(&self, rest: &[&str], pairs: &[(&str, &str)]) -> String {
        let path = path("/console", &[&["pushes", self.push_id], rest].concat());
        with_query(&path, &[&[("initiator", self.initiator)], pairs].concat())
    }
}

/// What the recipients are asked for to list these.
fn filter(show: &str) -> Vec<(&'static str, &str)> {
    match show {
        "" => Vec::new(),
        "missing" => vec![("missing", "true")],
        "delivered" => vec![("state", "delivered")],
        reason => vec![("reason", reason)],
    }
}

async fn build(ask: &Ask, visitor: &Visitor, push_id: &str, asked: &Asked) -> Result<Page, Problem> {
    let initiator = if asked.initiator.is_empty() { visitor.initiator() } else { asked.initiator.clone() };
    let named = Named { push_id, initiator: &initiator };
    let push: Push = ask.get(visitor, &named.api(&[], &[])).await?;
    let of_recipients =
        named.api(&["recipients"], &[filter(&asked.show), vec![("limit", MOST), ("after", &asked.after)]].concat());
    let recipients: Recipients = ask.get(visitor, &of_recipients).await?;
    let progress: Progress = ask.get(visitor, &named.api(&["progress"], &[])).await?;
    let document: Option<Document> = ask.find(visitor, &named.api(&["document"], &[])).await?;
    let all = push.recipients();
    let counts = match all <= COUNTED {
        true => Some(counts(ask, visitor, &named).await?),
        false => None,
    };
    // What was counted last says the same in the heading and in the bar.
    let delivered = counts.as_ref().and_then(|counts| counts.get("delivered")).copied().unwrap_or(push.delivered());
    let body = html! {
        h1 { "Push " (push.push_id) }
        (actions(visitor, &named, &push, counts.as_ref()))
        section id="bar" data-live {
            h2 { (number(delivered)) " of " (number(all)) " have it" }
            @match &counts {
                Some(counts) => (bar_of(&named, counts)),
                None => div data-load=(named.page(&["bar"], &[])) {
                    (charts::bar(&two_parts(delivered, all), |_| None))
                },
            }
            (curve(&progress.points, &push.created_at, all))
        }
        (facts(&push))
        section {
            h2 { "Members" }
            (choice(&named, &asked.show))
            div id="members" data-live { (members(&recipients.recipients)) }
            (pager(&path("/console/pushes", &[push_id]), &[("initiator", &initiator), ("show", &asked.show)], &asked.after,
                recipients.next.as_deref()))
            p { (link(&named.api(&["recipients"], &[filter(&asked.show), vec![("format", "csv")]].concat()), "As CSV")) }
        }
        (as_it_came(document.as_ref()))
    };
    let only = match asked.show.as_str() {
        "" | "delivered" => String::new(),
        "missing" => " --missing".to_owned(),
        reason => format!(" --reason {}", shell(reason)),
    };
    let is_own = initiator == visitor.initiator();
    let whose = if is_own { String::new() } else { format!(" --initiator {}", shell(&initiator)) };
    let who = format!("papcast who {}{only}{whose}", shell(push_id));
    // PAP's own question is answered for one's own pushes only.
    let status = if is_own { format!("papcast status {}", shell(push_id)) } else { String::new() };
    let commands = vec![Command::new(who, of_recipients), Command::new(status, named.api(&[], &[]))];
    Ok(Page { title: format!("Push {push_id}"), place: "Pushes", body, follows: push.is_open(), commands })
}

async fn counts(ask: &Ask, visitor: &Visitor, named: &Named<'_>) -> Result<BTreeMap<String, u64>, Problem> {
    let path = named.api(&["recipients"], &[("counts", "true"), ("limit", "1")]);
    let found: Recipients = ask.get(visitor, &path).await?;
    Ok(found.counts.unwrap_or_default())
}

fn bar_of(named: &Named<'_>, counts: &BTreeMap<String, u64>) -> Markup {
    charts::bar(&charts::parts(counts), |reason| Some(named.page(&[], &[("show", reason)])))
}

/// The bar by reasons alone: it looks at all members.
pub(super) async fn bar(
    State(ask): State<Arc<Ask>>,
    visitor: Visitor,
    Path(push_id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let initiator = if asked.initiator.is_empty() { visitor.initiator() } else { asked.initiator };
    let named = Named { push_id: &push_id, initiator: &initiator };
    frame::show_part(counts(&ask, &visitor, &named).await.map(|counts| bar_of(&named, &counts)))
}

/// Reasons of members who may still get it, and to whom it is not under way.
const WAITING: [&str; 4] = ["behind", "away", "never-connected", "set-aside"];

/// Members who may still get it: those to whom it is under way, and those who wait for it.
pub(super) fn under_way_and_waiting(counts: &BTreeMap<String, u64>) -> (u64, u64) {
    let of = |reason: &str| counts.get(reason).copied().unwrap_or(0);
    (of("sent"), WAITING.into_iter().map(of).sum())
}

fn actions(visitor: &Visitor, named: &Named<'_>, push: &Push, counts: Option<&BTreeMap<String, u64>>) -> Markup {
    let all = || push.recipients().saturating_sub(push.delivered());
    let missing = counts.map(under_way_and_waiting).map_or_else(all, |(under_way, waiting)| under_way + waiting);
    let question = format!(
        "Cancel this push for {}{} who may still get it? It cannot be undone.",
        if counts.is_none() { "up to " } else { "" },
        count(missing, "member", "members"),
    );
    let cancel =
        Act { label: "Cancel", method: "DELETE", path: &named.api(&[], &[]), confirm: &question, ..Act::default() };
    let own = push.initiator == visitor.initiator();
    html! {
        div.actions id="actions" data-live {
            @if push.is_open() && (visitor.may_cancel() || own && visitor.may_push()) { (cancel.button()) }
            @if push.is_open() && own && visitor.may_push() {
                a.button href=(with_query("/console/send", &[("replace", &push.push_id)])) { "Replace for the rest" }
            }
        }
    }
}

fn facts(push: &Push) -> Markup {
    html! {
        dl.facts id="facts" data-live {
            div { dt { "Initiator" } dd { (link(&with_query("/console/pushes", &[("initiator", &push.initiator)]), &push.initiator)) } }
            div { dt { "Submitted" } dd { (time(&push.created_at)) } }
            div { dt { "Content" } dd { (push.content_type) ", " (size(push.size)) } }
        }
        table id="addresses" data-live {
            thead { tr { th { "Address" } th { "State" } th { "Result" } th { "Times" } th { "Result notification" } } }
            tbody { @for address in &push.addresses { (address_row(address, &push.created_at)) } }
        }
    }
}

fn address_row(address: &Address, created_at: &str) -> Markup {
    html! {
        tr {
            td {
                (address.address)
                @if let Some(group) = &address.group {
                    div { (link(&group_path(group), "the group")) ", "
                        (link(&with_query(&group_path(group), &[("at", created_at)]), "who was in it then")) }
                }
                @if let Some(user) = &address.user { div { (device_link(user)) } }
            }
            td { (mark(&address.state)) " " (address.code) }
            td {
                (address.desc)
                @if let Some(welcomed) = address.welcomed { div { (count(welcomed, "new member", "new members")) " got it as a welcome" } }
                @if let Some(at) = &address.event_time { div { (time(at)) } }
            }
            td {
                @if let Some(times) = &address.times {
                    @for (what, at) in
                        [("first", &times.first), ("half", &times.half), ("95 of 100", &times.most), ("last", &times.last)]
                    {
                        @if at.is_some() { div { (what) " " (maybe_time(at.as_deref())) } }
                    }
                }
            }
            td {
                @if let Some(notification) = &address.notification {
                    (mark(&notification.state)) " tried " (count(notification.attempts, "time", "times"))
                    @if let Some(failure) = &notification.failure { div { (failure) } }
                }
            }
        }
    }
}

/// What can be listed.
fn choice(named: &Named<'_>, show: &str) -> Markup {
    let mut all = vec![("", "All"), ("missing", "Who has not got it"), ("delivered", "Who has it")];
    if !all.iter().any(|(name, _)| *name == show) {
        all.push((show, words_of(show)));
    }
    html! {
        nav.filters aria-label="Which members" {
            @for (name, text) in all {
                a href=(named.page(&[], &[("show", name)])) aria-current=[(name == show).then_some("true")] { (text) }
            }
        }
    }
}

fn members(recipients: &[super::answers::Recipient]) -> Markup {
    if recipients.is_empty() {
        return empty("There is no such member.", "");
    }
    html! {
        table.wide {
            thead { tr { th { "Device" } th { "State" } th { "Why" } th { "Got it" } th { "Now" } th { "Last seen" } } }
            tbody {
                @for one in recipients {
                    tr {
                        td { (device_link(&one.user)) @if one.address != one.user { div.small { (one.address) } } }
                        td { (mark(&one.state)) }
                        td { @if let Some(reason) = &one.reason { (mark(reason)) " " } @if one.reason.is_some() { (one.desc) } }
                        td { (maybe_time(one.at.as_deref().filter(|_| one.state == "delivered"))) }
                        td { (connected(one.connected)) }
                        td { (maybe_time(one.last_seen.as_deref())) }
                    }
                }
            }
        }
    }
}

fn as_it_came(document: Option<&Document>) -> Markup {
    html! {
        @if let Some(document) = document {
            section {
                h2 { "The PAP document" }
                p { "Posted to " code { (document.endpoint) } " as " code { (document.content_type) } ", " (size(document.size)) }
                @if document.repairs.is_empty() { p { "It is as the specification has it: nothing was repaired." } } @else {
                    p { "Accepted although it is malformed:" }
                    ul { @for repair in &document.repairs { li { (repair.repair) " (row " (repair.row) ")" } } }
                }
                details {
                    summary { "As it came" @if !document.complete { ", its first part" } }
                    pre tabindex="0" { code { (document.document) } }
                }
            }
        }
    }
}
