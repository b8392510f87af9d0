//! All groups.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::html;
use serde::Deserialize;

use super::answers::Groups;
use super::ask::Ask;
use super::frame::{self, Command, Page};
use super::parts::{empty, group_link, mark, number, pager, search, with_query};
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};

const HERE: &str = "/console/groups";
const MOST: &str = "100";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    search: String,
    after: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let built = build(&ask, &visitor, &asked).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, asked: &Asked) -> Result<Page, Problem> {
    let api = with_query("/api/v1/groups", &[("search", &asked.search), ("limit", MOST), ("after", &asked.after)]);
    let found: Groups = ask.get(visitor, &api).await?;
    let body = html! {
        h1 { "Groups" }
        (search(HERE, "search", &asked.search, "Name has"))
        @if visitor.may_change() {
            details {
                summary { "Make a group" }
                form data-act data-method="PUT" data-path="/api/v1/groups/{group}" data-then="/console/groups/{group}" {
                    label { "Group ID " input name="group" data-kind="path" required; }
                    label { "Who may join " select name="policy" {
                        option value="open" { "open: everybody" } option value="approval" { "approval: whom an operator lets in" }
                        option value="closed" { "closed: nobody by himself" } } }
                    button { "Make it" }
                }
            }
        }
        section id="groups" data-live {
            @if found.groups.is_empty() {
                (empty("There is no such group. A terminal makes one when it joins:", "papcast terminal --user me --join news"))
            } @else {
                table {
                    thead { tr { th { "Group" } th { "Who may join" } th.number { "Members" } th { "MQTT topic" } } }
                    tbody {
                        @for group in &found.groups {
                            tr {
                                td { (group_link(&group.id)) }
                                td { (mark(&group.policy)) }
                                td.number { (number(group.members)) }
                                td { code { (group.topic) } }
                            }
                        }
                    }
                }
            }
        }
        (pager(HERE, &[("search", &asked.search)], &asked.after, found.next.as_deref()))
    };
    // The command has no search.
    let cli = if asked.search.is_empty() { "papcast group list" } else { "" };
    let commands = vec![Command::new(cli, api)];
    Ok(Page { title: "Groups".into(), place: "Groups", body, follows: true, commands })
}
