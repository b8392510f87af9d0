//! Who has a push and who has not, by reason: what the gateway says, and what it has to say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hyper::Method;
use serde_json::Value;

use crate::cli::client::{Gateway, escape, text};

/// Until the gateway says what it has to. Nothing on one machine takes as long.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(200);
/// How the API counts those that have it.
const HAS_IT: &str = "delivered";

/// How many devices for each reason; none of them is 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tally(BTreeMap<String, u64>);

impl Tally {
    pub(super) fn of(has_it: u32, away: u32, too_large: u32) -> Self {
        let counts = [(HAS_IT, has_it), ("away", away), ("too-large", too_large)].into_iter();
        let counts = counts.filter(|(_, count)| *count > 0);
        Self(counts.map(|(reason, count)| (reason.to_owned(), u64::from(count))).collect())
    }

    /// Asks until the gateway says this. Acknowledgements are written down once a second.
    pub(super) async fn awaited(&self, gateway: &Gateway, push_id: &str) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let told = ask(gateway, push_id).await?;
            if told == *self {
                return Ok(());
            }
            anyhow::ensure!(
                Instant::now() < deadline,
                "the story did not come out: of {push_id} the gateway says {}, and not {}",
                told.in_words(),
                self.in_words()
            );
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Rows of a table for eyes: reason, how many, and why one of them has not got it.
    pub(super) async fn table(
        &self,
        gateway: &Gateway,
        push_id: &str,
        of_those_that_have: &str,
    ) -> anyhow::Result<String> {
        let mut lines = vec![row("reason", "count", "")];
        // Those that have it are the first.
        let (have, missing): (Vec<_>, Vec<_>) = self.0.iter().partition(|(reason, _)| *reason == HAS_IT);
        for (_, count) in have {
            lines.push(row("has it", &count.to_string(), of_those_that_have));
        }
        for (reason, count) in missing {
            let path = format!("/api/v1/pushes/{}/recipients?reason={}&limit=1", escape(push_id), escape(reason));
            let page = gateway.json(Method::GET, &path, None).await?;
            lines.push(row(reason, &count.to_string(), &text(&page["recipients"][0], "desc")));
        }
        Ok(lines.join("\n"))
    }

    pub(super) fn json(&self) -> Value {
        self.0.iter().map(|(reason, count)| (reason.clone(), Value::from(*count))).collect()
    }

    fn in_words(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        words.join(", ")
    }
}

fn row(reason: &str, count: &str, why: &str) -> String {
    format!("   {reason:<9}{count:>6}  {why}").trim_end().to_owned()
}

async fn ask(gateway: &Gateway, push_id: &str) -> anyhow::Result<Tally> {
    let path = format!("/api/v1/pushes/{}/recipients?counts=true&limit=1", escape(push_id));
    let page = gateway.json(Method::GET, &path, None).await?;
    let counts = page["counts"].as_object().context("the gateway does not count the recipients")?;
    let counts = counts.iter().map(|(reason, count)| (reason.clone(), count.as_u64().unwrap_or(0)));
    Ok(Tally(counts.filter(|(_, count)| *count > 0).collect()))
}
