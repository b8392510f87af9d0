//! What happens just now. The page's script follows the events of the JSON API.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::html;
use serde::Deserialize;

use super::ask::Ask;
use super::frame::{self, Command, Page, shell};
use super::parts::with_query;
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};
use crate::signals::Kind;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    kind: String,
    group: String,
    user: String,
    push_id: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let built: Result<Page, Problem> = Ok(build(&asked));
    frame::show(&ask, &visitor, built).await
}

fn build(asked: &Asked) -> Page {
    let Asked { kind, group, user, push_id } = asked;
    let filter = [("kind", kind.as_str()), ("group", group), ("user", user), ("push_id", push_id)];
    let api = with_query("/api/v1/events", &filter);
    let body = html! {
        h1 { "Live" }
        form.search action="/console/live" method="get" {
            label { "Kind " select name="kind" {
                option value="" { "all but traces" }
                @for known in Kind::ALL.map(Kind::name) { option value=(known) selected[known == kind] { (known) } }
            } }
            label { "Group " input name="group" value=(group) data-search; }
            label { "User " input name="user" value=(user); }
            label { "Push-id " input name="push_id" value=(push_id); }
            button { "Filter" }
        }
        p.actions {
            button type="button" id="pause" aria-pressed="false" { "Pause" } " "
            span id="stream-state" role="status" { "Connecting …" }
        }
        ol.timeline id="stream" data-stream=(api) aria-live="off" {}
    };
    let mut cli = "papcast events -f".to_owned();
    for (name, value) in filter.into_iter().filter(|(_, value)| !value.is_empty()) {
        cli.push_str(&format!(" --{} {}", name.replace('_', "-"), shell(value)));
    }
    let command = Command::new(cli, api);
    Page { title: "Live".into(), place: "Live", body, follows: false, commands: vec![command] }
}
