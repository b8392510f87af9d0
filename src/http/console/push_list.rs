//! All pushes, newest first.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Push, Pushes};
use super::ask::Ask;
use super::charts::{bar, two_parts};
use super::frame::{self, Command, Page, shell};
use super::parts::{empty, mark, number, pager, push_link, push_path, time, with_query};
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};

const HERE: &str = "/console/pushes";
/// Of one page.
const MOST: &str = "50";

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    state: String,
    initiator: String,
    after: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let built = build(&ask, &visitor, &asked).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, asked: &Asked) -> Result<Page, Problem> {
    let Asked { state, initiator, after } = asked;
    let whose = if initiator.is_empty() { "*" } else { initiator };
    let api =
        with_query("/api/v1/pushes", &[("initiator", whose), ("state", state), ("limit", MOST), ("after", after)]);
    let found: Pushes = ask.get(visitor, &api).await?;
    let filters = [("", "All"), ("pending", "Under way"), ("scheduled", "Scheduled"), ("finished", "Finished")];
    let body = html! {
        h1 { "Pushes" }
        nav.filters aria-label="Which pushes" {
            @for (name, text) in filters {
                a href=(with_query(HERE, &[("state", name), ("initiator", initiator)]))
                    aria-current=[(name == state).then_some("true")] { (text) }
            }
        }
        form.search action=(HERE) method="get" {
            input type="hidden" name="state" value=(state);
            label { "Initiator " input type="search" name="initiator" value=(initiator) data-search; }
            button { "Show" }
        }
        section id="pushes" data-live {
            @if found.pushes.is_empty() { (empty("There is no such push.", "")) } @else { (rows(&found.pushes)) }
        }
        (pager(HERE, &[("state", state), ("initiator", initiator)], after, found.next.as_deref()))
    };
    let mut cli = "papcast pushes".to_owned();
    if !state.is_empty() {
        cli.push_str(&format!(" --state {}", shell(state)));
    }
    if !initiator.is_empty() {
        cli.push_str(&format!(" --initiator {}", shell(initiator)));
    }
    Ok(Page { title: "Pushes".into(), place: "Pushes", body, follows: true, commands: vec![Command::new(cli, api)] })
}

/// Pushes with how far they have come.
pub(super) fn rows(pushes: &[Push]) -> Markup {
    html! {
        table.wide {
            thead { tr { th { "Push" } th { "Initiator" } th { "Submitted" } th { "To" } th { "Who has it" } } }
            tbody {
                @for push in pushes {
                    tr {
                        td { (push_link(&push.push_id, &push.initiator)) }
                        td { (push.initiator) }
                        td { (time(&push.created_at)) }
                        td { (addresses(push)) }
                        td.has-bar { (progress(push)) }
                    }
                }
            }
        }
    }
}

/// Addresses that a list shows of one push.
const SHOWN: usize = 3;

fn addresses(push: &Push) -> Markup {
    html! {
        @for address in push.addresses.iter().take(SHOWN) { div { (address.address) " " (mark(&address.state)) } }
        @if push.addresses.len() > SHOWN { div { "and " (push.addresses.len() - SHOWN) " more" } }
    }
}

/// Members whose reasons are counted while the list is made ready; of more, the push's own page counts them.
const COUNTED: u64 = 5_000;

/// The bar says the reasons, where they are quickly counted, once the page is there.
fn progress(push: &Push) -> Markup {
    let (delivered, recipients) = (push.delivered(), push.recipients());
    let href =
        with_query(&format!("{}/bar", super::parts::path(HERE, &[&push.push_id])), &[("initiator", &push.initiator)]);
    let load = (delivered < recipients && recipients <= COUNTED).then_some(href);
    html! {
        div.progress { (number(delivered)) " of " (number(recipients)) }
        div data-load=[load] { (bar(&two_parts(delivered, recipients), |_| Some(push_path(&push.push_id, &push.initiator)))) }
    }
}
