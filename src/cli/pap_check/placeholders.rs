//! What stands in braces in a case.

use super::options::Pap;
use crate::clock;
use crate::pap::time;

/// The values of one run of one case.
#[derive(Debug)]
pub(super) struct Placeholders(Vec<(&'static str, String)>);

const XML: &str = "<?xml version=\"1.0\"?>\n";
/// Nobody has it: numbers that begin with 999 are not assigned.
const UNKNOWN: &str = "99900000000";

impl Placeholders {
    pub(super) fn new(number: &str, group: Option<&str>, pap: Pap) -> Self {
        let id = || format!("{}@pap-check.example", uuid::Uuid::new_v4());
        let now = clock::now() / 1000;
        Self(vec![
            ("{id}", id()),
            ("{id2}", id()),
            ("{number-address}", format!("WAPPUSH=+{number}/TYPE=PLMN@ppg.example")),
            ("{number}", number.to_owned()),
            ("{group}", group.unwrap_or_default().to_owned()),
            ("{unknown}", UNKNOWN.to_owned()),
            ("{control}", "\u{1}".to_owned()),
            ("{soon}", time::format(now + 3_600)),
            ("{later}", time::format(now + 7_200)),
            ("{past}", time::format(now - 3_600)),
            // The version that is spoken, and three that are fixed.
            ("{pap}", pap.name().to_owned()),
            ("{public}", public(pap)),
            ("{system}", system(pap)),
            ("{xml}", prolog(pap)),
            ("{xml10}", prolog(Pap::V1_0)),
            ("{xml20}", prolog(Pap::V2_0)),
            ("{xml21}", prolog(Pap::V2_1)),
        ])
    }

    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}

fn public(pap: Pap) -> String {
    format!("-//WAPFORUM//DTD PAP {}//EN", pap.name())
}

fn system(pap: Pap) -> String {
    let folder = if pap == Pap::V2_1 { "http://www.openmobilealliance.org/tech" } else { "http://www.wapforum.org" };
    format!("{folder}/DTD/pap_{}.dtd", pap.name())
}

fn prolog(pap: Pap) -> String {
    format!("{XML}<!DOCTYPE pap PUBLIC \"{}\" \"{}\">", public(pap), system(pap))
}
