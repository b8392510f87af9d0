//! The enumerations of PAP's attributes, and the words that initiators have for them.

use super::document::{DeliveryMethod, Priority, ReplaceMethod};
use super::repair::Repair;

/// The words of one enumeration.
#[derive(Debug)]
pub(super) struct Choices<T: 'static> {
    /// Those of the specification.
    pub(super) all: &'static [(&'static str, T)],
    /// Those of one vendor, and what they mean.
    foreign: &'static [(&'static str, T)],
}

impl<T: Copy> Choices<T> {
    /// What a word means, and what is bent about it; none for a word that nobody has.
    pub(super) fn read(&self, text: &str) -> Option<(T, Option<Repair>)> {
        if let Some((_, value)) = self.all.iter().find(|(name, _)| *name == text) {
            return Some((*value, None));
        }
        let named = |words: &[(&str, T)]| {
            words.iter().find(|(name, _)| name.eq_ignore_ascii_case(text.trim())).map(|(_, value)| *value)
        };
        let other_case = named(self.all).map(|value| (value, Some(Repair::OtherCase)));
        other_case.or_else(|| named(self.foreign).map(|value| (value, Some(Repair::ForeignMethod))))
    }

    /// `a, b or c`
    pub(super) fn names(&self) -> String {
        let names: Vec<&str> = self.all.iter().map(|(name, _)| *name).collect();
        match names.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, first)) => format!("{} or {last}", first.join(", ")),
            None => String::new(),
        }
    }
}

pub(super) const FLAGS: Choices<bool> = Choices { all: &[("true", true), ("false", false)], foreign: &[] };

pub(super) const PRIORITIES: Choices<Priority> =
    Choices { all: &[("high", Priority::High), ("medium", Priority::Medium), ("low", Priority::Low)], foreign: &[] };

pub(super) const DELIVERY_METHODS: Choices<DeliveryMethod> = Choices {
    all: &[
        ("confirmed", DeliveryMethod::Confirmed),
        ("preferconfirmed", DeliveryMethod::PreferConfirmed),
        ("unconfirmed", DeliveryMethod::Unconfirmed),
        ("notspecified", DeliveryMethod::NotSpecified),
    ],
    // RIM's: who confirms, the application or the transport below it.
    foreign: &[
        ("application-level", DeliveryMethod::Confirmed),
        ("application-preferred", DeliveryMethod::PreferConfirmed),
        ("transport-level", DeliveryMethod::Unconfirmed),
    ],
};

pub(super) const REPLACE_METHODS: Choices<ReplaceMethod> =
    Choices { all: &[("all", ReplaceMethod::All), ("pending-only", ReplaceMethod::PendingOnly)], foreign: &[] };
