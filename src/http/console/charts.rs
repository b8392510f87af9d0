//! Charts, drawn as SVG: a bar of who has a push and who has not for which reason, and the curve of its deliveries. What they
//! show stands beside them in words.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::answers::Point;
use super::parts::number;
use crate::clock;

/// One part of a bar.
pub(super) struct Part {
    /// As the JSON API calls it.
    pub(super) name: String,
    pub(super) count: u64,
}

/// How the parts are shown, in this order.
const PARTS: [(&str, &str); 12] = [
    ("delivered", "has it"),
    ("sent", "sent, not acknowledged"),
    ("behind", "about to be sent, or behind another push"),
    ("pending", "has not got it"),
    ("away", "away"),
    ("never-connected", "never connected"),
    ("set-aside", "set aside"),
    ("too-large", "too large for it"),
    ("refused", "refused it"),
    ("left", "left the group"),
    ("expired", "too late"),
    ("cancelled", "cancelled"),
];

/// In words.
pub(super) fn words_of(name: &str) -> &str {
    PARTS.iter().find(|(known, _)| *known == name).map_or(name, |(_, words)| words)
}

/// The parts of a bar, in the order in which they are shown.
pub(super) fn parts(counts: &BTreeMap<String, u64>) -> Vec<Part> {
    let known = PARTS.iter().filter_map(|(name, _)| counts.get_key_value(*name));
    known.filter(|(_, count)| **count > 0).map(|(name, count)| Part { name: name.clone(), count: *count }).collect()
}

/// Where nobody has counted by reasons so far: who has it, and who has not.
pub(super) fn two_parts(delivered: u64, recipients: u64) -> Vec<Part> {
    let pending = recipients.saturating_sub(delivered);
    let all = [("delivered", delivered), ("pending", pending)];
    all.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| Part { name: name.to_owned(), count }).collect()
}

const WIDTH: u64 = 1_000;

/// A bar with a list of its parts. `href`: where the members of a part are listed.
pub(super) fn bar(parts: &[Part], href: impl Fn(&str) -> Option<String>) -> Markup {
    let all: u64 = parts.iter().map(|part| part.count).sum();
    let mut from = 0;
    let drawn: Vec<(&str, u64, u64)> = parts
        .iter()
        .map(|part| {
            // Rounded where it ends, so that the last part ends where the bar does.
            let begin = from * WIDTH / all.max(1);
            from += part.count;
            (part.name.as_str(), begin, (from * WIDTH / all.max(1)).saturating_sub(begin).max(1))
        })
        .collect();
    let share = |count: u64| count * 100 / all.max(1);
    html! {
        div.bar {
            svg viewBox={ "0 0 " (WIDTH) " 20" } preserveAspectRatio="none" aria-hidden="true" {
                rect.part-none x="0" y="0" width=(WIDTH) height="20" {}
                @for (name, begin, width) in drawn {
                    rect class={ "part-" (name) } x=(begin) y="0" width=(width) height="20" {}
                }
            }
            ul.legend {
                @for part in parts {
                    li {
                        span class={ "swatch part-" (part.name) } aria-hidden="true" {}
                        @let text = format!("{}: {} ({} %)", words_of(&part.name), number(part.count), share(part.count));
                        @if let Some(href) = href(&part.name) { a href=(href) { (text) } } @else { (text) }
                    }
                }
                @if parts.is_empty() { li { "nobody is meant" } }
            }
        }
    }
}

const HEIGHT: f64 = 120.0;

/// How many had it by when.
pub(super) fn curve(points: &[Point], since: &str, recipients: u64) -> Markup {
    let at = |text: &str| clock::parse_rfc3339(text).unwrap_or(0);
    let begin = at(since);
    let Some(last) = points.last() else { return html! {} };
    let end = at(&last.at).max(begin + 1);
    let x = |moment: i64| (moment - begin).max(0) as f64 / (end - begin) as f64 * WIDTH as f64;
    let y = |delivered: u64| HEIGHT - delivered as f64 / recipients.max(1) as f64 * HEIGHT;
    let mut line = format!("M0 {HEIGHT:.1}");
    for point in points {
        // A step: what a flush brought came at once.
        line.push_str(&format!(" H{:.1} V{:.1}", x(at(&point.at)), y(point.delivered).max(0.0)));
    }
    let took = (end - begin) / 1_000;
    html! {
        figure.curve {
            svg viewBox={ "-2 -2 " (WIDTH + 4) " " (HEIGHT + 4.0) } preserveAspectRatio="none" role="img"
                aria-label={ "Acknowledgements over time: " (number(last.delivered)) " of " (number(recipients)) " after " (took) " s" } {
                path.area d={ (line) " H" (WIDTH) " V" (HEIGHT) " Z" } {}
                path.line d={ (line) " H" (WIDTH) } {}
            }
            figcaption {
                "Acknowledged by " (number(last.delivered)) " of " (number(recipients)) " within " (took) " s"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_bar_fill_it_and_are_in_their_order() {
        let counts = [("away", 1), ("delivered", 2), ("too-large", 0)].map(|(name, count)| (name.to_owned(), count));
        let parts = parts(&counts.into_iter().collect());
        assert_eq!(parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["delivered", "away"]);
        let drawn = bar(&parts, |_| None).into_string();
        assert!(drawn.contains("<rect class=\"part-delivered\" x=\"0\" y=\"0\" width=\"666\""), "{drawn}");
        assert!(drawn.contains("<rect class=\"part-away\" x=\"666\" y=\"0\" width=\"334\""), "{drawn}");
        assert!(drawn.contains("has it: 2 (66 %)"), "{drawn}");
    }

    #[test]
    fn a_curve_ends_where_the_last_one_had_it() {
        let point = |at: &str, delivered| Point { at: at.to_owned(), delivered };
        let points = [point("2026-11-27T10:00:05Z", 5), point("2026-11-27T10:00:10Z", 10)];
        let drawn = curve(&points, "2026-11-27T10:00:00Z", 20).into_string();
        assert!(drawn.contains("d=\"M0 120.0 H500.0 V90.0 H1000.0 V60.0 H1000\""), "{drawn}");
        assert!(drawn.contains("10 of 20 within 10 s"), "{drawn}");
    }
}
