//! The bar of `papcast push --wait`: how many have it, how many refused it, how long it has taken. On stderr, and only where that
//! is a terminal.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

#[derive(Debug)]
pub(super) struct WaitBar(Option<ProgressBar>);

impl WaitBar {
    /// `json`: a program reads, and wants no bar.
    pub(super) fn new(json: bool) -> Self {
        let shown = !json && std::io::stderr().is_terminal();
        Self(shown.then(|| {
            let style = ProgressStyle::with_template("[{bar:40}] {pos} of {len}{msg}, {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        }))
    }

    /// Draws what the gateway says of the push.
    pub(super) fn show(&self, push: &Value) {
        let Some(bar) = &self.0 else { return };
        let counts = Counts::of(push);
        bar.set_length(counts.recipients);
        bar.set_position(counts.delivered);
        bar.set_message(if counts.refused > 0 { format!(", {} refused", counts.refused) } else { String::new() });
        bar.tick();
    }

    /// Leaves the last state on the screen.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.abandon();
        }
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    recipients: u64,
    delivered: u64,
    refused: u64,
}

impl Counts {
    /// Of all addresses together.
    fn of(push: &Value) -> Self {
        let mut counts = Self::default();
        for address in push["addresses"].as_array().into_iter().flatten() {
            let number = |field: &str| address[field].as_u64().unwrap_or(0);
            counts.recipients += number("recipients");
            counts.delivered += number("delivered");
            counts.refused += refused(address["desc"].as_str().unwrap_or_default());
        }
        counts
    }
}

/// The API has this number in words only: "3 of 5, 1 refused".
fn refused(desc: &str) -> u64 {
    let mut words = desc.split([' ', ',']).filter(|word| !word.is_empty());
    let mut last = "";
    words
        .find_map(|word| {
            if word == "refused" {
                last.parse().ok()
            } else {
                last = word;
                None
            }
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_addresses_of_a_push_are_counted_together() {
        let push = json!({"addresses": [
            {"recipients": 5, "delivered": 3, "desc": "3 of 5, 1 refused, 1 left the group"},
            {"recipients": 1, "delivered": 0, "desc": "0 of 1"},
        ]});
        assert_eq!(Counts::of(&push), Counts { recipients: 6, delivered: 3, refused: 1 });
        assert_eq!(Counts::of(&json!({"addresses": [{"desc": "refused"}]})), Counts::default());
    }
}
