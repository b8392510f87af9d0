//! What stands in braces in a case.

use crate::clock;
use crate::pap::time;

/// The values of one run of one case.
#[derive(Debug)]
pub(super) struct Placeholders(Vec<(&'static str, String)>);

const XML: &str = "<?xml version=\"1.0\"?>\n";
/// Nobody has it: numbers that begin with 999 are not assigned.
const UNKNOWN: &str = "99900000000";

impl Placeholders {
    pub(super) fn new(number: &str, group: Option<&str>) -> Self {
        let id = || format!("{}@pap-check.example", uuid::Uuid::new_v4());
        let now = clock::now() / 1000;
        let prolog = |version: &str, system: &str| {
            format!(
                "{XML}<!DOCTYPE pap PUBLIC \"-//WAPFORUM//DTD PAP {version}//EN\" \"{system}/DTD/pap_{version}.dtd\">"
            )
        };
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
            ("{xml10}", prolog("1.0", "http://www.wapforum.org")),
            ("{xml20}", prolog("2.0", "http://www.wapforum.org")),
            ("{xml21}", prolog("2.1", "http://www.openmobilealliance.org/tech")),
        ])
    }

    pub(super) fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value))
    }
}
