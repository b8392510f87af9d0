//! One group: its members, the joins that wait, what it allows, and who came and went.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::answers::{Group, History, Joins, Members, MembersThen};
use super::ask::Ask;
use super::frame::{self, Command, Page, api, shell};
use super::parts::{
    Act, connected, count, device_link, empty, group_path, link, maybe_time, number, pager, time, with_query,
};
use super::visitor::Visitor;
use crate::http::problem::{Path, Problem, Query};

const MOST: &str = "100";
const EVENTS: &str = "20";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    after: String,
    /// Who was a member then.
    at: String,
}

pub(super) async fn page(
    State(ask): State<Arc<Ask>>,
    visitor: Visitor,
    Path(group): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let built = match asked.at.is_empty() {
        true => build(&ask, &visitor, &group, &asked).await,
        false => then(&ask, &visitor, &group, &asked).await,
    };
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, id: &str, asked: &Asked) -> Result<Page, Problem> {
    let group: Group = ask.get(visitor, &api(&["groups", id])).await?;
    let of_members = api(&["groups", id, "members"]);
    let of_members = with_query(&of_members, &[("details", "true"), ("limit", MOST), ("after", &asked.after)]);
    let members: Members = ask.get(visitor, &of_members).await?;
    let joins: Joins = ask.get(visitor, &with_query(&api(&["groups", id, "requests"]), &[("limit", MOST)])).await?;
    let history: History =
        ask.get(visitor, &with_query(&api(&["groups", id, "history"]), &[("limit", EVENTS)])).await?;
    let body = html! {
        h1 { "Group " (group.id) }
        div.actions {
            @if visitor.may_push() {
                a.button href=(with_query("/console/send", &[("to", &format!("group:{id}"))])) { "Send to this group" }
            }
        }
        dl.facts {
            div { dt { "MQTT topic" } dd { code { (group.topic) } } }
            div { dt { "Members" } dd id="count" data-live { (number(group.members)) } }
        }
        @if visitor.may_change() { (rules(&group)) }
        (waiting(visitor, id, &joins))
        section {
            h2 { "Members" }
            @if visitor.may_change() { (add(id)) }
            div id="members" data-live { (list(visitor, id, &members)) }
            (pager(&group_path(id), &[], &asked.after, members.next.as_deref()))
            p { (link(&with_query(&api(&["groups", id, "members"]), &[("details", "true"), ("format", "csv")]), "As CSV")) }
        }
        (came_and_went(id, &history))
        @if visitor.may_change() { (delete(&group)) }
    };
    let commands = vec![
        Command::new(format!("papcast member list {}", shell(id)), of_members),
        Command::new(format!("papcast history {}", shell(id)), api(&["groups", id, "history"])),
    ];
    Ok(Page { title: format!("Group {id}"), place: "Groups", body, follows: true, commands })
}

fn rules(group: &Group) -> Markup {
    let policies = [("open", "everybody"), ("approval", "whom an operator lets in"), ("closed", "nobody by himself")];
    let welcome = group.welcome.as_deref().unwrap_or("none");
    html! {
        form.line data-act data-method="PUT" data-path=(api(&["groups", &group.id])) {
            label { "Who may join " select name="policy" {
                @for (name, text) in policies { option value=(name) selected[name == group.policy] { (name) ": " (text) } }
            } }
            label { "New members get " select name="welcome" {
                @for (name, text) in [("none", "nothing of before"), ("last", "the last push that is under way")] {
                    option value=(name) selected[name == welcome] { (text) }
                }
            } }
            button { "Change" }
        }
    }
}

/// Lets somebody in, or does not.
pub(super) fn decide(group: &str, user: &str) -> Markup {
    let path = api(&["groups", group, "requests", user]);
    let button = |label, decision: &str| {
        let body = json!({ "decision": decision }).to_string();
        Act { label, method: "POST", path: &path, body: &body, ..Act::default() }.button()
    };
    html! { (button("Approve", "approve")) " " (button("Reject", "reject")) }
}

fn waiting(visitor: &Visitor, id: &str, joins: &Joins) -> Markup {
    let waiting = count(joins.requests.len() as u64, "join", "joins");
    let (path, body) = (api(&["groups", id, "requests"]), json!({ "decision": "approve" }).to_string());
    let question = format!("Let all who wait into the group? {waiting} are shown here.");
    let all =
        Act { label: "Approve all", method: "POST", path: &path, body: &body, confirm: &question, ..Act::default() };
    html! {
        section id="joins" data-live {
            @if !joins.requests.is_empty() {
                h2 { "Joins that wait" }
                @if visitor.may_change() { p { (all.button()) } }
                table {
                    thead { tr { th { "User" } th { "Asked" } th { "Decide" } } }
                    tbody {
                        @for join in &joins.requests {
                            tr {
                                td { (device_link(&join.user)) }
                                td { (time(&join.requested_at)) }
                                td { @if visitor.may_change() { (decide(id, &join.user)) } }
                            }
                        }
                    }
                }
                @if joins.next.is_some() { p { "There are more." } }
            }
        }
    }
}

fn add(id: &str) -> Markup {
    html! {
        details {
            summary { "Add members" }
            form data-act data-method="POST" data-path=(api(&["groups", id, "members"])) {
                label { "User IDs, one on each line" textarea name="add" rows="4" required data-kind="list" {} }
                button { "Add them" }
            }
        }
    }
}

fn list(visitor: &Visitor, id: &str, members: &Members) -> Markup {
    if members.members.is_empty() {
        return empty(
            "The group has no members. A terminal joins with:",
            &format!("papcast terminal --user me --join {}", shell(id)),
        );
    }
    html! {
        table.wide {
            thead { tr { th { "Device" } th { "Since" } th { "By" } th { "Now" } th { "Last seen" } th.number { "Owes" } th { "Change" } } }
            tbody {
                @for member in &members.members {
                    tr {
                        td { (device_link(&member.user)) }
                        td { (time(&member.joined_at)) }
                        td { (member.source) }
                        td { (connected(member.connected)) }
                        td { (maybe_time(member.last_seen.as_deref())) }
                        td.number { (number(member.owed.unwrap_or_default())) }
                        td { @if visitor.may_change() { (remove(id, &member.user)) } }
                    }
                }
            }
        }
    }
}

fn remove(id: &str, user: &str) -> Markup {
    let question = format!("Take {user} out of {id}? What it is still owed there is not delivered any more.");
    let path = api(&["groups", id, "members", user]);
    Act { label: "Remove", method: "DELETE", path: &path, confirm: &question, ..Act::default() }.button()
}

fn came_and_went(id: &str, history: &History) -> Markup {
    html! {
        section {
            h2 { "Who came and went" }
            form.line action=(group_path(id)) method="get" {
                label { "Who was in it at, in UTC " input name="at" placeholder="2026-11-22T10:00:00Z" required pattern=r"\d{4}-\d\d-\d\dT.*"; }
                button { "Show" }
            }
            div id="history" data-live {
                @if history.history.is_empty() { (empty("Nobody came or went so far.", "")) } @else {
                    ol.timeline {
                        @for entry in &history.history {
                            li { (time(&entry.at)) " " (device_link(&entry.user)) " "
                                @if entry.event == "join" { "joined" } @else { "left" } ", by " (entry.by) }
                        }
                    }
                    @if history.next.is_some() { p { (link(&with_query(&api(&["groups", id, "history"]), &[("format", "csv")]), "All of it as CSV")) } }
                }
            }
        }
    }
}

fn delete(group: &Group) -> Markup {
    let question = format!(
        "Delete the group {}? {} will be unbound, and what they are still owed is not delivered any more. Type its name to go on.",
        group.id,
        count(group.members, "member", "members")
    );
    let act = Act {
        label: "Delete this group",
        method: "DELETE",
        path: &api(&["groups", &group.id]),
        confirm: &question,
        typed: &group.id,
        then: "/console/groups",
        ..Act::default()
    };
    html! { section { h2 { "Delete" } p { (act.button()) } } }
}

/// Who was a member at a moment.
async fn then(ask: &Ask, visitor: &Visitor, id: &str, asked: &Asked) -> Result<Page, Problem> {
    let of_then =
        with_query(&api(&["groups", id, "history"]), &[("at", &asked.at), ("limit", MOST), ("after", &asked.after)]);
    let found: MembersThen = ask.get(visitor, &of_then).await?;
    let body = html! {
        h1 { "Group " (link(&group_path(id), id)) ", as it was at " (time(&found.at)) }
        @if found.members.is_empty() { (empty("Nobody was in it.", "")) }
        @if asked.after.is_empty() && found.next.is_none() { p { (count(found.members.len() as u64, "member", "members")) } }
        ul.columns { @for user in &found.members { li { (device_link(user)) } } }
        (pager(&group_path(id), &[("at", &asked.at)], &asked.after, found.next.as_deref()))
    };
    let cli = format!("papcast history {} --at {}", shell(id), shell(&asked.at));
    Ok(Page {
        title: format!("Group {id} then"),
        place: "Groups",
        body,
        follows: false,
        commands: vec![Command::new(cli, of_then)],
    })
}
