//! What every page has: the head with how the gateway stands, where one can go, and the same view for a shell at its foot.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

use super::answers::{Alarms, Status};
use super::ask::Ask;
use super::file;
use super::parts::{count, number, path};
use super::visitor::Visitor;
use crate::http::problem::Problem;

/// A page, without what all of them have.
pub(super) struct Page {
    pub(super) title: String,
    /// The place in the list of places that it belongs to.
    pub(super) place: &'static str,
    pub(super) body: Markup,
    /// Whether it is looked at again by itself.
    pub(super) follows: bool,
    pub(super) commands: Vec<Command>,
}

/// The same view in a shell.
pub(super) struct Command {
    /// The command line of papcast; nothing where it has no such command.
    pub(super) cli: String,
    /// A path of the JSON API.
    pub(super) api: String,
}

const PLACES: [(&str, &str); 7] = [
    ("Home", "/console"),
    ("Pushes", "/console/pushes"),
    ("Send", "/console/send"),
    ("Groups", "/console/groups"),
    ("Devices", "/console/devices"),
    ("Live", "/console/live"),
    ("Operations", "/console/operations"),
];

/// How the gateway stands, which is above every page. Where the store cannot answer, there is no status, and an alarm.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) status: Option<Status>,
    pub(super) alarms: Alarms,
}

impl Standing {
    pub(super) async fn of(ask: &Ask, visitor: &Visitor) -> Self {
        let status = ask.get(visitor, "/api/v1/status").await.ok();
        Self { status, alarms: ask.get(visitor, "/api/v1/alarms").await.unwrap_or_default() }
    }
}

/// The answer to whoever asked for a page.
pub(super) async fn show(ask: &Ask, visitor: &Visitor, built: Result<Page, Problem>) -> Response {
    show_below(&Standing::of(ask, visitor).await, visitor, built)
}

/// The same, where the page itself has looked how the gateway stands.
pub(super) fn show_below(standing: &Standing, visitor: &Visitor, built: Result<Page, Problem>) -> Response {
    let (code, page) = match built {
        Ok(page) => (StatusCode::OK, page),
        Err(problem) => (problem.kind(), trouble(&problem)),
    };
    let text = whole(visitor, &page, standing.status.as_ref(), &standing.alarms).into_string();
    let mut response = file("text/html; charset=utf-8", text);
    *response.status_mut() = code;
    response
}

/// A part of a page that is asked for after it.
pub(super) fn show_part(built: Result<Markup, Problem>) -> Response {
    match built {
        Ok(part) => file("text/html; charset=utf-8", part.into_string()),
        Err(problem) => problem.into_response(),
    }
}

fn trouble(problem: &Problem) -> Page {
    let body = html! {
        h1 { (problem.kind().canonical_reason().unwrap_or("Error")) }
        p role="alert" { (problem.told().detail) }
        p { a href="/console" { "To the first page" } }
    };
    Page { title: "Error".into(), place: "", body, follows: false, commands: Vec::new() }
}

fn whole(visitor: &Visitor, page: &Page, status: Option<&Status>, alarms: &Alarms) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(&page.title, visitor.csrf.as_deref()))
            body data-initiator=(visitor.initiator()) {
                a.skip href="#main" { "Skip to the content" }
                @if status.is_some_and(|status| status.mode == "open") {
                    p.open-mode { "Nobody has to sign in here: mode " b { "open" } ". "
                        a href="/console/operations" { "What that means" } }
                }
                header {
                    a.brand href="/console" { "papcast" }
                    nav aria-label="Places" {
                        @for (name, href) in PLACES.iter().filter(|(name, _)| *name != "Send" || visitor.may_push()) {
                            a href=(href) aria-current=[(*name == page.place).then_some("page")] { (name) }
                        }
                    }
                    (light(alarms))
                    @if let Some((name, role)) = visitor.name() {
                        p.who { (name) " (" (role) ") " button type="button" id="sign-out" { "Sign out" } }
                    }
                }
                @if let Some(status) = status { (numbers(status)) }
                main id="main" data-follow[page.follows] {
                    p id="message" role="alert" {}
                    (page.body)
                }
                (foot(visitor, &page.commands, status))
            }
        }
    }
}

fn head(title: &str, csrf: Option<&str>) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            meta name="csrf" content=[csrf];
            title { (title) " · papcast" }
            link rel="stylesheet" href="/console/console.css";
            link rel="icon" type="image/svg+xml" href="/console/icon.svg";
            script src="/console/console.js" defer {}
        }
    }
}

/// Whether all is well; where not, why.
fn light(alarms: &Alarms) -> Markup {
    let worst = alarms.alarms.iter().find(|alarm| alarm.is_critical()).or_else(|| alarms.alarms.first());
    let more = alarms.alarms.len().saturating_sub(1);
    html! {
        p id="light" data-live {
            @match worst {
                None => { span.light.light-ok aria-hidden="true" {} " All is well" }
                Some(alarm) => {
                    a href="/console/operations" {
                        span.light.light-warning[!alarm.is_critical()].light-critical[alarm.is_critical()] aria-hidden="true" {}
                        " " (alarm.severity) ": " (alarm.name)
                        @if more > 0 { ", and " (count(more as u64, "more", "more")) }
                    }
                }
            }
        }
    }
}

fn numbers(status: &Status) -> Markup {
    html! {
        dl.numbers id="numbers" data-live {
            div { dt { "Connections" } dd { (number(status.connections)) } }
            div { dt { "Devices known" } dd { (number(status.users)) } }
            div { dt { "Pushes under way" } dd { (number(status.pending.saturating_sub(status.scheduled))) } }
            div { dt { "Scheduled" } dd { (number(status.scheduled)) } }
            div { dt { "Deliveries owed" } dd { (number(status.backlog)) } }
            div { dt { "Delivered since the start" } dd { (number(status.deliveries)) } }
            div { dt { "Joins that wait" } dd { (number(status.pending_joins)) } }
        }
    }
}

fn foot(visitor: &Visitor, commands: &[Command], status: Option<&Status>) -> Markup {
    let sign_in = if visitor.name().is_some() { "-H \"Authorization: Bearer $TOKEN\" " } else { "" };
    html! {
        footer {
            @if !commands.is_empty() {
                details {
                    summary { "The same in a shell" }
                    @for command in commands {
                        @if !command.cli.is_empty() { pre { code { (command.cli) " --gateway " (visitor.site) } } }
                        pre { code { "curl -s " (sign_in) "'" (visitor.site) (command.api) "'" } }
                    }
                }
            }
            p {
                kbd { "/" } " search, where there is one, " kbd { "j" } " " kbd { "k" } " next and previous row, " kbd { "Enter" } " open. "
                a href="/api" { "JSON API" }
                @if let Some(status) = status { " · papcast " (status.version) }
            }
        }
    }
}

/// A name in a command line, in quotes where the shell would see more in it.
pub(super) fn shell(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:@/+=,".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

impl Command {
    /// Of a list under `/api/v1`.
    pub(super) fn new(cli: impl Into<String>, api: impl Into<String>) -> Self {
        Self { cli: cli.into(), api: api.into() }
    }
}

/// A path of the JSON API whose segments are names.
pub(super) fn api(segments: &[&str]) -> String {
    path("/api/v1", segments)
}

/// Where one signs in: the page's script does it, and goes on to what was asked for.
pub(super) async fn sign_in_page() -> Response {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            (head("Sign in", None))
            body.sign-in {
                main id="main" {
                    h1 { "papcast" }
                    form id="sign-in" {
                        label for="token" { "Token of an operator or a viewer" }
                        input id="token" type="password" autocomplete="current-password" required autofocus;
                        button { "Sign in" }
                        p id="message" role="alert" {}
                        p.hint { "A token is made on the gateway's machine: " code { "papcast operator add NAME" } }
                    }
                }
            }
        }
    };
    file("text/html; charset=utf-8", page.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_word_for_the_shell() {
        assert_eq!(shell("sip:ann@example.com"), "sip:ann@example.com");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell(""), "''");
    }
}
