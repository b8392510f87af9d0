//! Small pieces of pages: links, times, numbers, marks, pages of lists, buttons.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::clock;

/// What stands for itself in paths and queries (RFC 3986, unreserved).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, ENCODED).to_string()
}

/// A path whose segments are names.
pub(super) fn path(base: &str, segments: &[&str]) -> String {
    segments.iter().fold(base.to_owned(), |path, segment| format!("{path}/{}", encoded(segment)))
}

/// A path with a query, without what is empty.
pub(super) fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

pub(super) fn group_path(group: &str) -> String {
    path("/console/groups", &[group])
}

pub(super) fn device_path(user: &str) -> String {
    path("/console/devices", &[user])
}

pub(super) fn push_path(push_id: &str, initiator: &str) -> String {
    with_query(&path("/console/pushes", &[push_id]), &[("initiator", initiator)])
}

pub(super) fn link(href: &str, text: &str) -> Markup {
    html! { a href=(href) { (text) } }
}

pub(super) fn group_link(group: &str) -> Markup {
    link(&group_path(group), group)
}

pub(super) fn device_link(user: &str) -> Markup {
    link(&device_path(user), user)
}

pub(super) fn push_link(push_id: &str, initiator: &str) -> Markup {
    link(&push_path(push_id, initiator), push_id)
}

/// `100,000`
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 push`, `2 pushes`
pub(super) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// `4.2 MiB`
pub(super) fn size(bytes: u64) -> String {
    let units = [(1_u64 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        None => format!("{bytes} bytes"),
    }
}

/// A moment in UTC, and how long ago it was.
pub(super) fn time(at: &str) -> Markup {
    let day = at.get(..10).unwrap_or(at);
    let clock = at.get(11..19).unwrap_or_default();
    html! { time datetime=(at) title={ (day) " " (clock) " UTC" } { span.moment { (day) " " (clock) } " " span.ago { (ago(at)) } } }
}

pub(super) fn maybe_time(at: Option<&str>) -> Markup {
    html! { @if let Some(at) = at { (time(at)) } @else { span.none { "–" } } }
}

/// `3 min ago`, `in 2 h`
fn ago(at: &str) -> String {
    let Some(moment) = clock::parse_rfc3339(at) else { return String::new() };
    let passed = clock::now() - moment;
    let seconds = passed.unsigned_abs() / 1_000;
    let long = match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    };
    if passed >= 0 { format!("{long} ago") } else { format!("in {long}") }
}

/// A word with a colour of its own; the word says it all.
pub(super) fn mark(word: &str) -> Markup {
    html! { span class={ "mark mark-" (word) } { (word) } }
}

pub(super) fn connected(is_connected: bool) -> Markup {
    mark(if is_connected { "connected" } else { "away" })
}

/// What stands where a list is empty: what could be done.
pub(super) fn empty(text: &str, command: &str) -> Markup {
    html! { p.empty { (text) @if !command.is_empty() { " " code { (command) } } } }
}

/// To the first page of a list and to the next one.
pub(super) fn pager(here: &str, pairs: &[(&str, &str)], after: &str, next: Option<&str>) -> Markup {
    let at = |after: &str| with_query(here, &[pairs, &[("after", after)]].concat());
    html! {
        @if !after.is_empty() || next.is_some() {
            nav.pager aria-label="Pages" {
                @if !after.is_empty() { a href=(at("")) { "First page" } }
                @if let Some(next) = next { a rel="next" href=(at(next)) { "Next page" } }
            }
        }
    }
}

/// A field to search in a list.
pub(super) fn search(here: &str, name: &str, value: &str, label: &str) -> Markup {
    html! {
        form.search action=(here) method="get" role="search" {
            label { (label) " " input type="search" name=(name) value=(value) data-search; }
            button { "Search" }
        }
    }
}

/// Something that the page's script asks of the JSON API.
#[derive(Debug, Default)]
pub(super) struct Act<'a> {
    pub(super) label: &'a str,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// JSON, or nothing.
    pub(super) body: &'a str,
    /// Asked before it is done.
    pub(super) confirm: &'a str,
    /// What has to be typed in before it is done.
    pub(super) typed: &'a str,
    /// Where to go then; nothing: the page shows it.
    pub(super) then: &'a str,
}

impl Act<'_> {
    pub(super) fn button(&self) -> Markup {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        html! {
            button.danger[!self.confirm.is_empty()] type="button" data-act data-method=(self.method) data-path=(self.path)
                data-body=[given(self.body)] data-confirm=[given(self.confirm)] data-typed=[given(self.typed)]
                data-then=[given(self.then)] { (self.label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_for_people() {
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (100_000, "100,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(number(value), text);
        }
        for (bytes, text) in [(300, "300 bytes"), (1_536, "1.5 KiB"), (67_108_864, "64.0 MiB")] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!((count(1, "push", "pushes"), count(2, "push", "pushes")), ("1 push".into(), "2 pushes".into()));
    }

    #[test]
    fn names_go_into_addresses_whatever_is_in_them() {
        assert_eq!(group_path("a/b ?&\"<ü"), "/console/groups/a%2Fb%20%3F%26%22%3C%C3%BC");
        assert_eq!(push_path("1@x", "$operator/ann"), "/console/pushes/1%40x?initiator=%24operator%2Fann");
        assert_eq!(with_query("/x", &[("a", ""), ("b", "1 2")]), "/x?b=1%202");
    }
}
