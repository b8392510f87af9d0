//! Sending a push, with what it would do beside it while it is written.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::answers::{Push, Recipients};
use super::ask::Ask;
use super::frame::{self, Command, Page, api};
use super::parts::{count, empty};
use super::push_page::under_way_and_waiting;
use super::visitor::Visitor;
use crate::http::problem::{Problem, Query};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    /// Addresses to begin with.
    to: String,
    /// A push that this one shall replace for those who have not got it.
    replace: String,
}

pub(super) async fn page(State(ask): State<Arc<Ask>>, visitor: Visitor, Query(asked): Query<Asked>) -> Response {
    let built = build(&ask, &visitor, asked).await;
    frame::show(&ask, &visitor, built).await
}

async fn build(ask: &Ask, visitor: &Visitor, mut asked: Asked) -> Result<Page, Problem> {
    let mut rest = None;
    if !asked.replace.is_empty() {
        let of_old = api(&["pushes", &asked.replace]);
        let old: Push = ask.get(visitor, &of_old).await?;
        if asked.to.is_empty() {
            asked.to = old.addresses.into_iter().map(|address| address.address).collect::<Vec<_>>().join("\n");
        }
        let recipients: Recipients = ask.get(visitor, &format!("{of_old}/recipients?counts=true&limit=1")).await?;
        rest = Some(under_way_and_waiting(&recipients.counts.unwrap_or_default()));
    }
    let body = html! {
        h1 { @if asked.replace.is_empty() { "Send a push" } @else { "Replace " (asked.replace) " for the rest" } }
        @if visitor.may_push() { (form(&asked, rest)) } @else { (empty("Viewers send nothing.", "")) }
    };
    let command = Command::new("papcast push group:news 'Hello' --dry-run", "/api/v1/groups");
    Ok(Page { title: "Send".into(), place: "Send", body, follows: false, commands: vec![command] })
}

/// `rest`: to how many the push is under way that this one replaces, and how many wait for it. A dry run does not replace, and would
/// count everybody.
fn form(asked: &Asked, rest: Option<(u64, u64)>) -> Markup {
    html! {
        form.send data-act data-method="POST" data-path="/api/v1/pushes" data-then="push" data-try[rest.is_none()] {
            input type="hidden" name="replace_push_id" value=(asked.replace);
            @if !asked.replace.is_empty() { input type="hidden" name="replace_method" value="pending-only"; }
            div.fields {
                label { "To, one address on each line"
                    textarea name="to" rows="3" required data-kind="list" placeholder="group:news" { (asked.to) } }
                label { "Add a group " input list="group-names" data-adds="to" data-completes="groups" autocomplete="off"; }
                datalist id="group-names" {}
                label { "Text" textarea name="body" rows="5" required { } }
                label { "Content type" input name="content_type" value="text/plain" required; }
                label { "Delivery"
                    select name="delivery" {
                        option value="confirmed" { "confirmed: counts when it is acknowledged" }
                        option value="unconfirmed" { "unconfirmed: QoS 0, counts when it is written" }
                    }
                }
                label { "Priority, among scheduled ones that come due together"
                    select name="priority" { option { "medium" } option { "high" } option { "low" } } }
                label { "Not before, your time" input type="datetime-local" name="deliver_after" data-kind="time"; }
                label { "Not after, your time" input type="datetime-local" name="deliver_before" data-kind="time"; }
                label { "Push-id, made up where it is empty" input name="push_id" maxlength="255"; }
                label { "Result notification to, an http URL" input type="url" name="notify_url"; }
            }
            aside.reach {
                h2 { "Whom it reaches" }
                @match rest {
                    None => {
                        p id="reach" role="status" data-needs="Write an address and a text." { "Write an address and a text." }
                        button.primary { "Send" }
                    }
                    Some((under_way, waiting)) => {
                        p id="reach" {
                            (count(waiting, "member waits", "members wait")) " for the old one, and will get this one instead."
                            @if under_way > 0 {
                                " The old one is under way to " (count(under_way, "member", "members")) ", who will keep it."
                            }
                        }
                        button.primary { "Send to " (waiting) }
                    }
                }
            }
        }
    }
}
